"""What an adapter does to each module of a live base, found without any of the formats' code."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipelines.attach import attached
from pipelines.families import LoadedBase
from tests.pipelines.formats.files import Made
from tests.support import relative_error
from trainers.adapter import Adapter
from trainers.tuners import peft_bridge as bridge

EXACT = 2e-6


def live_deltas(base: LoadedBase, adapter: Adapter) -> dict[tuple[str, str], tuple[Tensor, Tensor | None]]:
    """Return (part, path) -> change of weight and of bias, by what the attached layers answer to unit inputs."""
    found: dict[tuple[str, str], tuple[Tensor, Tensor | None]] = {}
    with attached(base, {"one": adapter}) as attachments:
        attachments.set_weights({"one": 1.0})
        for part, module in base.parts.items():
            hosts = {bridge.canonical(path) for path, _ in bridge.tuner_layers(module)}
            for path in sorted({path.partition(".sidecar_")[0] for path in hosts}):
                layer = module.get_submodule(path)
                bare = layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer
                weight, bias = _answers(layer)
                own = bare._parameters.get("bias")
                assert bare._parameters["weight"] is not None
                plain = torch.zeros(len(bias)) if own is None else own.detach()
                found[(part, path)] = (weight - bare._parameters["weight"].detach().double(), bias - plain.double())
    return found


def largest_difference(
    found: Mapping[tuple[str, str], tuple[Tensor, Tensor | None]], expected: Mapping[tuple[str, str], Made]
) -> float:
    """Return the largest error over modules, relative to what is expected; infinite where modules differ."""
    if found.keys() != expected.keys():
        return float("inf")
    worst = 0.0
    for place, made in expected.items():
        weight, bias = found[place]
        assert made.weight is not None
        worst = max(worst, relative_error(weight.reshape(made.weight.shape), made.weight))
        if made.bias is not None:
            assert bias is not None
            worst = max(worst, relative_error(bias, made.bias))
        elif bias is not None:
            worst = max(worst, float(bias.abs().max()))
    return worst


@torch.no_grad()
def _answers(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return a layer's weight and bias as its forward shows them, in the shape of its weight."""
    bare = layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer
    weight = bare._parameters["weight"]
    if isinstance(bare, nn.Linear):
        bias = layer(torch.zeros(1, bare.in_features))[0]
        return (layer(torch.eye(bare.in_features)) - bias).T.double(), bias.double()
    if isinstance(bare, nn.Conv2d):
        height, width = bare.kernel_size
        size = 2 * max(height, width) + 2
        # One impulse in the middle: the answers around it are the kernel, turned round.
        middle = size // 2
        zero = layer(torch.zeros(1, bare.in_channels, size, size))
        bias = zero[0, :, middle // bare.stride[0], middle // bare.stride[0]]
        kernel = torch.zeros(weight.shape, dtype=torch.float64)
        for dy in range(height):
            for dx in range(width):
                x = torch.zeros(bare.in_channels, bare.in_channels, size, size)
                y0 = middle // bare.stride[0]
                row = y0 * bare.stride[0] - bare.padding[0] + dy
                column = y0 * bare.stride[1] - bare.padding[1] + dx
                x[torch.arange(bare.in_channels), torch.arange(bare.in_channels), row, column] = 1
                kernel[:, :, dy, dx] = (layer(x)[:, :, y0, y0] - bias).T.double()
        return kernel, bias.double()
    # A norm: y = w x̂ + b; two inputs tell w and b apart.
    width = weight.shape[0]
    shape = (1, width, 8, 8) if isinstance(bare, nn.GroupNorm) else (64, width)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    one, two = layer(x).double(), layer(-x).double()
    unit = nn.functional.group_norm(x, bare.num_groups, eps=bare.eps) if isinstance(bare, nn.GroupNorm) else None
    normal = unit if unit is not None else nn.functional.layer_norm(x, (width,), eps=bare.eps)
    axes = [axis for axis in range(x.ndim) if x.shape[axis] != width or axis > 1]
    if isinstance(bare, nn.LayerNorm):
        axes = [0]
    half = (one - two) / 2
    scale = (half * normal.double()).sum(axes) / normal.double().square().sum(axes)
    return scale, ((one + two) / 2).mean(axes)
