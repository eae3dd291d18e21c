"""Prompts to texts on a language model with weighted adapters: streamed, or in batches whose rows differ in adapters.

Every row draws from a generator of its own seed, on the CPU in float64, so that a text does not depend on its batch.
Prompts are padded on the left, and padding is masked and takes no position.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor

from pipelines.attach import Attachments
from pipelines.families import TextBase
from pipelines.live import LiveRecipes
from pipelines.recipe import Recipe
from trainers.data.chat import ChatEncoder
from trainers.data.texts import Message, TextRow
from trainers.errors import UserError

_LIMIT_WEIGHT = 100.0
_PART = "language_model"
_UNFINISHED = "�"
End = Literal["", "end", "stop", "length"]
"""Why a text ended: it did not yet, the model said so, a stop text came, or there was no more room."""


@dataclass(frozen=True)
class TextRequest:
    """One text to write."""

    prompt: str = ""
    """What the user says; with `plain`, the beginning of a text."""
    messages: tuple[Message, ...] = ()
    """The whole chat so far, in place of `prompt`."""
    plain: bool = False
    """Go on with the prompt as it stands, without the chat template."""
    seed: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)
    """Adapter -> weight, any sign; an adapter not named is off."""
    recipe: Recipe | None = None
    """How adapters are combined, instead of weights."""
    temperature: float = 0.0
    """0 always takes the likeliest token."""
    top_p: float = 1.0
    """Only the likeliest tokens that together have this probability are drawn from."""
    maximum_tokens: int = 256
    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""
    beams: int = 1
    """More than 1 searches so many beginnings at once, always for the likeliest; it is not streamed."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be used."""
        for name, low, high in (
            ("temperature", 0, 100),
            ("maximum_tokens", 1, 1 << 20),
            ("seed", 0, 2**63 - 1),
            ("beams", 1, 64),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name} {value} is out of range; {low} to {high} is possible.")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p {self.top_p} is out of range; above 0 and up to 1 is possible.")
        if self.beams > 1 and self.temperature:
            raise UserError(
                f"{self.beams} beams look for the likeliest text; temperature {self.temperature} must be 0."
            )
        if not self.prompt and not self.messages:
            raise UserError("The prompt is empty.")
        for adapter, weight in self.weights.items():
            if not abs(weight) <= _LIMIT_WEIGHT:  # also refuses NaN
                raise UserError(
                    f"The weight {weight} of {adapter!r} is out of range; "
                    f"-{_LIMIT_WEIGHT:g} to {_LIMIT_WEIGHT:g} is possible."
                )

    def row(self) -> TextRow:
        """Return what is to be gone on with, in the shape of the data."""
        if self.plain:
            return TextRow("The prompt", text=self.prompt)
        return TextRow("The prompt", messages=self.messages or ({"role": "user", "content": self.prompt},))

    def acting(self) -> tuple[Any, ...]:
        """Return what acts on the base, to compare."""
        weights = tuple(sorted((name, weight) for name, weight in self.weights.items() if weight))
        return weights, self.recipe.model_dump_json() if self.recipe is not None else None


@dataclass(frozen=True)
class Piece:
    """What came of a text since the last piece."""

    text: str
    tokens: int
    """Tokens of the answer so far."""
    ended: End = ""


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
        writer = _Writer(base, request)
        for step in _decode(base, [prompt], [request]):
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


def _answers(
    base: TextBase, prompts: Sequence[list[int]], requests: Sequence[TextRequest], on_token: Callable[[int], None]
) -> list[Answer]:
    writers = [_Writer(base, request) for request in requests]
    texts = ["" for _ in requests]
    ends: list[End] = ["" for _ in requests]
    for step in _decode(base, prompts, requests, done=lambda row: bool(ends[row])):
        on_token(sum(not end for end in ends))
        for row, token in enumerate(step):
            for piece in writers[row].take(token) if not ends[row] else ():
                texts[row] += piece.text
                ends[row] = piece.ended
        if all(ends):
            break
    return [Answer(text, writer.count, end) for text, writer, end in zip(texts, writers, ends, strict=True)]


class _Writer:
    """Turns tokens into text as soon as it is certain, and knows when to stop."""

    def __init__(self, base: TextBase, request: TextRequest) -> None:
        self._tokenizer, self._stops, self._request = base.tokenizer, set(base.stop_numbers), request
        self._numbers: list[int] = []
        self._settled, self._read = 0, 0
        self._held = ""
        self.count = 0

    def take(self, token: int | None) -> Iterator[Piece]:
        """Yield at most one piece; None says that there is no more room."""
        ended: End = ""
        if token is None:
            ended = "length"
        elif token in self._stops:
            ended = "end"
        else:
            self._numbers.append(token)
            self.count += 1
            self._held += self._fresh()
            if self.count >= self._request.maximum_tokens:
                ended = "length"
        if ended:
            self._held += self._fresh(all_of_it=True)
        places = [place for stop in self._request.stop if stop and (place := self._held.find(stop)) >= 0]
        if places:
            yield Piece(self._held[: min(places)], self.count, "stop")
            return
        keep = 0 if ended else self._may_begin_a_stop()
        text, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        if text or ended:
            yield Piece(text, self.count, ended)

    def _fresh(self, *, all_of_it: bool = False) -> str:
        """Return what the tokens since the last call add to the text; half a character waits for its rest."""
        before = self._decode(self._numbers[self._settled : self._read])
        now = self._decode(self._numbers[self._settled :])
        if len(now) <= len(before) or (now.endswith(_UNFINISHED) and not all_of_it):
            return ""
        self._settled, self._read = self._read, len(self._numbers)
        return now[len(before) :]

    def _decode(self, numbers: list[int]) -> str:
        return str(self._tokenizer.decode(numbers, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _may_begin_a_stop(self) -> int:
        """Return how many last characters could be the beginning of a stop text."""
        lengths = [n for stop in self._request.stop for n in range(1, len(stop)) if self._held.endswith(stop[:n])]
        return max(lengths, default=0)


def _decode(
    base: TextBase,
    prompts: Sequence[list[int]],
    requests: Sequence[TextRequest],
    done: Callable[[int], bool] = lambda row: False,
) -> Iterator[list[int | None]]:
    """Yield the next token of every row, without end; None where the context is full or the row is done."""
    from transformers import DynamicCache

    width = max(map(len, prompts))
    numbers = torch.full((len(prompts), width), int(base.tokenizer.pad_token_id))
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        numbers[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    numbers, mask = numbers.to(base.device), mask.to(base.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    generators = [torch.Generator().manual_seed(request.seed) for request in requests]
    cache = DynamicCache(config=base.model.config)
    # A prompt's other logits are never looked at; models with code of their own may not know the argument.
    knows = "logits_to_keep" in inspect.signature(type(base.model).forward).parameters
    last_alone = {"logits_to_keep": 1} if knows else {}
    lengths = [len(prompt) for prompt in prompts]
    while True:
        with torch.no_grad():
            logits = base.model(
                input_ids=numbers,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                **last_alone,
            ).logits[:, -1]
        step: list[int | None] = [
            None if done(row) or lengths[row] >= base.context_tokens else _draw(logits[row], request, generators[row])
            for row, request in enumerate(requests)
        ]
        yield step
        lengths = [length + 1 for length in lengths]
        follow = [base.tokenizer.pad_token_id if token is None else token for token in step]
        numbers = torch.tensor(follow, device=base.device)[:, None]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1


def _draw(logits: Tensor, request: TextRequest, generator: torch.Generator) -> int:
    """Draw a token [words] -> its number, on the CPU in float64."""
    if request.temperature == 0:
        return int(logits.argmax())
    shares, order = (logits.double().cpu() / request.temperature).softmax(0).sort(descending=True, stable=True)
    before = shares.cumsum(0) - shares
    kept = shares.where(before < request.top_p, shares.new_zeros(()))  # the likeliest always stays
    reached = kept.cumsum(0)
    point = torch.rand((), generator=generator, dtype=torch.float64) * reached[-1]
    return int(order[min(int((reached <= point).sum()), int((kept > 0).sum()) - 1)])


def _beams(base: TextBase, prompt: list[int], request: TextRequest) -> Iterator[Piece]:
    """Search beams by transformers' own search; yields the one whole text."""
    numbers = torch.tensor([prompt], device=base.device)
    room = min(request.maximum_tokens, base.context_tokens - len(prompt))
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
    writer, text = _Writer(base, request), ""
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
