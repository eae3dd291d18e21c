"""The next token of every row, again and again: a key-value cache, and prompts padded on the left."""

import inspect
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from trainers.protocols import LanguageModel


def decode_rows(
    role: LanguageModel, prompts: Sequence[Sequence[int]], pick: Callable[[Tensor], Sequence[int | None]]
) -> Iterator[Sequence[int | None]]:
    """Yield the next token of every row, without end; None where the context is full or `pick` gave none.

    Args:
        pick: what chooses from the logits [b, words] of the rows' next tokens.
    """
    width = max(map(len, prompts))
    numbers = torch.full((len(prompts), width), int(role.tokenizer.pad_token_id))
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        numbers[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    numbers, mask = numbers.to(role.device), mask.to(role.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = role.new_cache()
    # A prompt's other logits are never looked at; models with code of their own may not know the argument.
    knows = "logits_to_keep" in inspect.signature(type(role.model).forward).parameters
    last_alone = {"logits_to_keep": 1} if knows else {}
    lengths = [len(prompt) for prompt in prompts]
    while True:
        with torch.no_grad():
            logits = role.model(
                input_ids=numbers,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                **last_alone,
            ).logits[:, -1]
        picked = pick(logits)
        step = [None if lengths[row] >= role.context_tokens else token for row, token in enumerate(picked)]
        yield step
        lengths = [length + 1 for length in lengths]
        follow = [role.tokenizer.pad_token_id if token is None else token for token in step]
        numbers = torch.tensor(follow, device=role.device)[:, None]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1


def sample_rows(
    role: LanguageModel,
    prompts: Sequence[Sequence[int]],
    generator: torch.Generator,
    *,
    temperature: float,
    max_new_tokens: int,
) -> list[tuple[int, ...]]:
    """Return an answer for every prompt, drawn on the CPU in float64; one that ended has its end token.

    Args:
        generator: a CPU generator; every row takes one number from it at each token, also when it has ended, so that no
            row's draw depends on when another ends.
        temperature: 0 always takes the likeliest token.
    """
    answers: list[list[int]] = [[] for _ in prompts]
    ended = [False for _ in prompts]
    stops = set(role.stop_numbers)

    def pick(logits: Tensor) -> list[int | None]:
        if temperature == 0:
            found = logits.argmax(1).tolist()
        else:
            reached = (logits.double().cpu() / temperature).softmax(1).cumsum(1)
            points = torch.rand(len(logits), 1, generator=generator, dtype=torch.float64) * reached[:, -1:]
            found = torch.searchsorted(reached, points, right=True)[:, 0].clamp(max=logits.shape[1] - 1).tolist()
        return [None if over else int(token) for over, token in zip(ended, found, strict=True)]

    steps = decode_rows(role, prompts, pick)
    for step in steps:
        for row, token in enumerate(step):
            if token is None:
                ended[row] = True
            elif not ended[row]:
                answers[row].append(token)
                ended[row] = token in stops or len(answers[row]) >= max_new_tokens
        if all(ended):
            break
    return [tuple(answer) for answer in answers]
