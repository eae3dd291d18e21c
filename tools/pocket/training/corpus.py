"""Documents of the text world as one long row of token ids, written by several processes."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
from dataclasses import dataclass
from functools import partial

import numpy as np
from text_world import sample_document
from tokenizers import Tokenizer
from torch import Tensor

from training.language_tokens import BEGIN, shallow

CHUNK = 5000
# Documents that follow one another in one row, so that the model sees every position of its context.
PACKED_SHARE = 0.15
# Share of documents cut with few of the merges, so that every small piece of the vocabulary is learned. Words that
# the texts never hold can then be read and written, such as those that an adapter brings.
SHALLOW_SHARE = 0.05
SHALLOW_MERGES = (0, 60, 200, 500)


@dataclass(frozen=True)
class Corpus:
    """Token ids [n] of all documents; row r is `ids[starts[r] : starts[r] + lengths[r]]`."""

    ids: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def batches(self, tokens: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Rows of like length in batches of about `tokens` tokens, in random order."""
        jitter = rng.random(len(self.lengths))
        order = np.lexsort((jitter, self.lengths))
        batches, start = [], 0
        while start < len(order):
            # The longest of a batch is not known before its size; the rows are sorted, so one guess is enough.
            count = max(1, tokens // int(self.lengths[order[start]]))
            longest = int(self.lengths[order[min(start + count, len(order)) - 1]])
            count = max(1, tokens // longest)
            batches.append(order[start : start + count])
            start += count
        rng.shuffle(batches)  # type: ignore[arg-type]
        return batches


def write_corpus(tokenizer: Tokenizer, documents: int, context: int, *, seed: int, processes: int) -> Corpus:
    """The same corpus for a seed, whatever the number of processes; held-out scenes are left out."""
    counts = [min(CHUNK, documents - start) for start in range(0, documents, CHUNK)]
    job = partial(_write_chunk, tokenizer.to_str(), context, seed)
    if processes > 1:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            parts = pool.starmap(job, enumerate(counts))
    else:
        parts = [job(number, count) for number, count in enumerate(counts)]
    sizes = np.cumsum([0] + [len(ids) for ids, _ in parts])
    lengths = np.concatenate([lengths for _, lengths in parts])
    starts = np.concatenate(
        [size + np.cumsum(lengths) - lengths for size, (_, lengths) in zip(sizes[:-1], parts, strict=True)]
    )
    return Corpus(np.concatenate([ids for ids, _ in parts]), starts, lengths)


def texts(count: int, *, seed: int, held_out: bool) -> list[str]:
    """Documents as text."""
    rng = random.Random(f"texts {seed} {held_out}")
    return [sample_document(rng, held_out=held_out).text for _ in range(count)]


def contents(written: list[str]) -> list[str]:
    """The texts without their markers, for a vocabulary that must not learn to spell them."""
    return [piece for text in written for piece in re.split(r"<\|\w+\|>", text) if piece]


def _write_chunk(state: str, context: int, seed: int, number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    # One process per core is there already; the library's own threads would only stand in each other's way.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    rng = random.Random(f"corpus {seed} {number}")
    tokenizer = Tokenizer.from_str(state)
    rough = [shallow(tokenizer, merges) for merges in SHALLOW_MERGES]
    written = [sample_document(rng, held_out=False).text for _ in range(count)]
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(written, add_special_tokens=False)]
    begin = tokenizer.token_to_id(BEGIN)
    rows: list[list[int]] = []
    packed: list[int] = []
    for text, ids in zip(written, encoded, strict=True):
        if rng.random() < SHALLOW_SHARE:
            ids = rng.choice(rough).encode(text, add_special_tokens=False).ids
        row = [begin, *ids][:context]
        if rng.random() >= PACKED_SHARE:
            rows.append(row)
        elif len(packed) + len(row) <= context:
            packed += row
        else:
            rows.append(packed)
            packed = row
    rows += [packed] if packed else []
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    return np.concatenate([np.array(row, dtype=np.int16) for row in rows]), lengths


def gather(ids: Tensor, starts: Tensor, lengths: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Tokens and labels [b, length], the length rounded up to 16; labels beyond a row's end are -100.

    Args:
        longest: of the lengths. The GPU knows it, too, but would have to finish all its work to say it.
    """
    import torch

    longest = -(-longest // 16) * 16
    places = torch.arange(longest, device=ids.device)
    inside = places[None] < lengths[:, None]
    tokens = ids[torch.where(inside, starts[:, None] + places, 0)].long()
    return tokens, torch.where(inside, tokens, -100)
