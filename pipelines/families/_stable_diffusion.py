"""What the Stable Diffusion families share: autoencoder, noise, targets, loss weights and sizes.

Prediction type, noise schedule and latent scale are read from the base's own files.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from pipelines.families._leaves import leaf_targets
from pipelines.families._picture_targets import TARGETS, host_targets
from pipelines.weight_files import variant_of
from trainers.errors import UserError
from trainers.min_snr import min_snr_weights
from trainers.wording import nearest_multiples


class StableDiffusion(ABC):
    """A UNet on the latents of an autoencoder. A family's own class loads the models and reads the text."""

    device: torch.device
    dtype: torch.dtype
    unet: Any
    autoencoder: Any
    sampler: Any
    noise_schedule: Any
    resolution_px: int
    _pipeline: Any
    _targets: dict[str, dict[str, tuple[str, ...]]]

    def settle(self, folder: Path) -> None:
        """Freeze the loaded models, move them to the device, read the schedule, and find the kinds of layers."""
        from diffusers import DDPMScheduler

        for module in (*self.parts.values(), self.autoencoder):
            module.requires_grad_(False).eval().to(self.device)
        self.sampler = _scheduler(folder)
        self.noise_schedule = DDPMScheduler.from_config(self.sampler.config)
        self._targets = {  # found now, while the parts are bare
            part: {**TARGETS[part], **host_targets(part, module), **leaf_targets(module)}
            for part, module in self.parts.items()
        }

    def ready(self) -> None:
        """Take what depends on the pipeline, once there is one."""
        self._pipeline.set_progress_bar_config(disable=True)
        self.resolution_px = int(self.unet.config.sample_size) * self._pipeline.vae_scale_factor

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """The modules that a method can attach to, by part."""

    @property
    def timesteps(self) -> int:
        return int(self.noise_schedule.config.num_train_timesteps)

    def targets(self, part: str, wanted: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for word in wanted for name in self._targets[part].get(word, (word,)))

    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        posterior = self.autoencoder.encode(pixels.to(self.device, self.autoencoder.dtype)).latent_dist
        shift = getattr(self.autoencoder.config, "shift_factor", None) or 0.0
        scale = self.autoencoder.config.scaling_factor
        return (posterior.mean - shift) * scale, posterior.std * scale

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return self.noise_schedule.add_noise(latents, noise, timesteps)

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        if self.noise_schedule.config.prediction_type == "v_prediction":
            return self.noise_schedule.get_velocity(latents, noise, timesteps)
        return noise

    def loss_weight(self, timesteps: Tensor, snr_gamma: float | None, snr_floor: float | None = None) -> Tensor:
        if snr_gamma is None:
            return torch.ones(len(timesteps), device=timesteps.device)
        signal = self.noise_schedule.alphas_cumprod.to(timesteps.device)[timesteps]
        velocity = self.noise_schedule.config.prediction_type == "v_prediction"
        return min_snr_weights(signal, snr_gamma, velocity=velocity, floor=snr_floor).float()

    def noise_shape(self, width_px: int, height_px: int) -> tuple[int, int, int]:
        step = self._pipeline.vae_scale_factor * 2 ** (len(self.unet.config.block_out_channels) - 1)
        wrong = {side: px for side, px in (("width", width_px), ("height", height_px)) if px < step or px % step}
        if wrong:
            near = " and ".join(f"{side} {nearest_multiples(px, step)}" for side, px in wrong.items())
            raise UserError(
                f"The size {width_px} x {height_px} px cannot be drawn: this base draws multiples of {step} px. Take "
                f"{near}."
            )
        factor = self._pipeline.vae_scale_factor
        return int(self.unet.config.in_channels), height_px // factor, width_px // factor


def names_pipeline(folder: Path, pipeline: str) -> bool:
    """Return whether a folder's index names a pipeline of diffusers."""
    try:
        index = json.loads((folder / "model_index.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(index, dict) and index.get("_class_name") == pipeline


def read_autoencoder(model: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load a base's autoencoder; a half precision that ends at 65,504 is none for it, it is read in float32 then."""
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


def _scheduler(folder: Path) -> Any:
    """Load the scheduler that the base names; only classes of diffusers are looked up."""
    import diffusers

    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    name = config.get("_class_name") if isinstance(config, dict) else None
    known: Any = getattr(diffusers, name, None) if isinstance(name, str) and name.endswith("Scheduler") else None
    if not (isinstance(known, type) and issubclass(known, diffusers.SchedulerMixin)):
        raise UserError(f"The base names the scheduler {name!r}, which diffusers does not have.")
    scheduler = cast(Any, known).from_pretrained(folder, subfolder="scheduler")
    prediction = scheduler.config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise UserError(f"The base predicts {prediction!r}; epsilon and v_prediction are known.")
    return scheduler
