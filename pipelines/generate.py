"""Prompts to pictures, with weighted adapters or a recipe, the same noise for the same seed on every device."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from PIL import Image

from pipelines.attach import Attachments
from pipelines.families import ImageBase
from pipelines.live import LiveRecipes
from pipelines.recipe import Recipe
from pipelines.samplers import AUTO, find_sampler
from trainers.data.plain_text import plain_text
from trainers.errors import UserError
from trainers.seeds import drawn_seed

_LIMIT_WEIGHT = 100.0


@dataclass(frozen=True)
class ImageRequest:
    """One picture to make."""

    prompt: str
    seed: int = 0
    """-1 draws one, which the request then holds."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Adapter -> weight, any sign; an adapter not named is off."""
    recipe: Recipe | None = None
    """How adapters are combined, instead of weights; it may change with the step."""
    negative_prompt: str = ""
    num_inference_steps: int = 20
    guidance_scale: float = 5.0
    """Strength of classifier-free guidance; 1 is off."""
    sampler: str = AUTO
    """Name of a sampler; ``auto`` is the base's own."""
    width_px: int | None = None
    """Empty takes the base's own size."""
    height_px: int | None = None
    expansion: Mapping[str, Any] | None = None
    """Where a language model wrote the prompt: the ``wish`` that it was given, its ``base`` and ``adapters``."""

    def __post_init__(self) -> None:
        """Draw the seed where that is wished for, and refuse values that no sampler can use."""
        object.__setattr__(self, "seed", drawn_seed(self.seed))
        for name, low, high in (
            ("num_inference_steps", 1, 1000),
            ("guidance_scale", 0, 100),
            ("seed", 0, 2**63 - 1),
            ("width_px", 8, 4096),
            ("height_px", 8, 4096),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UserError(f"{name} {value} is out of range; {low} to {high} is possible.")
        if self.sampler != AUTO:
            find_sampler(self.sampler)
        plain_text(self.prompt, "The prompt")
        plain_text(self.negative_prompt, "The negative prompt")
        for adapter, weight in self.weights.items():
            if not abs(weight) <= _LIMIT_WEIGHT:  # also refuses NaN
                raise UserError(
                    f"The weight {weight} of {adapter!r} is out of range; "
                    f"-{_LIMIT_WEIGHT:g} to {_LIMIT_WEIGHT:g} is possible."
                )

    def shared(self) -> tuple[Any, ...]:
        """Return what pictures must share to be sampled in one batch."""
        weights = tuple(sorted((name, weight) for name, weight in self.weights.items() if weight))
        recipe = self.recipe.model_dump_json() if self.recipe is not None else None
        return (
            weights,
            recipe,
            self.num_inference_steps,
            self.guidance_scale,
            self.sampler,
            self.width_px,
            self.height_px,
        )


def generate(
    attachments: Attachments,
    requests: Sequence[ImageRequest],
    *,
    recipes: LiveRecipes | None = None,
    batch_size: int = 4,
    merged: bool = False,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[int, Image.Image]]:
    """Make pictures; yield (number of the request, picture) as they are ready, equal settings batched together.

    Args:
        recipes: what the requests' recipes act through.
        merged: add the adapters into the base's weights while pictures of the same weights are drawn, so that they cost
            nothing at each step. The pictures are the same but for rounding, and the base is bit-identical afterwards.
        on_step: is told (steps done, steps in all) over all requests; it may raise to stop.

    Raises:
        UserError: an adapter is not attached, a size cannot be drawn, a sampler does not suit the base, or an adapter
            that is to be merged acts by other means than weights.
    """
    for name in dict.fromkeys(request.sampler for request in requests):
        cast(ImageBase, attachments.base).scheduler_of(name)  # told before anything is drawn
    batches = _batches(requests, batch_size)
    total = sum(requests[batch[0]].num_inference_steps for batch in batches)
    done = 0
    try:
        for batch in batches:
            chosen = [requests[number] for number in batch]
            if merged:
                _merge(attachments, chosen[0].weights)
                chosen = [replace(request, weights={}) for request in chosen]
            start = done
            pictures = _sample(attachments, recipes, chosen, lambda step, start=start: on_step(start + step, total))
            done += chosen[0].num_inference_steps
            yield from zip(batch, pictures, strict=True)
    finally:
        if merged:
            attachments.unmerge()


def _merge(attachments: Attachments, weights: Mapping[str, float]) -> None:
    """Let the base's weights hold these adapters and no others."""
    wanted = {name: weight for name, weight in weights.items() if weight}
    if wanted != attachments.merged:
        attachments.unmerge()
        if wanted:
            attachments.merge(wanted)


def image_noise(seed: int, shape: tuple[int, int, int]) -> torch.Tensor:
    """Return the starting noise [c, h, w] of a seed, drawn on the CPU."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _batches(requests: Sequence[ImageRequest], batch_size: int) -> list[list[int]]:
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, request in enumerate(requests):
        groups.setdefault(request.shared(), []).append(number)
    return [
        group[start : start + batch_size] for group in groups.values() for start in range(0, len(group), batch_size)
    ]


@torch.no_grad()
def _sample(
    attachments: Attachments,
    recipes: LiveRecipes | None,
    requests: Sequence[ImageRequest],
    on_step: Callable[[int], None],
) -> list[Image.Image]:
    base, first = cast(ImageBase, attachments.base), requests[0]
    shape = base.noise_shape(first.width_px or base.resolution_px, first.height_px or base.resolution_px)
    with _acting(attachments, recipes, first) as after_step:

        def told(step: int) -> None:
            on_step(step)
            after_step(step)

        return base.sample(
            base.encode_text([request.prompt for request in requests]),
            base.encode_text([request.negative_prompt for request in requests]),
            torch.stack([image_noise(request.seed, shape) for request in requests]),
            num_inference_steps=first.num_inference_steps,
            guidance_scale=first.guidance_scale,
            sampler=first.sampler,
            on_step=told,
        )


@contextlib.contextmanager
def _acting(
    attachments: Attachments, recipes: LiveRecipes | None, request: ImageRequest
) -> Iterator[Callable[[int], None]]:
    """Let a request's weights and recipe act; yield what must be told the steps that are done."""
    attachments.set_weights(request.weights)
    try:
        if request.recipe is None:
            yield lambda step: None
        else:
            assert recipes is not None, "a request with a recipe needs LiveRecipes"
            with recipes.acting(request.recipe, request.num_inference_steps) as after_step:
                yield after_step
    finally:
        attachments.set_weights({})
