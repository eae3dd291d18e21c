"""Attention and feed-forward modules of diffusers and transformers, told by what they are made of."""

from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

_INPUTS = ("to_q", "q_proj", "c_attn", "fc1", "gate_proj", "up_proj", "c_fc", "net.0.proj")
_ATTENTION = ("to_k", "k_proj", "c_attn")


def is_attention(host: nn.Module) -> bool:
    """Return whether a host is an attention module; the other hosts are feed-forward modules."""
    return any(hasattr(host, name) for name in _ATTENTION)


def width(host: nn.Module) -> int:
    """Return the width d of a host's input, which is also its output's.

    Raises:
        ValueError: the host is of no known make.
    """
    for name in _INPUTS:
        found = _below(host, name)
        if found is not None:
            return features(found)[0]
    raise ValueError(f"{type(host).__name__} is neither an attention nor a feed-forward module of a known make.")


def features(layer: Any) -> tuple[int, int]:
    """Return (in, out) features of a linear layer, also of one that is stored transposed or carries adapters."""
    if isinstance(layer, BaseTunerLayer):
        layer = layer.get_base_layer()
    if hasattr(layer, "nf"):  # transformers' Conv1D, as in GPT-2
        return int(layer.nx), int(layer.nf)
    return int(layer.in_features), int(layer.out_features)


def first(values: Any) -> Tensor:
    """Return the tensor that a host gave: itself, or the first of several."""
    return values if isinstance(values, Tensor) else values[0]


def with_first(values: Any, tensor: Tensor) -> Any:
    """Return what a host gave with its first tensor exchanged."""
    return tensor if isinstance(values, Tensor) else (tensor, *values[1:])


def hidden_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return the hidden states [b, t, d] that a host was called with."""
    return args[0] if args else kwargs["hidden_states"]


def _below(host: nn.Module, path: str) -> Any:
    current: Any = host
    for name in path.split("."):
        if name.isdigit() and isinstance(current, nn.ModuleList):
            current = current[int(name)]
        elif hasattr(current, name):
            current = getattr(current, name)
        else:
            return None
    return current
