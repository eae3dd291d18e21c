"""Sequence classification: one label for every text, from the state of its last token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from trainers.card import HeadCard
from trainers.data.chat import ChatEncoder, Encoded, Encodings, encode_rows
from trainers.data.pairs import refuse_packing
from trainers.data.texts import TextRow
from trainers.errors import UserError
from trainers.protocols import LanguageModel
from trainers.stages._stage import VALIDATION, Fold, HeadedTask, Stage, StageSettings
from trainers.text_config import PART, TextConfig
from trainers.wording import count_of, listed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MOST_LABELS = 1000


class ClassifySettings(StageSettings):
    """Settings of classification."""

    folds: int = Field(
        0,
        ge=0,
        le=50,
        description="Cross-validation: train on all but one of so many equal shares and measure on that one, each in "
        "turn, before training on everything; 0 for none.",
    )
    balanced: bool = Field(False, description="Let every class count the same, however many examples it has.")
    head_learning_rate: float = Field(3e-3, gt=0, le=10, description="Step size of the head; the method has its own.")

    @field_validator("folds")
    @classmethod
    def _not_one(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("one fold leaves nothing to train on; take 0, or 2 and more (5 is usual)")
        return folds


class ClassifyTask(HeadedTask):
    """The task; see `trainers.stages.TextTask`."""

    def __init__(
        self, config: TextConfig, settings: ClassifySettings, role: LanguageModel, rows: Sequence[TextRow]
    ) -> None:
        import torch

        from trainers.data.order import mixed_seed
        from trainers.heads import Head

        refuse_packing(config.packing)
        self.config, self.settings, self.role = config, settings, role
        self._encoder = ChatEncoder(role.tokenizer)
        self._max_length = config.length_for(role.context_tokens)
        found = self._encode(rows, cut_long=config.cut_long)
        self._rows = rows
        self.examples: Sequence[Encoded] = found.rows
        self.places: Sequence[str] = found.places
        self.lengths: Sequence[int] = found.lengths
        self.notes: Sequence[str] = found.notes(self._max_length)
        self._counts = Counter(row.label for row in rows)
        self.labels = tuple(sorted(self._counts))
        if not 2 <= len(self.labels) <= _MOST_LABELS:
            raise UserError(
                f"The texts have {len(self.labels)} different labels ({listed(self.labels, 5)}); 2 to {_MOST_LABELS} "
                "can be told apart."
            )
        self._wanted = self._numbers(rows).to(role.device)
        seed, rate = mixed_seed(config.seed, "head"), settings.head_learning_rate
        self.head = Head(role.model.config.hidden_size, len(self.labels), seed=seed, learning_rate=rate).to(role.device)
        shares = torch.tensor([len(rows) / (len(self.labels) * self._counts[label]) for label in self.labels])
        self._weights = shares.to(role.device) if settings.balanced else None

    def head_card(self) -> HeadCard:
        return HeadCard(kind="classes", part=PART, labels=self.labels)

    def loss(self, batch_number: int, generator: torch.Generator) -> Tensor:
        from trainers.data.order import data_order
        from trainers.data.token_batches import pad_right
        from trainers.heads import last_states
        from trainers.losses.classes import class_losses

        size = self.config.batch_size
        order = data_order(len(self.examples), batch_number * size, size, self.config.seed)
        texts = [self.examples[number] for number in order]
        batch = pad_right(texts, self.role.tokenizer.pad_token_id).to(self.role.device)
        scores, wanted = self.head(last_states(self.role.model, batch)), self._wanted[order]
        self.note(accuracy=float((scores.argmax(1) == wanted).float().mean()))
        return class_losses(scores, wanted, self._weights).mean()

    def facts(self) -> Mapping[str, str]:
        counts = listed([f"{label} {self._counts[label]}" for label in self.labels], 12)
        tokens = sum(len(one.numbers) for one in self.examples)
        found = {
            "classes": f"{len(self.labels)}: {counts}",
            "tokens": f"{tokens:,} in {count_of(len(self.examples), 'text')}; up to {self._max_length} are read",
        }
        if self.settings.folds:
            found["folds"] = (
                f"{self.settings.folds} trainings of {count_of(self.config.steps, 'step')}, then one on everything"
            )
        return found

    def prompts(self, count: int) -> list[TextRow]:
        return list(self._rows[:count])

    def about_held_out(self, rows: Sequence[TextRow]) -> Sequence[str]:
        return self._encode(rows, cut_long=True).notes(self._max_length)

    def validate(self, rows: Sequence[TextRow]) -> Mapping[str, float]:
        from trainers.losses.classes import class_losses

        scores, wanted = self._scores(rows), self._numbers(rows)
        accuracy = float((scores.argmax(1) == wanted).double().mean())
        return {VALIDATION: float(class_losses(scores, wanted).mean()), "validation_accuracy": accuracy}

    def show(self, rows: Sequence[TextRow]) -> list[Mapping[str, str]]:
        texts = [TextRow(row.where, text=row.text or row.messages[-1]["content"]) for row in rows]
        shares = self._scores(texts).softmax(1)
        return [
            {"prompt": row.text, "answer": f"{self.labels[int(own.argmax())]} ({float(own.max()):.0%})"}
            for row, own in zip(texts, shares, strict=True)
        ]

    def report(self, rows: Sequence[TextRow]) -> Sequence[str]:
        """Return a line for every class: precision, recall, F1, texts."""
        found, wanted = self._scores(rows).argmax(1).tolist(), self._numbers(rows).tolist()
        return class_table(self.labels, found, wanted)

    def folds(self) -> Sequence[Fold]:
        """Divide each class evenly over the shares; a pure function of seed and rows.

        Raises:
            UserError: a class has too few texts for some of them to be left out.
        """
        import torch

        from trainers.data.order import mixed_seed

        count = self.settings.folds
        if not count:
            return ()
        rare = [label for label in self.labels if self._counts[label] < 2]
        if rare or len(self._rows) < count:
            raise UserError(
                f"{count_of(len(self._rows), 'text')} cannot be divided into {count} folds: "
                + (f"of {listed(rare, 5)} there is only one. " if rare else "")
                + "Give more texts, or leave folds at 0."
            )
        generator = torch.Generator().manual_seed(mixed_seed(self.config.seed, "folds"))
        order = torch.randperm(len(self._rows), generator=generator).tolist()
        by_class = sorted(order, key=lambda number: self._rows[number].label)  # stable: the drawn order within a class
        settings = {**self.config.stage_settings, "folds": 0}
        config = self.config.model_copy(update={"stage_settings": settings, "validation": None})
        found = []
        for fold in range(count):
            out = set(by_class[fold::count])
            held = [self._rows[number] for number in sorted(out)]
            found.append(Fold(config, [row for n, row in enumerate(self._rows) if n not in out], held))
        return found

    def _encode(self, rows: Sequence[TextRow], *, cut_long: bool) -> Encodings:
        return encode_rows(
            rows,
            lambda row: self._encoder.text(row.text),
            max_length=self._max_length,
            cut_long=cut_long,
            context_tokens=self.role.context_tokens,
        )

    def _scores(self, rows: Sequence[TextRow]) -> Tensor:
        from trainers.heads import head_outputs

        return head_outputs(self.role, self.head, self._encode(rows, cut_long=True).rows)

    def _numbers(self, rows: Sequence[TextRow]) -> Tensor:
        import torch

        unknown = sorted({row.label for row in rows} - set(self.labels))
        if unknown:
            raise UserError(
                f"The label {unknown[0]!r} stands on texts that are measured ({len(unknown)} such labels) and on none "
                f"that is trained on. The training has: {listed(self.labels, 12)}."
            )
        return torch.tensor([self.labels.index(row.label) for row in rows])


def class_table(labels: Sequence[str], found: Sequence[int], wanted: Sequence[int]) -> list[str]:
    """Return lines of a table: per class precision, recall, F1 and number of texts.

    Args:
        labels: by number.
        found: the number that each text was given; `wanted` likewise the right one.
    """
    width = max(len("class"), *map(len, labels))
    lines = [f"{'class':<{width}}  precision  recall    F1  texts"]
    pairs = list(zip(found, wanted, strict=True))
    for number, label in enumerate(labels):
        right = pairs.count((number, number))
        said, real = list(found).count(number), list(wanted).count(number)
        precision, recall = right / said if said else 0.0, right / real if real else 0.0
        f1 = 2 * right / (said + real) if said + real else 0.0
        lines.append(f"{label:<{width}}  {precision:>9.1%}  {recall:>6.1%}  {f1:>4.2f}  {real:>5}")
    return lines


STAGE = Stage(
    name="classify",
    title="Sequence classification",
    forms=("classification",),
    task=ClassifyTask,
    settings=ClassifySettings,
)
