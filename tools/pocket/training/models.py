"""The pocket models, built from scratch in their ordinary diffusers and transformers classes.

`POCKET` is the size that ships, `TINY` the same shapes thin enough for a test on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

PICTURE_PX = 256
JUDGE_PX = 128
# Twice as many as Stable Diffusion 1.x has: hatching, stones and dots do not fit into four.
LATENT_CHANNELS = 8
DOWNSAMPLING = 8
PROMPT_TOKENS = 77

# Tools outside diffusers hard-code the scaling factor of Stable Diffusion 1.x. The autoencoder's
# latents are rescaled to fit it (see `latents.normalise`), so that those tools are right about us too.
SCALING_FACTOR = 0.18215


@dataclass(frozen=True)
class Sizes:
    """Widths and depths of every pocket model; one entry per resolution where it is a tuple."""

    autoencoder_channels: tuple[int, ...]
    unet_channels: tuple[int, ...]
    unet_heads: tuple[int, ...]
    norm_groups: int
    text_width: int
    text_layers: int
    text_heads: int
    judge_vision_width: int
    judge_vision_layers: int
    judge_vision_heads: int
    judge_text_width: int
    judge_text_layers: int
    judge_embedding: int


POCKET = Sizes(
    autoencoder_channels=(32, 64, 128, 128),
    unet_channels=(64, 128, 192),
    unet_heads=(2, 4, 4),
    norm_groups=16,
    text_width=160,
    text_layers=4,
    text_heads=4,
    judge_vision_width=192,
    judge_vision_layers=5,
    judge_vision_heads=3,
    judge_text_width=128,
    judge_text_layers=2,
    judge_embedding=128,
)

TINY = Sizes(
    autoencoder_channels=(8, 8, 8, 8),
    unet_channels=(8, 16, 16),
    unet_heads=(1, 2, 2),
    norm_groups=4,
    text_width=16,
    text_layers=2,
    text_heads=2,
    judge_vision_width=16,
    judge_vision_layers=2,
    judge_vision_heads=2,
    judge_text_width=16,
    judge_text_layers=2,
    judge_embedding=16,
)


def build_autoencoder(sizes: Sizes) -> AutoencoderKL:
    """An autoencoder from [b, 3, 256, 256] in -1..1 to latents [b, 8, 32, 32] and back."""
    levels = len(sizes.autoencoder_channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=sizes.autoencoder_channels,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=sizes.norm_groups,
        sample_size=PICTURE_PX,
        scaling_factor=SCALING_FACTOR,
    )


def build_unet(sizes: Sizes) -> UNet2DConditionModel:
    """The denoiser of latents [b, 8, 32, 32], conditioned on [b, 77, text width].

    No attention on the way down at 32×32, where it would cost a third of the time on a CPU; on the way
    up it stays, because a style adapter on attention needs a hand on the finest level.
    """
    return UNet2DConditionModel(
        sample_size=PICTURE_PX // DOWNSAMPLING,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        block_out_channels=sizes.unet_channels,
        layers_per_block=1,
        cross_attention_dim=sizes.text_width,
        # A count of heads in spite of its name, as in Stable Diffusion 1.x.
        attention_head_dim=sizes.unet_heads,
        norm_num_groups=sizes.norm_groups,
    )


def build_scheduler() -> DDIMScheduler:
    """v-prediction on a schedule that ends in pure noise.

    With the usual schedule the last step still shows the mean of the picture, so that white and dark
    grounds come out grey (Lin et al. 2024, arXiv 2305.08891).
    """
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        # Of no effect with trailing steps; diffusers warns about any other value.
        steps_offset=1,
    )


def token_ids(tokenizer: CLIPTokenizer) -> dict[str, int]:
    """The special ids that a text configuration must repeat.

    transformers pools at the first `eos_token_id` of the configuration; left at its default the pooled
    output would be that of the first token, whatever the prompt.
    """
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def build_text_encoder(sizes: Sizes, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The text encoder of the base: token ids [b, 77] to states [b, 77, text width]."""
    return CLIPTextModel(
        CLIPTextConfig(
            hidden_size=sizes.text_width,
            intermediate_size=4 * sizes.text_width,
            num_hidden_layers=sizes.text_layers,
            num_attention_heads=sizes.text_heads,
            projection_dim=sizes.text_width,
            max_position_embeddings=PROMPT_TOKENS,
            **token_ids(tokenizer),
        )
    )


def build_judge(sizes: Sizes, tokenizer: CLIPTokenizer) -> CLIPModel:
    """The judge: pictures [b, 3, 128, 128] and token ids [b, 77] into one space of unit vectors."""
    text = {
        "hidden_size": sizes.judge_text_width,
        "intermediate_size": 4 * sizes.judge_text_width,
        "num_hidden_layers": sizes.judge_text_layers,
        "num_attention_heads": 2,
        "max_position_embeddings": PROMPT_TOKENS,
        "projection_dim": sizes.judge_embedding,
        **token_ids(tokenizer),
    }
    vision = {
        "hidden_size": sizes.judge_vision_width,
        "intermediate_size": 4 * sizes.judge_vision_width,
        "num_hidden_layers": sizes.judge_vision_layers,
        "num_attention_heads": sizes.judge_vision_heads,
        "image_size": JUDGE_PX,
        "patch_size": 16,
        "projection_dim": sizes.judge_embedding,
    }
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=sizes.judge_embedding)
    return CLIPModel(config)
