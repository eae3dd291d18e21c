"""What a family's file states, and what a loaded base can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pipelines.samplers import AUTO
from trainers.parts import PartKind, kind_of
from trainers.protocols import Conditioning, Denoiser, LanguageModel, Learnable

if TYPE_CHECKING:  # families are listed where torch is not wanted
    import torch
    from PIL import Image
    from torch import Tensor

    from pipelines.families._image_targets import TargetWords


class LoadedBase(Learnable, Protocol):
    """A base in memory, of whatever role: what attaching, blending and exporting adapters asks of it."""

    name: str
    """What the user called it."""
    family: str
    fingerprint: str
    """SHA-256 that tells two sets of weights apart."""
    widths: Mapping[str, int]
    """Shape facts that another base must share to carry this one's adapters."""


class TextBase(LoadedBase, LanguageModel, Protocol):
    """A causal language model in memory."""


class ImageBase(LoadedBase, Denoiser, Protocol):
    """A model that draws, in memory. Letters: b batch, c latent channels, h w latent rows and columns."""

    resolution_px: int
    """The base's own picture size."""

    def cut_text(self, prompt: str) -> str:
        """Return the end of a prompt that no text encoder sees, empty when all fits."""
        ...

    def sample(
        self,
        conditioning: Conditioning,
        unconditional: Conditioning,
        noise: Tensor,
        *,
        num_inference_steps: int,
        guidance_scale: float,
        on_step: Callable[[int], None],
        sampler: str = AUTO,
    ) -> list[Image.Image]:
        """Turn noise [b, c, h, w] into pictures; `on_step` is told the steps done and may raise to stop."""
        ...

    def scheduler_of(self, sampler: str) -> Any:
        """Return the scheduler of diffusers that stands for a sampler's name; ``auto`` is the base's own.

        Raises:
            UserError: there is no such sampler, or it does not suit the base.
        """
        ...

    def noise_shape(self, width_px: int, height_px: int) -> tuple[int, int, int]:
        """Return (c, h, w) for a picture size.

        Raises:
            UserError: the size is not a multiple of the autoencoder's step.
        """
        ...


@dataclass(frozen=True)
class Part:
    """A part of a family's bases that methods can attach to."""

    name: str
    """Its folder in a base in diffusers' layout, by which `trainers.parts.kind_of` knows its kind."""
    title: str
    words: TargetWords | None = None
    """What target words mean on it; None where its modules' classes tell."""
    trained_by_default: bool = False
    """Whether a run that names no parts trains it."""

    @property
    def kind(self) -> PartKind:
        """What it is."""
        return kind_of(self.name)


@dataclass(frozen=True)
class Family:
    """One kind of base model, as facts."""

    name: str
    title: str
    recognise: Callable[[Path], bool]
    """Whether a folder holds a base of this family, by its JSON files alone."""
    load: Callable[[str, Path, torch.device, torch.dtype], LoadedBase]
    """(user's name, folder, device, precision of the frozen weights) -> the base, frozen."""
    tiny: Callable[[Path], None]
    """Write a random base of real classes at toy size into a folder, for tests."""
    parts: Sequence[Part]
    """The parts that a method can attach to, the denoiser first."""
    role: Literal["picture", "text"] = "picture"
    """What a loaded base is: a `ImageBase` or a `TextBase`."""
    files: Sequence[str] = ()
    """Patterns of the files to fetch from the hub, beside the folder's own JSON files."""
    load_with_code: Callable[[str, Path, torch.device, torch.dtype], LoadedBase] | None = None
    """As `load`, running Python code that the base brings; None where no base of the family brings any."""

    @property
    def default_parts(self) -> tuple[str, ...]:
        """The parts that a run trains when it names none."""
        return tuple(part.name for part in self.parts if part.trained_by_default)
