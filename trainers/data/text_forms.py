"""The forms that rows of texts have, by their columns, and one shape for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainers.data.turns import Chat, Message, TurnsRead, read_tools, read_turns
from trainers.errors import UserError

CHATS = ("messages", "conversations", "conversation")
"""What the column of a chat is called; ShareGPT says conversations."""


@dataclass(frozen=True)
class Form:
    """One form of data, by its columns."""

    name: str
    title: str
    needs: frozenset[str]
    may: frozenset[str] = frozenset()


FORMS: Mapping[str, Form] = {
    form.name: form
    for form in (
        Form(
            "preference",
            "preference pairs (prompt, chosen, rejected)",
            frozenset({"chosen", "rejected"}),
            frozenset({"prompt", "messages", "instruction", "input", "system", "tools"}),
        ),
        Form("messages", "chats (messages)", frozenset({"messages"}), frozenset({"system", "tools"})),
        Form(
            "prompt_completion",
            "prompts with completions",
            frozenset({"prompt", "completion"}),
            frozenset({"system", "tools"}),
        ),
        Form(
            "alpaca",
            "instructions (alpaca)",
            frozenset({"instruction", "output"}),
            frozenset({"input", "system", "history"}),
        ),
        Form("classification", "texts with labels", frozenset({"text", "label"})),
        Form("prompts", "prompts alone", frozenset({"prompt"}), frozenset({"system", "tools"})),
        Form("text", "plain texts", frozenset({"text"})),
    )
}
"""By name; of several that fit, the first is meant."""


@dataclass(frozen=True)
class TextRow:
    """One example, in one shape for all forms."""

    where: str
    """File and line, for messages."""
    messages: tuple[Message, ...] = ()
    """A chat: of training rows with its answers, of the others the part before what differs."""
    text: str = ""
    """A plain text."""
    chosen: str = ""
    rejected: str = ""
    label: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """What else the row holds; only rewards look at it."""
    not_learned: frozenset[int] = frozenset()
    """Numbers of the messages, from 0, that are marked not to be learned from."""
    asked: int = 0
    """How many of the messages are the question; where answers alone are learned from, none of these is."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """What the chat's assistant can call, as the chat template is given it."""


def with_usual_names(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row whose chat, if it has one, stands in the column ``messages``."""
    own = next((name for name in CHATS if name in row), "messages")
    return row if own == "messages" else {"messages" if key == own else key: value for key, value in row.items()}


def form_of(row: Mapping[str, Any], where: str, wanted: Sequence[str] = ()) -> Form:
    """Return the form that a row has by its columns.

    Args:
        wanted: names of forms that are taken before all others where several fit.

    Raises:
        UserError: none fits.
    """
    fitting = [form for form in FORMS.values() if form.needs <= row.keys()]
    if fitting:
        return next((form for form in fitting if form.name in wanted), fitting[0])
    known = "; ".join(f"{form.title}: {', '.join(sorted(form.needs))}" for form in FORMS.values())
    raise UserError(
        f"{where} has the columns {', '.join(map(str, row)) or 'none'}, which is no known form. Known are {known}; a "
        f"chat's column may also be called {' or '.join(CHATS[1:])}."
    )


def text_row(form: Form, where: str, row: Mapping[str, Any], found: TurnsRead) -> TextRow:
    """Return a row in the one shape.

    Raises:
        UserError: a column is missing, or cannot be read.
    """
    missing = sorted(form.needs - row.keys())
    if missing:
        raise UserError(f"{where} has no {' and no '.join(missing)}; it has {', '.join(row) or 'nothing'}")
    if form.name == "text":
        return TextRow(where, text=_filled(row, "text", where))
    if form.name == "classification":
        label = row["label"]
        if isinstance(label, bool | float) or not isinstance(label, str | int) or not str(label).strip():
            raise UserError(f"{where}: label must be a word or a whole number, not {label!r}")
        return TextRow(where, text=_filled(row, "text", where), label=str(label))
    tools = read_tools(row["tools"], where) if "tools" in row else ()
    if form.name == "messages":
        chat = _with_system(row, where, read_turns(row["messages"], where, found))
        return TextRow(where, chat.messages, not_learned=chat.not_learned, tools=tools)
    if form.name == "alpaca":
        messages = (*_asked(row, where), _answer(_filled(row, "output", where)))
        return TextRow(where, messages)
    if form.name == "preference":
        return _pair(where, row, found, tools)
    prompt = _with_system(row, where, _prompt(row["prompt"], where, found))
    if form.name == "prompts":
        return TextRow(where, prompt.messages, tools=tools)
    answers = _completion(row["completion"], "completion", where, found)
    count = len(prompt.messages)
    not_learned = prompt.not_learned | {count + number for number in answers.not_learned}
    return TextRow(where, (*prompt.messages, *answers.messages), not_learned=not_learned, asked=count, tools=tools)


def _answer(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _asked(row: Mapping[str, Any], where: str) -> tuple[Message, ...]:
    """Return the question of an alpaca row, with what was said before."""
    asked = _filled(row, "instruction", where)
    more = _string(row.get("input") or "", "input", where)
    system = _string(row.get("system") or "", "system", where)
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    for pair in row.get("history") or ():
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise UserError(f"{where}: history must be a list of pairs, a question and its answer each")
        messages += [{"role": "user", "content": pair[0]}, _answer(pair[1])]
    return (*messages, {"role": "user", "content": f"{asked}\n\n{more}" if more.strip() else asked})


def _with_system(row: Mapping[str, Any], where: str, chat: Chat) -> Chat:
    """Return a chat with the column ``system`` before it."""
    system = _string(row.get("system") or "", "system", where)
    if not system:
        return chat
    if chat.messages[0]["role"] == "system":
        raise UserError(f"{where} has a column system and a turn of the system. Keep one of them")
    messages = ({"role": "system", "content": system}, *chat.messages)
    return Chat(messages, frozenset(number + 1 for number in chat.not_learned))


def _prompt(value: Any, where: str, found: TurnsRead) -> Chat:
    """Read a prompt: a text, or the messages before the answer."""
    if isinstance(value, str):
        return Chat(({"role": "user", "content": _filled({"prompt": value}, "prompt", where)},))
    chat = read_turns(value, where, found, "prompt")
    if chat.messages[-1]["role"] not in ("user", "tool"):
        raise UserError(f"{where}: the last turn of prompt must be the user's, not {chat.messages[-1]['role']!r}")
    return chat


def _completion(value: Any, name: str, where: str, found: TurnsRead) -> Chat:
    """Read what follows a prompt: a text, a turn, or a list of turns that begins with the assistant's."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        return Chat((_answer(_filled({name: value}, name, where)),))
    chat = read_turns(value, where, found, name)
    if chat.messages[0]["role"] != "assistant":
        raise UserError(f"{where}: {name} must begin with the assistant's turn, or be a text")
    return chat


def _pair(where: str, row: Mapping[str, Any], found: TurnsRead, tools: tuple[Mapping[str, Any], ...]) -> TextRow:
    """Read two answers to one question, which stands in a column of its own or at the beginning of both."""
    source = next((name for name in ("prompt", "messages", "instruction") if row.get(name) is not None), "")
    before: tuple[Message, ...] = ()
    if source == "instruction":
        before = _asked(row, where)
    elif source:
        before = _with_system(row, where, _prompt(row[source], where, found)).messages
    answers: dict[str, str] = {}
    for name in ("chosen", "rejected"):
        value = [row[name]] if isinstance(row[name], Mapping) else row[name]
        if not isinstance(value, list):
            answers[name] = _filled(row, name, where)
            continue
        *asked, last = read_turns(value, where, found, name).messages
        if last["role"] != "assistant" or last.get("tool_calls") or not last["content"].strip():
            raise UserError(f"{where}: {name} must be one assistant turn, or a text")
        if asked:
            own = tuple(asked)
            before = before or own
            if own not in (before, before[1:]):  # a system's turn may stand in the prompt alone
                raise UserError(f"{where}: what stands before the answer in {name} is not the prompt")
        answers[name] = last["content"]
    if not before:
        raise UserError(
            f"{where} has no prompt: {', '.join(row)} are there, and chosen and rejected are answers alone. Add the "
            "column prompt, or let both be lists of turns that begin with the question"
        )
    if before[-1]["role"] not in ("user", "tool"):
        raise UserError(f"{where}: the last turn before an answer must be the user's, not {before[-1]['role']!r}")
    if answers["chosen"] == answers["rejected"]:
        raise UserError(f"{where}: chosen and rejected are the same text")
    return TextRow(where, before, chosen=answers["chosen"], rejected=answers["rejected"], tools=tools)


def _filled(row: Mapping[str, Any], name: str, where: str) -> str:
    text = _string(row[name], name, where)
    if not text.strip():
        raise UserError(f"{where}: {name} is empty")
    return text


def _string(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"{where}: {name} must be a text, not {type(value).__name__}")
    return value
