"""``studio compare``: a grid over adapters, weights, prompts and seeds, with scores."""

import argparse
from pathlib import Path

from studio.commands._command import (
    Command,
    add_base,
    add_library,
    add_sampling,
    library_of,
    numbers,
)
from studio.library import parse_weighted
from studio.report import Terminal
from trainers.errors import UserError

_LIMIT_CELLS = 2000


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prompt",
        action="append",
        required=True,
        dest="prompts",
        metavar="PROMPT",
        help="may be repeated",
    )
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME", help="may be repeated")
    parser.add_argument(
        "--mix",
        action="append",
        default=[],
        metavar="A:0.6,B:0.4",
        help="a mixture as a column of its own; may be repeated",
    )
    parser.add_argument(
        "--weights",
        default="0,0.5,1",
        help="weights for every adapter; 0 is the base (default 0,0.5,1)",
    )
    parser.add_argument("--seeds", default="0", help="seeds, with commas (default 0)")
    parser.add_argument(
        "--looks-in-rows",
        action="store_true",
        help="adapters and weights as rows instead of columns",
    )
    parser.add_argument(
        "--judge",
        default="auto",
        help="CLIP model for the scores: auto (default), pocket, a folder",
    )
    parser.add_argument("--out", default="grid.png", metavar="FILE", help="PNG file; scores go beside it as .csv")
    add_sampling(parser)
    add_base(parser)
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    out = Path(options.out).expanduser()
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {str(out)!r} must be a .png file.")
    weights = numbers(options.weights, float, "--weights")
    seeds = [int(seed) for seed in numbers(options.seeds, int, "--seeds")]

    from pipelines.compare.grid import (
        Look,
        adapter_looks,
        grid_csv,
        plan_grid,
        render_grid,
        summarise,
    )
    from pipelines.compare.sheet import draw_sheet
    from pipelines.generate import PictureRequest
    from pipelines.picture_file import png_bytes
    from studio.session import find_judge, find_references, open_session
    from studio.sheets import column_notes, sheet_cells
    from trainers.storage import write_bytes, write_text

    mixes = [Look(text, dict(parse_weighted(item) for item in text.split(","))) for text in options.mix]
    looks = adapter_looks(options.adapter, weights) + mixes
    if not looks:
        raise UserError("There is nothing to compare. Give at least one --adapter, or --mix.")
    template = PictureRequest(
        prompt="",
        steps=options.steps,
        guidance=options.guidance,
        negative_prompt=options.negative_prompt,
    )
    cells = plan_grid(looks, options.prompts, seeds, template, looks_in_rows=options.looks_in_rows)
    if len(cells) > _LIMIT_CELLS:
        raise UserError(
            f"The grid would have {len(cells)} pictures, at most {_LIMIT_CELLS} are drawn. Give fewer values."
        )
    names = list(dict.fromkeys(name for look in looks for name in look.weights) | dict.fromkeys(options.adapter))
    judge = find_judge(options.judge, options.base, options.device)
    with (
        Terminal() as report,
        open_session(
            library_of(options),
            options.base,
            names,
            report,
            device=options.device,
            precision=options.precision,
        ) as session,
    ):
        references = find_references(session.adapters, judge, report)
        report.say(f"{len(cells)} pictures of {options.steps} steps.")
        scored = render_grid(
            session.attachments,
            cells,
            judge,
            references,
            on_step=lambda done, total: report.progress("drawing", done, total),
        )
        summaries = summarise(scored, references)
        sheet = draw_sheet(
            sheet_cells(scored),
            title=options.prompts[0] if len(options.prompts) == 1 else "Comparison",
            subtitle=f"base {session.attachments.base.name} · {options.steps} steps · guidance {options.guidance:g} · "
            f"judge {judge.name}",
            column_notes={} if options.looks_in_rows else column_notes(summaries),
        )
        write_bytes(out, png_bytes(sheet))
        write_text(out.with_suffix(".csv"), grid_csv(scored, judge))
        report.say(f"Grid: {out}\nScores: {out.with_suffix('.csv')}")


COMMAND = Command(
    "compare",
    "Draw a grid over adapters, weights, prompts and seeds, with scores.",
    _add_arguments,
    _run,
)
