"""Learning from pictures: denoise their latents, told what they show."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.config import RunConfig
from trainers.data.latents import Latents
from trainers.data.order import data_order
from trainers.errors import UserError
from trainers.loss_weightings import find_loss_weighting
from trainers.losses.denoise import denoise
from trainers.part_config import learned_word
from trainers.parts import TEXT_ENCODER, kind_of
from trainers.protocols import Conditioning, Denoiser, QuietTask


class ImageTask(QuietTask):
    """The task of a run on pictures; see `trainers.protocols.Task`."""

    def __init__(self, config: RunConfig, role: Denoiser, latents: Latents) -> None:
        """Check the captions, and the loss weighting.

        Raises:
            UserError: no caption holds a word that is learned, or the weighting does not suit what the base predicts.
        """
        _check_words(config, latents.captions)
        weighting = find_loss_weighting(config.loss_weighting)
        weighting.check(role.prediction)
        self.config = config
        self.role = role
        self.latents = latents
        self._weigh = weighting.with_settings(config.loss_weighting_settings)
        self.cached_text: dict[str, Conditioning] | None = None
        """Conditioning by caption when no text encoder is trained, else None."""

    def prepare(self) -> None:
        if not any(kind_of(part) == TEXT_ENCODER for part in self.config.parts):
            self.cached_text = _encode_captions(self.role, self.latents.captions)

    def weight(self, batch_number: int) -> float:
        return 1.0

    def loss(self, batch_number: int, generator: torch.Generator) -> Tensor:
        size = self.config.batch_size
        seen = self.latents.one_pass
        indices = [seen[place] for place in data_order(len(seen), batch_number * size, size, self.config.seed)]
        latents = self.latents.draw(indices, generator).to(self.role.device)
        captions = _drop_captions([self.latents.captions[i] for i in indices], self.config, generator)
        conditioning = self._conditioning(captions)
        return denoise(self.role, latents, conditioning, generator, self._weigh)

    def _conditioning(self, captions: Sequence[str]) -> Conditioning:
        if self.cached_text is None:
            return self.role.encode_text(captions)
        rows = [self.cached_text[caption] for caption in captions]
        return {key: torch.cat([row[key] for row in rows]) for key in rows[0]}


def _check_words(config: RunConfig, captions: Sequence[str]) -> None:
    """Refuse to learn a word that no caption holds: nothing would ever reach it."""
    for part, plan in config.parts.items():
        word = learned_word(part, plan)
        if word is not None and not any(word.lower() in caption.lower() for caption in captions):
            raise UserError(
                f"No caption holds {word}, the word that {plan.method} on the {part} learns. Write it into the "
                "captions, or leave --trigger out: the word then stands before every caption."
            )


@torch.no_grad()
def _encode_captions(role: Denoiser, captions: Sequence[str]) -> dict[str, Conditioning]:
    return {caption: role.encode_text([caption]) for caption in sorted({*captions, ""})}


def _drop_captions(captions: Sequence[str], config: RunConfig, generator: torch.Generator) -> list[str]:
    chances = torch.rand(len(captions), generator=generator).tolist()
    return [
        "" if chance < config.caption_dropout else caption for caption, chance in zip(captions, chances, strict=True)
    ]
