"""Which token each row takes next: draws by the seed of the row's own request."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from pipelines.families import TextBase
from pipelines.text_request import TextRequest
from trainers.decoding import decode_rows


def decode(
    base: TextBase,
    prompts: Sequence[list[int]],
    requests: Sequence[TextRequest],
    done: Callable[[int], bool] = lambda row: False,
) -> Iterator[Sequence[int | None]]:
    """Yield the next token of every row, without end; None where the context is full or the row is done."""
    generators = [torch.Generator().manual_seed(request.seed) for request in requests]

    def pick(logits: Tensor) -> list[int | None]:
        return [
            None if done(row) else draw(logits[row], request, generators[row]) for row, request in enumerate(requests)
        ]

    return decode_rows(base, prompts, pick)


def draw(logits: Tensor, request: TextRequest, generator: torch.Generator) -> int:
    """Draw a token [words] -> its number, on the CPU in float64."""
    if request.temperature == 0:
        return int(logits.argmax())
    shares, order = (logits.double().cpu() / request.temperature).softmax(0).sort(descending=True, stable=True)
    before = shares.cumsum(0) - shares
    kept = shares.where(before < request.top_p, shares.new_zeros(()))  # the likeliest always stays
    reached = kept.cumsum(0)
    point = torch.rand((), generator=generator, dtype=torch.float64) * reached[-1]
    return int(order[min(int((reached <= point).sum()), int((kept > 0).sum()) - 1)])
