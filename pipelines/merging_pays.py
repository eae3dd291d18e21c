"""When merging adapters into the base for a batch of pictures is worth its time. Without torch."""

from collections.abc import Mapping

_FROM_PICTURES = 4
"""Merging takes about as long as one or two pictures save."""


def merging_pays(count: int, weights: Mapping[str, float]) -> bool:
    """Return whether that many pictures at these weights are drawn sooner with the adapters merged."""
    return count >= _FROM_PICTURES and any(weights.values())
