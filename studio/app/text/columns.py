"""The columns of a chat and what was said in them, as plain values and as HTML in which everything is escaped.

A turn is plain JSON, so the browser keeps it: prompt, seed, base, plain, and columns, each with key, title, weights,
messages (what it was asked, the chat so far included), answer, tokens, seconds and ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from trainers.errors import UserError

BASE, BLEND = "base", "blend"
SHOWN = (BASE, "alone", BLEND)
"""What there can be columns of."""
ENDS = ("", "end", "stop", "length", "stopped")
Turn = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One thing that answers."""

    key: str
    """What it is from turn to turn: ``base``, ``blend``, or ``adapter NAME``; weights may change."""
    title: str
    weights: Mapping[str, float]


def columns_of(
    pairs: Sequence[tuple[str | None, float | None]], shown: Sequence[str], base_title: str = BASE
) -> list[Column]:
    """Return the columns: the base, each adapter alone at weight 1, and all of them at their weights.

    Args:
        pairs: adapter and weight of the form's rows; rows without an adapter are no part of it.
        shown: those of `SHOWN` that are wanted; the blend is left out where it would be a column that stands already.

    Raises:
        UserError: an adapter stands twice or has no weight, or nothing is wanted.
    """
    chosen = [(name, weight) for name, weight in pairs if name]
    names = [name for name, _ in chosen]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UserError(f"The adapter {twice[0]!r} is chosen twice. Choose each once, with the sum of its weights.")
    empty = [name for name, weight in chosen if weight is None]
    if empty:
        raise UserError(f"{', '.join(empty)} has no weight. Write a number such as 0.6; 0 leaves it out.")
    found = [Column(BASE, base_title, {})] if BASE in shown else []
    if "alone" in shown:
        found += [Column(f"adapter {name}", name, {name: 1.0}) for name in names]
    acting = {name: float(weight or 0) for name, weight in chosen if weight}
    if BLEND in shown and acting and acting not in [column.weights for column in found]:
        found.append(Column(BLEND, formula(acting), acting))
    if not found:
        raise UserError("There is no column to answer. Tick the base, or choose an adapter.")
    return found


def formula(weights: Mapping[str, float]) -> str:
    """Return weights as a sum: ``0.7·pirate − 0.5·haiku``."""
    text = " ".join(f"{'−' if weight < 0 else '+'} {abs(weight):g}·{name}" for name, weight in weights.items())
    return text.removeprefix("+ ")


def messages_for(turns: Sequence[Turn], key: str, system: str, prompt: str) -> list[dict[str, str]]:
    """Return what a column is asked; one that is new goes on from what the first column said."""
    messages = [{"role": "system", "content": system}] if system.strip() else []
    for turn in turns:
        columns = turn["columns"]
        own = next((column for column in columns if column["key"] == key), columns[0])
        messages += [{"role": "user", "content": turn["prompt"]}, {"role": "assistant", "content": own["answer"]}]
    return [*messages, {"role": "user", "content": prompt}]


def new_turn(
    turns: Sequence[Turn], columns: Sequence[Column], prompt: str, system: str, **facts: Any
) -> dict[str, Any]:
    """Return a turn that is still to be answered; with `plain` among the facts, nothing that was said is gone on from.

    Raises:
        UserError: the prompt is empty.
    """
    if not prompt.strip():
        raise UserError("The prompt is empty. Write what is to be answered.")
    before = [] if facts.get("plain") else turns
    asked = [messages_for(before, column.key, "" if facts.get("plain") else system, prompt) for column in columns]
    return {
        "prompt": prompt,
        **facts,
        "columns": [
            {
                "key": column.key,
                "title": column.title,
                "weights": dict(column.weights),
                "messages": messages,
                "answer": "",
                "tokens": 0,
                "seconds": 0.0,
                "ended": "",
            }
            for column, messages in zip(columns, asked, strict=True)
        ],
    }


def take_piece(turn: dict[str, Any], event: Mapping[str, Any]) -> None:
    """Add an event of the job `text_chat` to a turn."""
    column = turn["columns"][event["column"]]
    column["answer"] += event["text"]
    column |= {key: event[key] for key in ("tokens", "seconds", "ended")}


def stopped(turn: dict[str, Any]) -> bool:
    """Note that a turn was stopped; return whether anything was said before."""
    for column in turn["columns"]:
        column["ended"] = column["ended"] or "stopped"
    return any(column["answer"] for column in turn["columns"])


def kept_turns(value: Any) -> list[dict[str, Any]]:
    """Return the turns that a browser kept; none where they are of another form."""
    kinds = {"key": str, "title": str, "weights": dict, "messages": list, "answer": str, "ended": str}
    try:
        sound = all(
            isinstance(turn["prompt"], str)
            and turn["columns"]
            and all(isinstance(column[key], kind) for column in turn["columns"] for key, kind in kinds.items())
            and all(isinstance(column[key], int | float) for column in turn["columns"] for key in ("tokens", "seconds"))
            and all(column["ended"] in ENDS for column in turn["columns"])
            for turn in value
        )
    except (TypeError, KeyError, IndexError):
        return []
    return list(value) if sound else []


def chat_html(turns: Sequence[Turn], labels: Mapping[str, str], *, busy: bool = False) -> str:
    """Return a chat as HTML, the newest turn last.

    Args:
        labels: texts for ``you``, ``pace`` (with {tokens} and {pace}), ``end_stop``, ``end_length``, ``end_stopped``.
    """
    shown = "".join(
        f'<div class="studio-turn"><p class="studio-asked"><strong>{escape(labels["you"])}</strong> '
        f'<span class="studio-said">{escape(turn["prompt"])}</span></p><div class="studio-columns">'
        + "".join(_answer_html(column, labels) for column in turn["columns"])
        + "</div></div>"
        for turn in turns
    )
    return f'<div aria-busy="{str(busy).lower()}">{shown}</div>' if shown else ""


def _answer_html(column: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    title = escape(column["title"])
    pace = column["tokens"] / column["seconds"] if column["seconds"] else 0.0
    facts = labels["pace"].format(tokens=column["tokens"], pace=f"{pace:,.0f}") if column["tokens"] else ""
    end = f"end_{column['ended']}"
    facts += f" · {labels[end]}" if end in labels else ""
    return (
        f'<section class="studio-answer" aria-label="{title}"><h4>{title}</h4>'
        f'<p class="studio-said">{escape(column["answer"])}</p>'
        f'<p class="studio-facts-line">{escape(facts)}</p></section>'
    )
