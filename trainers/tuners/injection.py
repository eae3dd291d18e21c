"""Ways around PEFT's tuners that keep random matrices for all layers on themselves (VeRA and its like).

PEFT refuses to inject them into a bare module, though their layers hold the matrices too; a second adapter's tuner
finds no layer to measure, because the first one's are in the way; and it brings tables of its own, without the first
one's.
"""

from collections.abc import Mapping
from typing import Any

from peft import inject_adapter_in_model
from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from trainers.tuners.delora import norm_first
from trainers.tuners.hosts import features

_SHARED = ("vera_A", "vera_B", "pvera_A", "pvera_B", "randlora_A", "randlora_B")
_OSF = ("_osf_U_low_init", "_osf_S_low_init", "_osf_V_low_init", "_osf_U_high", "_osf_V_high")
_NARROW = (*_SHARED, *_OSF, "delora_w_norm")
Tables = Mapping[str, Mapping[str, Any]]


def inject(config: Any, module: nn.Module, adapter: str) -> None:
    """Let PEFT attach an adapter to a bare module."""
    tuner = PEFT_TYPE_TO_TUNER_MAPPING[config.peft_type]
    if not hasattr(tuner, "_find_dim"):
        inject_adapter_in_model(config, module, adapter)
        return
    before = {path: _tables(layer) for path, layer in _layers(module)}
    measuring = type(tuner.__name__, (tuner,), {"_find_dim": _largest})
    measuring(module, config, adapter_name=adapter)
    for path, layer in _layers(module):
        for name, table in _tables(layer).items():
            for other, matrix in before.get(path, {}).get(name, {}).items():
                if other not in table:
                    table[other] = matrix


def widen(layer: Any, adapter: str) -> None:
    """Keep an adapter's frozen matrices in float32 too; PEFT gives them the base's precision and then mixes the two."""
    for name in _NARROW:
        table = getattr(layer, name, None)
        if table is not None and adapter in table:
            table[adapter] = table[adapter].float()
    norm_first(layer)


def _layers(module: nn.Module) -> list[tuple[str, Any]]:
    return [(path, layer) for path, layer in module.named_modules() if isinstance(layer, BaseTunerLayer)]


def _tables(layer: Any) -> dict[str, Any]:
    return {name: table for name in _SHARED if (table := getattr(layer, name, None)) is not None}


def _largest(tuner: Any, config: Any) -> tuple[int, int]:
    """Return the largest (out, in) of the targeted layers, seen through other adapters."""
    shapes = []
    for path, layer in tuner.model.named_modules():
        if ".base_layer" not in path and tuner._check_target_module_exists(config, path):
            base = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
            if isinstance(getattr(base, "weight", None), Tensor) and base.weight.ndim == 2:
                shapes.append(features(base)[::-1])
    if not shapes:
        raise ValueError(f"Target modules {config.target_modules} hold no linear layer.")
    return max(shape[0] for shape in shapes), max(shape[1] for shape in shapes)
