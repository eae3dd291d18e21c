"""What the tests of blends share: predictions of a base under recipes and under attached adapters."""

from typing import Any

import torch
from torch import Tensor

from pipelines.attach import attached
from pipelines.families import LoadedBase
from pipelines.live import LiveRecipes
from pipelines.recipe import Recipe, parse_recipe
from trainers.adapter import Adapter

FEW = tuple(f"mid_block.attentions.0.transformer_blocks.0.{name}" for name in ("attn1.to_q", "attn2.to_v", "ff.net.2"))


def predicted(base: LoadedBase) -> Tensor:
    """Return what a base predicts for two prompts."""
    noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return base.predict(noisy, torch.tensor([900, 100]), base.encode_text(["a red boat", "sea"]))


def live(base: LoadedBase, recipe: Recipe, adapters: dict[str, Adapter]) -> Tensor:
    """Return what it predicts while a recipe acts."""
    with LiveRecipes(base, adapters).acting(recipe, 1):
        return predicted(base)


def weighed(base: LoadedBase, adapters: dict[str, Adapter], weights: dict[str, float]) -> Tensor:
    """Return what it predicts with attached adapters at weights."""
    with attached(base, adapters) as attachments:
        attachments.set_weights(weights)
        return predicted(base)


def recipe_of(**values: Any) -> Recipe:
    """Return a recipe of plain values."""
    return parse_recipe(values)
