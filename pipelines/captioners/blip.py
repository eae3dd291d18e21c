"""BLIP: a picture's encoder and a decoder of text that looks at it. Only safetensors are read, and no code.

Captions are the likeliest words one after another (greedy), so the same picture gets the same caption. Source: Li et
al. 2022, arXiv 2201.12086.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.captioners._captioner import Captioner
from trainers.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

_ARCHITECTURE = "BlipForConditionalGeneration"
_EXAMPLE = (
    f"a folder with a {_ARCHITECTURE}, such as a copy of Salesforce/blip-image-captioning-base with its weights as "
    "model.safetensors, or such a hub id"
)


class LoadedBlip:
    """A loaded BLIP model."""

    def __init__(self, name: str, folder: Path, device: str) -> None:
        """Load the model.

        Raises:
            UserError: it cannot be loaded.
        """
        import torch
        from safetensors import SafetensorError

        from pipelines.bases import choose_device, quiet_libraries
        from pipelines.weight_files import variant_of

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
                raise UserError(
                    f"The captioning model {name!r} cannot be loaded: {reason}. Give {_EXAMPLE}."
                ) from error
        self._model.requires_grad_(False).eval().to(self.device)

    def describe(self, pictures: Sequence[Image.Image], *, beginning: str = "", max_new_tokens: int = 40) -> list[str]:
        import torch

        from pipelines.bases import quiet_libraries

        pixels = self._processor(images=list(pictures), return_tensors="pt").pixel_values.to(self.device)
        given = {}
        if beginning:
            tokens = self._tokenizer([beginning] * len(pictures), return_tensors="pt").to(self.device)
            given = {"input_ids": tokens.input_ids, "attention_mask": tokens.attention_mask}
        with quiet_libraries(), torch.no_grad():
            ids = self._model.generate(
                pixel_values=pixels, max_new_tokens=max_new_tokens, num_beams=1, do_sample=False, **given
            )
        return [" ".join(text.split()) for text in self._tokenizer.batch_decode(ids, skip_special_tokens=True)]


def _recognise(config: Mapping[str, Any]) -> bool:
    return _ARCHITECTURE in (config.get("architectures") or [])


CAPTIONER = Captioner("blip", _ARCHITECTURE, "Li et al. 2022, arXiv 2201.12086", _EXAMPLE, _recognise, LoadedBlip)
