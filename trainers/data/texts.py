"""Reading texts to learn from: JSONL, JSON, CSV and TXT, in whatever of the usual forms they are.

The form is recognised by the columns of the first row, said, and held against every other row: one odd row among
thousands is a mistake in the file, and is named by its line.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trainers.errors import UserError, raise_problems
from trainers.wording import count_of

ENDINGS = (".jsonl", ".json", ".csv", ".txt")
TRAINING, HELD_OUT = "train", "held_out"
"""Names of the files in a folder."""
ROLES = ("system", "user", "assistant")
_LIMIT_BYTES = 4 << 30
_LIMIT_PROBLEMS = 10

Message = Mapping[str, str]
"""``role`` (system, user or assistant) and ``content``."""


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
        Form("messages", "chats (messages)", frozenset({"messages"})),
        Form("preference", "preference pairs (prompt, chosen, rejected)", frozenset({"prompt", "chosen", "rejected"})),
        Form("prompt_completion", "prompts with completions", frozenset({"prompt", "completion"})),
        Form("alpaca", "instructions (alpaca)", frozenset({"instruction", "output"}), frozenset({"input", "system"})),
        Form("classification", "texts with labels", frozenset({"text", "label"})),
        Form("prompts", "prompts alone", frozenset({"prompt"})),
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


@dataclass(frozen=True)
class TextData:
    """What a file holds."""

    path: Path
    form: Form
    rows: tuple[TextRow, ...]
    unused: tuple[str, ...]
    """Columns that no form here has, which are not read."""


def read_texts(data: Path, which: str = TRAINING) -> TextData:
    """Read a file of texts, or the one that a folder has for training (``train.jsonl`` …).

    Args:
        which: of a folder, the name of the file without its ending.

    Raises:
        UserError: there is no such file, it is broken (with the line), its columns are of no known form, or rows cannot
            be used; up to ten are named at once.
    """
    path = _file(data, which)
    found = list(_raw_rows(path))
    if not found:
        raise UserError(f"{path} holds no rows.")
    form = _form_of(found[0][1], found[0][0])
    known = form.needs | form.may
    unused = tuple(dict.fromkeys(column for _, row in found for column in row if column not in known))
    rows: list[TextRow] = []
    problems: list[str] = []
    for where, row in found:
        try:
            beside = {str(name): value for name, value in row.items() if name not in known}
            rows.append(replace(_row(form, where, row), columns=beside))
        except UserError as error:
            problems.append(str(error))
    more = [f"and {len(problems) - _LIMIT_PROBLEMS} more"] if len(problems) > _LIMIT_PROBLEMS else []
    raise_problems(
        f"{len(problems)} of {count_of(len(found), 'row')} of {path} cannot be used as {form.title}:",
        problems[:_LIMIT_PROBLEMS] + more,
    )
    return TextData(path, form, tuple(rows), unused)


def held_out_file(data: Path) -> Path | None:
    """Return the file of texts that are not trained on: ``held_out`` beside or in the data; None when there is none."""
    folder = data if data.is_dir() else data.parent
    return next((path for ending in ENDINGS if (path := folder / f"{HELD_OUT}{ending}").is_file()), None)


def _file(data: Path, which: str) -> Path:
    if data.is_file():
        if data.suffix.lower() not in ENDINGS:
            raise UserError(f"{data} is none of the kinds that can be read: {', '.join(ENDINGS)}.")
        return data
    if not data.is_dir():
        raise UserError(f"The data {data} does not exist. Give a file or a folder with {which}.jsonl.")
    found = [path for ending in ENDINGS if (path := data / f"{which}{ending}").is_file()]
    others = sorted(p.name for p in data.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    if not found and len(others) == 1:
        return data / others[0]
    if len(found) != 1:
        there = f"it holds {', '.join(others[:8])}" if others else "it holds no text file"
        raise UserError(f"The folder {data} must hold one file {which}.jsonl, .json, .csv or .txt; {there}.")
    return found[0]


def _raw_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (file and line, columns with values)."""
    if path.stat().st_size > _LIMIT_BYTES:
        raise UserError(f"{path} has more than {_LIMIT_BYTES:,} bytes, so it is not read.")
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"{path.name} line {number} is not UTF-8. Save the file as UTF-8.") from error
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".txt": _txt}
    for line, row in readers[path.suffix.lower()](content, path.name):
        yield f"{path.name} {line}", row


def _jsonl(content: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = getattr(error, "msg", "it is nested too deeply")
                raise UserError(f"{name} line {number} is not JSON: {reason}. It begins {line[:60]!r}.") from error
            yield f"line {number}", _mapping(row, f"{name} line {number}")


def _json(content: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        rows = json.loads(content)
    except json.JSONDecodeError as error:
        raise UserError(f"{name} line {error.lineno} is not JSON: {error.msg}.") from error
    except RecursionError as error:
        raise UserError(f"{name} is not JSON: it is nested too deeply.") from error
    if not isinstance(rows, list):
        raise UserError(f'{name} must be a list of rows, such as [{{"text": …}}, …]; one row a line is .jsonl.')
    for number, row in enumerate(rows, 1):
        yield f"row {number}", _mapping(row, f"{name} row {number}")


def _csv(content: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    try:
        for row in reader:
            where = f"line {reader.line_num}"
            if None in row or None in row.values():
                found = sum(value is not None for key, value in row.items() if key is not None)
                found += len(row.get(None, ()))
                raise UserError(
                    f"{name} {where} has {found} cells, and the header names {len(reader.fieldnames or ())}."
                )
            yield where, row
    except csv.Error as error:
        raise UserError(f"{name} line {reader.reader.line_num} is not CSV: {error}.") from error


def _txt(content: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield paragraphs: what stands between empty lines."""
    first, lines = 1, list[str]()
    for number, line in enumerate([*content.replace("\r\n", "\n").split("\n"), ""], 1):
        if line.strip():
            first = number if not lines else first
            lines.append(line)
        elif lines:
            yield f"line {first}", {"text": "\n".join(lines)}
            lines = []


def _mapping(row: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        raise UserError(f'{where} must be named values, such as {{"text": …}}, not {type(row).__name__}.')
    return row


def _form_of(row: Mapping[str, Any], where: str) -> Form:
    for form in FORMS.values():
        if form.needs <= row.keys():
            return form
    known = "; ".join(f"{form.title}: {', '.join(sorted(form.needs))}" for form in FORMS.values())
    raise UserError(
        f"{where} has the columns {', '.join(map(str, row)) or 'none'}, which is no known form. Known are {known}."
    )


def _row(form: Form, where: str, row: Mapping[str, Any]) -> TextRow:
    missing = sorted(form.needs - row.keys())
    if missing:
        raise UserError(f"{where} has no {' and no '.join(missing)}; it has {', '.join(row) or 'nothing'}")
    if form.name == "messages":
        messages = _messages(row["messages"], where)
        if not any(message["role"] == "assistant" for message in messages):
            raise UserError(f"{where} has no assistant turn, so there is nothing to learn from it")
        return TextRow(where, messages=messages)
    if form.name == "text":
        return TextRow(where, text=_filled(row, "text", where))
    if form.name == "classification":
        label = row["label"]
        if isinstance(label, bool | float) or not isinstance(label, str | int) or not str(label).strip():
            raise UserError(f"{where}: label must be a word or a whole number, not {label!r}")
        return TextRow(where, text=_filled(row, "text", where), label=str(label))
    if form.name == "alpaca":
        asked = _filled(row, "instruction", where)
        more = _string(row.get("input") or "", "input", where)
        system = _string(row.get("system") or "", "system", where)
        start = ({"role": "system", "content": system},) if system else ()
        user = {"role": "user", "content": f"{asked}\n\n{more}" if more.strip() else asked}
        return TextRow(where, messages=(*start, user, _answer(_filled(row, "output", where))))
    prompt = _prompt(row["prompt"], where)
    if form.name == "prompts":
        return TextRow(where, messages=prompt)
    if form.name == "prompt_completion":
        return TextRow(where, messages=(*prompt, _answer(_completion(row["completion"], "completion", where))))
    chosen, rejected = (_completion(row[name], name, where) for name in ("chosen", "rejected"))
    if chosen == rejected:
        raise UserError(f"{where}: chosen and rejected are the same text")
    return TextRow(where, messages=prompt, chosen=chosen, rejected=rejected)


def _answer(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _prompt(value: Any, where: str) -> tuple[Message, ...]:
    """Read a prompt: a text, or the messages before the answer."""
    if isinstance(value, str):
        return ({"role": "user", "content": _filled({"prompt": value}, "prompt", where)},)
    messages = _messages(value, where, "prompt")
    if messages[-1]["role"] != "user":
        raise UserError(f"{where}: the last turn of prompt must be the user's, not {messages[-1]['role']!r}")
    return messages


def _completion(value: Any, name: str, where: str) -> str:
    """Read an answer: a text, or a list of one assistant turn."""
    if isinstance(value, list):
        messages = _messages(value, where, name)
        if len(messages) != 1 or messages[0]["role"] != "assistant":
            raise UserError(f"{where}: {name} must be one assistant turn, or a text")
        return messages[0]["content"]
    return _filled({name: value}, name, where)


def _messages(value: Any, where: str, name: str = "messages") -> tuple[Message, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise UserError(f"{where}: {name} must be a list of turns with role and content")
    messages: list[Message] = []
    for number, turn in enumerate(value, 1):
        if not isinstance(turn, Mapping) or not {"role", "content"} <= turn.keys():
            raise UserError(f"{where}: turn {number} of {name} must have role and content")
        if turn["role"] not in ROLES:
            raise UserError(f"{where}: turn {number} has the role {turn['role']!r}; known are {', '.join(ROLES)}")
        messages.append({"role": turn["role"], "content": _filled(turn, "content", f"{where}: turn {number}")})
    return tuple(messages)


def _filled(row: Mapping[str, Any], name: str, where: str) -> str:
    text = _string(row[name], name, where)
    if not text.strip():
        raise UserError(f"{where}: {name} is empty")
    return text


def _string(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"{where}: {name} must be a text, not {type(value).__name__}")
    return value
