"""``studio compare``: a grid over adapters, weights, prompts and seeds, with scores."""

import argparse
from pathlib import Path

from studio.commands._command import Command, add_base, add_library, add_sampling, library_of, numbers
from studio.library import parse_adapters
from studio.report import Terminal
from trainers.errors import UserError

_LIMIT_CELLS = 2000


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    repeated = "may be repeated"
    parser.add_argument("--prompt", action="append", required=True, dest="prompts", metavar="PROMPT", help=repeated)
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME", help=repeated)
    parser.add_argument(
        "--mix",
        action="append",
        default=[],
        metavar="A:0.6,B:0.4",
        help="a mixture, as one more value of the axis adapter; may be repeated",
    )
    parser.add_argument(
        "--weights", default="0,0.5,1", help="factors on every adapter; 0 is the base (default 0,0.5,1)"
    )
    parser.add_argument("--seeds", default="0", help="seeds, with commas (default 0)")
    parser.add_argument("--rows", default="prompt,seed", help="axes along the rows (default prompt,seed)")
    parser.add_argument("--columns", default="adapter,weight", help="axes along the columns (default adapter,weight)")
    parser.add_argument("--judge", default="auto", help="CLIP model for the scores: auto (default), pocket, a folder")
    parser.add_argument("--out", default="grid.png", metavar="FILE", help="PNG file; scores go beside it as .csv")
    add_sampling(parser)
    add_base(parser)
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    out = Path(options.out).expanduser()
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {str(out)!r} must be a .png file.")
    if out.is_dir():
        raise UserError(f"--out {str(out)!r} is a folder; give a file name ending in .png.")
    weights = numbers(options.weights, float, "--weights")
    seeds = [int(seed) for seed in numbers(options.seeds, int, "--seeds")]
    mixtures = {name: {name: 1.0} for name in options.adapter}
    mixtures |= {text: parse_adapters(text.split(",")) for text in options.mix}
    if not mixtures:
        raise UserError("There is nothing to compare. Give at least one --adapter, or --mix.")

    from pipelines.compare.grid import grid_csv, plan_grid, render_grid, summarise
    from pipelines.compare.sheet import draw_sheet
    from pipelines.generate import PictureRequest
    from pipelines.picture_file import png_bytes
    from studio.session import find_judge, find_references, open_session
    from studio.sheets import column_notes, sheet_cells
    from trainers.storage import write_bytes, write_text

    template = PictureRequest(
        prompt="", steps=options.steps, guidance=options.guidance, negative_prompt=options.negative_prompt
    )
    rows, columns = options.rows.split(","), options.columns.split(",")
    cells = plan_grid(mixtures, weights, options.prompts, seeds, template, rows=rows, columns=columns)
    if len(cells) > _LIMIT_CELLS:
        raise UserError(f"The grid would have {len(cells)} pictures, at most {_LIMIT_CELLS} are drawn.")
    names = list(dict.fromkeys(name for shares in mixtures.values() for name in shares))
    judge = find_judge(options.judge, options.base, options.device)
    with (
        Terminal() as report,
        open_session(
            library_of(options), options.base, names, report, device=options.device, precision=options.precision
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
        facts = f"base {session.attachments.base.name} · {options.steps} steps · guidance {options.guidance:g}"
        sheet = draw_sheet(
            sheet_cells(scored),
            title=options.prompts[0] if len(options.prompts) == 1 else "Comparison",
            subtitle=f"{facts} · judge {judge.name}",
            column_notes=column_notes(summarise(scored, references)),
        )
        write_bytes(out, png_bytes(sheet))
        write_text(out.with_suffix(".csv"), grid_csv(scored, judge))
        report.say(f"Grid: {out}\nScores: {out.with_suffix('.csv')}")


COMMAND = Command(
    "compare", "Draw a grid over adapters, weights, prompts and seeds, with scores.", _add_arguments, _run
)
