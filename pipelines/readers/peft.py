"""PEFT: the library that this studio's adapters are made with, so its folders are applied as they are meant."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.formats._names import ModuleNames, Place
from pipelines.readers import _rules as rules
from pipelines.readers._reader import Reader


def _spellings(place: Place, names: ModuleNames) -> Iterator[str]:
    from trainers.adapter import KEY_PREFIX

    yield KEY_PREFIX + place.path


READER = Reader(
    name="peft",
    title="PEFT",
    version="0.21",
    formats=("peft",),
    kinds={"peft": frozenset({"lora", "dora"})},
    spellings=_spellings,
    ends=rules.LORA_ENDS,
    take=lambda leaves, place, host: None,
    words=frozenset(),
)
