"""Render what methods.py measured as Markdown, from its JSON lines alone."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from measuring import footnote

Line = Mapping[str, Any]
_TITLES = {"text_encoder": "Text encoder", "unet": "UNet", "both": "UNet and text encoder"}
_NOUN_BAR = 0.85
_HEADER = (
    "| method | style score | noun right | trainable parameters | share | file, kB | training seconds "
    "| learning rate |\n|---|---|---|---|---|---|---|---|"
)


LESSONS, LESSONS_END = "<!-- what it teaches, written by hand -->", "<!-- end -->"


def read_lessons(path: Path) -> str:
    """Return what a person wrote into a table's file, which a new table keeps."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text.partition(LESSONS)[2].partition(LESSONS_END)[0]


def read_cells(path: Path) -> list[dict[str, Any]]:
    """Return the newest line of every cell; a torn last line, of a killed process, is left out."""
    found: dict[str, dict[str, Any]] = {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        found[json.dumps([line.get(key) for key in _IDENTITY])] = line
    return list(found.values())


_IDENTITY = ("style", "method", "parts", "rate_factor", "steps", "seed", "pictures", "sampling_steps", "settings")


def as_markdown(lines: Sequence[Line], lessons: str = "") -> str:
    """Return a table per choice of parts, one of the learning rates where several were tried, and the failures.

    Args:
        lessons: what stands before the tables, written by hand.
    """
    good = [line for line in lines if "error" not in line]
    blocks = [_heading(good)] if good else []
    blocks += [f"{LESSONS}\n{lessons.strip()}\n{LESSONS_END}"] if lessons.strip() else []
    for parts, title in _TITLES.items():
        chosen = [best(group) for group in _by_method(line for line in good if line["parts"] == parts).values()]
        if chosen:
            chosen.sort(key=lambda line: -line["style_score"])
            blocks.append("\n".join([f"## {title}\n", _HEADER, *(_row(line) for line in chosen)]))
    blocks += _tuning(good)
    failed = [line for line in lines if "error" in line]
    if failed:
        rows = [
            f"* {line['method']} on {line['parts']}, rate ×{line['rate_factor']:g}: {line['error']}" for line in failed
        ]
        blocks.append("\n".join(["## Failed\n", *rows]))
    places = sorted({footnote("methods.py", line) for line in lines})
    return "\n\n".join([*blocks, *places]) + "\n"


def best(lines: Sequence[Line]) -> Line:
    """Return the cell with most style among those that keep the nouns; where none does, the one that keeps most."""
    kept = [line for line in lines if line["noun_right"] >= _NOUN_BAR]
    if kept:
        return max(kept, key=lambda line: line["style_score"])
    return max(lines, key=lambda line: (line["noun_right"], line["style_score"]))


def _heading(lines: Sequence[Line]) -> str:
    what = {(line["style"], line["steps"], line["pictures"], line["sampling_steps"], line["seed"]) for line in lines}
    described = [
        f"{style}, {steps} steps, seed {seed}, scored on {pictures} unseen prompts of {sampling} sampling steps"
        for style, steps, pictures, sampling, seed in sorted(what)
    ]
    nouns = "; ".join(sorted({f"{line['base_noun_right']:.0%}" for line in lines}))
    return (
        f"# Methods, measured\n\nStyle: {'; '.join(described)}. Style score: 0 is the base, 1 unseen drawings of the "
        f"style. Noun right: the base alone has {nouns}. Of several learning rates the row shows the one with most "
        f"style among those that keep {_NOUN_BAR:.0%} of the nouns."
    )


def _row(line: Line) -> str:
    skipped = f", {line['skipped']} steps skipped" if line["skipped"] else ""
    return (
        f"| {line['method']} | {line['style_score']:.2f} | {line['noun_right']:.0%} | {line['trainable']:,} "
        f"| {line['share']:.2%} | {line['file_bytes'] / 1000:,.0f} | {line['seconds']:.0f}{skipped} "
        f"| {_rates(line)} |"
    )


def _tuning(lines: Sequence[Line]) -> list[str]:
    rows = []
    for parts in _TITLES:
        for method, group in _by_method(line for line in lines if line["parts"] == parts).items():
            if len(group) > 1:
                found = [
                    _score(line, line is best(group)) for line in sorted(group, key=lambda one: one["rate_factor"])
                ]
                rows.append(f"| {method} | {_TITLES[parts]} | {' · '.join(found)} |")
    head = ["| method | parts | learning rate: style score, nouns right |", "|---|---|---|"]
    return ["\n".join(["## Several learning rates\n", *head, *rows])] if rows else []


def _score(line: Line, chosen: bool) -> str:
    text = f"{_rates(line)}: {line['style_score']:.2f}, {line['noun_right']:.0%}"
    return f"**{text}**" if chosen else text


def _rates(line: Line) -> str:
    return " / ".join(f"{rate:g}" for rate in dict.fromkeys(line["learning_rates"].values()))


def _by_method(lines: Iterable[Line]) -> dict[str, list[Line]]:
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line["method"], []).append(line)
    return groups
