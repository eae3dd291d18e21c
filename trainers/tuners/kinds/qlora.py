"""The tuner layer of QLoRA: the host's weight in 4 bits (NF4, double quantisation), and a LoRA beside it."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.adapter import KEY_PREFIX
from trainers.method import Folded
from trainers.quantiser import quantiser
from trainers.tuners.hosts import features
from trainers.tuners.sidecar import Live, Sidecar, SidecarKind, Uninstall

_BLOCK = 64


def _fresh(host: nn.Module, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    weight = host._parameters.get("weight")
    if weight is None or weight.ndim != 2 or isinstance(host, nn.Embedding):
        raise ValueError(f"QLoRA needs linear layers, not {type(host).__name__}.")
    inputs, outputs = features(host)
    down = torch.empty(settings["rank"], inputs)
    nn.init.kaiming_uniform_(down, a=math.sqrt(5))
    return {"down": down, "up": torch.zeros(outputs, settings["rank"])}


class Rounded:
    """A weight [out, in] in 4 bits; half a byte a number, and about 0.13 bit for the scales."""

    def __init__(self, weight: Tensor) -> None:
        self.shape = weight.shape
        # As one long row: on the CPU, bitsandbytes 0.50.2 reads a matrix back wrongly (a relative error of 0.2 to 0.4
        # instead of 0.09) when its rows are shorter than, or no multiple of, the blocks.
        row = weight.detach().contiguous().reshape(1, -1)
        self.packed, self.state = quantiser().quantize_4bit(
            row, blocksize=_BLOCK, compress_statistics=True, quant_type="nf4"
        )

    def dense(self) -> Tensor:
        """Return the weight as the 4 bits have it."""
        return quantiser().dequantize_4bit(self.packed, self.state).reshape(self.shape)


class _Linear(torch.autograd.Function):
    """x Wᵀ, W written out again for the gradient instead of being kept from one pass to the other."""

    @staticmethod
    def forward(context: Any, x: Tensor, rounded: Rounded) -> Tensor:
        context.rounded = rounded
        return functional.linear(x, rounded.dense())

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        weight = context.rounded.dense()
        return gradients[0] @ weight.to(gradients[0].dtype), None


class _Host:
    """The forward of a host while an adapter of this kind is on it."""

    def __init__(self, host: Any, sidecar: Sidecar) -> None:
        self.host, self.sidecar = host, sidecar
        self.transposed = hasattr(host, "nf")  # transformers' Conv1D, as in GPT-2
        weight = host._parameters["weight"]
        self.rounded = Rounded(weight.T if self.transposed else weight)
        self.device, self.own = weight.device, weight.data.cpu()
        self.move(away=True)

    def move(self, *, away: bool) -> None:
        """Let the base's weight wait in the computer's memory, or bring it back; the same bits either way."""
        parameter = self.host._parameters["weight"]
        wanted = self.own.device if away else self.device
        if parameter.device != wanted:
            parameter.data = self.own.to(wanted)

    def __call__(self, x: Tensor) -> Tensor:
        live = self.sidecar.live()
        self.move(away=bool(live))
        if not live:
            return type(self.host).forward(self.host, x)
        output: Tensor = _Linear.apply(x, self.rounded)
        if self.host.bias is not None:
            output = output + self.host.bias.to(output.dtype)
        shadow = self.host.__dict__.get("weight")  # an adapter that changes whole weights is on the host as well
        if shadow is not None:
            change = shadow - self.host._parameters["weight"].to(shadow.device)
            output = output + functional.linear(x, change.T if self.transposed else change)
        for adapter in live:
            output = output + _change(adapter, x).to(output.dtype)
        return output


def _change(adapter: Live, x: Tensor) -> Tensor:
    own, settings = adapter.parameters, adapter.settings
    wide = functional.dropout(x.to(own["down"].dtype), settings["dropout"], adapter.training)
    factor = adapter.weight * settings["alpha"] / settings["rank"]
    return factor * functional.linear(functional.linear(wide, own["down"]), own["up"])


def _install(host: nn.Module, sidecar: Sidecar) -> Uninstall:
    acting = _Host(host, sidecar)
    host.__dict__["forward"] = acting

    def uninstall() -> None:
        acting.move(away=False)
        del host.__dict__["forward"]

    return uninstall


def fold(config: dict[str, Any], tensors: dict[str, Tensor]) -> Folded:
    """Write a plain LoRA."""
    names = {f".sidecar_{KIND.name}.beside.{name}": lora for name, lora in (("down", "lora_A"), ("up", "lora_B"))}
    folded: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        ending = next(ending for ending in names if key.endswith(ending))
        folded[f"{key.removesuffix(ending)}.{names[ending]}.weight"] = tensor
    paths = {key.removeprefix(KEY_PREFIX).rpartition(".lora_")[0] for key in folded}
    return {
        "peft_type": "LORA",
        "r": config["settings"]["rank"],
        "lora_alpha": config["settings"]["alpha"],
        "target_modules": sorted(paths),
        "bias": "none",
    }, folded


KIND = SidecarKind("qlora", _fresh, install=_install)
