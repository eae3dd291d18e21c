"""A tokenizer's chat template: chats to text, and where in that text each turn stands with its end.

A turn is found by rendering the chat up to it and behind it: what the longer text adds is the turn. Some templates
write an earlier turn differently once later ones follow (Qwen3 writes empty thoughts before the last answer alone).
There the chat is rendered once more with marks in place of what is said; what stands between marks is the template's.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from trainers.data.plain_text import plain_text
from trainers.data.turns import Message, is_said, said_in
from trainers.errors import UserError
from trainers.wording import listed

Span = tuple[int, int]
"""First character, and the one behind the last."""
Tools = Sequence[Mapping[str, Any]]
_BEGIN, _END = "\ue000", "\ue001"
"""Characters for private use; nobody says them."""
_MARK = re.compile(f"{_BEGIN}([0-9]+){_END}")


class ChatTemplate:
    """What a tokenizer makes of a chat, as text."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        own = {str(word) for word in tokenizer.added_tokens_decoder.values() if word.special}
        begin, end = tokenizer.bos_token, tokenizer.eos_token
        words = (own | {end}) - ({begin} if begin != end else set())
        self._ends = tuple(sorted((word for word in words if word), key=len, reverse=True))

    def text(self, messages: Sequence[Message], where: str, tools: Tools = (), *, asks: bool = False) -> str:
        """Return a chat as text.

        Args:
            asks: let the assistant's next turn begin at the end.

        Raises:
            UserError: the template refuses the chat.
        """
        from jinja2 import TemplateError  # only here; the templates are the tokenizer's affair

        try:
            text = self._tokenizer.apply_chat_template(
                [dict(turn) for turn in messages],
                tools=[dict(tool) for tool in tools] or None,
                tokenize=False,
                add_generation_prompt=asks,
            )
        except (TemplateError, TypeError) as error:  # a template that adds null to a text is a TypeError
            turns = ", ".join(turn["role"] for turn in messages)
            reason = " ".join(str(error).split())[:200].rstrip(".")
            advice = ". Put what the system says before the user's first words" if "ystem" in reason else ""
            raise UserError(f"{where}: the base's chat template refuses the turns {turns}: {reason}{advice}") from error
        return plain_text(str(text), f"{where}: what the base's chat template makes of it")

    def as_it_knows(self, messages: Sequence[Message], where: str, tools: Tools = ()) -> Sequence[Message]:
        """Return a chat with its tool calls in the spelling that the template shows: templates differ in it.

        Raises:
            UserError: it shows them in none, or leaves out what tools there are or what one gave back.
        """
        calls = any(turn.get("tool_calls") for turn in messages)
        if not calls and not tools and all(turn["role"] != "tool" for turn in messages):
            return messages
        problem = ""
        for spelling in _spellings(messages) if calls else (messages,):
            marked, marked_tools, names = _with_tools_marked(spelling, tools)
            try:
                self.text(spelling, where, tools)
                text = self.text(marked, where, marked_tools)
            except UserError as error:
                problem = problem or str(error)
                continue
            hidden = [name for mark, name in names.items() if mark not in text]
            if not hidden:
                return spelling
            problem = f"{where}: the base's chat template leaves out {listed(hidden, 3)}"
        raise UserError(f"{problem}. Take a base whose chat template knows tools, or leave these rows out")

    def spans(
        self, messages: Sequence[Message], which: Iterable[int], whole: str, where: str, tools: Tools = ()
    ) -> list[Span]:
        """Return where turns stand: the assistant's with their ends, of the others what is said.

        Args:
            which: numbers of the turns, from 0.
            whole: the text of the whole chat.

        Raises:
            UserError: they cannot be told apart from the rest.
        """
        wanted = list(which)
        found = [self._by_beginning(messages, number, whole, where, tools) for number in wanted]
        if any(span is None for span in found):
            by_mark = self._by_marks(messages, whole, where, tools)
            found = [span or by_mark.get(number) for number, span in zip(wanted, found, strict=True)]
        sound = [span for span in found if span is not None]
        if len(sound) < len(wanted):
            raise UserError(
                f"{where}: the chat template renders earlier turns differently once later ones follow, so the "
                "answers cannot be told apart. Train on the whole chat with --no-assistant-only, or give the "
                "template {% generation %} marks."
            )
        return sound

    def _by_beginning(
        self, messages: Sequence[Message], number: int, whole: str, where: str, tools: Tools
    ) -> Span | None:
        """Find a turn by what the text is without it."""
        if number == 0:
            return None
        try:
            before = self.text(messages[:number], where, tools)
            asked = self.text(messages[:number], where, tools, asks=True)
            behind = self.text(messages[: number + 1], where, tools)
        except UserError:  # some templates refuse a chat that ends there
            return None
        if not (whole.startswith(behind) and behind.startswith(before) and asked.startswith(before)):
            return None
        turn, opening = whole[len(before) : len(behind)], asked[len(before) :]
        if messages[number]["role"] != "assistant":
            said = said_in(messages[number]).strip()
            place = turn.rfind(said)
            return (len(before) + place, len(before) + place + len(said)) if said and place >= 0 else None
        if not turn.startswith(opening):  # as where the model is to begin with thoughts, and the data has none
            return None
        bare = turn.rstrip()
        end = len(bare) if bare.endswith(self._ends) else len(turn)
        return len(before) + len(opening), len(before) + end

    def _by_marks(self, messages: Sequence[Message], whole: str, where: str, tools: Tools) -> Mapping[int, Span]:
        """Find all turns by what the text is with marks in place of what they say."""
        marked = [
            {**turn, "content": f"{_BEGIN}{number}{_END}"} if said_in(turn).strip() else turn
            for number, turn in enumerate(messages)
        ]
        hollow = self.text(marked, where, tools)
        between, numbers = _MARK.split(hollow)[::2], [int(number) for number in _MARK.findall(hollow)]
        if _BEGIN in whole or numbers != sorted(set(numbers)) or not whole.startswith(between[0]):
            return {}
        closing = between[-1] if numbers and messages[numbers[-1]]["role"] == "assistant" else None
        found: dict[int, Span] = {}
        place = len(between[0])
        for number, (left, right) in zip(numbers, pairwise(between), strict=True):
            forms = _forms(said_in(messages[number]))
            said = next((form for form in forms if whole.startswith(form + right, place)), None)
            if said is None:  # what was found until here is certain all the same
                break
            end = place + len(said)
            if messages[number]["role"] == "assistant":
                start = place - (len(left) - self._opened(messages[:number], left, where, tools))
                found[number] = start, end + self._closing(right, closing)
            else:
                found[number] = place, end
            place = end + len(right)
        return found

    def _opened(self, before: Sequence[Message], left: str, where: str, tools: Tools) -> int:
        """Return how much of what stands before an answer the model is given: it writes the rest itself."""
        if not before:
            return len(left)
        try:
            bare, asked = self.text(before, where, tools), self.text(before, where, tools, asks=True)
        except UserError:
            return len(left)
        opening = asked[len(bare) :] if asked.startswith(bare) else ""
        place = left.rfind(opening) if opening else -1
        return place + len(opening) if place >= 0 else len(left)

    def _closing(self, right: str, closing: str | None) -> int:
        """Return how much of what stands behind an answer is its end.

        Args:
            closing: what stands behind the chat's last answer, None where it ends in none.
        """
        if closing is not None and right.startswith(closing.rstrip() or closing):
            return len(closing.rstrip() or closing)
        space = len(right) - len(right.lstrip())
        word = next((word for word in self._ends if right.startswith(word, space)), None)
        if word is not None:
            return space + len(word)
        return right.find("\n") + 1 if "\n" in right[:space] else 0


def is_shown(said: str, text: str) -> bool:
    """Return whether a text holds what was said, with or without space around it, as it stands or written as JSON."""
    bare = said.strip()
    return bare in text or json.dumps(bare, ensure_ascii=False)[1:-1] in text


def _forms(said: str) -> tuple[str, ...]:
    """Return what a template may make of what is said: many strip it, and some leave earlier thoughts out."""
    without_thoughts = said.rpartition("</think>")[2].strip()
    return (
        said,
        said.rstrip(),
        said.lstrip(),
        said.strip(),
        json.dumps(said, ensure_ascii=False)[1:-1],
        without_thoughts,
    )


def _spellings(messages: Sequence[Message]) -> Iterable[Sequence[Message]]:
    """Yield a chat in the ways that templates want tool calls: arguments as values or text, no content "" or null."""

    def spelled(turn: Message, *, as_text: bool, null: bool) -> Message:
        if not turn.get("tool_calls"):
            return turn
        calls = [
            {**call, "function": {**call["function"], "arguments": _as_text(call["function"]["arguments"])}}
            if as_text
            else call
            for call in turn["tool_calls"]
        ]
        return {**turn, "tool_calls": calls, "content": turn["content"] or (None if null else "")}

    for as_text in (False, True):
        for null in (False, True):
            yield [spelled(turn, as_text=as_text, null=null) for turn in messages]


def _with_tools_marked(messages: Sequence[Message], tools: Tools) -> tuple[list[Message], list[Any], dict[str, str]]:
    """Return a chat and its tools with marks for the names of functions and what tools give back, and what each was."""
    names: dict[str, str] = {}

    def mark(what: str) -> str:
        names[f"{_BEGIN}{len(names)}{_END}"] = what
        return list(names)[-1]

    def function(one: Mapping[str, Any], what: str) -> Mapping[str, Any]:
        if "function" in one:
            return {**one, "function": function(one["function"], what)}
        return {**one, "name": mark(f"{what} {one.get('name', 'without a name')}")}

    turns: list[Message] = []
    for number, turn in enumerate(messages, 1):
        if turn.get("tool_calls"):
            turns.append({**turn, "tool_calls": [function(call, "the call of") for call in turn["tool_calls"]]})
        elif turn["role"] == "tool":
            turns.append({**turn, "content": mark(f"what a tool gives back (turn {number})")})
        else:
            turns.append(turn)
    return turns, [function(tool, "the tool") for tool in tools], names


def _as_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def not_shown(messages: Sequence[Message], whole: str) -> tuple[str, ...]:
    """Name the turns that the text of a chat does not hold as they stand."""
    return tuple(
        f"turn {number} ({turn['role']})"
        for number, turn in enumerate(messages, 1)
        if is_said(turn) and not is_shown(said_in(turn), whole)
    )
