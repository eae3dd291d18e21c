"""A BLIP model that says what a picture shows, from a folder or the hub; no code comes with it, and no pickled weights.

Li et al. 2022, "BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language Understanding and
Generation". Captions are the likeliest words one after another (greedy), so the same picture gets the same caption.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError

from pipelines.bases import choose_device, quiet_libraries
from pipelines.places import fetched, folder_here
from pipelines.weight_files import variant_of
from trainers.errors import UserError

ADVICE = (
    "Give a folder with a BlipForConditionalGeneration, such as a copy of "
    "Salesforce/blip-image-captioning-base with its weights as model.safetensors, or such a hub id."
)
_ARCHITECTURE = "BlipForConditionalGeneration"
_WHAT = "The captioning model"
_WANTED = ("*.json", "*.txt", "*.safetensors")


class Captioner:
    """A loaded captioning model."""

    def __init__(self, name: str, *, device: str = "auto") -> None:
        """Load the model.

        Args:
            name: a folder, or a hub id such as ``owner/model`` (optionally ``@revision``).
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

        Raises:
            UserError: it does not exist, cannot be fetched, is of another kind, or has no safetensors file.
        """
        folder = find_captioner(name)
        self.device = choose_device(device)
        with quiet_libraries():
            from transformers import AutoTokenizer, BlipForConditionalGeneration, BlipImageProcessorPil

            try:
                self._model = BlipForConditionalGeneration.from_pretrained(
                    folder,
                    use_safetensors=True,
                    variant=variant_of(folder),
                    dtype=torch.float32,
                    trust_remote_code=False,
                )
                self._processor = BlipImageProcessorPil.from_pretrained(folder)
                self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
                reason = " ".join(str(error).split())[:300]
                raise UserError(f"The captioning model {name!r} cannot be loaded: {reason}. {ADVICE}") from error
        self._model.requires_grad_(False).eval().to(self.device)

    @torch.no_grad()
    def describe(self, pictures: Sequence[Image.Image], *, beginning: str = "", most_tokens: int = 40) -> list[str]:
        """Return a caption for each picture, on one line; it may be empty when the model has nothing to say.

        Args:
            beginning: words that every caption begins with and the model goes on from, such as ``a drawing of``.
            most_tokens: where a caption is cut, in tokens of the model.
        """
        pixels = self._processor(images=list(pictures), return_tensors="pt").pixel_values.to(self.device)
        given = {}
        if beginning:
            tokens = self._tokenizer([beginning] * len(pictures), return_tensors="pt").to(self.device)
            given = {"input_ids": tokens.input_ids, "attention_mask": tokens.attention_mask}
        with quiet_libraries():
            ids = self._model.generate(
                pixel_values=pixels, max_new_tokens=most_tokens, num_beams=1, do_sample=False, **given
            )
        return [" ".join(text.split()) for text in self._tokenizer.batch_decode(ids, skip_special_tokens=True)]


def find_captioner(name: str) -> Path:
    """Return the folder of a captioning model; a hub id is fetched into the hub's cache.

    Raises:
        UserError: it does not exist, cannot be fetched, or is a model of another kind.
    """
    if not name.strip():
        raise UserError(f"No captioning model is given, and none ships with the studio. {ADVICE}")
    folder = folder_here(name, _WHAT, ADVICE) or fetched(name, _WANTED, _WHAT, ADVICE)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architectures = config.get("architectures") or []
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{name!r} holds no model: its config.json cannot be read. {ADVICE}") from error
    if _ARCHITECTURE not in architectures:
        shown = ", ".join(map(str, architectures))[:100] or "a model without a name"
        raise UserError(f"{name!r} is {shown}; a {_ARCHITECTURE} is expected. {ADVICE}")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{name!r} has no .safetensors file; pickled weights are never read. {ADVICE}")
    return folder
