"""A reward adapter or classifier of the library, ready to be asked."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.families import TextBase
from studio.library.library import Library
from studio.operations.text_session import open_text_session
from studio.report import Report
from trainers.card import AdapterCard
from trainers.data.chat import ChatEncoder, Encoded
from trainers.data.pairs import encode_answer
from trainers.data.texts import Message, TextRow
from trainers.errors import UserError
from trainers.heads import Head, head_from, head_outputs

_WHAT = {"reward": ("reward adapter", "reward"), "classes": ("classifier", "classify")}


@dataclass(frozen=True)
class HeadReader:
    """A loaded base with one adapter that acts, and the adapter's head."""

    base: TextBase
    card: AdapterCard
    head: Head

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of `classify`'s columns."""
        return self.card.head.labels if self.card.head is not None else ()

    def score(self, answers: Sequence[tuple[Sequence[Message], str]]) -> list[float]:
        """Return the reward of every (chat before, answer).

        Raises:
            UserError: one is longer than the base reads.
        """
        encoder = ChatEncoder(self.base.tokenizer)
        encoded = [encode_answer(encoder, messages, answer, "The chat") for messages, answer in answers]
        return [float(value) for value in self._outputs(encoded)[:, 0]]

    def classify(self, texts: Sequence[str]) -> Tensor:
        """Return the probability of every class for every text [n, classes].

        Raises:
            UserError: one is empty, or longer than the base reads.
        """
        if not all(text.strip() for text in texts):
            raise UserError(f"Text {[bool(text.strip()) for text in texts].index(False) + 1} is empty.")
        encoder = ChatEncoder(self.base.tokenizer)
        return self._outputs([encoder.encode(TextRow("text", text=text)) for text in texts]).softmax(1)

    def _outputs(self, rows: Sequence[Encoded]) -> Tensor:
        longest = max((len(row.numbers) for row in rows), default=0)
        if longest > self.base.context_tokens:
            raise UserError(
                f"A text has {longest} tokens, and the base {self.base.name!r} reads {self.base.context_tokens}. "
                "Shorten it."
            )
        return head_outputs(self.base, self.head, rows)


@contextlib.contextmanager
def open_head(
    library: Library,
    base_name: str,
    name: str,
    report: Report,
    *,
    kind: str,
    device: str = "auto",
    precision: str = "auto",
    trust_remote_code: bool = False,
) -> Iterator[HeadReader]:
    """Load a base with an adapter that has a head.

    Args:
        kind: ``reward`` or ``classes``.

    Raises:
        UserError: the adapter is unknown, has no such head, or belongs to another base.
    """
    card = library.read(name).card
    if card.head is None or card.head.kind != kind:
        title, stage = _WHAT[kind]
        found = f"is a {_WHAT[card.head.kind][0]}" if card.head is not None else "has no head"
        raise UserError(
            f"The adapter {name!r} {found}, and a {title} is wanted. Train one with studio text train --stage {stage}."
        )
    options = {"device": device, "precision": precision, "trust_remote_code": trust_remote_code}
    with open_text_session(library, base_name, [name], report, **options) as session:  # type: ignore[arg-type]
        base: TextBase = session.attachments.base  # type: ignore[assignment]
        session.attachments.set_weights({name: 1.0})
        width = int(base.model.config.hidden_size)
        head = head_from(session.adapters[name].head, width, card.head.outputs).to(base.device)
        with torch.no_grad():
            yield HeadReader(base, card, head)
