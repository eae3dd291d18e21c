"""A CLIP model as judge: how well a picture fits a prompt (CLIP-T) and how near it is to reference pictures (CLIP-I).

The shipped judge was trained on the pocket world; any CLIPModel folder can take its place. Scores of different judges
are never comparable, so every table names its judge.
"""

import math
from collections.abc import Sequence

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from pipelines.bases import choose_device, pocket_folder, quiet_libraries
from pipelines.fingerprint import fingerprint_of_folder
from pipelines.weight_files import variant_of
from trainers.errors import UserError
from trainers.paths import path_of

POCKET_JUDGE = "pocket"


class Judge:
    """A loaded CLIP model. Embeddings have length 1; n pictures or texts give [n, d]."""

    def __init__(self, name: str = POCKET_JUDGE, *, device: str = "auto") -> None:
        """Load the judge.

        Args:
            name: ``pocket`` or a folder with a CLIPModel and its processor.

        Raises:
            UserError: the folder is not there or holds no CLIPModel.
        """
        folder = pocket_folder("judge") if name == POCKET_JUDGE else path_of(name)
        if not (folder / "config.json").is_file():
            raise UserError(f"The judge {name!r} is not a folder with a CLIPModel. Use 'pocket', which ships.")
        self.name = name if name == POCKET_JUDGE else folder.name
        self.fingerprint = fingerprint_of_folder(folder, (".",))
        self.device = choose_device(device)
        with quiet_libraries():
            from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

            try:
                self._model = CLIPModel.from_pretrained(
                    folder, use_safetensors=True, variant=variant_of(folder), dtype=torch.float32
                )
                self._processor = CLIPImageProcessorPil.from_pretrained(folder)
                self._tokenizer = AutoTokenizer.from_pretrained(folder)
            except (OSError, ValueError, RuntimeError, SafetensorError) as error:
                reason = " ".join(str(error).split())[:300]
                raise UserError(f"The judge {name!r} cannot be loaded: {reason}") from error
        self._model.requires_grad_(False).eval().to(self.device)

    @torch.no_grad()
    def embed_images(self, pictures: Sequence[Image.Image], batch_size: int = 32) -> Tensor:
        """Return unit embeddings [n, d] of pictures."""
        rows = []
        for start in range(0, len(pictures), batch_size):
            pixels = self._processor(images=list(pictures[start : start + batch_size]), return_tensors="pt")
            hidden = self._model.vision_model(pixel_values=pixels.pixel_values.to(self.device)).pooler_output
            rows.append(self._model.visual_projection(hidden))
        return _unit(torch.cat(rows))

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit embeddings [n, d] of texts."""
        inputs = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(self.device)
        hidden = self._model.text_model(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask).pooler_output
        return _unit(self._model.text_projection(hidden))

    def prompt_scores(self, pictures: Tensor, prompts: Sequence[str]) -> Tensor:
        """Return CLIP-T [n], the cosine of each picture's embedding [n, d] with its own prompt, -1 to 1."""
        return (pictures * self.embed_texts(prompts)).sum(1)


def style_scores(pictures: Tensor, references: Tensor) -> Tensor:
    """Return CLIP-I [n]: the mean cosine of each picture's embedding [n, d] with the references [m, d], -1 to 1."""
    return (pictures @ references.to(pictures).T).mean(1)


def own_style_score(references: Tensor) -> float:
    """Return the mean CLIP-I among references themselves, each with all others: what a real picture scores.

    Not a number for a single reference, which has no other.
    """
    similarity = references @ references.T
    count = len(references)
    if count < 2:
        return math.nan
    return float((similarity.sum() - similarity.trace()) / (count * (count - 1)))


def share_of_style(score: float, base_score: float, real_score: float) -> float:
    """Scale a CLIP-I so that the base without adapter is 0 and real pictures of the style are 1.

    Not a number when the base scores what real pictures do, and then nothing can be said.
    """
    distance = real_score - base_score
    return (score - base_score) / distance if distance else math.nan


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows.float(), dim=1).cpu()
