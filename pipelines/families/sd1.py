"""Stable Diffusion 1.x and 2.x: one CLIP text encoder, a UNet with cross-attention, an autoencoder of step 8.

The pocket base is of this family. Prediction type, noise schedule and latent scale are read from the base's own files,
so that v-prediction with zero terminal signal (Lin et al. 2023, arXiv 2305.08891) trains and samples as it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.families._family import Family, LoadedBase, Part
from pipelines.families._image_targets import CLIP_WORDS, UNET_WORDS
from pipelines.families._stable_diffusion import (
    StableDiffusion,
    names_pipeline,
    read_autoencoder,
    read_part,
    unet_widths,
)
from pipelines.families._words import tokenise, unseen_text
from pipelines.fingerprint import fingerprint_of_folder
from pipelines.samplers import AUTO
from trainers.errors import UserError
from trainers.protocols import Conditioning

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor, nn

_PARTS = (
    Part("unet", "UNet", UNET_WORDS, trained_by_default=True),
    Part("text_encoder", "Text encoder", CLIP_WORDS, trained_by_default=True),
)


class StableDiffusion1(StableDiffusion):
    """A loaded base of this family; `ImageBase` and `trainers.protocols.Denoiser` say what its methods promise."""

    family = "sd1"

    def __init__(self, name: str, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        from diffusers import (
            AutoencoderKL,
            StableDiffusionPipeline,
            UNet2DConditionModel,
        )
        from transformers import CLIPTextModel, CLIPTokenizer

        self.name = name
        self.device, self.dtype = device, dtype
        self.fingerprint = fingerprint_of_folder(folder, ("unet", "text_encoder", "vae"))
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text_encoder = read_part(CLIPTextModel, folder / "text_encoder", dtype=dtype)
        unet = read_part(UNet2DConditionModel, folder / "unet", torch_dtype=dtype)
        self.autoencoder = read_autoencoder(AutoencoderKL, folder / "vae", dtype)
        self.unet = unet
        self.settle(folder, _PARTS)
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
        self.ready()
        self.widths: Mapping[str, int] = {
            "text_width": int(self.text_encoder.config.hidden_size),
            "text_layers": int(self.text_encoder.config.num_hidden_layers),
            **unet_widths(unet),
        }

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {"unet": self.unet, "text_encoder": self.text_encoder}

    def encode_text(self, captions: Sequence[str]) -> Conditioning:
        ids = tokenise(self.tokenizer, self.text_encoder, captions)
        return {"encoder_hidden_states": self.text_encoder(ids.to(self.device))[0]}

    def token_ids(self, part: str, text: str) -> list[int]:
        if part != "text_encoder":
            raise UserError(f"The {part} reads no words; a method that begins with a word fits text encoders alone.")
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def cut_text(self, prompt: str) -> str:
        return unseen_text(self.tokenizer, self.text_encoder, prompt)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return self.unet(noisy, timesteps, **conditioning).sample

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
        def told(_: object, step: int, __: object, values: dict[str, Tensor]) -> dict[str, Tensor]:
            on_step(step + 1)
            return values

        with self._drawing_with(sampler):
            return list(
                self._pipeline(
                    prompt_embeds=conditioning["encoder_hidden_states"],
                    negative_prompt_embeds=unconditional["encoder_hidden_states"],
                    latents=noise.to(self.device, self.dtype),
                    num_inference_steps=num_inference_steps,
                    guidance_scale=guidance_scale,
                    callback_on_step_end=told,
                ).images
            )


def _load(name: str, folder: Path, device: torch.device, dtype: torch.dtype) -> LoadedBase:
    return StableDiffusion1(name, folder, device, dtype)


def _tiny(folder: Path) -> None:
    """Write a random base: 32-pixel pictures, byte-level tokens, widths of 16 to 32."""
    import torch
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
    recognise=lambda folder: names_pipeline(folder, "StableDiffusionPipeline"),
    load=_load,
    tiny=_tiny,
    parts=_PARTS,
    files=("*/*.json", "*/*.txt", "*/*.safetensors"),
)
