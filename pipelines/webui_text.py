"""The ``parameters`` text of AUTOMATIC1111's web UI and its relatives, read as leniently as they write it.

It is a prompt, ``Negative prompt:`` and its text, and facts: ``Steps: 20, Sampler: Euler, Seed: 1, Size: 512x512``. A
value with a comma stands in quotes as JSON does, and may run over lines; others write lists, objects, or ``|`` between
facts. Extensions put lines of their own behind the facts, such as ``Template: a {cat|dog}``.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_START = re.compile(r"^(?:Steps|Seed|Sampler|CFG scale|Size): ", re.MULTILINE)
_KNOWN = frozenset({"Steps", "Seed", "Sampler", "CFG scale", "Size", "Model", "Model hash"})
_LEAST_KNOWN = 3
"""A line of a prompt may begin with ``Steps:``, but it does not go on with two more of these."""
_MOST_TRIES = 50
_KEY = re.compile(r"[ \t]*([^\s:,\"|][^:,\"|\n]{0,60}):[ \t]*")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
_ENDS = {",": re.compile(r"[ \t]*(?:,|$)", re.MULTILINE), "|": re.compile(r"[ \t]*(?:\||$)", re.MULTILINE)}
_PLAIN = {",": re.compile(r"[^,\n]*"), "|": re.compile(r"[^|\n]*")}
_VERSION_LINE = re.compile(r"Version: [^,:\n]+, Pipeline: [^,:\n]+,[ \t]*")
"""SD.Next has put this line before the facts."""
_NEGATIVE = "Negative prompt:"
_DECODER = json.JSONDecoder(strict=False)  # line breaks inside quotes are read


@dataclass(frozen=True)
class WebuiText:
    """What such a text says."""

    prompt: str
    negative_prompt: str
    facts: dict[str, str]
    further: tuple[str, ...]
    """Lines behind the facts."""


def read_webui_text(text: str) -> WebuiText:
    """Take a text apart. Any text can be read; without facts it is prompts alone."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    body, facts, rest = _split(text)
    lines = body.split("\n")
    split = next((n for n, line in enumerate(lines) if line.startswith(_NEGATIVE)), len(lines))
    negative = "\n".join(lines[split:]).removeprefix(_NEGATIVE)
    return WebuiText(
        "\n".join(lines[:split]).strip(),
        negative.strip(),
        facts,
        tuple(line.strip() for line in rest.split("\n") if line.strip()),
    )


def quoted_fact(value: str) -> str:
    """Return a value as it stands among the facts: in quotes where it would not end where it does."""
    plain = (
        value == value.strip() and not any(mark in value for mark in ',:"|\n\r') and not value.startswith(("[", "{"))
    )
    return value if plain else json.dumps(value, ensure_ascii=False)


def _split(text: str) -> tuple[str, dict[str, str], str]:
    """Return what stands before the facts, the facts, and what stands behind them."""
    starts = [match.start() for match in _START.finditer(text)]
    for start in reversed(starts[-_MOST_TRIES:]):
        facts, end = _facts(text, start)
        if len(_KNOWN & facts.keys()) >= _LEAST_KNOWN:
            before = text[:start].rstrip("\n")
            last = before.rpartition("\n")[2]
            if _VERSION_LINE.fullmatch(last):
                facts = {**_facts(last, 0)[0], **facts}
                before = before[: len(before) - len(last)]
            return before, facts, text[end:]
    return text, {}, ""


def _facts(text: str, start: int) -> tuple[dict[str, str], int]:
    """Return the facts from a place to the end of their last line, and where that is."""
    line = text[start : text.find("\n", start) if "\n" in text[start:] else len(text)]
    between = "|" if re.match(r"[^,|]*\|[^,]*:", line) else ","
    found: dict[str, str] = {}
    place, key = start, ""
    while place < len(text) and text[place] != "\n":
        named = _KEY.match(text, place)
        if named:
            key, place = named[1].strip(), named.end()
            found[key], place = _value(text, place, between)
        else:  # the end of a value with a bare comma
            piece = _PLAIN[between].match(text, place)
            assert piece is not None, "matches the empty text too"
            if key and piece[0].strip():
                found[key] += f"{between}{piece[0].rstrip()}"
            place = piece.end()
        ends = _ENDS[between].match(text, place)
        place = ends.end() if ends else place
    return found, place


def _value(text: str, place: int, between: str) -> tuple[str, int]:
    """Return the value that begins at a place, and where it ends."""
    for value, end in (*_json_value(text, place), *_bare_quotes(text, place)):
        if _ENDS[between].match(text, end):
            return value, end
    plain = _PLAIN[between].match(text, place)
    assert plain is not None, "matches the empty text too"
    return plain[0].rstrip(), plain.end()


def _json_value(text: str, place: int) -> Iterator[tuple[str, int]]:
    if text[place : place + 1] in ('"', "[", "{"):
        try:
            value, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            return
        yield value if isinstance(value, str) else text[place:end], end


def _bare_quotes(text: str, place: int) -> Iterator[tuple[str, int]]:
    """Yield what stands in quotes that are no JSON, such as a path with backslashes."""
    if found := _QUOTED.match(text, place):
        yield found[0][1:-1], found.end()
