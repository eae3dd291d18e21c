"""New words in files: which keys hold their rows, in every program's spelling, and for which text encoder.

The rows of one word go by these keys, alone in a file, or behind ``bundle_emb.<word>.`` in a LoRA's file:

    emb_params                 kohya, A1111
    emp_params                 OneTrainer, SD 1.x and 2.x (its own spelling)
    string_to_param.*          A1111
    clip_l, clip_g, clip_h     SDXL's two text encoders, SD 2.x (A1111, ComfyUI, kohya, OneTrainer, diffusers)
    the word itself            diffusers

OneTrainer's ``<key>_out`` are rows that stand in place of what the text encoder gives out. No word here works so. They
are named, and left. A word may hold dots and spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.formats._names import ModuleNames
from trainers.errors import UserError
from trainers.wording import listed

if TYPE_CHECKING:
    from torch import Tensor

BUNDLED = "bundle_emb."
WORD = "word"
"""The kind of rows whose key is the word itself."""
_FIRST, _SECOND = "text_encoder", "text_encoder_2"
_PART_OF = {"emb_params": _FIRST, "emp_params": _FIRST, "clip_l": _FIRST, "clip_h": _FIRST, "clip_g": _SECOND}
_A1111 = "string_to_param"
_OUTPUT = "_out"
_LIMIT_TOKENS = 64


@dataclass(frozen=True)
class Rows:
    """One tensor of a word: its key in the file, the word, and its kind: one of the keys above, or `WORD`."""

    key: str
    word: str
    kind: str
    tensor: Tensor


@dataclass
class Words:
    """New words by usable name, part and rows [n, d]; keys that found no place; sentences on what is not used."""

    rows: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_kind(key: str) -> bool:
    """Return whether a key names rows, of whatever word."""
    return key.removesuffix(_OUTPUT) in _PART_OF or key.startswith(f"{_A1111}.")


def usable_token(word: str) -> str:
    """Return a word's name as adapters call it: letters, digits, ``_``, ``-`` and ``.``, without brackets."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", word).strip("-._")[:39] or "new"


def bundled_rows(key: str, tensor: Tensor) -> Rows:
    """Take a bundled key apart: the kind is told by its end, since the word itself may hold dots."""
    rest = key.removeprefix(BUNDLED)
    word, found, _ = rest.rpartition(f".{_A1111}.")
    if found:
        return Rows(key, word, rest[len(word) + 1 :], tensor)
    word, _, kind = rest.rpartition(".")
    if word and is_kind(kind):
        return Rows(key, word, kind, tensor)
    for dot in (match.start() for match in re.finditer(r"\.", rest)):
        word, kind = rest[:dot], rest[dot + 1 :]
        if word and usable_token(word) == usable_token(kind):
            return Rows(key, word, WORD, tensor)
    return Rows(key, word, "", tensor)


def read_words(what: str, rows: Iterable[Rows], names: ModuleNames) -> Words:
    """Return the words that a live model can take.

    Raises:
        UserError: rows are of another width than the base's words, or one word's rows stand in a file twice.
    """
    widths = _widths(names)
    found = Words()
    outputs: list[Rows] = []
    keys: dict[tuple[str, str], str] = {}
    for own in rows:
        if own.kind.endswith(_OUTPUT):
            outputs.append(own)
            continue
        part = _part(own, widths)
        if part not in widths:
            found.unmatched.append(own.key)
            continue
        token = usable_token(own.word)
        before = keys.setdefault((token, part), own.key)
        if before != own.key:
            raise UserError(
                f"{what} holds the word {token!r} for the {part} twice, as {before} and as {own.key}. Take one of them "
                "out of the file."
            )
        found.rows.setdefault(token, {})[part] = _shaped(what, own, part, widths[part])
    _tell_outputs(outputs, found)
    for token, parts in found.rows.items():
        missing = [part for part in widths if part not in parts]
        if missing:
            found.notes.append(
                f"The word {token!r} has rows for the {', '.join(parts)} alone; the {', '.join(missing)} does not know "
                "it."
            )
        found.rows[token] = {part: parts[part] for part in widths if part in parts}
    return found


def _tell_outputs(outputs: Iterable[Rows], found: Words) -> None:
    """Sort output rows: of a word that is read otherwise they are named, alone they have no place."""
    left: list[str] = []
    for own in outputs:
        known = usable_token(own.word) in found.rows
        (left if known else found.unmatched).append(own.key)
    if left:
        found.notes.append(
            f"Not used: {listed(left)} (output rows: they stand in place of what the text encoder gives out, which no "
            "word here does). The word's ordinary rows are read."
        )


def _widths(names: ModuleNames) -> dict[str, int]:
    """Return part -> values of a word's row, for the parts that know words."""
    hosts = {
        place.part: module._parameters["weight"]
        for place, module in names.hosts.items()
        if place.path.endswith("token_embedding")
    }
    return {part: int(hosts[part].shape[1]) for part in names.parts if part in hosts}


def _part(own: Rows, widths: Mapping[str, int]) -> str:
    if own.kind != WORD:
        return _FIRST if own.kind.startswith(f"{_A1111}.") else _PART_OF.get(own.kind, "")
    fits = [part for part, width in widths.items() if own.tensor.ndim and own.tensor.shape[-1] == width]
    return fits[0] if len(fits) == 1 else _FIRST  # diffusers has a file for each of SDXL's text encoders


def _shaped(what: str, own: Rows, part: str, width: int) -> Tensor:
    rows = own.tensor.reshape(1, -1) if own.tensor.ndim == 1 else own.tensor
    if rows.ndim != 2 or rows.shape[1] != width or len(rows) > _LIMIT_TOKENS:
        raise UserError(
            f"The embedding {own.key!r} of {what} is {list(own.tensor.shape)}; the base's words have {width} values "
            f"each in its {part}, and up to {_LIMIT_TOKENS} rows are read. Give its own base with --base."
        )
    return rows
