"""Stable Diffusion XL: two CLIP text encoders, and a UNet that is also told the whole prompt and the picture's size.

Every token's vector is that of both encoders' last layer but one; the second encoder's projection of the end token is
the prompt as a whole (Podell et al. 2023, arXiv 2307.01952, sections 2.1 and 2.2).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.families._family import Family, LoadedBase, Part
from pipelines.families._image_targets import CLIP_WORDS, UNET_WORDS, without_idle
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
    Part("text_encoder_2", "Second text encoder", CLIP_WORDS),
)
_PIPELINE = "StableDiffusionXLPipeline"


class StableDiffusionXL(StableDiffusion):
    """A loaded base of this family; `ImageBase` and `trainers.protocols.Denoiser` say what its methods promise."""

    family = "sdxl"

    def __init__(self, name: str, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
        from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

        self.name = name
        self.device, self.dtype = device, dtype
        self.fingerprint = fingerprint_of_folder(folder, (*(part.name for part in _PARTS), "vae"))
        first = read_part(CLIPTextModel, folder / "text_encoder", dtype=dtype)
        second = read_part(CLIPTextModelWithProjection, folder / "text_encoder_2", dtype=dtype)
        self.text_encoders: dict[str, Any] = {"text_encoder": first, "text_encoder_2": second}
        self.tokenizers = {
            "text_encoder": CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            "text_encoder_2": CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
        }
        self.unet = read_part(UNet2DConditionModel, folder / "unet", torch_dtype=dtype)
        self.autoencoder = read_autoencoder(AutoencoderKL, folder / "vae", dtype)
        self.settle(folder, _PARTS)
        self._targets["text_encoder"] = _without_last_layer(first, self._targets["text_encoder"])
        self._pipeline = StableDiffusionXLPipeline(
            vae=self.autoencoder,
            text_encoder=first,
            text_encoder_2=second,
            tokenizer=self.tokenizers["text_encoder"],
            tokenizer_2=self.tokenizers["text_encoder_2"],
            unet=self.unet,
            scheduler=self.sampler,
            force_zeros_for_empty_prompt=_zeros_for_nothing(folder),
            add_watermarker=False,
        )
        self.ready()
        self.widths: Mapping[str, int] = {
            "text_width": int(first.config.hidden_size),
            "text_layers": int(first.config.num_hidden_layers),
            "text_2_width": int(second.config.hidden_size),
            "text_2_layers": int(second.config.num_hidden_layers),
            **unet_widths(self.unet),
        }

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {"unet": self.unet, **self.text_encoders}

    def encode_text(self, captions: Sequence[str]) -> Conditioning:
        import torch

        words, whole = [], None
        for part, encoder in self.text_encoders.items():
            ids = tokenise(self.tokenizers[part], encoder, captions).to(self.device)
            output = encoder(ids, output_hidden_states=True)
            words.append(output.hidden_states[-2])
            whole = output[0]  # the second encoder's: the projected end token
        assert whole is not None
        if self._pipeline.config.force_zeros_for_empty_prompt:  # as most bases learned to draw without a prompt
            given = torch.tensor([bool(caption.strip()) for caption in captions], device=self.device, dtype=whole.dtype)
            words, whole = [rows * given[:, None, None] for rows in words], whole * given[:, None]
        return {"encoder_hidden_states": torch.cat(words, dim=-1), "text_embeds": whole}

    def token_ids(self, part: str, text: str) -> list[int]:
        if part not in self.tokenizers:
            raise UserError(f"The {part} reads no words; a method that begins with a word fits text encoders alone.")
        return list(self.tokenizers[part](text, add_special_tokens=False).input_ids)

    def cut_text(self, prompt: str) -> str:
        ends = [unseen_text(self.tokenizers[part], encoder, prompt) for part, encoder in self.text_encoders.items()]
        return max(ends, key=len)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        import torch

        rows, columns = noisy.shape[-2:]
        size = [rows * self._pipeline.vae_scale_factor, columns * self._pipeline.vae_scale_factor]
        # Height and width of the original picture, top and left of the crop, height and width as drawn.
        facts = torch.tensor([[*size, 0, 0, *size]], dtype=noisy.dtype, device=noisy.device)
        added = {"text_embeds": conditioning["text_embeds"], "time_ids": facts.expand(len(noisy), -1)}
        words = conditioning["encoder_hidden_states"]
        return self.unet(noisy, timesteps, encoder_hidden_states=words, added_cond_kwargs=added).sample

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

        factor = self._pipeline.vae_scale_factor
        with self._drawing_with(sampler):
            return list(
                self._pipeline(
                    prompt_embeds=conditioning["encoder_hidden_states"],
                    pooled_prompt_embeds=conditioning["text_embeds"],
                    negative_prompt_embeds=unconditional["encoder_hidden_states"],
                    negative_pooled_prompt_embeds=unconditional["text_embeds"],
                    latents=noise.to(self.device, self.dtype),
                    height=noise.shape[-2] * factor,
                    width=noise.shape[-1] * factor,
                    num_inference_steps=num_inference_steps,
                    guidance_scale=guidance_scale,
                    callback_on_step_end=told,
                ).images
            )


def _zeros_for_nothing(folder: Path) -> bool:
    """Return whether the base takes an empty prompt as vectors of zeros."""
    return bool(json.loads((folder / "model_index.json").read_text()).get("force_zeros_for_empty_prompt", True))


def _without_last_layer(module: Any, kinds: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the kinds of layers as full paths, less what lies behind the last layer but one and so acts on nothing."""
    last = f"encoder.layers.{module.config.num_hidden_layers - 1}"
    paths = [path for path, _ in module.named_modules()]
    idle = {path for path in paths if f"{path}.".find(f"{last}.") >= 0 or path.endswith("final_layer_norm")}
    return without_idle(module, kinds, idle)


def _load(name: str, folder: Path, device: torch.device, dtype: torch.dtype) -> LoadedBase:
    return StableDiffusionXL(name, folder, device, dtype)


def _tiny(folder: Path) -> None:
    """Write a random base: 32-pixel pictures, byte-level tokens, widths of 16 to 32, attention on the inner levels."""
    import torch
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    from pipelines.families._tiny import tiny_clip_text_config, write_byte_tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    tokenizers = {}
    for name in ("tokenizer", "tokenizer_2"):
        write_byte_tokenizer(folder / name)
        tokenizers[name] = CLIPTokenizer.from_pretrained(folder / name)
    tokens = tokenizers["tokenizer"]
    torch.manual_seed(0)

    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        cross_attention_dim=16 + 32,
        attention_head_dim=(2, 4),
        norm_num_groups=8,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24 + 6 * 8,
    )
    autoencoder = AutoencoderKL(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
        scaling_factor=0.13025,
    )
    StableDiffusionXLPipeline(
        vae=autoencoder,
        text_encoder=CLIPTextModel(tiny_clip_text_config(tokens, hidden_size=16, projection_dim=24)),
        text_encoder_2=CLIPTextModelWithProjection(tiny_clip_text_config(tokens, hidden_size=32, projection_dim=24)),
        tokenizer=tokens,
        tokenizer_2=tokenizers["tokenizer_2"],
        unet=unet,
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        add_watermarker=False,
    ).save_pretrained(folder, safe_serialization=True)


FAMILY = Family(
    name="sdxl",
    title="Stable Diffusion XL",
    recognise=lambda folder: names_pipeline(folder, _PIPELINE),
    load=_load,
    tiny=_tiny,
    parts=_PARTS,
    files=("*/*.json", "*/*.txt", "*/*.safetensors"),
)
