"""Stable Diffusion 3 and 3.5: two CLIP text encoders, T5, and a transformer that follows a rectified flow.

The transformer joins picture and text in every block's attention, with matrices of its own for each (Esser et al. 2024,
arXiv 2403.03206, section 4). CLIP's vectors are those of the last layer but one, side by side and padded to T5's width;
T5's stand behind them. Both CLIPs' projections of the end token are the prompt as a whole. A base may lack T5.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.families._family import Family, LoadedBase, Part
from pipelines.families._image_targets import CLIP_WORDS, TargetWords, without_idle
from pipelines.families._noise import NoiseProcess, RectifiedFlow
from pipelines.families._stable_diffusion import LatentModel, names_pipeline, read_autoencoder, read_part
from pipelines.families._words import tokenise, unseen_text
from pipelines.fingerprint import fingerprint_of_folder
from pipelines.samplers import AUTO
from trainers.errors import UserError
from trainers.protocols import Conditioning

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor, nn

_DENOISER, _CLIPS, _T5 = "transformer", ("text_encoder", "text_encoder_2"), "text_encoder_3"
_T5_TOKENS = 256
"""As many as diffusers lets T5 read."""
_JOINT_WORDS = TargetWords(
    layers={
        "attention": ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
        "feed_forward": ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"),
        "convolution": ("pos_embed.proj",),
        "norm": ("norm_q", "norm_k", "norm_added_q", "norm_added_k"),
    },
    hosts={
        "attention_block": (".attn", ".attn2"),
        "cross_attention_block": (".attn",),
        "feed_forward_block": (".ff", ".ff_context"),
    },
    block="JointTransformerBlock",
)
_T5_WORDS = TargetWords(
    layers={
        "attention": ("SelfAttention.q", "SelfAttention.k", "SelfAttention.v", "SelfAttention.o"),
        "feed_forward": ("DenseReluDense.wi", "DenseReluDense.wi_0", "DenseReluDense.wi_1", "DenseReluDense.wo"),
        "norm": ("layer_norm", "final_layer_norm"),
        "word_embedding": ("embed_tokens",),
    },
    hosts={"attention_block": (".SelfAttention",), "feed_forward_block": (".DenseReluDense",)},
    block="T5Block",
)
_PARTS = (
    Part(_DENOISER, "Transformer", _JOINT_WORDS, trained_by_default=True),
    Part(_CLIPS[0], "Text encoder", CLIP_WORDS, trained_by_default=True),
    Part(_CLIPS[1], "Second text encoder", CLIP_WORDS),
    Part(_T5, "Third text encoder", _T5_WORDS),
)


class StableDiffusion3(LatentModel):
    """A loaded base of this family; `ImageBase` and `trainers.protocols.Denoiser` say what its methods promise."""

    family = "sd3"
    process: RectifiedFlow

    def __init__(self, name: str, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        from diffusers import AutoencoderKL, SD3Transformer2DModel, StableDiffusion3Pipeline

        self.name = name
        self.device, self.dtype = device, dtype
        self.fingerprint = fingerprint_of_folder(folder, (*(part.name for part in _PARTS), "vae"))
        self.text_encoders, self.tokenizers = _read_text_encoders(folder, dtype)
        self.transformer = read_part(SD3Transformer2DModel, folder / _DENOISER, torch_dtype=dtype)
        self.autoencoder = read_autoencoder(AutoencoderKL, folder / "vae", dtype)
        self.settle(folder, _PARTS)
        self._targets[_DENOISER] = _without_last_context(self.transformer, self._targets[_DENOISER])
        if _T5 in self.text_encoders:  # its encoder looks words up in a table of its own, tied to the model's
            self._targets[_T5] = without_idle(self.text_encoders[_T5], self._targets[_T5], {"shared"})
        self._pipeline = StableDiffusion3Pipeline(
            vae=self.autoencoder,
            transformer=self.transformer,
            scheduler=self.sampler,
            **{part: self.text_encoders.get(part) for part in (*_CLIPS, _T5)},
            **{_tokenizer_of(part): self.tokenizers.get(part) for part in (*_CLIPS, _T5)},
        )
        self.ready()
        clips = [self.text_encoders[part].config for part in _CLIPS]
        self.widths: Mapping[str, int] = {
            "text_width": int(clips[0].hidden_size),
            "text_2_width": int(clips[1].hidden_size),
            "joint_width": int(self.transformer.inner_dim),
            "joint_layers": int(self.transformer.config.num_layers),
        }

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {_DENOISER: self.transformer, **self.text_encoders}

    @property
    def denoiser(self) -> Any:
        return self.transformer

    @property
    def size_step(self) -> int:
        return int(self.transformer.config.patch_size)

    def read_process(self) -> NoiseProcess:
        from diffusers import FlowMatchEulerDiscreteScheduler

        if not isinstance(self.sampler, FlowMatchEulerDiscreteScheduler):
            raise UserError(
                f"The base samples with {type(self.sampler).__name__}; this family follows a flow, which "
                "FlowMatchEulerDiscreteScheduler samples."
            )
        # With its own settings, of which a shift of levels is one; the sampler itself forgets them when it draws.
        fresh: Any = FlowMatchEulerDiscreteScheduler.from_config(self.sampler.config)
        return RectifiedFlow(fresh.sigmas.flip(0))

    def encode_text(self, captions: Sequence[str]) -> Conditioning:
        import torch
        from torch.nn.functional import pad

        words, whole = [], []
        for part in _CLIPS:
            ids = tokenise(self.tokenizers[part], self.text_encoders[part], captions).to(self.device)
            output = self.text_encoders[part](ids, output_hidden_states=True)
            words.append(output.hidden_states[-2])
            whole.append(output[0])
        width = int(self.transformer.config.joint_attention_dim)
        clips = torch.cat(words, dim=-1)
        rows = torch.cat([pad(clips, (0, width - clips.shape[-1])), self._encode_with_t5(captions, clips)], dim=1)
        return {"encoder_hidden_states": rows, "pooled_projections": torch.cat(whole, dim=-1)}

    def _encode_with_t5(self, captions: Sequence[str], like: Tensor) -> Tensor:
        """Return T5's vectors [b, t, d]; zeros where the base lacks it, as diffusers has it."""
        if _T5 not in self.text_encoders:
            return like.new_zeros(len(captions), _T5_TOKENS, int(self.transformer.config.joint_attention_dim))
        ids = tokenise(self.tokenizers[_T5], self.text_encoders[_T5], captions, _T5_TOKENS).to(self.device)
        return self.text_encoders[_T5](ids)[0].to(like.dtype)

    def token_ids(self, part: str, text: str) -> list[int]:
        if part not in self.tokenizers:
            raise UserError(f"The {part} reads no words; a method that begins with a word fits text encoders alone.")
        return list(self.tokenizers[part](text, add_special_tokens=False).input_ids)

    def cut_text(self, prompt: str) -> str:
        ends = [
            unseen_text(self.tokenizers[part], encoder, prompt, _T5_TOKENS if part == _T5 else None)
            for part, encoder in self.text_encoders.items()
        ]
        return min(ends, key=len)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        levels = 1000 * self.process.sigma(timesteps).to(noisy.device)
        return self.transformer(noisy, timestep=levels, **conditioning).sample

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
                    pooled_prompt_embeds=conditioning["pooled_projections"],
                    negative_prompt_embeds=unconditional["encoder_hidden_states"],
                    negative_pooled_prompt_embeds=unconditional["pooled_projections"],
                    latents=noise.to(self.device, self.dtype),
                    height=noise.shape[-2] * factor,
                    width=noise.shape[-1] * factor,
                    num_inference_steps=num_inference_steps,
                    guidance_scale=guidance_scale,
                    callback_on_step_end=told,
                ).images
            )


def _tokenizer_of(part: str) -> str:
    return part.replace("text_encoder", "tokenizer")


def _read_text_encoders(folder: Path, dtype: torch.dtype) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return models and tokenizers by part, without T5 where the base's index says that it has none."""
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

    index = json.loads((folder / "model_index.json").read_text())
    models = {part: read_part(CLIPTextModelWithProjection, folder / part, dtype=dtype) for part in _CLIPS}
    tokenizers: dict[str, Any] = {part: CLIPTokenizer.from_pretrained(folder / _tokenizer_of(part)) for part in _CLIPS}
    if (index.get(_T5) or [None])[0] is not None:
        models[_T5] = read_part(T5EncoderModel, folder / _T5, dtype=dtype)
        tokenizers[_T5] = T5TokenizerFast.from_pretrained(folder / _tokenizer_of(_T5))
    return models, tokenizers


def _without_last_context(transformer: Any, words: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the kinds of layers as full paths, less the text's queries of the last block, whose answers nobody reads.

    Behind the last block the text is done with; its keys and values still tell the picture something.
    """
    last = f"transformer_blocks.{transformer.config.num_layers - 1}.attn"
    return without_idle(transformer, words, {f"{last}.add_q_proj", f"{last}.norm_added_q"})


def _load(name: str, folder: Path, device: torch.device, dtype: torch.dtype) -> LoadedBase:
    return StableDiffusion3(name, folder, device, dtype)


def _tiny(folder: Path) -> None:
    """Write a random base: 32-pixel pictures, byte-level tokens, two joint blocks, the first with dual attention."""
    import torch
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer, T5Config, T5EncoderModel

    from pipelines.families._tiny import tiny_clip_text_config, tiny_t5_tokenizer, write_byte_tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    clips: dict[str, Any] = {}
    torch.manual_seed(0)
    for part, width, whole in ((_CLIPS[0], 16, 16), (_CLIPS[1], 24, 24)):
        write_byte_tokenizer(folder / _tokenizer_of(part))
        tokens = clips[_tokenizer_of(part)] = CLIPTokenizer.from_pretrained(folder / _tokenizer_of(part))
        config = tiny_clip_text_config(tokens, hidden_size=width, projection_dim=whole)
        clips[part] = CLIPTextModelWithProjection(config)
    t5_tokens = tiny_t5_tokenizer()
    small = {"d_model": 48, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
    t5 = T5Config(**small, vocab_size=len(t5_tokens), feed_forward_proj="gated-gelu")
    transformer = SD3Transformer2DModel(
        sample_size=8,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=48,
        caption_projection_dim=32,
        pooled_projection_dim=16 + 24,
        pos_embed_max_size=16,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    autoencoder = AutoencoderKL(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=4,
        sample_size=32,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    StableDiffusion3Pipeline(
        vae=autoencoder,
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder_3=T5EncoderModel(t5),
        tokenizer_3=t5_tokens,
        **clips,
    ).save_pretrained(folder, safe_serialization=True)


FAMILY = Family(
    name="sd3",
    title="Stable Diffusion 3 and 3.5",
    recognise=lambda folder: names_pipeline(folder, "StableDiffusion3Pipeline"),
    load=_load,
    tiny=_tiny,
    parts=_PARTS,
    files=("*/*.json", "*/*.txt", "*/*.model", "*/*.safetensors"),
)
