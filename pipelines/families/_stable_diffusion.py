"""What the Stable Diffusion families share: autoencoder, noise, targets and sizes.

Prediction type, noise schedule and latent scale are read from the base's own files.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipelines.families._family import Part
from pipelines.families._noise import Diffusion, NoiseProcess
from pipelines.samplers import build_sampler
from pipelines.weight_files import variant_of
from trainers.errors import UserError
from trainers.wording import nearest_multiples

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class LatentModel(ABC):
    """A denoiser on the latents of an autoencoder. A family's own class loads the models and reads the text."""

    device: torch.device
    dtype: torch.dtype
    autoencoder: Any
    sampler: Any
    process: NoiseProcess
    resolution_px: int
    _pipeline: Any
    _targets: dict[str, dict[str, tuple[str, ...]]]

    def settle(self, folder: Path, known: Sequence[Part]) -> None:
        """Freeze the loaded models, move them to the device, read the schedule, and find the kinds of layers."""
        for module in (*self.parts.values(), self.autoencoder):
            module.requires_grad_(False).eval().to(self.device)
        self.sampler = read_scheduler(folder)
        self.process = self.read_process()
        words = {part.name: part.words for part in known}
        self._targets = {  # found now, while the parts are bare
            part: own.found(module) for part, module in self.parts.items() if (own := words[part]) is not None
        }

    def ready(self) -> None:
        """Take what depends on the pipeline, once there is one."""
        self._pipeline.set_progress_bar_config(disable=True)
        self.resolution_px = int(self.denoiser.config.sample_size) * self._pipeline.vae_scale_factor

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """The modules that a method can attach to, by part."""

    @property
    @abstractmethod
    def denoiser(self) -> Any:
        """The part that denoises."""

    @property
    @abstractmethod
    def size_step(self) -> int:
        """What the number of latent rows and columns must be a multiple of."""

    @abstractmethod
    def read_process(self) -> NoiseProcess:
        """Return the noise process of the base's scheduler.

        Raises:
            UserError: the scheduler is of another process than the family's.
        """

    @property
    def prediction(self) -> str:
        return self.process.prediction

    @property
    def timesteps(self) -> int:
        return self.process.timesteps

    def draw_timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        return self.process.draw_timesteps(count, generator)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return self.process.add_noise(latents, noise, timesteps)

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return self.process.target(latents, noise, timesteps)

    def snr(self, timesteps: Tensor) -> Tensor:
        return self.process.snr(timesteps)

    def targets(self, part: str, wanted: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for word in wanted for name in self._targets[part].get(word, (word,)))

    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        posterior = self.autoencoder.encode(pixels.to(self.device, self.autoencoder.dtype)).latent_dist
        shift = getattr(self.autoencoder.config, "shift_factor", None) or 0.0
        scale = self.autoencoder.config.scaling_factor
        return (posterior.mean - shift) * scale, posterior.std * scale

    def scheduler_of(self, sampler: str) -> Any:
        return build_sampler(sampler, self.sampler, self.prediction)

    @contextlib.contextmanager
    def _drawing_with(self, sampler: str) -> Iterator[None]:
        """Let the pipeline draw with a sampler for a while."""
        self._pipeline.scheduler = self.scheduler_of(sampler)
        try:
            with warnings.catch_warnings():  # diffusers' samplers ask numpy for what numpy 2 calls differently
                warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
                yield
        finally:
            self._pipeline.scheduler = self.sampler

    def noise_shape(self, width_px: int, height_px: int) -> tuple[int, int, int]:
        step = self._pipeline.vae_scale_factor * self.size_step
        wrong = {side: px for side, px in (("width", width_px), ("height", height_px)) if px < step or px % step}
        if wrong:
            near = " and ".join(f"{side} {nearest_multiples(px, step)}" for side, px in wrong.items())
            raise UserError(
                f"The size {width_px} x {height_px} px cannot be drawn: this base draws multiples of {step} px. Take "
                f"{near}."
            )
        factor = self._pipeline.vae_scale_factor
        return int(self.denoiser.config.in_channels), height_px // factor, width_px // factor


class StableDiffusion(LatentModel):
    """A UNet that learned to undo a diffusion."""

    unet: Any

    @property
    def denoiser(self) -> Any:
        return self.unet

    @property
    def size_step(self) -> int:
        return 2 ** (len(self.unet.config.block_out_channels) - 1)

    def read_process(self) -> NoiseProcess:
        from diffusers import DDPMScheduler

        prediction = self.sampler.config.get("prediction_type", "epsilon")
        if prediction not in ("epsilon", "v_prediction"):
            raise UserError(f"The base predicts {prediction!r}; epsilon and v_prediction are known.")
        return Diffusion(DDPMScheduler.from_config(self.sampler.config))


def names_pipeline(folder: Path, pipeline: str) -> bool:
    """Return whether a folder's index names a pipeline of diffusers."""
    try:
        index = json.loads((folder / "model_index.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(index, dict) and index.get("_class_name") == pipeline


def read_autoencoder(model: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load a base's autoencoder; a half precision that ends at 65,504 is none for it, it is read in float32 then."""
    import torch

    if dtype != torch.float16:
        return read_part(model, folder, torch_dtype=dtype)
    autoencoder = read_part(model, folder, torch_dtype=torch.float32)
    decode = autoencoder.decode
    # diffusers' pipelines hand it the latents in the UNet's format.
    autoencoder.decode = lambda latents, *others, **named: decode(latents.float(), *others, **named)
    return autoencoder


def read_part(model: Any, folder: Path, **options: Any) -> Any:
    """Load one model of a base from its folder, from safetensors alone, of whatever variant there is.

    Raises:
        UserError: the folder is missing, or holds no weights that are read.
    """
    if not folder.is_dir():
        raise UserError(
            f"The base has no folder {folder.name}. Fetch the whole model: its model_index.json asks for it."
        )
    return model.from_pretrained(folder, use_safetensors=True, variant=variant_of(folder), **options)


def unet_widths(unet: Any) -> dict[str, int]:
    """Return the shape facts of a UNet that another base must share."""
    return {
        "unet_levels": len(unet.config.block_out_channels),
        "unet_width": int(unet.config.block_out_channels[0]),
    }


def read_scheduler(folder: Path) -> Any:
    """Load the scheduler that the base names; only classes of diffusers are looked up."""
    import diffusers

    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    name = config.get("_class_name") if isinstance(config, dict) else None
    known: Any = getattr(diffusers, name, None) if isinstance(name, str) and name.endswith("Scheduler") else None
    if not (isinstance(known, type) and issubclass(known, diffusers.SchedulerMixin)):
        raise UserError(f"The base names the scheduler {name!r}, which diffusers does not have.")
    return cast(Any, known).from_pretrained(folder, subfolder="scheduler")
