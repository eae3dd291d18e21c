"""Direct preference optimisation: prefer the chosen answers of pairs, from the base alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from trainers.data.chat import ChatEncoder, Encoded, Encodings
from trainers.data.pairs import MARKS, Pair, encode_pairs, refuse_packing
from trainers.data.texts import TextRow
from trainers.protocols import LanguageModel
from trainers.stages._stage import Stage, StageSettings, WritingTask, without_gradients
from trainers.text_config import TextConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_REFERENCE_PAIRS = 4


class DpoSettings(StageSettings):
    """Settings of direct preference optimisation."""

    beta: float = Field(
        0.1, gt=0, le=10, description="How strongly the model is held to the base; 0.1 to 0.5 is usual."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="Share of pairs that are believed to be the wrong way round."
    )


class PreferenceTask(WritingTask):
    """The task; see `trainers.stages.TextTask`. Examples come in pairs: chosen, rejected, chosen …"""

    marks: Sequence[str] = MARKS

    def __init__(self, config: TextConfig, settings: DpoSettings, role: LanguageModel, rows: Sequence[TextRow]) -> None:
        import torch

        refuse_packing(config.packing)
        self.config = config
        self.settings = settings
        self.role = role
        self._encoder = ChatEncoder(role.tokenizer)
        self._max_length = config.length_for(role.context_tokens)
        self._pairs, found = self._encode(rows, cut_long=config.cut_long)
        self._rows = [rows[number // len(MARKS)] for number in found.kept[:: len(MARKS)]]
        self.examples: Sequence[Encoded] = [one for pair in self._pairs for one in pair]
        self.places: Sequence[str] = found.places
        self.lengths: Sequence[int] = found.lengths
        self.notes: Sequence[str] = found.notes(self._max_length)
        self._reference = torch.empty(0, 2)

    def prepare(self) -> None:
        """Ask the base alone, once, what it makes of every pair."""
        self._reference = self._ask_reference(self._pairs)

    def weight(self, batch_number: int) -> float:
        return 1.0

    def loss(self, batch_number: int, generator: torch.Generator) -> Tensor:
        from trainers.data.order import data_order

        size = self.config.batch_size
        order = data_order(len(self._pairs), batch_number * size, size, self.config.seed)
        return self._loss([self._pairs[number] for number in order], self._reference[list(order)])

    def facts(self) -> Mapping[str, str]:
        tokens = sum(len(one.numbers) for one in self.examples)
        return {
            "pairs": f"{len(self._pairs)} with {tokens:,} tokens; up to {self._max_length} are read",
            "reference": f"the base with the adapter off, beta {self.settings.beta:g}",
        }

    def prompts(self, count: int) -> list[TextRow]:
        found = {str(row.messages): TextRow(row.where, messages=row.messages, tools=row.tools) for row in self._rows}
        return list(found.values())[:count]

    def about_held_out(self, rows: Sequence[TextRow]) -> Sequence[str]:
        return self._encode(rows, cut_long=True)[1].notes(self._max_length)

    @without_gradients
    def validation_loss(self, rows: Sequence[TextRow]) -> float:
        pairs, _ = self._encode(rows, cut_long=True)
        reference = self._ask_reference(pairs)
        total = 0.0
        for start in range(0, len(pairs), _REFERENCE_PAIRS):
            chosen = pairs[start : start + _REFERENCE_PAIRS]
            total += float(self._loss(chosen, reference[start : start + len(chosen)])) * len(chosen)
        return total / len(pairs)

    def _encode(self, rows: Sequence[TextRow], *, cut_long: bool) -> tuple[list[Pair], Encodings]:
        context_tokens = self.role.context_tokens
        return encode_pairs(rows, self._encoder, self._max_length, cut_long=cut_long, context_tokens=context_tokens)

    def _likelihoods(self, pairs: Sequence[Pair]) -> Tensor:
        """Return log p of every answer, [pairs, 2]: chosen, rejected."""
        from trainers.data.token_batches import pad_right
        from trainers.losses.next_token import text_log_likelihoods

        batch = pad_right([one for pair in pairs for one in pair], self.role.tokenizer.pad_token_id)
        batch = batch.to(self.role.device)
        logits = self.role.model(**batch.arguments(), use_cache=False).logits
        return text_log_likelihoods(logits, batch.labels).reshape(-1, 2)

    @without_gradients
    def _ask_reference(self, pairs: Sequence[Pair]) -> Tensor:
        import torch

        from trainers.tuners.live_weights import without_adapters

        starts = range(0, len(pairs), _REFERENCE_PAIRS)
        with without_adapters(self.role.model):
            return torch.cat([self._likelihoods(pairs[start : start + _REFERENCE_PAIRS]) for start in starts])

    def _loss(self, pairs: Sequence[Pair], reference: Tensor) -> Tensor:
        from trainers.losses.preference import preference

        chosen, rejected = self._likelihoods(pairs).unbind(1)
        options: dict[str, Any] = self.settings.model_dump()
        return preference(chosen, rejected, *reference.unbind(1), **options)


STAGE = Stage(
    name="dpo",
    title="Direct preference optimisation",
    forms=("preference",),
    task=PreferenceTask,
    settings=DpoSettings,
)
