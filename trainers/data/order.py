"""The order in which examples are seen, and the seeds of everything random: pure functions of the run's seed."""

import hashlib

import torch


def data_order(count: int, first: int, number: int, seed: int) -> list[int]:
    """Return which examples are seen at positions ``first … first + number - 1`` of an endless shuffled stream.

    A pure function of the seed, so that resuming needs no state: every pass over the data is its own permutation.
    """
    order: list[int] = []
    while len(order) < number:
        epoch, offset = divmod(first + len(order), count)
        generator = torch.Generator().manual_seed(mixed_seed(seed, "order", epoch))
        permutation = torch.randperm(count, generator=generator).tolist()
        order += permutation[offset : offset + number - len(order)]
    return order


def mixed_seed(seed: int, *what: str | int) -> int:
    """Derive an independent 63-bit seed from the run's seed and what it is for."""
    text = "/".join(str(item) for item in (seed, *what))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
