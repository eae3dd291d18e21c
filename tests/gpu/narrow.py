"""Random bases with the published models' blocks and narrow channels, wide enough for every method's own settings."""

import shutil
from pathlib import Path

import torch

from pipelines.bases import quiet_libraries
from pipelines.families import families

_WIDTH = 64
"""Of the text encoders and the language model; 1,000 frequencies of FourierFT fit a matrix of 64 x 64."""


def write_narrow(family: str, folder: Path) -> Path:
    """Write a base of a family; return its folder."""
    with quiet_libraries():
        families()[family].tiny(folder)  # its tokenizers, autoencoder and scheduler serve here too
        torch.manual_seed(0)
        {"sd1": _sd1, "sdxl": _sdxl, "causal_lm": _language_model}[family](folder)
    return folder


def _sd1(folder: Path) -> None:
    from diffusers import UNet2DConditionModel

    _text_encoder(folder / "text_encoder", _WIDTH)
    unet = UNet2DConditionModel(  # the class's own blocks are those of Stable Diffusion 1.5
        sample_size=8,
        block_out_channels=(32, 64, 64, 64),
        layers_per_block=1,
        cross_attention_dim=_WIDTH,
        attention_head_dim=4,
    )
    _replace(folder / "unet", unet)


def _sdxl(folder: Path) -> None:
    from diffusers import UNet2DConditionModel

    _text_encoder(folder / "text_encoder", _WIDTH)
    _text_encoder(folder / "text_encoder_2", _WIDTH, projection=32)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        use_linear_projection=True,
        cross_attention_dim=2 * _WIDTH,
        attention_head_dim=(2, 4, 4),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 6 * 8,
    )
    _replace(folder / "unet", unet)


def _text_encoder(folder: Path, width: int, projection: int | None = None) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig.from_pretrained(folder)
    config.hidden_size, config.intermediate_size = width, 2 * width
    config.num_hidden_layers, config.num_attention_heads = 3, 4
    if projection is not None:
        config.projection_dim = projection
    _replace(folder, (CLIPTextModel if projection is None else CLIPTextModelWithProjection)(config))


def _language_model(folder: Path) -> None:
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = LlamaConfig(
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        vocab_size=len(tokenizer),
        max_position_embeddings=256,
        attention_bias=True,  # BitFit learns biases
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    for file in folder.glob("*.safetensors"):
        file.unlink()
    LlamaForCausalLM(config).save_pretrained(folder)


def _replace(folder: Path, model: object) -> None:
    shutil.rmtree(folder)
    model.save_pretrained(folder)  # type: ignore[attr-defined]
