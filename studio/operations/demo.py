"""The main job in small: learn two styles, blend them at several weights, and say in numbers what arrived."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.compare.grid import BASE_LABEL, plan_grid
from pipelines.compare.scores import render_grid, summarise
from pipelines.compare.sheet import draw_sheet
from pipelines.compare.tables import grid_csv
from pipelines.generate import ImageRequest
from pipelines.image_file import png_bytes
from studio.library.library import Library
from studio.operations.blend import blend_into_library
from studio.operations.session import find_judge, find_references, open_session
from studio.operations.sheets import column_notes, sheet_cells, subject_words
from studio.report import Report
from studio.resources import example_folder
from studio.runs.run import Run, create_run, execute
from trainers.config import RunConfig, parse_config
from trainers.storage import write_bytes, write_text
from trainers.wording import count_of

STYLES = ("blueprint", "watercolor")
# Prompts, and what must survive of them: a blueprint has no red, but it still has a boat.
PROMPTS = {
    "a red boat, sea": "a boat",
    "a purple house, meadow": "a house",
    "a yellow cat, forest": "a cat",
    "a green teapot, beach": "a teapot",
}
BLEND = "mix"
_SHARES = ((1.0, 0.5), (0.75, 0.75), (0.5, 1.0))


@dataclass(frozen=True)
class DemoResult:
    """Where the demo's results lie."""

    grid: Path
    scores: Path
    library: Library
    table: tuple[str, ...]
    """Lines: for each look, how much of each style arrived and how much of the subject is left."""


def run_demo(out: Path, report: Report, *, steps: int, device: str = "auto") -> DemoResult:
    """Train what is not there yet, blend, draw the grid and write the scores.

    Args:
        out: folder of the results; its ``library`` keeps the adapters, so a second call only draws.
        steps: training steps per style.
    """
    library = Library(out / "library")
    for number, style in enumerate(STYLES, start=1):
        report.say(f"[{number}/3] Learning the style {style!r} from 24 pictures")
        train_style(library, style, report, steps=steps, device=device)
    report.say("[3/3] Drawing base, styles and blends, with the same noise in every row")
    if BLEND in library.names():
        library.remove(BLEND)
    _, proof = blend_into_library(library, dict.fromkeys(STYLES, 0.5), BLEND)
    report.say(
        f"Blended both at 0.5 into {BLEND!r}: {count_of(len(proof.layers), 'layer')} read back, largest "
        f"error {max(layer.error for layer in proof.layers):.0e} against the exact sum."
    )
    return _draw(out, library, report, device)


def train_style(library: Library, style: str, report: Report, *, steps: int, device: str) -> None:
    """Train one shipped style into a library, unless an adapter of the same settings is there."""
    config = parse_config(
        {
            "data": str(example_folder(f"styles/{style}")),
            "name": style,
            "steps": steps,
            "device": device,
            "sample_prompts": [next(iter(PROMPTS))],
        }
    )
    run = Run(library.run_folder(style), library)
    if (run.folder / "config.yaml").exists() and _same(run.config(), config):
        if style in library.names() and run.state().get("status") == "done":
            report.say(f"The adapter {style!r} is there already.")
            return
    else:
        library.remove_if_there(style)
        run = create_run(library, config)
    execute(run, report)


def _same(before: RunConfig, now: RunConfig) -> bool:
    return before.model_dump(exclude={"data"}) == now.model_dump(exclude={"data"})


def _draw(out: Path, library: Library, report: Report, device: str) -> DemoResult:
    template = ImageRequest(prompt="")
    judge = find_judge("auto", "pocket", device)
    with open_session(library, "pocket", STYLES, report, device=device, precision="auto") as session:
        references = find_references(session.adapters, judge, report)
        scored = render_grid(
            session.attachments,
            plan_grid(_mixtures(), [1.0], list(PROMPTS), [1], template, subjects=PROMPTS),
            judge,
            references,
            on_step=lambda done, total: report.progress("drawing", done, total),
        )
    summaries = summarise(scored, references)
    sheet = draw_sheet(
        sheet_cells(scored),
        title="One base, two styles learned from 24 pictures each, and their blends",
        subtitle="style: 0 % is the base, 100 % its own pictures · subject kept: 100 % is the base",
        column_notes=column_notes(scored, summaries),
    )
    grid, scores = out / "grid.png", out / "scores.csv"
    write_bytes(grid, png_bytes(sheet))
    write_text(scores, grid_csv(scored, judge))
    heads = "".join(f"{style:>14}" for style in references)
    table = [f"{'':<34}{heads}{'subject kept':>14}"]
    for summary in summaries:
        shares = "".join(f"{summary.value('style', style):>14.0%}" for style in references)
        table.append(f"{summary.label:<34}{shares}{subject_words(summary):>14}")
    return DemoResult(grid, scores, library, tuple(table))


def _mixtures() -> dict[str, dict[str, float]]:
    first, second = STYLES
    blends = [{first: one, second: other} for one, other in _SHARES]
    labelled = {" + ".join(f"{name} {weight:g}" for name, weight in blend.items()): blend for blend in blends}
    return {BASE_LABEL: {}, first: {first: 1.0}, **labelled, second: {second: 1.0}}
