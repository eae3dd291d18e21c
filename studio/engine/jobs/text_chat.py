"""Answer one prompt in every column at once: the base, each adapter and their blend, with one seed and sampling."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from pipelines.bases import POCKET_LANGUAGE
from pipelines.text_generate import TextRequest, stream_texts
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from trainers.errors import UserError
from trainers.seeds import drawn_seed

_ROLES = ("system", "user", "assistant")


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: columns (each with weights: adapter -> weight, and messages: the chat so far), seed, temperature,
    top_p, max_new_tokens, stop (texts), plain (go on with the last message without the chat template), base, device,
    precision.

    Yields ``{"event": "piece", "column", "text", "tokens", "ended", "seconds"}``; `ended` is empty until the column's
    last piece, and `seconds` are those since the first token was asked for.
    """
    requests = [_request(column, arguments) for column in arguments["columns"]]
    names = dict.fromkeys(name for request in requests for name in request.weights)
    session = workbench.text_session(
        str(arguments.get("base") or POCKET_LANGUAGE),
        list(names),
        device=str(arguments.get("device") or "auto"),
        precision=str(arguments.get("precision") or "auto"),
    )
    begun = time.monotonic()
    with closing(stream_texts(session.attachments, requests)) as pieces:  # type: ignore[type-var]
        for column, piece in pieces:
            yield {
                "event": "piece",
                "column": column,
                "text": piece.text,
                "tokens": piece.tokens,
                "ended": piece.ended,
                "seconds": round(time.monotonic() - begun, 4),
            }


def _request(column: Mapping[str, Any], arguments: Mapping[str, Any]) -> TextRequest:
    messages = [_message(message) for message in column["messages"]]
    if not messages or messages[-1]["role"] != "user" or not messages[-1]["content"].strip():
        raise UserError("The prompt is empty: the last message must be the user's. Write what is to be answered.")
    plain = bool(arguments.get("plain"))
    return TextRequest(
        prompt=messages[-1]["content"] if plain else "",
        messages=() if plain else tuple(messages),
        plain=plain,
        seed=drawn_seed(int(arguments.get("seed") or 0)),
        weights={str(name): float(weight) for name, weight in (column.get("weights") or {}).items()},
        temperature=float(arguments.get("temperature") or 0.0),
        top_p=float(arguments.get("top_p") or 1.0),
        max_new_tokens=int(arguments.get("max_new_tokens") or 256),
        stop=tuple(str(text) for text in arguments.get("stop") or () if text),
    )


def _message(message: Any) -> dict[str, str]:
    if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
        raise UserError(f"The message {message!r} has no role of {', '.join(_ROLES)}. Write role and content.")
    if not isinstance(message.get("content"), str):
        raise UserError(f"The message {message!r} has no text. Write role and content.")
    return {"role": str(message["role"]), "content": str(message["content"])}


JOB = Job("text_chat", _run)
