"""Copies of the base's own matrices in adapter files.

PEFT writes the whole matrix of an adapted output layer or table of words beside its delta (`save_embedding_layers`). A
delta is all that an adapter says here: the base is never trained, so a copy of it says nothing.
"""

from collections.abc import Iterable

LEAVES = ("weight", "bias")
_WRAPPED = "base_layer"


def copies_of_base(keys: Iterable[str]) -> set[str]:
    """Return the keys that name the weight or bias of a module for which other keys hold an adapter."""
    keys = list(keys)
    carrying: set[str] = set()
    for key in keys:
        pieces = key.split(".")
        if _WRAPPED in pieces:
            continue
        deepest = len(pieces) - (1 if pieces[-1] in LEAVES else 0)
        carrying |= {".".join(pieces[:length]) for length in range(1, deepest)}
    return {key for key in keys if key.rpartition(".")[2] in LEAVES and _module(key) in carrying}


def copied_leaf(rest: str) -> str | None:
    """Return which parameter of a module the rest of a key copies, or None where it is an adapter's own tensor."""
    leaf = rest.removeprefix(f"{_WRAPPED}.")
    return leaf if leaf in LEAVES else None


def _module(key: str) -> str:
    return key.rpartition(".")[0].removesuffix(f".{_WRAPPED}")
