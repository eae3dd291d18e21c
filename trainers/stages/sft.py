"""Supervised fine-tuning: say what the examples say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trainers.data.chat import ChatEncoder, Encoded, Encodings, encode_rows
from trainers.data.texts import TextRow
from trainers.protocols import LanguageModel
from trainers.stages._stage import Stage, StageSettings, WritingTask, without_gradients
from trainers.text_config import TextConfig
from trainers.wording import count_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trainers.data.token_batches import TokenBatch

_PROMPT_CHARACTERS = 40
_EVALUATION_ROWS = 8


class SupervisedTask(WritingTask):
    """The task; see `trainers.stages.TextTask`."""

    def __init__(
        self, config: TextConfig, settings: StageSettings, role: LanguageModel, rows: Sequence[TextRow]
    ) -> None:
        from trainers.data.token_batches import packs

        self.config = config
        self.role = role
        self._encoder = ChatEncoder(role.tokenizer, assistant_only=config.assistant_only)
        self._max_length = config.length_for(role.context_tokens)
        found = self._encode(rows, cut_long=config.cut_long)
        self._rows = [rows[number] for number in found.kept]
        self.examples: Sequence[Encoded] = found.rows
        self.places: Sequence[str] = found.places
        self.lengths: Sequence[int] = found.lengths
        self.notes: Sequence[str] = [*found.notes(self._max_length), *self._about_ends()]
        lengths = [len(one.numbers) for one in self.examples]
        alone = [[number] for number in range(len(lengths))]
        self._units = packs(lengths, self._max_length) if config.packing else alone

    def prepare(self) -> None:
        """Nothing waits for the adapters."""

    def weight(self, batch_number: int) -> float:
        return float(sum(one.trained_count for unit in self._chosen(batch_number) for one in unit))

    def loss(self, batch_number: int, generator: torch.Generator) -> Tensor:
        from trainers.losses.next_token import next_token

        batch = self._batch(self._chosen(batch_number))
        return next_token(self._logits(batch), batch.labels)

    def facts(self) -> Mapping[str, str]:
        trained = sum(one.trained_count for one in self.examples)
        tokens = sum(len(one.numbers) for one in self.examples)
        longest, mean = max(self.lengths), sum(self.lengths) / len(self.lengths)
        found = {
            "tokens": f"{tokens:,} in {count_of(len(self.examples), 'row')}, {trained:,} learned from "
            f"({trained / tokens:.0%})",
            "lengths": f"{mean:.0f} tokens on average, {longest} at most; up to {self._max_length} are read",
            "template": self._about_template(),
        }
        if self.config.packing:
            found["packing"] = (
                f"{count_of(len(self.examples), 'row')} in {count_of(len(self._units), 'pack')}, none sees another"
            )
        return found

    def prompts(self, count: int) -> list[TextRow]:
        found: dict[str, TextRow] = {}
        for row in self._rows:
            one = self._begun(row)
            if not one.messages and not one.text:
                continue
            if len(self._encoder.beginning(one)) < self.role.context_tokens:  # else no answer has room behind it
                found.setdefault(f"{one.messages}{one.text}", one)
            if len(found) == count:
                break
        return list(found.values())

    def _begun(self, row: TextRow) -> TextRow:
        """Return what stands before the first learned answer, or the first words of a plain text."""
        if not row.messages:
            return TextRow(row.where, text=row.text[:_PROMPT_CHARACTERS].rsplit(" ", 1)[0])
        answers = [
            number
            for number, turn in enumerate(row.messages)
            if turn["role"] == "assistant" and number >= row.asked and number not in row.not_learned
        ]
        before = row.messages[: answers[0]] if answers else ()
        return TextRow(row.where, messages=before, tools=row.tools)

    def about_held_out(self, rows: Sequence[TextRow]) -> Sequence[str]:
        return self._encode(rows, cut_long=True).notes(self._max_length)

    @without_gradients
    def validation_loss(self, rows: Sequence[TextRow]) -> float:
        from trainers.data.token_batches import pad_right
        from trainers.losses.next_token import token_losses

        encoded = self._encode(rows, cut_long=True).rows
        total, count = 0.0, 0
        for start in range(0, len(encoded), _EVALUATION_ROWS):
            batch = pad_right(encoded[start : start + _EVALUATION_ROWS], self.role.tokenizer.pad_token_id)
            losses = token_losses(self._logits(batch.to(self.role.device)), batch.labels.to(self.role.device))
            total, count = total + float(losses.double().sum()), count + len(losses)
        return total / count

    def _encode(self, rows: Sequence[TextRow], *, cut_long: bool) -> Encodings:
        return encode_rows(
            rows,
            self._encoder.encode,
            max_length=self._max_length,
            cut_long=cut_long,
            context_tokens=self.role.context_tokens,
        )

    def _chosen(self, batch_number: int) -> list[list[Encoded]]:
        from trainers.data.order import data_order

        size = self.config.batch_size
        order = data_order(len(self._units), batch_number * size, size, self.config.seed)
        return [[self.examples[number] for number in self._units[unit]] for unit in order]

    def _batch(self, units: Sequence[Sequence[Encoded]]) -> TokenBatch:
        from trainers.data.token_batches import pack_rows, pad_right

        padding = self.role.tokenizer.pad_token_id
        if self.config.packing:
            return pack_rows(units, padding, self.role.dtype).to(self.role.device)
        return pad_right([one for unit in units for one in unit], padding).to(self.role.device)

    def _logits(self, batch: TokenBatch) -> Tensor:
        return self.role.model(**batch.to(self.role.device).arguments(), use_cache=False).logits

    def _about_template(self) -> str:
        if not any(row.messages for row in self._rows):
            return "none, the texts are plain; each ends with the end-of-text token"
        whose = "the base's own" if self.role.own_template else "the studio's plain one, because the base has none"
        if not self.config.assistant_only:
            return f"{whose}; the whole chat is learned from"
        how = "its marks tell" if self._encoder.marked else "told by rendering with and without them"
        return f"{whose}; only the assistant's turns are learned from ({how})"

    def _about_ends(self) -> list[str]:
        """Say so when nothing teaches the model to stop."""
        stops = set(self.role.stop_numbers)
        taught = any(
            trained and number in stops
            for one in self.examples
            for number, trained in zip(one.numbers, one.trained, strict=True)
        )
        if taught:
            return []
        names = ", ".join(repr(self.role.tokenizer.decode([number])) for number in self.role.stop_numbers)
        return [f"No example ends with a learned {names}, so answers will not learn where to stop."]


STAGE = Stage(
    name="sft",
    title="Supervised fine-tuning",
    forms=("messages", "prompt_completion", "alpaca", "text"),
    task=SupervisedTask,
)
