"""Interpolate: learned tokens, or learned keys and values, averaged one by one, P = Σ wᵢ·Pᵢ.

Only where lengths agree. Tokens are not interchangeable, so the n-th of one need not mean what the n-th of another
does; the file is what the formula says, and a picture will show whether that is of use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.blends._blend import Blend
from pipelines.blends.concatenate import refuse
from trainers.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


def average(tokens: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return Σ wᵢ·Pᵢ.

    Raises:
        UserError: lengths differ.
    """
    import torch

    lengths = [len(rows) for rows in tokens]
    if len(set(lengths)) > 1:
        raise UserError(
            f"Learned tokens of lengths {', '.join(map(str, lengths))} cannot be averaged one by one. "
            "Use 'concatenate'."
        )
    stacked = torch.stack([rows.double() for rows in tokens])
    return torch.einsum("k,knd->nd", torch.tensor(list(weights), dtype=torch.float64), stacked).to(tokens[0].dtype)


BLEND = Blend("interpolate", "Learned tokens averaged", "P = Σ wᵢ·Pᵢ", refuse, tokens=average)
