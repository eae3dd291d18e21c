"""Blend two styles at 0.5 and 0.5 by every blend, on the pocket base, and print the style scores of both in one table.

    python benchmarks/blend_table.py                # trains what the library lacks, about ten minutes in all
    python benchmarks/blend_table.py --library demo-results/library

A style's share is 0 % for the base and 100 % for the style's own pictures; "subject kept" is CLIP-T of the noun, as a
share of the base's; ± is the half-width of the 95 % interval over seeds, of the CLIP-I. The judge is named in the
table.
"""

import argparse
from pathlib import Path

from pipelines.blends import blends
from pipelines.compare.grid import plan_grid
from pipelines.compare.scores import LookSummary, draw_cells, score_cells, summarise
from pipelines.compare.store import ImageStore
from pipelines.compare.tables import judge_name
from pipelines.generate import ImageRequest
from pipelines.recipe import content_hash
from studio.library.library import Library
from studio.operations.demo import PROMPTS, train_style
from studio.operations.session import find_judge, find_references, open_session
from studio.operations.sheets import subject_words
from studio.report import Terminal
from trainers.storage import write_text

STYLES = ("blueprint", "watercolor")
SETTINGS = {"svd": "svd rank=16", "ziplora": "ziplora steps=60"}
BY_FACTORS = ("ties rank=16", "dare rank=16")
"""What the sparsifying blends lose when they must be an ordinary LoRA."""


def blend_words() -> list[str]:
    """Return every blend of deltas with its settings; the plain sum first."""
    names = [name for name, blend in blends().items() if blend.tokens is None and not blend.by_block]
    ordered = sorted(names, key=lambda name: (name != "exact", name))
    return [SETTINGS.get(name, name) for name in ordered] + list(BY_FACTORS)


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, default=Path("demo-results/library"))
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--judge", default="auto")
    parser.add_argument("--styles", nargs=2, default=list(STYLES), help="two adapters of the library")
    parser.add_argument("--training-steps", type=int, default=250)
    parser.add_argument("--steps", type=int, default=20, help="sampling steps")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    parser.add_argument("--blends", nargs="*", help="only these, as 'ties density=0.4'")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/blends.md"))
    options = parser.parse_args()
    library = Library(options.library)
    prompts = dict(list(PROMPTS.items())[: options.prompts])
    words = options.blends or blend_words()
    first, second = options.styles
    with Terminal() as report:
        for style in options.styles:
            if style not in library.names():
                train_style(library, style, report, steps=options.training_steps, device=options.device)
        template = ImageRequest("", num_inference_steps=options.steps)
        grid = {
            "mixtures": {f"{first} + {second}": dict.fromkeys(options.styles, 0.5)},
            "weights": [1.0],
            "prompts": list(prompts),
            "seeds": list(range(options.seeds)),
            "template": template,
            "subjects": prompts,
        }
        cells = plan_grid(**grid, columns=("adapter", "weight", "blend"), more={"blend": words}, with_base=True)
        singles = {**grid, "mixtures": {style: {style: 1.0} for style in options.styles}}
        cells += plan_grid(**singles)
        recipes = {cell.request.recipe.model_dump_json(): cell.request.recipe for cell in cells if cell.request.recipe}
        judge = find_judge(options.judge, options.base, options.device)
        with open_session(
            library,
            options.base,
            options.styles,
            report,
            device=options.device,
            precision="auto",
            recipes=list(recipes.values()),
        ) as session:
            references = find_references(session.adapters, judge, report)
            hashes = {name: content_hash(adapter) for name, adapter in session.adapters.items()}
            store = ImageStore(options.library / "blend-table", session.base_facts(), hashes)
            pictures = draw_cells(
                session.attachments,
                cells,
                recipes=session.recipes,
                store=store,
                on_step=lambda done, total: report.progress("drawing", done, total),
            )
        summaries = summarise(score_cells(cells, pictures, judge, references), references)
        facts = (
            f"{len(prompts)} prompts × {options.seeds} seeds, {options.steps} steps; judge {judge_name(judge)}; "
            f"base {options.base}. {first} and {second} at 0.5 each; the last two rows are the styles alone, at 1."
        )
        table = "\n".join([facts, "", *table_lines(summaries, options.styles)]) + "\n"
        report.say(table)
        write_text(options.out, table)


def table_lines(summaries: list[LookSummary], styles: list[str]) -> list[str]:
    """Return the table as Markdown."""
    heads = "".join(f" {style} | ± CLIP-I |" for style in styles)
    lines = [f"| blend |{heads} subject kept |", "|---|" + "---|" * (2 * len(styles) + 1)]
    for summary in summaries:
        scores = "".join(
            f" {summary.value('style', style):.0%} | {summary.half_width('clip_i', style):.3f} |" for style in styles
        )
        label = summary.label.removeprefix(f"{' + '.join(styles)} ")
        lines.append(f"| {label} |{scores} {subject_words(summary)} |")
    return lines


if __name__ == "__main__":
    main()
