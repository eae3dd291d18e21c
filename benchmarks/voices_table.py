"""Render what voices.py measured as Markdown, from its JSON lines alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measuring import footnote

Line = Mapping[str, Any]
_VOICE_HEAD = (
    "| voice | method | right voice | base | facts right | perplexity | base | trainable | share | file, kB | steps "
    "| rows per step | learning rate | seconds | settings |"
)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file, if it is there; a torn last line, of a killed process, is left out."""
    found = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return found


def methods_as_markdown(lines: Sequence[Line]) -> str:
    """Return a table of the methods, each by its best cell: the one whose worse share, of voice or facts, is highest.

    Seconds are those of the circumstances under which most methods were measured, for only such can be compared.
    """
    cells = [line for line in lines if line["kind"] == "voice" and "error" not in line]
    best: dict[tuple[str, str], Line] = {}
    for line in sorted(cells, key=lambda line: (*_order(line)[:2], line["perplexities"][line["voice"]])):
        best.setdefault((line["voice"], line["method"]), line)
    by_place: dict[str, dict[tuple[str, str], float]] = {}
    for line in cells:
        place = footnote("voices.py", line)
        by_place.setdefault(place, {}).setdefault((line["voice"], line["method"]), line["seconds"])
    timed = max(by_place, key=lambda place: len(by_place[place])) if by_place else ""
    head = (
        "| voice | method | right voice | facts right | perplexity | trainable | share | file, kB | learning rate "
        "| steps | seconds | settings |"
    )
    rows = [_method_row(line, by_place[timed].get(key)) for key, line in best.items()]
    table = "\n".join([head, "|" + "---|" * (head.count("|") - 1), *rows])
    failed = [f"* {line['method']}: {line['error']}" for line in _failures(lines) if _key(line) not in best]
    blocks = ["# Methods on the language model, measured", table]
    blocks += ["\n".join(["## Not measured\n", *dict.fromkeys(failed)])] if failed else []
    others = [place for place in sorted(by_place) if place != timed]
    return "\n\n".join([*blocks, f"Seconds: {timed}", *others]) + "\n"


def _key(line: Line) -> tuple[str, str]:
    return (str(line.get("voice")), str(line.get("method")))


def _method_row(line: Line, seconds: float | None) -> str:
    voice = line["voice"]
    return (
        f"| {voice} | {line['method']} | {line['shares'][voice]:.0%} | {line['facts_right']:.0%} "
        f"| {line['perplexities'][voice]:.2f} | {line['trainable']:,} | {line['share']:.2%} "
        f"| {line['file_bytes'] / 1000:,.0f} | {line['rate']:g} | {line['steps']} "
        f"| {'' if seconds is None else f'{seconds:.0f}'} | {_settings_told(line)} |"
    )


def _settings_told(line: Line) -> str:
    return ", ".join(
        f"{key} {'+'.join(value) if isinstance(value, list) else value}"
        for key, value in json.loads(line["settings"]).items()
    )


def as_markdown(lines: Sequence[Line]) -> str:
    """Return a table of the trained voices, one of the blends, answers, and what failed."""
    good = [line for line in lines if "error" not in line]
    base = next((line for line in reversed(good) if line["kind"] == "base"), None)
    voices = sorted((line for line in good if line["kind"] == "voice"), key=_order)
    blends = [line for line in good if line["kind"] == "blend"]
    blocks = ["# Voices, measured"]
    if base is not None:
        shares = ", ".join(f"{voice} {share:.0%}" for voice, share in base["shares"].items())
        blocks.append(f"The base alone: {shares}; facts right {base['facts_right']:.0%}.")
    if voices:
        rule = "|" + "---|" * (_VOICE_HEAD.count("|") - 1)
        blocks.append("\n".join([_VOICE_HEAD, rule, *(_voice_row(line, base) for line in voices)]))
    if blends:
        blocks.append(_blend_table(blends))
    heard = [*([base] if base else []), *voices[:40], *blends]
    blocks.append("\n".join(["## Answers\n", *(f"* {_name(line)}: {_first(line)}" for line in heard)]))
    failed = [f"* {_name(line)}: {line['error']}" for line in _failures(lines)]
    blocks += ["\n".join(["## Failed\n", *failed])] if failed else []
    places = sorted({footnote("voices.py", line) for line in lines})
    return "\n\n".join([*blocks, *places]) + "\n"


def _order(line: Line) -> tuple[Any, ...]:
    return (line["voice"], -min(line["shares"][line["voice"]], line["facts_right"]), line["seconds"])


def _voice_row(line: Line, base: Line | None) -> str:
    voice = line["voice"]
    share, before = (f"{base['shares'][voice]:.0%}", base["perplexities"].get(voice)) if base else ("", None)
    settings = {**json.loads(line["settings"]), **json.loads(line["run"])}
    settings |= {"examples": line["rows"]} if line.get("rows") else {}
    shown = ", ".join(f"{key} {value}" for key, value in settings.items() if key not in ("steps", "batch_size"))
    return (
        f"| {voice} | {line['method']} | {line['shares'][voice]:.0%} | {share} | {line['facts_right']:.0%} "
        f"| {line['perplexities'][voice]:.2f} | {'' if before is None else f'{before:,.0f}'} | {line['trainable']:,} "
        f"| {line['share']:.2%} | {line['file_bytes'] / 1000:,.0f} | {line['steps']} | {line['batch_size']} "
        f"| {line['rate']:g} | {line['seconds']:.0f} | {shown} |"
    )


def _blend_table(blends: Sequence[Line]) -> str:
    voices = list(blends[0]["shares"])
    head = f"| 0.5 + 0.5 | blend | {' | '.join(voices)} | facts right | perplexity of each |"
    rows = [
        f"| {' + '.join(line['pair'])} | {line['blend']} "
        + "".join(f"| {line['shares'][voice]:.0%} " for voice in voices)
        + f"| {line['facts_right']:.0%} | {' / '.join(f'{value:.2f}' for value in line['perplexities'].values())} |"
        for line in blends
    ]
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *rows])


def _name(line: Line) -> str:
    if line["kind"] == "voice":
        return f"{line['voice']}, {line['method']}, rate ×{line['rate_factor']:g}"
    return f"{' + '.join(line['pair'])}, {line['blend']}" if line["kind"] == "blend" else "base"


def _first(line: Line) -> str:
    return " · ".join(answer.replace("\n", " / ") for answer in line["answers"][:2])


def _failures(lines: Sequence[Line]) -> list[Line]:
    """Return the failed cells that did not work out later."""
    said = ("error", "answers", "shares", "facts_right", "perplexities")
    return [
        line
        for line in lines
        if "error" in line
        and not any(
            "error" not in other and all(other.get(key) == line[key] for key in line if key not in said)
            for other in lines
        )
    ]
