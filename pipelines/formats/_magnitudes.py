"""Two meanings of a DoRA's magnitude per output, and the way from one to the other.

Liu et al. 2024 (arXiv 2402.09353, equation 5), PEFT, LyCORIS and OneTrainer set the norm of each output of W + ΔW to
the magnitude m: W' = m (W + ΔW) / ‖W + ΔW‖. ComfyUI and Forge divide by the norm of the base alone: W' = m (W + ΔW) /
‖W‖. The same W' takes another m there. At strength k they add k (W' − W), so it is right at every strength.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from pipelines.families import LoadedBase
from pipelines.formats._layer import Layer, dense_weight
from pipelines.formats._metadata import OVER_BASE
from trainers.errors import UserError

MEANINGS = ("adapted", "base")

_STEP = float(torch.finfo(torch.float32).eps)
"""What ComfyUI and Forge add to ‖W‖."""


def over_base(layer: Layer, weight: Tensor) -> Layer:
    """Return the layer with the magnitude that gives the same weight where it is divided by ‖W‖."""
    base, total = _norms(layer, weight)
    return _scaled(layer, (base + _STEP) / total.clamp(min=1e-300))


def over_sum(layer: Layer, weight: Tensor) -> Layer:
    """Return a layer whose magnitude was divided by ‖W‖ in this studio's meaning."""
    base, total = _norms(layer, weight)
    return _scaled(layer, total / (base + _STEP))


def disagreement(layers: Mapping[str, Layer], weights: Mapping[str, Tensor]) -> float:
    """Return the largest difference that the meaning makes to a module, over its change of weight."""
    worst = 0.0
    for path, layer in layers.items():
        weight = weights[path].double()
        ours = dense_weight(layer, weight)
        theirs = dense_weight(over_sum(layer, weight), weight)
        assert ours is not None
        assert theirs is not None
        size = float(ours.norm())
        worst = max(worst, float((theirs - ours).norm()) / size if size else 0.0)
    return worst


def _norms(layer: Layer, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return ‖W‖ and ‖W + ΔW‖ of every output, in float64."""
    plain = Layer(
        layer.kind, {name: tensor for name, tensor in layer.tensors.items() if name != "magnitude"}, layer.scale
    )
    wide = weight.double()
    change = dense_weight(plain, wide)
    assert change is not None
    return wide.flatten(1).norm(dim=1), (wide + change).flatten(1).norm(dim=1)


def _scaled(layer: Layer, factors: Tensor) -> Layer:
    magnitude = layer.tensors["magnitude"].double().flatten() * factors
    return Layer(layer.kind, {**layer.tensors, "magnitude": magnitude}, layer.scale)


def meant_magnitudes(
    layers: Mapping[str, Mapping[str, Layer]],
    metadata: Mapping[str, str],
    keys: Mapping[str, Tensor],
    base: LoadedBase,
    wanted: str | None,
) -> tuple[Mapping[str, Mapping[str, Layer]], list[str]]:
    """Return a file's layers with magnitudes in this studio's meaning, and what there is to say.

    Args:
        keys: the file's; PEFT's and diffusers' magnitudes have only one meaning.
        wanted: ``adapted`` or ``base`` as `pipelines.importing.bring_in` takes it.

    Raises:
        UserError: the meaning is none of these.
    """
    if wanted not in (None, *MEANINGS):
        raise UserError(f"A magnitude over {wanted!r} is not known. Give {' or '.join(MEANINGS)}.")
    open_to_doubt = any(key.endswith(".dora_scale") for key in keys)
    concerned = {
        part: {path: layer for path, layer in own.items() if layer.magnitude == "magnitude"}
        for part, own in layers.items()
    }
    if not open_to_doubt or not any(concerned.values()):
        return layers, []
    weights = {part: {path: _weight(base, part, path) for path in own} for part, own in concerned.items()}
    meaning = wanted or ("base" if metadata.get(OVER_BASE) == "base" else "adapted")
    count = sum(map(len, concerned.values()))
    if meaning == "base":
        changed = {
            part: {
                **own,
                **{path: _single(over_sum(layer, weights[part][path])) for path, layer in concerned[part].items()},
            }
            for part, own in layers.items()
        }
        return changed, [f"{count} DoRA magnitudes were taken over the norm of the base's weight, as ComfyUI does."]
    if wanted is not None:
        return layers, []
    worst = max(disagreement(own, weights[part]) for part, own in concerned.items())
    return layers, [
        f"{count} DoRA magnitudes were taken over the norm of weight and change, as trainers and PEFT have them. "
        f"ComfyUI and Forge divide by the norm of the base alone, a change up to {worst:.2g} apart here; a file whose "
        "maker judged it there is imported with --dora-norm base."
    ]


def _single(layer: Layer) -> Layer:
    return Layer(layer.kind, {**layer.tensors, "magnitude": layer.tensors["magnitude"].float()}, layer.scale)


def _weight(base: LoadedBase, part: str, path: str) -> Tensor:
    weight = base.parts[part].get_submodule(path)._parameters["weight"]
    assert weight is not None
    return weight.detach().cpu()
