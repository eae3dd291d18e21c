"""Chats and texts to token numbers, with a mark on every token that is learned from.

Which tokens are the assistant's is told by the chat template itself where it marks them (``{% generation %}``); of
other templates `trainers.data.chat_template` finds each answer with its end in the text of the chat.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainers.data.chat_template import ChatTemplate, Span, Tools, not_shown
from trainers.data.passed_over import passed_over
from trainers.data.text_forms import TextRow
from trainers.data.turns import Message
from trainers.errors import UserError, raise_problems
from trainers.wording import count_of, listed

_MARKED = re.compile(r"\{%-?\s*generation\s*-?%\}")
_NOT_SHOWN = "turns that the base's chat template leaves out or writes otherwise"
_UNLEARNABLE = "rows with nothing to learn from"
_CUT_AWAY = "rows with nothing left to learn from, once they are cut"
_NAMED = 3


@dataclass(frozen=True)
class Encoded:
    """One example in tokens."""

    numbers: tuple[int, ...]
    trained: tuple[bool, ...]
    """Whether the token is learned from; the same length."""
    not_shown: tuple[str, ...] = ()
    """Turns that the chat template leaves out or writes otherwise, such as ``turn 1 (system)``."""

    @property
    def trained_count(self) -> int:
        """How many tokens are predicted in training; the first of a text never is."""
        return sum(self.trained[1:])

    def cut(self, length: int) -> "Encoded":
        """Return the first tokens alone."""
        return Encoded(self.numbers[:length], self.trained[:length], self.not_shown)


class ChatEncoder:
    """A tokenizer with its chat template, as training and generation use it alike."""

    def __init__(self, tokenizer: Any, *, assistant_only: bool = True) -> None:
        self.tokenizer = tokenizer
        self.assistant_only = assistant_only
        self.marked = bool(_MARKED.search(str(tokenizer.chat_template)))
        """Whether the template itself marks what the assistant says."""
        self._template = ChatTemplate(tokenizer)

    def encode(self, row: TextRow) -> Encoded:
        """Return a chat or a plain text in tokens.

        Raises:
            UserError: the chat template refuses the chat, or its answers cannot be told apart in it.
        """
        if not row.messages:
            return self.text(row.text)
        asked = range(row.asked) if self.assistant_only else ()
        return self.chat(row.messages, row.where, not_learned={*row.not_learned, *asked}, tools=row.tools)

    def text(self, text: str) -> Encoded:
        """Return a plain text with its end-of-text token; all of it is learned from."""
        numbers = (*self._begun(text), self.tokenizer.eos_token_id)
        return Encoded(numbers, (True,) * len(numbers))

    def chat(
        self,
        messages: Sequence[Message],
        where: str = "The chat",
        *,
        not_learned: Collection[int] = (),
        tools: Tools = (),
    ) -> Encoded:
        """Return a whole chat; its answers with their ends are learned from, or all of it.

        Args:
            not_learned: numbers of messages, from 0, that are not learned from all the same.
        """
        messages = self._template.as_it_knows(messages, where, tools)
        text = self._template.text(messages, where, tools)
        left_out = [
            number
            for number in sorted(not_learned)
            if messages[number]["role"] == "assistant" or not self.assistant_only
        ]
        numbers = self._numbers(text)
        if not self.assistant_only:
            trained = [True] * len(numbers)
        elif self.marked and self.tokenizer.is_fast:
            found = self.tokenizer.apply_chat_template(
                [dict(turn) for turn in messages],
                tools=[dict(tool) for tool in tools] or None,
                return_dict=True,
                return_assistant_tokens_mask=True,
                tokenizer_kwargs={"verbose": False},
            )
            trained = [bool(mark) for mark in found["assistant_masks"]]
        else:
            spoken = [number for number, turn in enumerate(messages) if turn["role"] == "assistant"]
            learned = [number for number in spoken if number not in left_out]
            spans, left_out = self._template.spans(messages, learned, text, where, tools), []
            trained = [False] * len(numbers)
            self._mark(trained, text, spans, where, learned=True)
        if left_out:
            spans = self._template.spans(messages, left_out, text, where, tools)
            self._mark(trained, text, spans, where, learned=False)
        return Encoded(tuple(numbers), tuple(trained), not_shown(messages, text))

    def beginning(self, row: TextRow) -> list[int]:
        """Return what is to be gone on with: a chat that the assistant answers, or the first words of a plain text."""
        if row.messages:
            return self.prompt(row.messages, row.where, row.tools)
        return self._begun(row.text)

    def prompt(self, messages: Sequence[Message], where: str = "The prompt", tools: Tools = ()) -> list[int]:
        """Return a chat that the assistant is to go on with."""
        messages = self._template.as_it_knows(messages, where, tools)
        return self._numbers(self._template.text(messages, where, tools, asks=True))

    def _begun(self, text: str) -> list[int]:
        """Return a plain text as the tokenizer begins one, not ended, and begun once where the text says it itself."""
        numbers = list(self.tokenizer(text, verbose=False).input_ids)
        begin, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        while begin is not None and numbers[:2] == [begin, begin]:
            del numbers[0]
        while len(numbers) > 1 and numbers[-1] == end:
            del numbers[-1]
        return numbers

    def _numbers(self, text: str) -> list[int]:
        """Return a chat's text in tokens; the template has written what begins and ends it."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids)

    def _mark(self, trained: list[bool], text: str, spans: Iterable[Span], where: str, *, learned: bool) -> None:
        """Mark the tokens of parts of a text; one that reaches into such a part belongs to it, as in transformers."""
        if not self.tokenizer.is_fast:
            self._mark_by_length(trained, text, spans, where, learned=learned)
            return
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        places = found.offset_mapping
        for start, end in spans:
            inside = [number for number, (first, last) in enumerate(places) if last > start and first < end]
            for number in range(inside[0], inside[-1] + 1) if inside else ():
                trained[number] = learned

    def _mark_by_length(
        self, trained: list[bool], text: str, spans: Iterable[Span], where: str, *, learned: bool
    ) -> None:
        """Do so with a tokenizer that does not tell where in the text its tokens stand."""
        whole = self._numbers(text)
        for start, end in spans:
            before, behind = self._numbers(text[:start]), self._numbers(text[:end])
            if whole[: len(before)] != before or whole[: len(behind)] != behind:
                raise UserError(
                    f"{where}: a token of this tokenizer reaches over the beginning or the end of an answer, and it "
                    "does not tell where. Train on the whole chat with --no-assistant-only."
                )
            trained[len(before) : len(behind)] = [learned] * (len(behind) - len(before))


@dataclass(frozen=True)
class Encodings:
    """All examples, cut to what fits."""

    rows: tuple[Encoded, ...]
    places: tuple[str, ...]
    """Where each is from: file and line."""
    lengths: tuple[int, ...]
    """In tokens, before anything was cut; those of rows that were left out too."""
    kept: tuple[int, ...] = ()
    """Numbers of the rows that `rows` are from."""
    cut: tuple[str, ...] = ()
    """Where those are from that were cut."""
    cut_tokens: int = 0
    passed_over: dict[str, list[str]] = field(default_factory=dict)
    """What is not learned from: reason -> places."""

    def notes(self, max_length: int) -> list[str]:
        """Return sentences on what was cut or passed over."""
        found = []
        if self.cut:
            found.append(
                f"{len(self.cut)} of {count_of(len(self.lengths), 'row')} {'was' if len(self.cut) == 1 else 'were'} "
                f"cut to {max_length} tokens ({listed(self.cut, _NAMED)}); {self.cut_tokens:,} of "
                f"{sum(self.lengths):,} tokens are not learned from."
            )
        return [*found, *passed_over(self.passed_over)]


def encode_rows(
    rows: Sequence[TextRow],
    encode: Callable[[TextRow], Encoded],
    *,
    max_length: int,
    cut_long: bool,
    context_tokens: int,
    together: int = 1,
) -> Encodings:
    """Encode all rows; those with nothing to learn from are left out, and named.

    Args:
        together: so many rows after each other are kept or left out as one, such as the two answers of a pair.

    Raises:
        UserError: rows cannot be encoded, or are longer than `max_length` and may not be cut, with how many rows and
            tokens; or nothing is left to learn from.
    """
    whole = _all_encoded(rows, encode)
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
    cut = [one.cut(max_length) for one in whole]
    gone = {number // together for number, one in enumerate(cut) if not one.trained_count}
    if len(gone) * together == len(rows):
        if any(one.trained_count for one in whole):
            raise UserError(f"Cut to {max_length} tokens, no row has anything left to learn from. Raise --max-length.")
        raise UserError(
            f"None of {count_of(len(rows), 'row')} has a token to learn from: there is no answer of the assistant, or "
            f"all are empty or marked not to be learned from ({listed([row.where for row in rows], _NAMED)})."
        )
    passed: dict[str, list[str]] = {_UNLEARNABLE: [], _CUT_AWAY: [], _NOT_SHOWN: []}
    for number in sorted(gone):
        ours = range(number * together, (number + 1) * together)
        reason = _CUT_AWAY if all(whole[one].trained_count for one in ours) else _UNLEARNABLE
        passed[reason].append(rows[ours[0]].where)
    kept = tuple(number for number in range(len(rows)) if number // together not in gone)
    for number in kept:
        passed[_NOT_SHOWN] += [f"{rows[number].where}: {turn}" for turn in whole[number].not_shown]
    return Encodings(
        tuple(cut[number] for number in kept),
        tuple(rows[number].where for number in kept),
        lengths,
        kept,
        tuple(dict.fromkeys(rows[number].where for number in longer)),
        beyond,
        {reason: list(dict.fromkeys(places)) for reason, places in passed.items()},
    )


def _all_encoded(rows: Sequence[TextRow], encode: Callable[[TextRow], Encoded]) -> list[Encoded]:
    found: list[Encoded] = []
    problems: list[str] = []
    for row in rows:
        try:
            found.append(encode(row))
        except UserError as error:
            problems.append(str(error))
    raise_problems(f"{len(problems)} of {count_of(len(rows), 'row')} cannot be given to this base:", problems)
    return found
