"""Where two adapters fight, and how much room one really uses: from the factors alone, before anything is drawn.

For layers in factor form no dense matrix is built: cosines and norms come from small Gram matrices and QR cores,
subspace overlaps from orthonormal bases, and sign conflicts from at most 64 evenly spaced rows.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.deltas import Delta, LowRankDelta
from pipelines.factors import decompose, inner, norm

SAMPLED_ROWS = 64
DeltasByPart = Mapping[str, Mapping[str, Delta]]


@dataclass(frozen=True)
class Meeting:
    """Two adapters in one layer that both touch."""

    part: str
    layer: str
    cosine: float
    """⟨A, B⟩ / (‖A‖·‖B‖): 1 the same direction, 0 out of each other's way, −1 undoing each other."""
    outputs: float
    """Overlap of the column spaces: ‖Q_Aᵀ Q_B‖² / min(rank), 0 to 1."""
    inputs: float
    """Overlap of the row spaces."""
    chance: float
    """What two random column spaces of these ranks would share: max(rank) / outputs."""
    conflict: float
    """Σ|a·b| where the signs differ / Σ|a·b|, over the sampled rows; 0.5 is chance."""
    norms: tuple[float, float]
    """‖A‖ and ‖B‖."""
    base_norm: float | None
    """‖W‖, where a base was given."""


@dataclass(frozen=True)
class Room:
    """What one adapter does in one layer."""

    part: str
    layer: str
    rank: int
    """The rank that the file stores."""
    effective: float
    """exp of the entropy of σ²/Σσ²: how many directions carry the energy."""
    rank_99: int
    """Directions that hold 99 % of the energy."""
    size: float
    """‖ΔW‖."""
    share: float
    """Share of the adapter's energy Σ‖ΔW‖²."""
    base_norm: float | None
    """‖W‖, where a base was given."""


def compare_adapters(
    first: DeltasByPart, second: DeltasByPart, base_norm: Callable[[str, str], float | None] = lambda part, path: None
) -> list[Meeting]:
    """Return every matrix or kernel that both touch.

    Args:
        base_norm: (part, address) -> ‖W‖.
    """
    found = []
    for part in first:
        for path, a in first[part].items() if part in second else ():
            b = second[part].get(path)
            if b is None or a.shape != b.shape or len(a.shape) < 2:
                continue
            norms = (norm(a), norm(b))
            cosine = inner(a, b) / (norms[0] * norms[1] or 1.0)
            (left_a, right_a), (left_b, right_b) = _spaces(a), _spaces(b)
            widest = max(left_a.shape[1], left_b.shape[1])
            found.append(
                Meeting(
                    part,
                    path,
                    cosine,
                    _overlap(left_a, left_b),
                    _overlap(right_a, right_b),
                    min(1.0, widest / a.shape[0]),
                    _conflict(a, b),
                    norms,
                    base_norm(part, path),
                )
            )
    return found


def measure_adapter(
    deltas: DeltasByPart, base_norm: Callable[[str, str], float | None] = lambda part, path: None
) -> list[Room]:
    """Return what an adapter does in every matrix or kernel that it touches."""
    spectra = {
        (part, path): (delta, decompose(delta).values)
        for part, layers in deltas.items()
        for path, delta in layers.items()
        if len(delta.shape) >= 2
    }
    energy = sum(float(values.square().sum()) for _, values in spectra.values()) or 1.0
    return [
        Room(
            part,
            path,
            delta.rank,
            effective_rank(values),
            rank_for(values, 0.99),
            float(values.norm()),
            float(values.square().sum()) / energy,
            base_norm(part, path),
        )
        for (part, path), (delta, values) in spectra.items()
    ]


def effective_rank(values: Tensor) -> float:
    """Return exp(−Σ p log p), p = σ²/Σσ² (Roy and Vetterli 2007, of energies); 0 for a delta of 0."""
    shares = values.double().square()
    if not float(shares.sum()):
        return 0.0
    shares = shares / shares.sum()
    return math.exp(-float(torch.special.xlogy(shares, shares).sum()))


def rank_for(values: Tensor, energy: float) -> int:
    """Return the smallest number of falling singular values that holds a share of Σσ²."""
    squares = values.double().square()
    if not float(squares.sum()):
        return 0
    lost = squares.flip(0).cumsum(0).flip(0)  # summed from the small end, where the decision falls
    return int((lost > (1 - energy) * squares.sum() * (1 + 1e-12)).sum())


def mean(values: Iterable[float]) -> float:
    """Return the mean; not a number of nothing."""
    found = list(values)
    return sum(found) / len(found) if found else math.nan


def _spaces(delta: Delta) -> tuple[Tensor, Tensor]:
    whole = decompose(delta)
    return whole.left, whole.right.T


def _overlap(first: Tensor, second: Tensor) -> float:
    smaller = min(first.shape[1], second.shape[1])
    return float((first.T @ second).square().sum()) / smaller if smaller else 0.0


def _conflict(first: Delta, second: Delta) -> float:
    rows = torch.linspace(0, first.shape[0] - 1, min(SAMPLED_ROWS, first.shape[0])).round().long()
    products = _rows(first, rows) * _rows(second, rows)
    size = float(products.abs().sum())
    return float(products.clamp(max=0).abs().sum()) / size if size else 0.0


def _rows(delta: Delta, rows: Tensor) -> Tensor:
    if isinstance(delta, LowRankDelta):
        return delta.up.flatten(1)[rows] @ delta.down.flatten(1)
    return delta.value.flatten(1)[rows]
