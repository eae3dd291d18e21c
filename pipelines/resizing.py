"""Adapters as LoRA of another rank, and LoRA out of the difference of two models, by singular values.

Of every layer the nearest LoRA of a rank is kept (Eckart and Young 1936); the ranks follow from a fixed number, a share
of the energy Σσ², or an error ‖lost‖ / ‖ΔW‖. Values are never clipped, as several tools do at the 0.99 quantile.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipelines.base_card import base_card
from pipelines.families import LoadedBase
from pipelines.formats._layer import Layer, dense
from pipelines.formats._part_layers import ia3_layers, layers_of_part, merged_layers
from pipelines.formats._parts import delta_part, lora_part
from trainers.adapter import Adapter, AdapterPart
from trainers.card import AdapterCard, PartCard
from trainers.errors import UserError


@dataclass(frozen=True)
class Wish:
    """How far to go: exactly one is given."""

    rank: int | None = None
    energy: float | None = None
    """Share of Σσ² to keep in every layer, above 0 and up to 1."""
    error: float | None = None
    """Largest ‖lost‖ / ‖ΔW‖ of a layer, from 0 to below 1."""

    def __post_init__(self) -> None:
        given = [value for value in (self.rank, self.energy, self.error) if value is not None]
        if len(given) != 1:
            raise UserError("Give one of --rank, --energy and --error.")
        if self.rank is not None and not 1 <= self.rank <= 16_384:
            raise UserError(f"The rank {self.rank} is out of range; 1 to 16384 is possible.")
        if self.energy is not None and not 0 < self.energy <= 1:
            raise UserError(
                f"The energy {self.energy:g} is out of range; above 0 and up to 1, such as 0.99, is possible."
            )
        if self.error is not None and not 0 <= self.error < 1:
            raise UserError(f"The error {self.error:g} is out of range; 0 to below 1, such as 0.02, is possible.")

    def rank_of(self, values: Tensor) -> int:
        """Return the rank for a layer's falling singular values; at least 1."""
        if self.rank is not None:
            return min(self.rank, len(values))
        energy = values.square()
        total = float(energy.sum())
        if not total:
            return 1
        share = self.energy if self.energy is not None else 1 - float(self.error or 0) ** 2
        kept = torch.cumsum(energy, 0) / total
        # Rounding must not ask for directions that hold nothing.
        enough = (kept >= share - 1e-12).nonzero()
        return int(enough[0]) + 1 if len(enough) else len(values)


@dataclass(frozen=True)
class Resized:
    """A layer's new rank and what it lost."""

    part: str
    layer: str
    before: int
    """The rank before; 0 where it had none."""
    after: int
    error: float


def resize(adapter: Adapter, wish: Wish, name: str, base: LoadedBase | None) -> tuple[Adapter, list[Resized]]:
    """Return an adapter of any mergeable method as LoRA of other ranks.

    Args:
        base: needed where the method is no LoRA.

    Raises:
        UserError: the adapter changes norms or biases, which LoRA cannot, or needs its base and that is not given.
    """
    parts: dict[str, AdapterPart] = {}
    told: list[Resized] = []
    for part, content in adapter.parts.items():
        own = layers_of_part(content)
        if own is None:
            module = _module(base, part, adapter.card)
            kind = content.config.get("peft_type")
            own = ia3_layers(content, module) if kind == "IA3" else merged_layers(content, module, what=part)
        new: dict[str, Layer] = {}
        for path, layer in own.items():
            u, values, v, shape = _decomposed(layer, base, part, path, adapter.card)
            new[path], error = _kept(u, values, v, shape, rank := wish.rank_of(values))
            told.append(Resized(part, path, layer.rank, rank, error))
        parts[part] = lora_part(new)
    cards = {part: PartCard(method="lora", settings={"rank": int(own.config["r"])}) for part, own in parts.items()}
    card = adapter.card.model_copy(update={"name": name, "parts": cards, "scores": {}})
    return Adapter(card, parts, dict(adapter.references), adapter.head), told


def extract(
    tuned: LoadedBase, base: LoadedBase, name: str, wish: Wish | None
) -> tuple[Adapter, list[Resized], list[str]]:
    """Return the difference of two models of one shape as an adapter.

    Args:
        wish: how large its LoRA may be; None keeps the whole difference, norms and biases too.

    Raises:
        UserError: the models differ in shape, or not at all in what an adapter can hold.
    """
    if (tuned.family, dict(tuned.widths)) != (base.family, dict(base.widths)):
        raise UserError(f"The models {tuned.name!r} and {base.name!r} are not of one family and shape.")
    parts: dict[str, AdapterPart] = {}
    told: list[Resized] = []
    left: list[str] = []
    for part, module in base.parts.items():
        changes = _changes(tuned.parts[part], module)
        if wish is None:
            if changes:
                parts[part] = delta_part(changes, module)
            continue
        new: dict[str, Layer] = {}
        for path, layer in changes.items():
            weight = layer.tensors.get("weight")
            matrix = isinstance(module.get_submodule(path), nn.Linear | nn.Conv2d)
            if "bias" in layer.tensors or not matrix:
                left.append(f"{part}/{path}")
            if weight is None or not matrix:
                continue
            u, values, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
            new[path], error = _kept(u, values, v, weight.shape, rank := wish.rank_of(values))
            told.append(Resized(part, path, 0, rank, error))
        if new:
            parts[part] = lora_part(new)
    if not parts:
        raise UserError(f"The models {tuned.name!r} and {base.name!r} are equal in all that an adapter can hold.")
    method = "lora" if wish is not None else "partial"
    cards = {
        part: PartCard(
            method=method, settings={"rank": int(own.config["r"])} if wish is not None else {"last_blocks": 0}
        )
        for part, own in parts.items()
    }
    facts = base_card(base)
    about = {"extracted": {"from": tuned.name, "fingerprint": tuned.fingerprint}}
    return Adapter(AdapterCard(name=name, base=facts, parts=cards, training=about), parts, {}), told, left


def _changes(tuned: nn.Module, base: nn.Module) -> dict[str, Layer]:
    """Return the full delta of every module that differs, in float64."""
    found = {}
    for path, module in base.named_modules():
        other = tuned.get_submodule(path)
        tensors = {}
        for name in ("weight", "bias"):
            one, two = module._parameters.get(name), other._parameters.get(name)
            if one is not None and two is not None and not torch.equal(one, two):
                tensors[name] = two.detach().cpu().double() - one.detach().cpu().double()
        if tensors:
            found[path] = Layer("full", tensors)
    return found


def _decomposed(
    layer: Layer, base: LoadedBase | None, part: str, path: str, card: AdapterCard
) -> tuple[Tensor, Tensor, Tensor, torch.Size]:
    """Return the singular value decomposition of a layer's delta; of LoRA from its factors, without the matrix."""
    if layer.form == "lora":
        up, down = layer.tensors["up"].double().flatten(1), layer.tensors["down"].double()
        left, upper = torch.linalg.qr(up)
        right, lower = torch.linalg.qr(down.flatten(1).T)
        u, values, v = torch.linalg.svd(layer.scale * upper @ lower.T)
        size = min(u.shape[1], v.shape[0])
        shape = torch.Size((up.shape[0], *down.shape[1:]))
        return left @ u[:, :size], values, v[:size] @ right.T, shape
    host = _module(base, part, card).get_submodule(path)
    weight = host._parameters["weight"]
    assert weight is not None
    full = dense(layer, weight.detach().cpu())
    delta = full.tensors.get("weight")
    if delta is None or delta.ndim < 2 or full.tensors.get("bias", torch.zeros(1)).any():
        raise UserError(f"{card.name!r} changes a norm or a bias ({part}/{path}), which LoRA cannot hold.")
    u, values, v = torch.linalg.svd(delta.flatten(1), full_matrices=False)
    return u, values, v, delta.shape


def _kept(u: Tensor, values: Tensor, v: Tensor, shape: torch.Size, rank: int) -> tuple[Layer, float]:
    """Return the first `rank` directions as LoRA, √σ on both sides, and ‖lost‖ / ‖ΔW‖."""
    root = values[:rank].sqrt()
    total = float(values.norm())
    error = float(values[rank:].norm()) / total if total else 0.0
    down = (root[:, None] * v[:rank]).reshape(rank, *shape[1:])
    return Layer("lora", {"up": (u[:, :rank] * root).float(), "down": down.float()}), error


def _module(base: LoadedBase | None, part: str, card: AdapterCard) -> nn.Module:
    if base is None:
        raise UserError(f"{card.name!r} is not plain LoRA, so its base {card.base.name!r} is needed: give --base.")
    modules: Mapping[str, nn.Module] = base.parts
    return modules[part]
