"""Prompts to the numbers of their tokens, with the words that adapters bring along.

A new word is a run of negative numbers, which the text encoder looks up among the adapters' vectors. The tokenizer
stays as the base has it: a word whose adapter is off is read letter by letter, as if the adapter did not exist.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def tokenise(tokenizer: Any, text_encoder: nn.Module, captions: Sequence[str], limit: int | None = None) -> Tensor:
    """Return token numbers [b, t], cut and padded to a limit t; None is the tokenizer's own."""
    import torch

    from trainers.tuners.peft_bridge import new_words

    limit = int(tokenizer.model_max_length) if limit is None else limit
    words = new_words(text_encoder)
    options = {"padding": "max_length", "max_length": limit, "truncation": True, "return_tensors": "pt"}
    ids: Tensor = tokenizer(list(captions), **options).input_ids
    begin = _begin(tokenizer)
    for row, caption in enumerate(captions):
        numbers = split_numbers(tokenizer, caption, words)
        if any(number < 0 for number in numbers):
            whole = [*begin, *numbers[: limit - len(begin) - 1], tokenizer.eos_token_id]
            ids[row] = torch.tensor(whole + [tokenizer.pad_token_id] * (limit - len(whole)))
    return ids


def unseen_text(tokenizer: Any, text_encoder: nn.Module, prompt: str, limit: int | None = None) -> str:
    """Return the end of a prompt that a text encoder does not see, empty when all fits."""
    from trainers.tuners.peft_bridge import new_words, words_displaced

    words = new_words(text_encoder)
    numbers = split_numbers(tokenizer, prompt, words)
    limit = int(tokenizer.model_max_length) if limit is None else limit
    # The start and end tokens take places, and learned tokens theirs.
    room = limit - len(_begin(tokenizer)) - 1 - words_displaced(text_encoder)
    return numbers_as_text(tokenizer, numbers[room:], words) if len(numbers) > room else ""


def _begin(tokenizer: Any) -> list[int]:
    """Return the token that every text begins with; T5's texts begin with none."""
    return [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]


def split_numbers(tokenizer: Any, text: str, words: Mapping[str, Sequence[int]]) -> list[int]:
    """Return all token numbers of a text, without start and end; case does not matter to a word."""
    if not words:
        return list(tokenizer(text, add_special_tokens=False, verbose=False).input_ids)
    longest_first = sorted(words, key=len, reverse=True)
    numbers: list[int] = []
    for piece in re.split(f"({'|'.join(map(re.escape, longest_first))})", text, flags=re.IGNORECASE):
        known = words.get(piece.lower())
        numbers += tokenizer(piece, add_special_tokens=False, verbose=False).input_ids if known is None else known
    return numbers


def numbers_as_text(tokenizer: Any, numbers: Sequence[int], words: Mapping[str, Sequence[int]]) -> str:
    """Return the text of token numbers; a new word is named once, wherever it is cut."""
    names = {number: word for word, own in words.items() for number in own}
    pieces: list[str] = []
    plain: list[int] = []
    for number in numbers:
        if number >= 0:
            plain.append(number)
            continue
        if plain:
            pieces.append(str(tokenizer.decode(plain)).strip())
            plain = []
        if number == words[names[number]][0] or not pieces:
            pieces.append(names[number])
    if plain:
        pieces.append(str(tokenizer.decode(plain)).strip())
    return " ".join(pieces)
