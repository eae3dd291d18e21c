"""How well a language model, with adapters or without, foresees texts that it was not trained on.

Perplexity is exp of the mean −log p of a token, over the tokens that training would learn from. Lower is better.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch.nn import functional

from pipelines.attach import Attachments
from pipelines.families import TextBase
from trainers.data.chat import ChatEncoder, encode_rows
from trainers.data.texts import TextRow
from trainers.data.token_batches import IGNORED, pad_right

_BATCH = 8


@dataclass(frozen=True)
class Perplexity:
    """What was found."""

    tokens: int
    """How many were foreseen."""
    loss: float
    """Mean −log p of a token, in nats."""
    notes: tuple[str, ...] = ()
    """What of the texts was cut or passed over, a sentence each."""

    @property
    def value(self) -> float:
        """The perplexity, 1 or more."""
        return math.exp(self.loss)


@torch.no_grad()
def perplexity(
    attachments: Attachments,
    rows: Sequence[TextRow],
    weights: Mapping[str, float],
    *,
    assistant_only: bool = True,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> Perplexity:
    """Measure texts with adapters at these weights; what is longer than the base reads is cut.

    Args:
        on_batch: is told how many rows of how many are done; it may raise to stop.

    Raises:
        UserError: an adapter is not attached, or a row cannot be encoded.
    """
    base = cast(TextBase, attachments.base)
    encoder = ChatEncoder(base.tokenizer, assistant_only=assistant_only)
    length = base.context_tokens
    found = encode_rows(rows, encoder.encode, max_length=length, cut_long=True, context_tokens=length)
    encoded = found.rows
    total, tokens = 0.0, 0
    attachments.set_weights(weights)
    try:
        for start in range(0, len(encoded), _BATCH):
            batch = pad_right(encoded[start : start + _BATCH], base.tokenizer.pad_token_id).to(base.device)
            logits = base.model(**batch.arguments(), use_cache=False).logits
            wanted = batch.labels[:, 1:]
            learned = wanted != IGNORED
            losses = functional.cross_entropy(logits[:, :-1][learned].float(), wanted[learned], reduction="none")
            total, tokens = total + float(losses.double().sum()), tokens + len(losses)
            on_batch(min(start + _BATCH, len(encoded)), len(encoded))
    finally:
        attachments.set_weights({})
    return Perplexity(tokens, total / tokens, tuple(found.notes(length)))
