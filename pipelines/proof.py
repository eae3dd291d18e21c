"""The proof of a written blend: the file is read back and every layer compared with the formula."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from pipelines.deltas import BIAS, kind_of, read_deltas
from pipelines.factors import distance, norm, total
from pipelines.mixing import TOKEN_KINDS, Mixed, Mixture
from trainers.adapter import Adapter
from trainers.errors import UserError, raise_problems
from trainers.wording import count_of

TOLERANCES: Mapping[str, float] = {"float32": 1e-5, "float16": 3e-3, "bfloat16": 2e-2}
"""Largest accepted rounding of a written layer, as a share of its summands, by the file's number format."""


@dataclass(frozen=True)
class LayerProof:
    """One layer of a written blend against the formula; sizes are Frobenius norms.

    Errors are shares of Σ|wᵢ|·‖ΔWᵢ‖: summands that cancel cannot make rounding look like a mistake.
    """

    part: str
    layer: str
    rank: int
    error: float
    """‖written − formula‖: the blend before its rank was lowered."""
    rounding: float
    """‖written − what should have been written‖: the loss from the number format alone."""
    energy: float
    """‖written‖² / ‖formula‖²."""


@dataclass(frozen=True)
class Proof:
    """A written blend against its formula."""

    layers: tuple[LayerProof, ...]
    tolerance: float
    size: float
    """‖formula‖ over all layers."""
    error: float
    """‖written − formula‖ over all layers, as a share of `size`."""
    energy: float
    """‖written‖² / ‖formula‖² over all layers."""
    from_sum: float
    """‖written − Σ wᵢ·ΔWᵢ‖ over all layers, as a share of the sum's norm: what another formula does."""
    emptied: int
    """Layers that a budget left nothing of."""
    unmatched: tuple[str, ...]
    """Layers of the file that the base does not have; empty when no base was given, see `matched`."""
    matched: int | None
    """Layers of the file that the base has; None without a base."""
    one_sided: int
    """Layers that not every input touches."""

    @property
    def worst(self) -> LayerProof | None:
        """The layer with the largest rounding; none when the blend holds learned tokens alone."""
        return max(self.layers, key=lambda layer: layer.rounding, default=None)


def prove_blend(
    written: Adapter, mixture: Mixture, mixed: Mixed, modules: Mapping[str, nn.Module] | None = None
) -> Proof:
    """Compare an adapter, read back from disk, with its formula in float64, layer by layer.

    Args:
        modules: the base's parts; their layers are matched against the file's.

    Raises:
        UserError: a layer or part is missing or one too many, has another shape, or is further from what should have
            been written than rounding explains; nothing of the file attaches to the base.
    """
    name = written.card.name
    expected = {part for part, _ in mixed.deltas} | set(mixture.tokens)
    if written.parts.keys() != expected:
        raise UserError(f"The written blend {name!r} has the parts {sorted(written.parts)}, not {sorted(expected)}.")
    tolerance = TOLERANCES[mixture.recipe.dtype]
    layers: list[LayerProof] = []
    squares = dict.fromkeys(("error", "formula", "written", "from_sum", "sum"), 0.0)
    for part, content in written.parts.items():
        if kind_of(content) in TOKEN_KINDS:
            continue
        found = read_deltas(content, what=f"{name}/{part}")
        own = {path: delta for (where, path), delta in mixed.deltas.items() if where == part and delta.rank}
        padding = {path for path, delta in found.items() if path not in own and not delta.dense().any()}
        if found.keys() - padding != own.keys():
            raise UserError(f"The written blend {name!r} has other layers in {part} than the recipe gives it.")
        for path, delta in own.items():
            full, layer = mixed.full[part, path], mixed.layers[part, path]
            if found[path].shape != full.shape:
                raise UserError(f"The written blend {name!r} has another shape in {part}/{path} than its parents.")
            size = sum(abs(w) * norm(d) for w, d in zip(layer.weights, layer.deltas, strict=True)) or 1.0
            rounding = distance(found[path], delta)
            error = rounding if delta is full else distance(found[path], full)
            whole, kept = norm(full), norm(found[path])
            squares["error"] += error**2
            squares["formula"] += whole**2
            squares["written"] += kept**2
            plain = mixture.is_sum(part)
            summed = full if plain else total(layer.deltas, layer.weights)
            squares["from_sum"] += error**2 if plain else distance(found[path], summed) ** 2
            squares["sum"] += whole**2 if plain else norm(summed) ** 2
            layers.append(
                LayerProof(part, path, found[path].rank, error / size, rounding / size, (kept / (whole or 1.0)) ** 2)
            )
    emptied = [address for address, delta in mixed.deltas.items() if not delta.rank]
    lost = sum(norm(mixed.full[address]) ** 2 for address in emptied)
    squares["error"] += lost
    squares["formula"] += lost
    squares["from_sum"] += lost
    squares["sum"] += lost
    wrong = [layer for layer in layers if not layer.rounding <= tolerance]
    raise_problems(
        f"The blend {name!r} was not kept: {count_of(len(wrong), 'layer')} {'is' if len(wrong) == 1 else 'are'} "
        f"further from the formula than the tolerance {tolerance:.0e}. Please report this with the adapters.",
        [f"{layer.part}/{layer.layer}: {layer.rounding:.1e} off" for layer in wrong],
    )
    _check_tokens(written, mixture)
    matched, unmatched = _match(layers, modules)
    formula = squares["formula"] or 1.0
    inputs = len(mixture.recipe.active())
    return Proof(
        layers=tuple(layers),
        tolerance=tolerance,
        size=formula**0.5,
        error=(squares["error"] / formula) ** 0.5,
        energy=squares["written"] / formula,
        from_sum=(squares["from_sum"] / (squares["sum"] or 1.0)) ** 0.5,
        emptied=len(emptied),
        unmatched=unmatched,
        matched=matched,
        one_sided=sum(len(layer.names) < inputs for layer in mixed.layers.values()),
    )


def _check_tokens(written: Adapter, mixture: Mixture) -> None:
    for part, content in mixture.tokens.items():
        found = written.parts[part]
        same = found.tensors.keys() == content.tensors.keys() and all(
            found.tensors[key].equal(tensor) for key, tensor in content.tensors.items()
        )
        if not same or dict(found.config) != dict(content.config):
            raise UserError(f"The written blend {written.card.name!r} holds other learned tokens in {part}.")


def _match(layers: list[LayerProof], modules: Mapping[str, nn.Module] | None) -> tuple[int | None, tuple[str, ...]]:
    if modules is None:
        return None, ()
    known = {part: dict(module.named_modules()) for part, module in modules.items()}
    missing = [
        f"{layer.part}/{layer.layer}"
        for layer in layers
        if layer.layer.removesuffix(BIAS) not in known.get(layer.part, {})
    ]
    if layers and len(missing) == len(layers):
        raise UserError(
            f"None of the blend's {count_of(len(layers), 'layer')} exists in the base (for example {missing[0]}). Give "
            "the base that the adapters were trained on with --base."
        )
    return len(layers) - len(missing), tuple(missing)
