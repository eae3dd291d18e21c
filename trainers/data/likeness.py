"""Which pictures of a folder are nearly the same: copies at another size, quality or file format. Needs no torch.

A picture's signature is its difference hash in both directions (Krawetz 2013, "Kind of like that": whether brightness
rises from one cell of a small grey copy to the next; 64 + 64 bits) and its colours on a 4 x 4 grid. Both must agree:
the hash alone takes pictures on a flat ground for each other that differ only in their colours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

HASH_BITS = 128
LIKELY_BITS = 12
"""Up to so many different bits two pictures are taken for nearly the same."""
_COLOUR_STEPS = 10.0
_CELLS = 8
_COLOUR_CELLS = 4
_HASH_BYTES = HASH_BITS // 8


@dataclass(frozen=True)
class Pair:
    """Two pictures that are nearly the same."""

    first: str
    second: str
    bits: int
    """How many of the 128 bits differ; 0 is the same picture as far as the hash can tell."""
    colour: float
    """Mean difference of the colours on the grid, in steps of 255."""


def signature_of(picture: Image.Image) -> str:
    """Return an upright RGB picture's signature: 16 bytes of hash and 48 of colours, as hexadecimal digits."""
    grey = picture.convert("L")
    across = np.asarray(grey.resize((_CELLS + 1, _CELLS), Image.Resampling.BOX), dtype=np.int16)
    down = np.asarray(grey.resize((_CELLS, _CELLS + 1), Image.Resampling.BOX), dtype=np.int16)
    bits = np.concatenate([(np.diff(across, axis=1) > 0).ravel(), (np.diff(down, axis=0) > 0).ravel()])
    colours = np.asarray(picture.convert("RGB").resize((_COLOUR_CELLS, _COLOUR_CELLS), Image.Resampling.BOX))
    return (np.packbits(bits).tobytes() + colours.astype(np.uint8).tobytes()).hex()


def near_duplicates(
    signatures: Mapping[str, str], *, most_bits: int = LIKELY_BITS, most_pairs: int = 200
) -> list[Pair]:
    """Return the pairs of pictures that are nearly the same, the likest first.

    Args:
        signatures: file name -> what `signature_of` gave.
        most_bits: how many bits may differ, 0 to 128.
        most_pairs: how many pairs are returned.
    """
    names = sorted(signatures)
    if len(names) < 2:
        return []
    raw = np.frombuffer(bytes.fromhex("".join(signatures[name] for name in names)), dtype=np.uint8)
    rows = raw.reshape(len(names), -1)
    hashes, colours = rows[:, :_HASH_BYTES], rows[:, _HASH_BYTES:].astype(np.int16)
    found = []
    for first in range(len(names) - 1):
        bits = np.bitwise_count(hashes[first + 1 :] ^ hashes[first]).sum(1, dtype=np.int64)
        for other in np.flatnonzero(bits <= most_bits):
            second = first + 1 + int(other)
            colour = float(np.abs(colours[second] - colours[first]).mean())
            if colour <= _COLOUR_STEPS:
                found.append(Pair(names[first], names[second], int(bits[other]), colour))
    return sorted(found, key=lambda pair: (pair.bits, pair.colour, pair.first, pair.second))[:most_pairs]
