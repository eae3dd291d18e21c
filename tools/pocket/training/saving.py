"""Writes the pocket models in the files that every Stable Diffusion and CLIP tool reads."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from training.models import JUDGE_PX, build_scheduler
from training.tokens import save_tokenizer

# The mean and deviation per channel that bring 0..1 to -1..1, as the judge was trained.
CENTRE = [0.5, 0.5, 0.5]

PIPELINE_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def save_base(folder: Path, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer) -> None:
    """The whole pipeline but its `vae/`, which another script has trained."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(PIPELINE_INDEX, indent=2) + "\n")
    unet.to(torch.float16, memory_format=torch.contiguous_format)
    unet.save_pretrained(folder / "unet")
    save_text_encoder(text_encoder, folder / "text_encoder")
    save_tokenizer(tokenizer, folder / "tokenizer")
    build_scheduler().save_pretrained(folder / "scheduler")


def save_text_encoder(text_encoder: CLIPTextModel, folder: Path) -> None:
    """Configuration and fp16 weights under the names that Stable Diffusion 1.x files have.

    transformers from 5.6 writes the keys without their `text_model.`; it reads both, while older
    versions and other tools read only the long ones.
    """
    text_encoder.config.architectures = ["CLIPTextModel"]
    # transformers loads in the type that the configuration names, diffusers in float32 unless told
    # otherwise: named float16, the two parts of a pipeline would not fit together.
    text_encoder.config.dtype = torch.float32
    text_encoder.config.save_pretrained(folder)
    weights = {
        f"text_model.{name.removeprefix('text_model.')}": tensor.detach().cpu().half().contiguous()
        for name, tensor in text_encoder.state_dict().items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def save_judge(folder: Path, judge: CLIPModel, tokenizer: CLIPTokenizer) -> None:
    """A CLIPModel with the files that make up its CLIPProcessor."""
    judge.half().save_pretrained(folder)
    # Named float32 for loading, as with the text encoder; the weights on disk stay fp16.
    config = json.loads((folder / "config.json").read_text()) | {"dtype": "float32"}
    for part in ("text_config", "vision_config"):
        config[part]["dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_tokenizer(tokenizer, folder)
    # Written by hand: the class that transformers names depends on whether torchvision is there.
    preprocessor = {
        "crop_size": {"height": JUDGE_PX, "width": JUDGE_PX},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": CENTRE,
        "image_processor_type": "CLIPImageProcessor",
        "image_std": CENTRE,
        "processor_class": "CLIPProcessor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": JUDGE_PX},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")
