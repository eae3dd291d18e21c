"""Lower ranks: which singular directions of which layers are worth their bytes.

A direction of size σ in a layer with o outputs and n inputs costs (o + n) numbers and holds the energy σ². Directions
of all layers are taken in the order of energy per byte until a budget is met, which is the largest energy that it
buys; within a layer that order is by size, so the result is each layer's best of its rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from pipelines.blends._blend import Address, BlendSettings
from trainers.errors import UserError

if TYPE_CHECKING:
    import torch

    from pipelines.deltas import Delta, LowRankDelta
    from pipelines.factors import Decomposition

_ENTRY_BYTES = 110  # of one tensor in the file's header, beside its path
_BYTES_PER_MB = 1_000_000


class ReductionSettings(BlendSettings):
    """How low the ranks become; at most one budget."""

    rank: int | None = Field(None, ge=1, le=16_384, description="The same highest rank in every layer.")
    energy: float | None = Field(
        None, gt=0, le=1, description="Share of the squared norm that is kept, over all layers."
    )
    size_mb: float | None = Field(None, gt=0, description="Largest size of the tensors' files, in millions of bytes.")
    error_percent: float | None = Field(
        None, ge=0, lt=100, description="Largest distance to the full sum, over all layers, in percent of its norm."
    )

    @model_validator(mode="after")
    def _one_budget(self) -> ReductionSettings:
        given = self.budgets()
        if len(given) > 1:
            raise ValueError(f"give one of {', '.join(given)}, not several")
        return self

    def budgets(self) -> list[str]:
        """Return the names of the budgets that are set."""
        return [name for name in ("rank", "energy", "size_mb", "error_percent") if getattr(self, name) is not None]


def reduce_layers(
    deltas: Mapping[Address, Delta], settings: ReductionSettings, number_bytes: int = 4
) -> Mapping[Address, Delta]:
    """Return every layer's nearest delta of the rank that the budget buys it.

    Args:
        number_bytes: size of a number in the file, for a budget in MB.

    A layer that gets no direction at all comes back at rank 0. Biases and norms have no directions and stay.

    Raises:
        UserError: the budget is below what anything costs.
    """
    from pipelines.factors import decompose

    if not settings.budgets():
        return deltas
    if settings.rank is not None:  # one layer at a time, which holds no more than one decomposition in memory
        return {address: _cut(delta, settings.rank) for address, delta in deltas.items()}
    parts = {address: decompose(delta) for address, delta in deltas.items() if len(delta.shape) >= 2}
    ranks = _ranks(parts, settings, number_bytes)
    if not any(ranks.values()) and any(len(part.values) for part in parts.values()):
        raise UserError(
            f"The budget {settings.budgets()[0]} is too small: it keeps no direction of any layer. Raise it."
        )
    return {address: parts[address].truncated(ranks[address]) if address in parts else deltas[address]
            for address in deltas}  # fmt: skip


def lossless(delta: Delta) -> LowRankDelta:
    """Return a matrix or kernel in factor form at the rank that it really has."""
    from pipelines.deltas import LowRankDelta
    from pipelines.factors import decompose

    if isinstance(delta, LowRankDelta):
        return delta
    whole = decompose(delta)
    return whole.truncated(len(whole.values))


def _cut(delta: Delta, rank: int) -> Delta:
    from pipelines.factors import decompose

    if len(delta.shape) < 2:
        return delta
    whole = decompose(delta)
    return whole.truncated(min(rank, len(whole.values)))


def _ranks(
    parts: Mapping[Address, Decomposition], settings: ReductionSettings, number_bytes: int
) -> dict[Address, int]:
    import torch

    addresses = list(parts)
    costs = {address: _directions_cost(parts[address]) * number_bytes for address in addresses}
    counts = [len(parts[address].values) for address in addresses]
    if not sum(counts):
        return dict.fromkeys(addresses, 0)
    energies = torch.cat([parts[address].values.square() for address in addresses])
    owner = torch.repeat_interleave(torch.arange(len(addresses)), torch.tensor(counts))
    price = torch.tensor([costs[address] for address in addresses], dtype=torch.float64)[owner]
    order = torch.argsort(energies / price, descending=True, stable=True)
    if settings.size_mb is not None:
        entries = torch.tensor([2.0 * (len(path) + _ENTRY_BYTES) for _, path in addresses], dtype=torch.float64)
        chosen = _affordable(order, owner, price, entries, settings.size_mb * _BYTES_PER_MB)
    else:
        allowed = (settings.error_percent or 0.0) / 100
        # What may be lost is the small number, so it is summed from the small end: 1 − kept would round it away.
        lost = energies[order].flip(0).cumsum(0).flip(0)
        limit = energies.sum() * (allowed**2 if settings.energy is None else 1 - settings.energy)
        droppable = int((lost <= limit * (1 + 1e-12)).sum())
        chosen = order[: len(order) - droppable]
    kept = torch.bincount(owner[chosen], minlength=len(addresses))
    return {address: int(kept[number]) for number, address in enumerate(addresses)}


def _affordable(
    order: torch.Tensor, owner: torch.Tensor, price: torch.Tensor, entries: torch.Tensor, budget_bytes: float
) -> torch.Tensor:
    """Return the first directions of an order that a budget pays for, the header's entries of their layers included."""
    import torch

    layers = owner[order]
    first = torch.zeros(len(order), dtype=torch.bool)
    seen: set[int] = set()
    for number, layer in enumerate(layers.tolist()):
        if layer not in seen:
            seen.add(layer)
            first[number] = True
    spent = (price[order] + first * entries[layers]).cumsum(0)
    return order[: int((spent <= budget_bytes).sum())]


def _directions_cost(part: Decomposition) -> int:
    return int(part.left.shape[0] + part.right.shape[1])


def needs_budget(settings: Any) -> None:
    """Refuse a reduction without a budget.

    Raises:
        UserError: naming the four.
    """
    if not settings.budgets():
        raise UserError("The blend 'svd' needs a budget: give one of rank, energy, size_mb or error_percent.")
