"""Concatenate: learned tokens, or learned keys and values, of several adapters one behind the other.

[P₁; P₂; …], so lengths add up. Every input counts once: a share of a token is not a token, so weights other than 1 have
no such file. On a text encoder the tokens take their room from the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.blends._blend import Blend, Layer
from trainers.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.deltas import Delta


def join(tokens: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return [Σn, d].

    Raises:
        UserError: a weight is not 1, or widths differ.
    """
    import torch

    if any(weight != 1 for weight in weights):
        given = ", ".join(f"{weight:g}" for weight in weights)
        raise UserError(
            f"Concatenation takes learned tokens whole, with weights of 1 and not {given}. "
            "Use 'interpolate' for shares, or weigh the adapters live."
        )
    return torch.cat(list(tokens))


def refuse(layer: Layer, *_: object) -> Delta:
    """Say that deltas are added, not joined."""
    raise UserError(
        f"The part {layer.part} of {', '.join(layer.names)} holds deltas, which are added: use 'exact' or another "
        f"blend of deltas for it, such as --blend {layer.part}=exact."
    )


BLEND = Blend("concatenate", "Learned tokens side by side", "[P₁; P₂; …]", refuse, tokens=join)
