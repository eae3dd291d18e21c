"""Encoded texts to batches: padded on the right, or packed side by side without seeing each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.data.chat import Encoded

IGNORED = -100
"""The label of a token that is not learned from."""


@dataclass(frozen=True)
class TokenBatch:
    """What a language model is given. b rows of t tokens."""

    numbers: Tensor
    """[b, t]"""
    mask: Tensor
    """[b, t], 1 where a token stands and 0 on padding; of packed rows additive [b, 1, t, t], who sees whom."""
    positions: Tensor
    """[b, t], each text's own from 0"""
    labels: Tensor
    """[b, t]: the token's own number where it is learned from, else `IGNORED`."""

    def to(self, device: torch.device) -> "TokenBatch":
        """Return the batch on a device."""
        return TokenBatch(*(value.to(device) for value in (self.numbers, self.mask, self.positions, self.labels)))

    def arguments(self) -> dict[str, Tensor]:
        """Return the arguments of a transformers model's forward."""
        return {"input_ids": self.numbers, "attention_mask": self.mask, "position_ids": self.positions}


def pad_right(rows: Sequence[Encoded], padding: int) -> TokenBatch:
    """Put one text in each row."""
    width = max(len(row.numbers) for row in rows)
    numbers = torch.full((len(rows), width), padding)
    labels = torch.full((len(rows), width), IGNORED)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        length = len(row.numbers)
        numbers[place, :length] = torch.tensor(row.numbers)
        labels[place, :length] = _labels(row)
        mask[place, :length] = 1
    positions = torch.arange(width).expand(len(rows), -1).clone()
    return TokenBatch(numbers, mask, positions, labels)


def packs(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Return which texts share a row of `room` tokens: each goes to the first row that it fits, longest first."""
    found: list[tuple[int, list[int]]] = []
    for number in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        for place, (left, members) in enumerate(found):
            if lengths[number] <= left:
                found[place] = (left - lengths[number], [*members, number])
                break
        else:
            found.append((room - lengths[number], [number]))
    return [members for _, members in found]


def pack_rows(rows: Sequence[Sequence[Encoded]], padding: int, dtype: torch.dtype) -> TokenBatch:
    """Put several texts in each row; a token sees the earlier ones of its own text alone, at its own positions.

    Args:
        dtype: the model's number format, which the mask is added in.
    """
    width = max(sum(len(one.numbers) for one in row) for row in rows)
    numbers = torch.full((len(rows), width), padding)
    labels = torch.full((len(rows), width), IGNORED)
    positions = torch.zeros(len(rows), width, dtype=torch.long)
    text = torch.full((len(rows), width), -1)
    for place, row in enumerate(rows):
        start = 0
        for number, one in enumerate(row):
            end = start + len(one.numbers)
            numbers[place, start:end] = torch.tensor(one.numbers)
            labels[place, start:end] = _labels(one)
            positions[place, start:end] = torch.arange(end - start)
            text[place, start:end] = number
            start = end
    seen = (text[:, :, None] == text[:, None, :]).tril()  # padding sees padding: a row that sees nothing is no number
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
    return TokenBatch(numbers, mask[:, None], positions, labels)


def _labels(row: Encoded) -> Tensor:
    """Return a text's labels; its first token follows nothing, so it is never learned from."""
    numbers = torch.tensor(row.numbers)
    learned = torch.tensor(row.trained)
    learned[0] = False
    return numbers.masked_fill(~learned, IGNORED)
