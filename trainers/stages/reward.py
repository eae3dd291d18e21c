"""A reward model: a number for every answer, learned from preference pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from trainers.card import HeadCard
from trainers.data.chat import ChatEncoder, Encoded, Encodings
from trainers.data.pairs import MARKS, Pair, encode_answer, encode_pairs, refuse_packing
from trainers.data.texts import TextRow
from trainers.protocols import LanguageModel
from trainers.stages._stage import VALIDATION, HeadedTask, Stage, StageSettings
from trainers.text_config import PART, TextConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class RewardSettings(StageSettings):
    """Settings of a reward model."""

    head_learning_rate: float = Field(1e-3, gt=0, le=10, description="Step size of the head; the method has its own.")


class RewardTask(HeadedTask):
    """The task; see `trainers.stages.TextTask`. Examples come in pairs: chosen, rejected, chosen …"""

    marks: Sequence[str] = MARKS

    def __init__(
        self, config: TextConfig, settings: RewardSettings, role: LanguageModel, rows: Sequence[TextRow]
    ) -> None:
        from trainers.data.order import mixed_seed
        from trainers.heads import Head

        refuse_packing(config.packing)
        self.config = config
        self.role = role
        self._encoder = ChatEncoder(role.tokenizer)
        self._max_length = config.length_for(role.context_tokens)
        self._pairs, found = self._encode(rows, cut_long=config.cut_long)
        self._rows = [rows[number // len(MARKS)] for number in found.kept[:: len(MARKS)]]
        self.examples: Sequence[Encoded] = found.rows
        self.places: Sequence[str] = found.places
        self.lengths: Sequence[int] = found.lengths
        self.notes: Sequence[str] = found.notes(self._max_length)
        seed, rate = mixed_seed(config.seed, "head"), settings.head_learning_rate
        self.head = Head(role.model.config.hidden_size, 1, seed=seed, learning_rate=rate, bias=False).to(role.device)

    def head_card(self) -> HeadCard:
        return HeadCard(kind="reward", part=PART)

    def loss(self, batch_number: int, generator: torch.Generator) -> Tensor:
        from trainers.data.order import data_order
        from trainers.data.token_batches import pad_right
        from trainers.heads import last_states
        from trainers.losses.reward import bradley_terry

        size = self.config.batch_size
        order = data_order(len(self._pairs), batch_number * size, size, self.config.seed)
        texts = [one for number in order for one in self._pairs[number]]
        batch = pad_right(texts, self.role.tokenizer.pad_token_id).to(self.role.device)
        chosen, rejected = self.head(last_states(self.role.model, batch)).reshape(-1, 2).unbind(1)
        self.note(accuracy=float((chosen > rejected).float().mean()))
        return bradley_terry(chosen, rejected)

    def facts(self) -> Mapping[str, str]:
        tokens = sum(len(one.numbers) for one in self.examples)
        return {
            "pairs": f"{len(self._pairs)} with {tokens:,} tokens; up to {self._max_length} are read",
            "head": "one number from the state of the last token; a reward adapter, which writes no answers",
        }

    def prompts(self, count: int) -> list[TextRow]:
        return list(self._rows[:count])

    def about_held_out(self, rows: Sequence[TextRow]) -> Sequence[str]:
        return self._encode(rows, cut_long=True)[1].notes(self._max_length)

    def validate(self, rows: Sequence[TextRow]) -> Mapping[str, float]:
        from trainers.heads import head_outputs
        from trainers.losses.reward import bradley_terry

        pairs, _ = self._encode(rows, cut_long=True)
        texts = [one for pair in pairs for one in pair]
        chosen, rejected = head_outputs(self.role, self.head, texts).reshape(-1, 2).unbind(1)
        accuracy = float((chosen > rejected).float().mean())
        return {VALIDATION: float(bradley_terry(chosen, rejected)), "validation_accuracy": accuracy}

    def show(self, rows: Sequence[TextRow]) -> list[Mapping[str, str]]:
        """Return the rewards of both answers; a prompt without answers has none, so the data's are shown instead."""
        from trainers.heads import head_outputs

        shown = [row for row in rows if row.chosen] or self.prompts(len(rows))
        lines: list[Mapping[str, str]] = []
        for row in shown:
            answers = (row.chosen, row.rejected)
            encoded = [encode_answer(self._encoder, row.messages, answer, row.where, row.tools) for answer in answers]
            found = head_outputs(self.role, self.head, [one.cut(self._max_length) for one in encoded])[:, 0].tolist()
            told = "\n".join(f"{value:+.2f} {answer}" for value, answer in zip(found, answers, strict=True))
            lines.append({"prompt": row.messages[-1]["content"], "answer": told})
        return lines

    def _encode(self, rows: Sequence[TextRow], *, cut_long: bool) -> tuple[list[Pair], Encodings]:
        context_tokens = self.role.context_tokens
        return encode_pairs(rows, self._encoder, self._max_length, cut_long=cut_long, context_tokens=context_tokens)


STAGE = Stage(
    name="reward",
    title="Reward model",
    forms=("preference",),
    task=RewardTask,
    settings=RewardSettings,
)
