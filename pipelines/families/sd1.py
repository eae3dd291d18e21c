"""Stable Diffusion 1.x and 2.x: one CLIP text encoder, a UNet with cross-attention, an autoencoder of step 8.

The pocket base is of this family. Prediction type, noise schedule and latent scale are read from the base's own files,
so that v-prediction with zero terminal signal (Lin et al. 2023, arXiv 2305.08891) trains and samples as it was made.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor, nn

from pipelines.families._family import Family, LoadedBase
from pipelines.families._leaves import leaf_targets
from pipelines.families._picture_targets import TARGETS, host_targets
from pipelines.families._words import numbers_as_text, split_numbers, tokenise
from pipelines.fingerprint import fingerprint_of_folder
from trainers.errors import UserError
from trainers.methods._peft_bridge import new_words, words_displaced
from trainers.roles import Conditioning

# Without a floor, steps of pure noise weigh nothing under zero terminal SNR, and they decide the ground's brightness.
_LOSS_WEIGHT_FLOOR = 0.1


class StableDiffusion1:
    """A loaded base of this family; see `PictureBase` and `trainers.roles.Denoiser` for what the methods promise."""

    family = "sd1"

    def __init__(self, name: str, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        from diffusers import (
            AutoencoderKL,
            DDPMScheduler,
            StableDiffusionPipeline,
            UNet2DConditionModel,
        )
        from transformers import CLIPTextModel, CLIPTokenizer

        self.name = name
        self.device = device
        self.fingerprint = fingerprint_of_folder(folder, ("unet", "text_encoder", "vae"))
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", use_safetensors=True, dtype=dtype)
        unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", use_safetensors=True, torch_dtype=dtype)
        self.autoencoder = AutoencoderKL.from_pretrained(
            folder, subfolder="vae", use_safetensors=True, torch_dtype=dtype
        )
        self.unet = unet
        for module in (self.text_encoder, self.unet, self.autoencoder):
            module.requires_grad_(False).eval().to(device)
        self.sampler = _scheduler(folder)
        self.noise_schedule = DDPMScheduler.from_config(self.sampler.config)
        self._targets = {  # found now, while the parts are bare
            part: {**TARGETS[part], **host_targets(part, module), **leaf_targets(module)}
            for part, module in self.parts.items()
        }
        self._pipeline = StableDiffusionPipeline(
            vae=self.autoencoder,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=self.sampler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        self._pipeline.set_progress_bar_config(disable=True)
        self.resolution_px = int(unet.config.sample_size) * self._pipeline.vae_scale_factor
        self.widths: Mapping[str, int] = {
            "text_width": int(self.text_encoder.config.hidden_size),
            "text_layers": int(self.text_encoder.config.num_hidden_layers),
            "unet_levels": len(unet.config.block_out_channels),
            "unet_width": int(unet.config.block_out_channels[0]),
        }

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {"unet": self.unet, "text_encoder": self.text_encoder}

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

    def encode_text(self, captions: Sequence[str]) -> Conditioning:
        ids = tokenise(self.tokenizer, self.text_encoder, captions)
        return {"encoder_hidden_states": self.text_encoder(ids.to(self.device))[0]}

    def word_numbers(self, part: str, text: str) -> list[int]:
        if part != "text_encoder":
            raise UserError(f"The {part} reads no words; a method that begins with a word fits text encoders alone.")
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def cut_text(self, prompt: str) -> str:
        words = new_words(self.text_encoder)
        ids = split_numbers(self.tokenizer, prompt, words)
        # The start and end tokens take two places, and learned tokens theirs.
        room = int(self.tokenizer.model_max_length) - 2 - words_displaced(self.text_encoder)
        return numbers_as_text(self.tokenizer, ids[room:], words) if len(ids) > room else ""

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return self.noise_schedule.add_noise(latents, noise, timesteps)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return self.unet(noisy, timesteps, **conditioning).sample

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        if self.noise_schedule.config.prediction_type == "v_prediction":
            return self.noise_schedule.get_velocity(latents, noise, timesteps)
        return noise

    def loss_weight(self, timesteps: Tensor, snr_gamma: float | None) -> Tensor:
        if snr_gamma is None:
            return torch.ones(len(timesteps), device=timesteps.device)
        signal = self.noise_schedule.alphas_cumprod.to(timesteps.device)[timesteps].double()
        snr = signal / (1 - signal)
        if self.noise_schedule.config.prediction_type == "v_prediction":
            weight = snr.clamp(max=snr_gamma) / (snr + 1)
        else:
            weight = snr.clamp(max=snr_gamma) / snr.clamp(min=1e-8)
        return (weight + _LOSS_WEIGHT_FLOOR).float()

    def noise_shape(self, width_px: int, height_px: int) -> tuple[int, int, int]:
        step = self._pipeline.vae_scale_factor * 2 ** (len(self.unet.config.block_out_channels) - 1)
        if width_px % step or height_px % step or min(width_px, height_px) < step:
            raise UserError(
                f"The size {width_px} x {height_px} px cannot be drawn; width and height must be multiples of {step}."
            )
        factor = self._pipeline.vae_scale_factor
        return int(self.unet.config.in_channels), height_px // factor, width_px // factor

    @torch.no_grad()
    def sample(
        self,
        conditioning: Conditioning,
        unconditional: Conditioning,
        noise: Tensor,
        *,
        steps: int,
        guidance: float,
        on_step: Callable[[int], None],
    ) -> list[Image.Image]:
        def told(_: object, step: int, __: object, values: dict[str, Tensor]) -> dict[str, Tensor]:
            on_step(step + 1)
            return values

        return list(
            self._pipeline(
                prompt_embeds=conditioning["encoder_hidden_states"],
                negative_prompt_embeds=unconditional["encoder_hidden_states"],
                latents=noise.to(self.device, self.unet.dtype),
                num_inference_steps=steps,
                guidance_scale=guidance,
                callback_on_step_end=told,
            ).images
        )


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


def _recognise(folder: Path) -> bool:
    try:
        index = json.loads((folder / "model_index.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(index, dict) and index.get("_class_name") == "StableDiffusionPipeline"


def _load(name: str, folder: Path, device: torch.device, dtype: torch.dtype) -> LoadedBase:
    return StableDiffusion1(name, folder, device, dtype)


def _tiny(folder: Path) -> None:
    """Write a random base: 32-pixel pictures, byte-level tokens, widths of 16 to 32."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    from pipelines.families._tiny import write_byte_tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    write_byte_tokenizer(folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    torch.manual_seed(0)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=2,
        norm_num_groups=8,
    )
    autoencoder = AutoencoderKL(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
    )
    scheduler = DDIMScheduler(
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)


FAMILY = Family(
    name="sd1",
    title="Stable Diffusion 1.x and 2.x",
    recognise=_recognise,
    load=_load,
    tiny=_tiny,
    parts=("unet", "text_encoder"),
    files=("*/*.json", "*/*.txt", "*/*.safetensors"),
)
