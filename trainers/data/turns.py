"""The turns of a chat, in the spellings that other programs write: OpenAI's, ShareGPT's, and tool calls of both.

Whatever a turn holds is read, honoured as a mark not to learn from it, or told as passed over; nothing is dropped in
silence.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainers.errors import UserError

Message = Mapping[str, Any]
"""``role`` (one of `ROLES`) and ``content``, a text; of some turns also ``tool_calls``, ``tool_call_id``, ``name`` or
reasoning, as the chat template is given them."""
ROLES = ("system", "user", "assistant", "tool")
EMPTY_ANSWERS = "empty answers, which are not learned from"
_OTHERS_MARKS = "marks to learn from turns that are not the assistant's"
_ROLE_NAMES: Mapping[str, str] = {
    **{role: role for role in ROLES},
    "human": "user",
    **dict.fromkeys(("gpt", "chatgpt", "model", "bot", "function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("observation", "function_response", "tool_response"), "tool"),
}
_CALLING = ("function_call", "tool_call")
"""Of ShareGPT: turns whose text is a tool call, written as JSON."""
_LEARN = ("weight", "train", "training", "train_on_turn", "trainable", "learn", "loss", "loss_scale")
_MASK = ("mask", "masked")
"""Marks the other way round: true is not learned from."""
_PART_OF_A_TURN = ("train_detail", "training_detail")
_REASONING = ("reasoning_content", "reasoning", "thinking")
_TEXT_PARTS = ("text", "input_text", "output_text")


@dataclass
class TurnsRead:
    """What is found while the chats of a file are read."""

    keys: dict[str, int] = field(default_factory=dict)
    """Key of turns that means nothing here -> number of turns."""
    passed_over: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> places."""

    def note(self, reason: str, place: str) -> None:
        """Keep that something is passed over."""
        self.passed_over.setdefault(reason, []).append(place)


@dataclass(frozen=True)
class Chat:
    """Turns as a chat template takes them."""

    messages: tuple[Message, ...]
    not_learned: frozenset[int] = frozenset()
    """Numbers of the turns, from 0, that are marked not to be learned from."""


def read_turns(value: Any, where: str, found: TurnsRead, name: str = "messages") -> Chat:
    """Read a list of turns, or the JSON text of one.

    Raises:
        UserError: it is none, or a turn cannot be read; with the number of the turn.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json_value(value, f"{where}: {name}")
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise UserError(f"{where}: {name} must be a list of turns with role and content")
    messages: list[Message] = []
    not_learned: set[int] = set()
    for number, turn in enumerate(value):
        place = f"{where}: turn {number + 1}"
        if not isinstance(turn, Mapping) or not (turn.keys() & {"role", "from"}):
            raise UserError(f"{place} of {name} must have role and content, or from and value")
        message, rest = _message(turn, place)
        messages.append(message)
        if not _is_learned(rest, place):
            not_learned.add(number)
        elif message["role"] != "assistant" and any(rest.get(key) is not None for key in (*_LEARN, *_MASK)):
            found.note(_OTHERS_MARKS, place)
        elif message["role"] == "assistant" and not is_said(message):
            found.note(EMPTY_ANSWERS, place)
            not_learned.add(number)
        for key, inner in rest.items():
            if inner is None or key in (*_LEARN, *_MASK):
                continue
            found.keys[key] = found.keys.get(key, 0) + 1
    return Chat(tuple(messages), frozenset(not_learned))


def read_tools(value: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    """Read the column ``tools``: a list of what can be called, or the JSON text of one; nothing is an empty one.

    Raises:
        UserError: it is something else.
    """
    if isinstance(value, str) and value.strip():
        value = json_value(value, f"{where}: tools")
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise UserError(f"{where}: tools must be a list of functions with name and parameters")
    return tuple(value)


def said_in(message: Message) -> str:
    """Return what a turn says; a turn that calls tools may say nothing."""
    return message.get("content") or ""


def is_said(message: Message) -> bool:
    """Return whether a turn holds anything at all."""
    return bool(said_in(message).strip() or message.get("tool_calls") or any(message.get(key) for key in _REASONING))


def json_value(text: str, where: str) -> Any:
    """Return what a text that is JSON says.

    Raises:
        UserError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON: {text[:60]!r}") from error


def _message(turn: Mapping[str, Any], place: str) -> tuple[Message, Mapping[str, Any]]:
    """Return a turn and the keys of it that are not part of the message."""
    spoken = "role" if "role" in turn else "from"
    said = next((key for key in ("content", "value") if key in turn), "content")
    named = turn[spoken]
    role = _ROLE_NAMES.get(named.lower()) if isinstance(named, str) else None
    if role is None:
        raise UserError(f"{place} has the role {named!r}; known are {', '.join(ROLES)}, and human and gpt")
    content, calls, used = turn.get(said), turn.get("tool_calls"), {spoken, said}
    if named.lower() in _CALLING:
        content, calls = None, content
    if calls is None and turn.get("function_call") is not None:
        calls = turn["function_call"]
        used.add("function_call")
    message: dict[str, Any] = {"role": role}
    if role == "assistant":
        used |= {"tool_calls", *_REASONING}
        message["content"] = "" if content is None and calls else _text(content, place, role)
        if calls:
            message["tool_calls"] = _calls(calls, place)
        message |= {key: _text(turn[key], place, key) for key in _REASONING if turn.get(key) is not None}
    else:
        message["content"] = _text(content, place, role)
        if role == "tool":
            used |= {"tool_call_id", "name"}
            message |= {key: str(turn[key]) for key in ("tool_call_id", "name") if turn.get(key) is not None}
    return message, {str(key): value for key, value in turn.items() if key not in used}


def _text(content: Any, place: str, role: str) -> str:
    """Return a turn's content as one text; a user's must not be empty."""
    if role == "tool" and isinstance(content, Mapping):
        content = json.dumps(content, ensure_ascii=False)
    if isinstance(content, list):
        content = "".join(_part(part, place) for part in content)
    if not isinstance(content, str):
        raise UserError(f"{place}: content must be a text, not {_kind(content)}")
    if role == "user" and not content.strip():
        raise UserError(f"{place}: content is empty")
    return content


def _part(part: Any, place: str) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, Mapping) else _kind(part)
    if not isinstance(part, Mapping) or kind not in _TEXT_PARTS or not isinstance(part.get("text"), str):
        raise UserError(f"{place} has a part of the type {kind!r}; a language model reads texts alone")
    return str(part["text"])


def _calls(value: Any, place: str) -> list[Mapping[str, Any]]:
    """Return tool calls as ``{"type": "function", "function": {"name", "arguments"}}``, with arguments as values."""
    value = json_value(value, f"{place}: the tool call") if isinstance(value, str) else value
    calls: list[Mapping[str, Any]] = []
    for call in value if isinstance(value, list) else [value]:
        inner = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
            raise UserError(
                f"{place}: a tool call must have the name of a function and its arguments, not {call!r:.80}"
            )
        arguments = inner.get("arguments", inner.get("parameters", {}))
        if isinstance(arguments, str) and arguments.lstrip().startswith("{"):
            arguments = json_value(arguments, f"{place}: the arguments of {inner['name']}")
        own = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
        calls.append({**own, "type": "function", "function": {"name": inner["name"], "arguments": arguments}})
    return calls


def _is_learned(rest: Mapping[str, Any], place: str) -> bool:
    """Return whether a turn's marks let it be learned from; without marks it is.

    Raises:
        UserError: a mark is neither yes nor no, marks disagree, or one speaks of parts of the turn.
    """
    parts = [key for key in _PART_OF_A_TURN if rest.get(key) is not None]
    if parts:
        raise UserError(
            f"{place}: {parts[0]} marks parts of a turn, and a turn is learned from whole or not at all. Split the "
            "turn, or mark it with weight 0 or 1"
        )
    said = {}
    for key in (*_LEARN, *_MASK):
        value = rest.get(key)
        if value is None:
            continue
        text = str(value).strip().lower()
        if text not in ("0", "1", "0.0", "1.0", "true", "false"):
            raise UserError(f"{place}: {key} = {value!r}; only 0 and 1 (or false and true) can be followed")
        said[key] = (text in ("1", "1.0", "true")) is (key in _LEARN)
    if len(set(said.values())) > 1:
        raise UserError(f"{place}: {' and '.join(said)} say different things of whether it is learned from. Keep one")
    return all(said.values())


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
