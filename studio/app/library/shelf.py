"""What the Library tab shows of adapters, from their cards alone; all foreign text is escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from studio.app.library.adapter_facts import data_told, plan_told, scores_told, training_told
from studio.app.shared.locales import ENGLISH, text
from studio.library.library import Library, adapter_size_bytes
from studio.runs.step_cost import size
from studio.runs.watch import read_answers
from trainers.card import AdapterCard, RecipeCard, read_card
from trainers.errors import UserError
from trainers.text_config import PART

_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_MOST_DEPTH = 12
_MOST_ANSWER = 110
CARD_WORDS = ("no_preview", "language_model", "blend", "broken", "triggers", "scores")
"""The texts that a card needs."""


@dataclass(frozen=True)
class Entry:
    """One adapter of the library."""

    name: str
    folder: Path
    card: AdapterCard | None
    size_bytes: int
    previews: Sequence[Path] = ()
    answers: Sequence[tuple[str, str]] = ()
    """Prompts and answers that were written with it when it was made, where it belongs to a language model."""
    problem: str = ""
    """Why its card cannot be read; empty when it can."""

    @property
    def is_text(self) -> bool:
        """Whether it belongs to a language model."""
        return self.card is not None and PART in self.card.parts

    @property
    def made(self) -> str:
        """How it was made: the recipe of a blend, else the methods."""
        if self.card is None:
            return ""
        if self.card.recipe is not None:
            return self.card.recipe.formula()
        return ", ".join(dict.fromkeys(plan.method for plan in self.card.parts.values()))

    @property
    def words(self) -> str:
        """Everything that the search looks through, in lower case."""
        card = self.card
        if card is None:
            return f"{self.name} {self.problem}".lower()
        about = card.training.get("about", {})
        pieces = [self.name, card.base.name, card.base.family, self.made, *card.triggers, *card.parts, str(about)]
        return " ".join(pieces).lower()


@dataclass(frozen=True)
class Found:
    """The adapters that a search found, sorted."""

    entries: Sequence[Entry] = field(default_factory=tuple)
    total: int = 0


SORTS = ("newest", "name", "size", "base", "score")


def entries_of(library: Library) -> list[Entry]:
    """Return every adapter of the library, those with a broken card too."""
    return [_entry(name, folder) for name, folder in library.adapters().items()]


def _entry(name: str, folder: Path) -> Entry:
    previews = sorted(path for path in (folder / "previews").glob("*") if path.suffix.lower() in _PICTURES)
    try:
        card, problem = read_card(folder), ""
    except UserError as error:
        card, problem = None, str(error)
    written = sorted((folder / "previews").glob("*.jsonl"))
    answers = read_answers(written[-1]) if written else []
    return Entry(name, folder, card, adapter_size_bytes(folder), previews, answers, problem)


def searched(entries: Sequence[Entry], search: str, sort: str) -> Found:
    """Return the entries that hold every word of a search, sorted."""
    wanted = search.lower().split()
    found = [entry for entry in entries if all(word in entry.words for word in wanted)]
    keys: Mapping[str, Any] = {
        "newest": lambda entry: _reversed_text(entry.card.created if entry.card else ""),
        "name": lambda entry: entry.name.lower(),
        "size": lambda entry: -entry.size_bytes,
        "base": lambda entry: (entry.card.base.name if entry.card else "", entry.name.lower()),
        "score": lambda entry: -max(entry.card.scores.values(), default=-1.0) if entry.card else 1.0,
    }
    return Found(sorted(found, key=keys[sort]), len(entries))


def _reversed_text(text: str) -> tuple[int, ...]:
    return tuple(-ord(sign) for sign in text)


def cards_html(found: Found, selected: str, words: Mapping[str, str], language: str = ENGLISH) -> str:
    """Return the cards as buttons in a list.

    Args:
        words: the texts of `CARD_WORDS`.
        language: see `studio.app.shared.words.reader_language`.
    """
    cards = "".join(_card_html(item, selected, words, language) for item in found.entries)
    return f'<ul class="studio-cards">{cards}</ul>'


def _card_html(entry: Entry, selected: str, words: Mapping[str, str], language: str) -> str:
    if entry.previews:
        address = "/gradio_api/file=" + quote(str(entry.previews[0]))
        stamp = entry.previews[0].stat().st_mtime_ns
        picture = f'<img src="{escape(address)}?{stamp}" alt="" loading="lazy">'
    else:
        picture = _blank_html(entry, words)
    lines = [f"<strong>{escape(entry.name)}</strong>"]
    card = entry.card
    if card is None:
        lines.append(f'<span class="studio-problem">{escape(words["broken"])}: {escape(entry.problem[:200])}</span>')
    else:
        lines += [f"<span>{escape(entry.made)}</span>", f"<span>{escape(card.base.name)} · {size_told(entry)}</span>"]
        if card.triggers:
            lines.append(f"<span>{escape(words['triggers'])}: {escape(', '.join(card.triggers))}</span>")
        if card.scores:
            lines.append(f"<span>{escape(words['scores'])}: {escape(scores_told(card, language))}</span>")
    pressed = "true" if entry.name == selected else "false"
    return (
        f'<li><button type="button" data-name="{escape(entry.name)}" aria-pressed="{pressed}">{picture}'
        f'<span class="studio-card-text">{"".join(lines)}</span></button></li>'
    )


def _blank_html(entry: Entry, words: Mapping[str, str]) -> str:
    """Return what stands in place of a picture: something that was answered, or what the adapter is."""
    answer = next((" ".join(answer.split()) for _, answer in entry.answers if answer.strip()), "")
    if answer:
        shown = answer if len(answer) <= _MOST_ANSWER else answer[:_MOST_ANSWER].rsplit(" ", 1)[0] + " …"
        return f'<span class="studio-card-blank studio-card-answer">“{escape(shown)}”</span>'
    is_blend = entry.card is not None and entry.card.recipe is not None
    key = "language_model" if entry.is_text else "blend" if is_blend else "no_preview"
    return f'<span class="studio-card-blank">{escape(words[key])}</span>'


def answers_html(entry: Entry) -> str:
    """Return what was written with an adapter, a frame for each prompt; empty where nothing was."""
    return "".join(
        f'<section class="studio-row"><p class="studio-said"><b>{escape(prompt)}</b></p>'
        f'<p class="studio-said">{escape(answer)}</p></section>'
        for prompt, answer in entry.answers
    )


def size_told(entry: Entry) -> str:
    """Return the size of an adapter's files for people."""
    return size(entry.size_bytes)


def facts_of(entry: Entry, language: str = ENGLISH) -> list[list[str]]:
    """Return (what, value) of everything on the card that somebody may want to know.

    Args:
        language: see `studio.app.shared.words.reader_language`.
    """
    return [[text(language, f"facts.{key}", key), told] for key, told in _facts(entry, language) if told]


def _facts(entry: Entry, language: str) -> list[list[str]]:
    card = entry.card
    if card is None:
        return [["problem", entry.problem]]
    rows = [
        ["made", card.created],
        ["base", f"{card.base.name} ({card.base.family}, {card.base.fingerprint[:12]})"],
        ["triggers", ", ".join(card.triggers)],
        *([part, plan_told(plan.method, plan.settings, language)] for part, plan in card.parts.items()),
        ["size", size_told(entry)],
    ]
    if card.recipe is not None:
        rows.append(["recipe", f"{card.recipe.blend}: {card.recipe.formula()}"])
    if card.scores:
        rows.append(["scores", scores_told(card, language)])
    about = card.training.get("about", {})
    rows += [[str(key), str(value)] for key, value in about.items()] if isinstance(about, dict) else []
    rows += [["data", data_told(card, language)[:1000]], ["training", training_told(card, language)[:1000]]]
    rows.append(["versions", ", ".join(f"{name} {number}" for name, number in card.versions.items())])
    return rows


def files_of(entry: Entry) -> list[list[str]]:
    """Return (path inside the adapter, bytes) of its files."""
    files = sorted(path for path in entry.folder.rglob("*") if path.is_file())
    return [[str(path.relative_to(entry.folder)), f"{path.stat().st_size:,}"] for path in files]


def lineage_html(entry: Entry) -> str:
    """Return the tree of parents of a blend; empty for an adapter that has none."""
    if entry.card is None or entry.card.recipe is None:
        return ""
    return f'<div class="studio-lineage"><p>{escape(entry.name)}</p>{_tree(entry.card.recipe, 0)}</div>'


def _tree(recipe: RecipeCard, depth: int) -> str:
    if depth >= _MOST_DEPTH:
        return "<ul><li>…</li></ul>"
    items = []
    for parent in recipe.parents:
        below = _tree(parent.recipe, depth + 1) if parent.recipe is not None else ""
        made = parent.created[:10]
        told = f"{parent.weight:g} · {escape(parent.name)} <small>{escape(made)} {escape(parent.hash[:12])}</small>"
        items.append(f"<li>{told}{below}</li>")
    return f"<p><em>{escape(recipe.blend)}</em></p><ul>{''.join(items)}</ul>"
