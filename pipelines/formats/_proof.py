"""Read a written file back and compare every module's delta with the adapter's, in float64."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pipelines.formats._format import Format
from pipelines.formats._layer import Layer, dense_weight
from pipelines.formats._names import ModuleNames, Place
from pipelines.formats._source import open_source
from trainers.errors import UserError


def largest_error(
    path: Path,
    chosen: Format,
    layers: Mapping[str, Mapping[str, Layer]],
    names: ModuleNames,
    tolerance: float,
) -> float:
    """Read a file back and return the largest error of a module; raise where one is past the tolerance or missing."""
    if chosen.read is None or not layers:
        return 0.0
    found = chosen.read(open_source(path), names).layers
    worst = 0.0
    for part, own in layers.items():
        if found.get(part, {}).keys() != own.keys():
            raise UserError(f"The written file has other modules in {part} than the adapter; nothing was kept.")
        for module, layer in own.items():
            host = names.hosts[Place(part, module)]
            error = _difference(layer, found[part][module], host)
            worst = max(worst, error)
            if not error <= tolerance:
                raise UserError(
                    f"The written file differs from the adapter by {error:.1e} at {part}/{module}, more than "
                    f"{tolerance:.0e}; nothing was kept. Try --save-as fp32."
                )
    return worst


def _difference(expected: Layer, found: Layer, host: nn.Module) -> float:
    if expected.form == found.form == "lora" and not {"bias"} & (expected.tensors.keys() | found.tensors.keys()):
        return lora_difference(expected, found)
    weight = host._parameters["weight"]
    assert weight is not None
    if weight.is_meta and expected.form == found.form == "dora":
        # Without the base there is no change of weight to compare, but what makes it can be.
        one, other = (layer.tensors["magnitude"].double().flatten() for layer in (expected, found))
        return max(lora_difference(expected, found), float((one - other).norm() / one.norm().clamp(min=1e-300)))
    pairs = [
        (dense_weight(layer, weight.detach().cpu() if layer.needs_base else weight)) for layer in (expected, found)
    ]
    both = [(pairs[0], pairs[1]), (expected.tensors.get("bias"), found.tensors.get("bias"))]
    worst = 0.0
    for one, other in both:
        if one is None and other is None:
            continue
        if one is None or other is None:
            return math.inf
        size = float(one.double().norm())
        error = float((one.double() - other.double()).norm())
        worst = max(worst, error / size if size else error)
    return worst


def _factor_norm(up: Tensor, down: Tensor) -> float:
    """Return ‖up · down‖ from the triangles of their QR decompositions, without the product."""
    left = torch.linalg.qr(up, mode="r").R
    right = torch.linalg.qr(down.T, mode="r").R
    return float((left @ right.T).norm())


def lora_difference(expected: Layer, found: Layer) -> float:
    """Return ‖difference‖ / ‖expected‖ of two LoRA layers: the difference is one of the factors side by side."""
    ups = [layer.scale * layer.tensors["up"].double().flatten(1) for layer in (expected, found)]
    downs = [layer.tensors["down"].double().flatten(1) for layer in (expected, found)]
    size = _factor_norm(ups[0], downs[0])
    error = _factor_norm(torch.cat([ups[0], -ups[1]], dim=1), torch.cat(downs))
    return error / size if size else error


def skeleton(layers: Mapping[str, Layer]) -> nn.Module:
    """Return a module without values that has just the layers' hosts, for reading a file back without its base."""
    root = nn.Module()
    for path, layer in layers.items():
        parent = root
        *ancestors, leaf = path.split(".")
        for name in ancestors:
            if name not in parent._modules:
                parent.add_module(name, nn.Module())
            parent = parent._modules[name]
        host = parent._modules.get(leaf) or nn.Module()
        shape = _shape(layer)
        host.register_parameter("weight", nn.Parameter(torch.empty(shape, device="meta")))
        if "bias" in layer.tensors:
            host.register_parameter("bias", nn.Parameter(torch.empty(len(layer.tensors["bias"]), device="meta")))
        parent.add_module(leaf, host)
    return root


def _shape(layer: Layer) -> Sequence[int]:
    own = layer.tensors
    if layer.kind == "lora":
        return (own["up"].shape[0], *own["down"].shape[1:])
    if layer.kind == "full":
        return tuple(own["weight"].shape) if "weight" in own else (len(own["bias"]), 1)
    if layer.kind == "loha" and "t1" in own:
        return (own["w1_a"].shape[1], own["w1_b"].shape[1], *own["t1"].shape[2:])
    if layer.kind == "loha":
        return (own["w1_a"].shape[0], own["w1_b"].shape[1])
    return tuple(_kronecker_shape(layer))


def _kronecker_shape(layer: Layer) -> Sequence[int]:
    own = layer.tensors
    first = own["w1"].shape if "w1" in own else (own["w1_a"].shape[0], own["w1_b"].shape[1])
    if "w2" in own:
        second = own["w2"].shape
    elif "t2" in own:
        second = torch.Size((own["w2_a"].shape[1], own["w2_b"].shape[1], *own["t2"].shape[2:]))
    else:
        second = torch.Size((own["w2_a"].shape[0], own["w2_b"].shape[1]))
    return (first[0] * second[0], first[1] * second[1], *second[2:])
