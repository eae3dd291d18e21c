"""Changing many captions at once: what would change, doing it, and taking it back."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.library.library import Library
from trainers.data.captions import Caption, captions_of, write_captions
from trainers.errors import UserError, raise_problems
from trainers.storage import read_json, write_json

How = Literal["prefix", "suffix", "replace", "remove_tag"]
_KEPT = 20


@dataclass(frozen=True)
class Change:
    """One caption before and after."""

    name: str
    before: str
    after: str


def planned(captions: Mapping[str, Caption], how: How, text: str, replacement: str = "") -> list[Change]:
    """Return what an edit would change; pictures without a usable caption are left alone.

    Args:
        how: put `text` before or behind every caption, put `replacement` in its place wherever it stands, or take it
            away where it stands between commas.

    Raises:
        UserError: `text` is empty, or a caption would become empty.
    """
    if not text.strip():
        raise UserError("The text is empty. Give the words to put before, behind, to replace, or to take away.")
    changes = []
    for name, caption in captions.items():
        if caption.text:
            after = " ".join(_edited(caption.text, how, text, replacement).split())
            if after != caption.text:
                changes.append(Change(name, caption.text, after))
    raise_problems(
        "The edit would leave pictures without a caption:",
        [f"{change.name} has {change.before!r} now" for change in changes if not change.after][:10],
    )
    return changes


def _edited(caption: str, how: How, text: str, replacement: str) -> str:
    if how == "prefix":
        return text + caption
    if how == "suffix":
        return caption + text
    if how == "replace":
        return caption.replace(text, replacement)
    return ", ".join(tag for tag in tags_of(caption) if tag != text.strip())


def tags_of(caption: str) -> list[str]:
    """Return what stands between a caption's commas."""
    return [tag for tag in (piece.strip() for piece in caption.split(",")) if tag]


def tag_counts(captions: Iterable[Caption]) -> list[tuple[str, int]]:
    """Return (tag, in how many captions), the commonest first."""
    return Counter(tag for caption in captions for tag in dict.fromkeys(tags_of(caption.text))).most_common()


@dataclass(frozen=True)
class History:
    """The edits of one folder that can be taken back, newest last; it lies in the library's cache."""

    library: Library
    folder: Path

    @property
    def _file(self) -> Path:
        own = hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:20]
        return self.library.folder / "cache" / "caption_edits" / f"{own}.json"

    def edits(self) -> list[list[Change]]:
        """Return the edits that can be taken back, newest last."""
        if not self._file.exists():
            return []
        stored = read_json(self._file, "history of captions")
        return [[Change(*item) for item in edit] for edit in stored]

    def apply(self, changes: Sequence[Change]) -> None:
        """Write changed captions.

        Raises:
            UserError: a caption is no longer what it was when the change was planned; then nothing is written.
        """
        self._check([(change.name, change.before) for change in changes])
        write_captions(self.folder, {change.name: change.after for change in changes})
        self._keep([*self.edits(), list(changes)])

    def undo(self) -> list[Change]:
        """Take the newest edit back and return it.

        Raises:
            UserError: there is none, or a caption was changed since; then nothing is written.
        """
        edits = self.edits()
        if not edits:
            raise UserError(f"There is no edit of {self.folder} to take back.")
        *earlier, newest = edits
        self._check([(change.name, change.after) for change in newest])
        back = {change.name: change.before for change in newest if change.before}
        write_captions(self.folder, back)
        self._keep(earlier)
        return newest

    def _check(self, expected: Sequence[tuple[str, str]]) -> None:
        now = captions_of(self.folder)
        raise_problems(
            "Captions were changed meanwhile, so nothing was written. Look at them again:",
            [
                f"{name} says {now[name].text!r} now, not {text!r}" if name in now else f"{name} is not there any more"
                for name, text in expected
                if name not in now or now[name].text != text
            ][:10],
        )

    def _keep(self, edits: Sequence[Sequence[Change]]) -> None:
        write_json(self._file, [[[c.name, c.before, c.after] for c in edit] for edit in edits[-_KEPT:]])
