"""``studio compare``: a grid over adapters, weights, blends, blocks, prompts, seeds and more, with scores."""

import argparse
from pathlib import Path
from typing import Any

from studio.commands._command import Command, add_base, add_library, add_sampling, library_of, numbers
from studio.library import parse_adapters
from studio.report import Terminal
from trainers.errors import UserError
from trainers.wording import count_of

_LIMIT_CELLS = 2000


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    repeated = "may be repeated"
    parser.add_argument("--prompt", action="append", required=True, dest="prompts", metavar="PROMPT", help=repeated)
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="NAME",
        help="may be repeated; {method}, {rank} and {step} in a name are filled in by those axes",
    )
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
    axes = parser.add_argument_group("more axes")
    axes.add_argument(
        "--blend",
        action="append",
        default=[],
        metavar="'ties density=0.4'",
        help="a blend and its settings; " + repeated,
    )
    axes.add_argument(
        "--block", action="append", default=[], help="act in this block alone, or nowhere in -BLOCK, or all"
    )
    axes.add_argument("--methods", metavar="A,B", help="fill {method} in the adapters' names")
    axes.add_argument("--ranks", metavar="4,8,full", help="fill {rank} in the names, or cut the adapters to a rank")
    axes.add_argument("--checkpoints", metavar="50,100,final", help="steps of the runs that made the adapters")
    axes.add_argument("--guidances", metavar="3,5,7", help="strengths of guidance, instead of --guidance")
    axes.add_argument("--step-counts", metavar="10,20", help="numbers of sampling steps, instead of --steps")
    axes.add_argument("--bases", metavar="A,B", help="bases, instead of --base")
    parser.add_argument("--rows", default="prompt,seed", help="axes along the rows (default prompt,seed)")
    parser.add_argument("--columns", default="adapter,weight", help="axes along the columns (default adapter,weight)")
    parser.add_argument("--pages", default="", help="axes along the pages, one sheet each")
    parser.add_argument("--judge", default="auto", help="CLIP model for the scores: auto (default), pocket, a folder")
    parser.add_argument(
        "--out", default="grid.png", metavar="FILE", help="PNG file; .csv, -means.csv, .html and -cells/ go beside it"
    )
    parser.add_argument("--cost", action="store_true", help="only say what it would cost")
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
    names = [name for shares in mixtures.values() for name in shares]
    if options.methods and not any("{method}" in name for name in names):
        raise UserError(
            f"--methods {options.methods} has nothing to fill: no adapter's name holds {{method}}, as in "
            "'--adapter style-{method}'."
        )
    more, columns = _more_axes(options)

    from pipelines.compare.grid import plan_grid
    from pipelines.generate import PictureRequest
    from studio.comparing import Comparison, run_comparison
    from studio.session import find_judge

    template = PictureRequest(
        prompt="", steps=options.steps, guidance=options.guidance, negative_prompt=options.negative_prompt
    )
    cells = plan_grid(
        mixtures,
        weights,
        options.prompts,
        seeds,
        template,
        rows=options.rows.split(","),
        columns=columns,
        pages=options.pages.split(",") if options.pages else (),
        more=more,
        with_base=True,
    )
    if len(cells) > _LIMIT_CELLS:
        raise UserError(f"The grid would have {len(cells)} pictures, at most {_LIMIT_CELLS} are drawn.")
    judge = find_judge(options.judge, options.base, options.device)
    plan = Comparison(
        cells,
        title=options.prompts[0] if len(options.prompts) == 1 else "Comparison",
        facts=_facts(options),
        out=out,
        base=options.base,
        device=options.device,
        precision=options.precision,
        cost_only=options.cost,
    )
    with Terminal() as report:
        for path in run_comparison(library_of(options), plan, judge, report):
            report.say(f"{path}")
        if not options.cost:
            report.say(f"Vote blindly on it: studio vote {plan.folder}")


def _more_axes(options: argparse.Namespace) -> tuple[dict[str, list[Any]], list[str]]:
    """Return the values of the axes beyond the usual four, and the columns with those that found no other place."""
    more: dict[str, list[Any]] = {}
    for axis, given in (("blend", options.blend), ("block", options.block)):
        if given:
            more[axis] = list(dict.fromkeys(given))
    for axis, text in (
        ("method", options.methods),
        ("rank", options.ranks),
        ("step", options.checkpoints),
        ("base", options.bases),
    ):
        if text:
            more[axis] = list(dict.fromkeys(text.split(",")))
    if options.guidances:
        more["guidance"] = numbers(options.guidances, float, "--guidances")
    if options.step_counts:
        more["steps"] = [int(count) for count in numbers(options.step_counts, int, "--step-counts")]
    columns = options.columns.split(",")
    placed = {*options.rows.split(","), *columns, *options.pages.split(",")}
    columns += [axis for axis, values in more.items() if len(values) > 1 and axis not in placed]
    return more, columns


def _facts(options: argparse.Namespace) -> str:
    base = f"bases {options.bases}" if options.bases else f"base {Path(options.base).name}"
    steps = f"{options.step_counts} steps" if options.step_counts else count_of(options.steps, "step")
    return f"{base} · {steps} · guidance {options.guidances or f'{options.guidance:g}'}"


COMMAND = Command(
    "compare", "Draw a grid over adapters, weights, blends, prompts, seeds and more, with scores.", _add_arguments, _run
)
