"""Prompts to texts on a language model with weighted adapters: streamed, or in batches whose rows differ in adapters.

Every row draws from a generator of its own seed, on the CPU in float64, so that a text does not depend on its batch.
Prompts are padded on the left, and padding is masked and takes no position.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from pipelines.attach import Attachments
from pipelines.families import TextBase
from pipelines.live import LiveRecipes
from pipelines.text_decode import decode
from pipelines.text_pieces import End, Piece, Writer
from pipelines.text_request import TextRequest
from trainers.data.chat import ChatEncoder
from trainers.errors import UserError

__all__ = ["Answer", "Piece", "TextRequest", "generate_texts", "stream_text", "stream_texts"]


@dataclass(frozen=True)
class Answer:
    """A finished text."""

    text: str
    tokens: int
    ended: End


def stream_text(
    attachments: Attachments, request: TextRequest, *, recipes: LiveRecipes | None = None
) -> Iterator[Piece]:
    """Write a text; yield it piece by piece, the last with why it ended. Stop by closing the iterator.

    Raises:
        UserError: an adapter is not attached, or the prompt leaves no room for an answer.
    """
    base = _text_base(attachments)
    prompt = _prompts(base, [request])[0]
    with _acting(attachments, recipes, request):
        if request.beams > 1:
            yield from _beams(base, prompt, request)
            return
        writer = Writer(base, request)
        for step in decode(base, [prompt], [request]):
            for piece in writer.take(step[0]):
                yield piece
                if piece.ended:
                    return


def generate_texts(
    attachments: Attachments,
    requests: Sequence[TextRequest],
    *,
    recipes: LiveRecipes | None = None,
    batch_size: int = 8,
    on_token: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[int, Answer]]:
    """Write texts; yield (number of the request, answer) as they are ready, in batches.

    Rows of one batch may have different weights where all adapters are plain LoRA, whose deltas are weighed row by row;
    with other methods, requests with different adapters come in batches of their own.

    Args:
        on_token: is told of each step how many tokens it gave; it may raise to stop.

    Raises:
        UserError: as for `stream_text`.
    """
    base = _text_base(attachments)
    prompts = _prompts(base, requests)
    for batch in _batches(attachments, requests, batch_size):
        chosen = [requests[number] for number in batch]
        with _acting_by_row(attachments, recipes, chosen):
            if chosen[0].beams > 1:
                for number, request in zip(batch, chosen, strict=True):
                    (piece,) = _beams(base, prompts[number], request)
                    yield number, Answer(piece.text, piece.tokens, piece.ended)
                continue
            yield from zip(batch, _answers(base, [prompts[n] for n in batch], chosen, on_token), strict=True)


def stream_texts(
    attachments: Attachments,
    requests: Sequence[TextRequest],
    *,
    recipes: LiveRecipes | None = None,
    batch_size: int = 8,
) -> Iterator[tuple[int, Piece]]:
    """Write texts at once, in batches as `generate_texts`; yield (number of the request, piece). Stop by closing it.

    Raises:
        UserError: as for `stream_text`.
    """
    base = _text_base(attachments)
    prompts = _prompts(base, requests)
    for batch in _batches(attachments, requests, batch_size):
        chosen = [requests[number] for number in batch]
        with _acting_by_row(attachments, recipes, chosen):
            if chosen[0].beams > 1:
                for number, request in zip(batch, chosen, strict=True):
                    yield from ((number, piece) for piece in _beams(base, prompts[number], request))
            else:
                pieces = _pieces(base, [prompts[number] for number in batch], chosen)
                yield from ((batch[row], piece) for row, piece in pieces)


def _pieces(
    base: TextBase, prompts: Sequence[list[int]], requests: Sequence[TextRequest]
) -> Iterator[tuple[int, Piece]]:
    writers = [Writer(base, request) for request in requests]
    ended = [False for _ in requests]
    for step in decode(base, prompts, requests, done=lambda row: ended[row]):
        for row, token in enumerate(step):
            for piece in writers[row].take(token) if not ended[row] else ():
                ended[row] = bool(piece.ended)
                yield row, piece
        if all(ended):
            return


def _answers(
    base: TextBase, prompts: Sequence[list[int]], requests: Sequence[TextRequest], on_token: Callable[[int], None]
) -> list[Answer]:
    writers = [Writer(base, request) for request in requests]
    texts = ["" for _ in requests]
    ends: list[End] = ["" for _ in requests]
    for step in decode(base, prompts, requests, done=lambda row: bool(ends[row])):
        on_token(sum(not end for end in ends))
        for row, token in enumerate(step):
            for piece in writers[row].take(token) if not ends[row] else ():
                texts[row] += piece.text
                ends[row] = piece.ended
        if all(ends):
            break
    return [Answer(text, writer.count, end) for text, writer, end in zip(texts, writers, ends, strict=True)]


def _beams(base: TextBase, prompt: list[int], request: TextRequest) -> Iterator[Piece]:
    """Search beams by transformers' own search; yields the one whole text."""
    numbers = torch.tensor([prompt], device=base.device)
    room = min(request.max_new_tokens, base.context_tokens - len(prompt))
    with torch.no_grad():
        found = base.model.generate(
            numbers,
            attention_mask=torch.ones_like(numbers),
            num_beams=request.beams,
            do_sample=False,
            max_new_tokens=room,
            eos_token_id=list(base.stop_numbers),
            pad_token_id=base.tokenizer.pad_token_id,
        )
    answer = [int(token) for token in found[0, len(prompt) :]]
    writer, text = Writer(base, request), ""
    for token in [*answer, None]:
        for piece in writer.take(token):
            text += piece.text
            if piece.ended:
                yield Piece(text, writer.count, piece.ended)
                return


def _prompts(base: TextBase, requests: Sequence[TextRequest]) -> list[list[int]]:
    encoder = ChatEncoder(base.tokenizer)
    found = [encoder.beginning(request.row()) for request in requests]
    for prompt in found:
        if len(prompt) >= base.context_tokens:
            raise UserError(
                f"The prompt has {len(prompt)} tokens, and the base {base.name!r} reads {base.context_tokens} with the "
                "answer. Shorten it."
            )
    return found


def _batches(attachments: Attachments, requests: Sequence[TextRequest], batch_size: int) -> list[list[int]]:
    groups: dict[Any, list[int]] = {}
    by_row = attachments.can_weigh_rows({name for r in requests for name, weight in r.weights.items() if weight})
    for number, request in enumerate(requests):
        together = by_row and request.recipe is None
        groups.setdefault((None if together else request.acting(), request.beams), []).append(number)
    return [
        group[start : start + batch_size] for group in groups.values() for start in range(0, len(group), batch_size)
    ]


@contextlib.contextmanager
def _acting(attachments: Attachments, recipes: LiveRecipes | None, request: TextRequest) -> Iterator[None]:
    """Let a request's weights and recipe act for the length of a block."""
    attachments.set_weights(request.weights)
    try:
        if request.recipe is None:
            yield
        else:
            assert recipes is not None, "a request with a recipe needs LiveRecipes"
            if recipes.mixture(request.recipe).changes_with_the_step:
                raise UserError(
                    "The recipe changes with the sampling step, and a text has none. Take the schedule out."
                )
            with recipes.acting(request.recipe, 1):
                yield
    finally:
        attachments.set_weights({})


@contextlib.contextmanager
def _acting_by_row(
    attachments: Attachments, recipes: LiveRecipes | None, requests: Sequence[TextRequest]
) -> Iterator[None]:
    if len({request.acting() for request in requests}) == 1 or requests[0].beams > 1:
        with _acting(attachments, recipes, requests[0]):
            yield
        return
    try:
        attachments.set_row_weights([request.weights for request in requests])
        yield
    finally:
        attachments.set_weights({})


def _text_base(attachments: Attachments) -> TextBase:
    return cast(TextBase, attachments.base)
