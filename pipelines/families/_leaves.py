"""Layers of a bare part by what they hold; the same for every family."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def leaf_targets(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return the full paths of all modules with a weight of their own (``weighted``) or a bias (``biased``)."""
    return {
        "weighted": tuple(path for path, layer in module.named_modules() if _holds(layer, "weight")),
        "biased": tuple(path for path, layer in module.named_modules() if _holds(layer, "bias")),
    }


def _holds(layer: nn.Module, name: str) -> bool:
    return layer._parameters.get(name) is not None
