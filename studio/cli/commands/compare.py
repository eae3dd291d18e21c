"""``studio compare``: a grid over adapters, weights, blends, blocks, prompts, seeds and more, with scores."""

import argparse
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from pipelines.metrics import Metric, metrics
from studio.cli.command import Command, add_base, add_library, add_old_name, add_sampling, library_of
from studio.proposals import proposed
from studio.report import Terminal
from trainers.errors import UserError
from trainers.paths import path_of

if TYPE_CHECKING:
    from pipelines.recipe import Recipe
    from studio.operations.session import Session

_LISTS = {
    "method": "methods",
    "rank": "ranks",
    "step": "checkpoints",
    "base": "bases",
    "guidance_scale": "guidance-scales",
    "num_inference_steps": "step-counts",
    "sampler": "samplers",
}
"""Axis -> the option that gives its values with commas."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    repeated = "may be repeated"
    shown = [_column_words(metric) for metric in metrics().values() if not metric.hidden]
    parser.epilog = f"Columns of the tables: {'; '.join(shown)}."
    parser.add_argument("--prompt", action="append", required=True, dest="prompts", metavar="PROMPT", help=repeated)
    parser.add_argument(
        "--subject",
        action="append",
        default=[],
        dest="subjects",
        metavar="TEXT",
        help="what every look should keep of a prompt, such as 'a boat': one for each prompt, or one for all; without "
        "it the prompt's first phrase without colours",
    )
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
    parser.add_argument("--seeds", default="0", help="seeds, with commas (default 0; -1 draws one)")
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
    scales = axes.add_argument(
        "--guidance-scales", metavar="3,5,7", help="strengths of guidance, instead of --guidance-scale"
    )
    add_old_name(parser, scales, "--guidances")
    axes.add_argument(
        "--step-counts", metavar="10,20", help="numbers of sampling steps, instead of --num-inference-steps"
    )
    axes.add_argument("--samplers", metavar="ddim,euler", help="samplers, instead of --sampler")
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


def _column_words(metric: Metric) -> str:
    """Return a column's name and what it is, in the order of the tables."""
    title = metric.english.title.format(adapter="an adapter")
    return f"{metric.name} ({title[:1].lower()}{title[1:]})"


def _run(options: argparse.Namespace) -> None:
    out = path_of(options.out)
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {str(out)!r} must be a .png file.")
    if out.is_dir():
        raise UserError(f"--out {str(out)!r} is a folder; give a file name ending in .png.")
    more: dict[str, list[Any]] = {
        axis: list(dict.fromkeys(given))
        for axis, given in (("blend", options.blend), ("block", options.block))
        if given
    }

    from pipelines.prompt_notes import note_sentences
    from studio.operations.compare import comparison_costs, run_comparison
    from studio.operations.compare_plan import GridOptions, axis_values
    from studio.operations.session import find_judge, open_session

    for axis, what in _LISTS.items():
        text = getattr(options, what.replace("-", "_"))
        if text:
            more[axis] = axis_values(axis, text, f"--{what}")
    grid = GridOptions(
        prompts=options.prompts,
        subjects=options.subjects,
        adapters=options.adapter,
        mixtures=options.mix,
        weights=axis_values("weight", options.weights, "--weights"),
        seeds=axis_values("seed", options.seeds, "--seeds"),
        more=more,
        rows=options.rows.split(","),
        columns=options.columns.split(","),
        pages=options.pages.split(",") if options.pages else (),
        num_inference_steps=options.num_inference_steps,
        guidance_scale=options.guidance_scale,
        sampler=options.sampler,
        negative_prompt=options.negative_prompt,
        base=options.base,
        device=options.device,
        precision=options.precision,
    )
    plan = grid.comparison(out)
    judge = find_judge(options.judge, options.base, options.device)
    asked = {f"prompt {prompt!r}": prompt for prompt in options.prompts} | {"negative prompt": options.negative_prompt}
    with Terminal() as report:
        for sentence in note_sentences(asked):
            report.say(sentence)

        def session(
            base: str, adapters: Sequence[str], recipes: "Sequence[Recipe]"
        ) -> "AbstractContextManager[Session]":
            return open_session(
                library_of(options),
                base,
                adapters,
                report,
                device=options.device,
                precision=options.precision,
                recipes=recipes,
            )

        if options.cost:
            for cost in comparison_costs(plan, session):
                report.say(cost.sentence())
            return
        for path in run_comparison(plan, judge, report, session, on_cost=lambda cost: report.say(cost.sentence())):
            report.say(f"{path}")
        report.say(f"Vote blindly on it: {proposed(['vote', str(plan.folder)])}")


COMMAND = Command(
    "compare", "Draw a grid over adapters, weights, blends, prompts, seeds and more, with scores.", _add_arguments, _run
)
