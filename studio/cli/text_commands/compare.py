"""``studio text compare``: base, adapters and blends side by side for the same prompts, seed and sampling."""

import argparse
import shutil
import textwrap
from typing import Any

from studio.cli.command import Command, library_of
from studio.cli.text_options import add_text_base, add_writing, say_notes
from studio.report import Terminal
from trainers.errors import UserError


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", action="append", default=[], dest="prompts", metavar="TEXT", help="repeatable")
    parser.add_argument(
        "--adapter", action="append", default=[], dest="adapters", metavar="NAME[:WEIGHT]", help="a column; repeatable"
    )
    parser.add_argument(
        "--blend", action="append", default=[], dest="blends", metavar="A:0.5+B:0.5", help="a column; repeatable"
    )
    parser.add_argument("--data", metavar="PATH", help="held-out texts for the perplexity: file, or folder")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    add_writing(parser)
    add_text_base(parser)


def _run(options: argparse.Namespace) -> None:
    from studio.operations.text_compare import columns_of, compare_texts, read_held_out  # torch and the model libraries
    from studio.operations.text_session import open_text_session

    if not options.prompts and not options.data:
        raise UserError("There is nothing to compare. Give --prompt TEXT, or --data PATH for the perplexity, or both.")
    columns = columns_of(options.adapters, options.blends)
    held_out = read_held_out(options.data) if options.data else None
    names = dict.fromkeys(name for column in columns for name in column.weights)
    with (
        Terminal() as report,
        open_text_session(
            library_of(options),
            options.base,
            list(names),
            report,
            device=options.device,
            precision=options.precision,
            trust_remote_code=options.trust_remote_code,
        ) as session,
    ):
        found = compare_texts(
            session,
            columns,
            _requests(options),
            held_out=held_out.rows if held_out is not None else None,
            on_progress=lambda done, total: report.progress("comparing", done, total),
        )
    if held_out is not None and found.perplexities is not None:
        say_notes((*held_out.notes(), *found.perplexities[0].notes))
    print(_markdown(options.prompts, found) if options.markdown else _plain(options.prompts, found))


def _requests(options: argparse.Namespace) -> list[Any]:
    from pipelines.text_generate import TextRequest

    system = ({"role": "system", "content": options.system},) if options.system else ()
    return [
        TextRequest(
            prompt=prompt,
            messages=() if options.plain else (*system, {"role": "user", "content": prompt}),
            plain=options.plain,
            seed=options.seed,
            temperature=options.temperature,
            top_p=options.top_p,
            max_new_tokens=options.max_new_tokens,
            stop=tuple(options.stop),
        )
        for prompt in options.prompts
    ]


def _rows(prompts: list[str], found: Any) -> list[list[str]]:
    rows = [["", *(column.title for column in found.columns)]]
    rows += [
        [prompt, *(answer.text for answer in answers)] for prompt, answers in zip(prompts, found.answers, strict=True)
    ]
    if found.perplexities is not None:
        tokens = found.perplexities[0].tokens
        rows.append([f"perplexity on {tokens:,} tokens", *(f"{one.value:.2f}" for one in found.perplexities)])
    return rows


def _plain(prompts: list[str], found: Any) -> str:
    """Return a table as wide as the terminal."""
    rows = _rows(prompts, found)
    width = max(16, shutil.get_terminal_size((120, 24)).columns // len(rows[0]) - 3)
    lines: list[str] = []
    for row in rows:
        cells = [
            [line for part in (cell.splitlines() or [""]) for line in textwrap.wrap(part, width) or [""]]
            for cell in row
        ]
        for number in range(max(map(len, cells))):
            lines.append(
                " │ ".join(f"{cell[number] if number < len(cell) else '':<{width}}" for cell in cells).rstrip()
            )
        lines.append("─┼─".join("─" * width for _ in row))
    return "\n".join(lines[:-1])


def _markdown(prompts: list[str], found: Any) -> str:
    rows = [[cell.replace("|", "\\|").replace("\n", "<br>") for cell in row] for row in _rows(prompts, found)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])


COMMAND = Command("compare", "Put base, adapters and blends side by side, with their perplexity.", _add_arguments, _run)
