"""A small byte-level BPE vocabulary in CLIP's conventions, learned from captions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

from training.models import PROMPT_TOKENS

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
VOCABULARY_SIZE = 1024
RARE_SHARE = 1e-5


def learn_tokenizer(captions: Iterable[str], size: int = VOCABULARY_SIZE) -> CLIPTokenizer:
    """A tokenizer whose frequent caption words are one token and which spells out any other text.

    Ids in CLIP's order: the 256 bytes, the 256 bytes that end a word, merges, start, end. Padding is
    the end token, as Stable Diffusion 1.x has it.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = [*alphabet, *(letter + WORD_END for letter in alphabet)]
    merges = learn_merges(word_counts(captions), size - len(vocabulary) - 2)
    vocabulary += [left + right for left, right in merges] + [START, END]
    ids = {token: number for number, token in enumerate(vocabulary)}
    return CLIPTokenizer(vocab=ids, merges=merges, model_max_length=PROMPT_TOKENS)


def word_counts(captions: Iterable[str]) -> Counter[tuple[str, ...]]:
    """How often each word occurs, as a tuple of byte letters, the last one marked as the end.

    Rare words, among them all made-up ones, are left out. Captions are ASCII letters, spaces and
    commas, so that bytes are letters and the regular expression of CLIP is a split at spaces and commas.
    """
    words: Counter[tuple[str, ...]] = Counter()
    for caption in captions:
        for word in caption.lower().replace(",", " , ").split():
            words[(*word[:-1], word[-1] + WORD_END)] += 1
    rare = words.total() * RARE_SHARE
    return Counter({word: count for word, count in words.items() if count >= rare})


def learn_merges(words: Counter[tuple[str, ...]], limit: int) -> list[tuple[str, str]]:
    """At most `limit` merges, the most frequent pair first, ties by spelling (Sennrich et al. 2016)."""
    merges: list[tuple[str, str]] = []
    spelled = dict(words)
    while len(merges) < limit:
        pairs: Counter[tuple[str, str]] = Counter()
        for letters, count in spelled.items():
            for pair in pairwise(letters):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        merged: dict[tuple[str, ...], int] = {}
        for letters, count in spelled.items():
            joined = join(letters, best)
            merged[joined] = merged.get(joined, 0) + count
        spelled = merged
    return merges


def join(letters: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    """The letters with each occurrence of the pair made one."""
    joined: list[str] = []
    for letter in letters:
        if joined and (joined[-1], letter) == pair:
            joined[-1] += letter
        else:
            joined.append(letter)
    return tuple(joined)


def tokenise(tokenizer: CLIPTokenizer, captions: list[str]) -> np.ndarray:
    """Token ids, int16 [n, 77], padded."""
    # Each caption once: a training set repeats most of its captions.
    places = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
    batch = tokenizer(list(places), padding="max_length", truncation=True, max_length=PROMPT_TOKENS)
    distinct = np.asarray(batch["input_ids"], dtype=np.int16)
    return distinct[[places[caption] for caption in captions]]


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """`vocab.json` and `merges.txt` beside `tokenizer.json`, so that older tools read it too."""
    tokenizer.save_pretrained(folder)
    state = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(state["vocab"], ensure_ascii=False))
    lines = [" ".join(pair) for pair in state["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines]) + "\n")
