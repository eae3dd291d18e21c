"""Chats and texts to token numbers, with a mark on every token that is learned from.

Which tokens are the assistant's is told by the chat template itself where it marks them (``{% generation %}``). Other
templates are rendered once more without each answer: what the longer rendering adds is the answer with its end.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trainers.data.texts import Message, TextRow
from trainers.errors import UserError
from trainers.wording import count_of

_MARKED = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True)
class Encoded:
    """One example in tokens."""

    numbers: tuple[int, ...]
    trained: tuple[bool, ...]
    """Whether the token is learned from; the same length."""

    @property
    def trained_count(self) -> int:
        """How many tokens are predicted in training; the first of a text never is."""
        return sum(self.trained[1:])

    def cut(self, length: int) -> "Encoded":
        """Return the first tokens alone."""
        return Encoded(self.numbers[:length], self.trained[:length])


class ChatEncoder:
    """A tokenizer with its chat template, as training and generation use it alike."""

    def __init__(self, tokenizer: Any, *, assistant_only: bool = True) -> None:
        self.tokenizer = tokenizer
        self.assistant_only = assistant_only
        self.marked = bool(_MARKED.search(str(tokenizer.chat_template)))
        """Whether the template itself marks what the assistant says."""

    def encode(self, row: TextRow) -> Encoded:
        """Return a chat or a plain text in tokens.

        Raises:
            UserError: the chat template refuses the chat, or its answers cannot be told apart in it.
        """
        if row.messages:
            return self.chat(row.messages, row.where)
        return self.text(row.text)

    def text(self, text: str) -> Encoded:
        """Return a plain text with its end-of-text token; all of it is learned from."""
        numbers = (*self.tokenizer(text, verbose=False).input_ids, self.tokenizer.eos_token_id)
        if numbers[-2:] == (self.tokenizer.eos_token_id,) * 2:  # some tokenizers add it themselves
            numbers = numbers[:-1]
        return Encoded(numbers, (True,) * len(numbers))

    def chat(self, messages: Sequence[Message], where: str = "The chat") -> Encoded:
        """Return a whole chat; its answers with their ends are learned from."""
        if not self.assistant_only:
            numbers = self._render(messages, where)
            return Encoded(tuple(numbers), (True,) * len(numbers))
        if self.marked and self.tokenizer.is_fast:
            found = self._apply(messages, where, return_dict=True, return_assistant_tokens_mask=True)
            return Encoded(tuple(found["input_ids"]), tuple(bool(mark) for mark in found["assistant_masks"]))
        return self._by_difference(messages, where)

    def beginning(self, row: TextRow) -> list[int]:
        """Return what is to be gone on with: a chat that the assistant answers, or the first words of a plain text."""
        if row.messages:
            return self.prompt(row.messages, row.where)
        return list(self.tokenizer(row.text, verbose=False).input_ids)

    def prompt(self, messages: Sequence[Message], where: str = "The prompt") -> list[int]:
        """Return a chat that the assistant is to go on with."""
        return self._render(messages, where, add_generation_prompt=True)

    def _by_difference(self, messages: Sequence[Message], where: str) -> Encoded:
        whole = self._render(messages, where)
        trained = [False] * len(whole)
        for number, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self._render(messages[:number], where, add_generation_prompt=True)
            behind = self._render(messages[: number + 1], where)
            if whole[: len(before)] != before or whole[: len(behind)] != behind:
                raise UserError(
                    f"{where}: the chat template renders earlier turns differently once later ones follow, so the "
                    "answers cannot be told apart. Train on the whole chat with --no-assistant-only, or give the "
                    "template {% generation %} marks."
                )
            trained[len(before) : len(behind)] = [True] * (len(behind) - len(before))
        return Encoded(tuple(whole), tuple(trained))

    def _render(self, messages: Sequence[Message], where: str, **options: Any) -> list[int]:
        return list(self._apply(messages, where, return_dict=False, **options))

    def _apply(self, messages: Sequence[Message], where: str, **options: Any) -> Any:
        from jinja2 import TemplateError  # only here; the templates are the tokenizer's affair

        try:
            return self.tokenizer.apply_chat_template([dict(turn) for turn in messages], tokenize=True, **options)
        except TemplateError as error:
            turns = ", ".join(turn["role"] for turn in messages)
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{where}: the base's chat template refuses the turns {turns}: {reason}") from error


@dataclass(frozen=True)
class Encodings:
    """All examples, cut to what fits."""

    rows: tuple[Encoded, ...]
    places: tuple[str, ...]
    """Where each is from: file and line."""
    lengths: tuple[int, ...]
    """In tokens, before anything was cut."""
    cut_rows: int = 0
    cut_tokens: int = 0
    left_out: int = 0
    """Rows of which nothing to learn from was left."""

    def notes(self, max_length: int) -> list[str]:
        """Return sentences on what was cut."""
        found = []
        if self.cut_rows:
            found.append(
                f"{self.cut_rows} of {count_of(len(self.lengths), 'row')} {'was' if self.cut_rows == 1 else 'were'} "
                f"cut to {max_length} tokens; {self.cut_tokens:,} of "
                f"{sum(self.lengths):,} tokens are not learned from."
            )
        if self.left_out:
            are = "is" if self.left_out == 1 else "are"
            found.append(f"{count_of(self.left_out, 'row')} {are} left out, because no trained token was left there.")
        return found


def encode_rows(
    rows: Sequence[TextRow],
    encode: Callable[[TextRow], Encoded],
    *,
    max_length: int,
    cut_long: bool,
    context_tokens: int,
) -> Encodings:
    """Encode all rows.

    Raises:
        UserError: rows are longer than `max_length` and may not be cut, with how many rows and tokens; or nothing is
            left to learn from.
    """
    whole = [encode(row) for row in rows]
    lengths = tuple(len(one.numbers) for one in whole)
    longer = [number for number, length in enumerate(lengths) if length > max_length]
    beyond = sum(lengths[number] - max_length for number in longer)
    if longer and not cut_long:
        longest = max(longer, key=lambda number: lengths[number])
        room = f"raise --max-length (the base reads {context_tokens}), " if context_tokens > max_length else ""
        raise UserError(
            f"{len(longer)} of {count_of(len(rows), 'row')} {'is' if len(longer) == 1 else 'are'} longer than "
            f"{max_length} tokens, the longest has "
            f"{lengths[longest]} ({rows[longest].where}); {beyond:,} of {sum(lengths):,} tokens would be cut. "
            f"Split these rows, {room}or "
            "give --cut-long to cut their ends off."
        )
    kept = [one.cut(max_length) for one in whole]
    empty = [number for number, one in enumerate(kept) if not one.trained_count]
    unlearnable = [number for number in empty if not whole[number].trained_count]
    if unlearnable:
        raise UserError(
            f"{rows[unlearnable[0]].where} and {len(unlearnable) - 1} other rows have no token to learn from after the "
            "chat template."
        )
    if len(empty) == len(rows):
        raise UserError(f"Cut to {max_length} tokens, no row has anything left to learn from. Raise --max-length.")
    gone = set(empty)
    fitting = tuple(one for number, one in enumerate(kept) if number not in gone)
    places = tuple(rows[number].where for number in range(len(rows)) if number not in gone)
    return Encodings(fitting, places, lengths, len(longer), beyond, len(empty))
