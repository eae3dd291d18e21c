"""The next token of every row, again and again: a key-value cache, prompts padded on the left, draws by seed."""

import inspect
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from pipelines.families import TextBase
from pipelines.text_request import TextRequest


def decode(
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
            None if done(row) or lengths[row] >= base.context_tokens else draw(logits[row], request, generators[row])
            for row, request in enumerate(requests)
        ]
        yield step
        lengths = [length + 1 for length in lengths]
        follow = [base.tokenizer.pad_token_id if token is None else token for token in step]
        numbers = torch.tensor(follow, device=base.device)[:, None]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1


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
