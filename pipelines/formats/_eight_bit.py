"""Tensors of 8-bit floating point: widened without rounding, and multiplied by scales that stand apart.

ComfyUI stores a scaled weight ``X.weight`` with its factor beside it, as ``X.scale_weight`` or ``X.weight_scale``: one
number, or one per output. A key ``scaled_fp8`` says that a file is of that kind and has no other meaning.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from trainers.wording import count_of

_EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2)
_MARKER = "scaled_fp8"
_SCALES = (("weight", "scale_weight"), ("weight", "weight_scale"))


def widened(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors with none of 8-bit floating point, and a sentence on what was done, if anything was.

    Every such value is also one of float16, so that nothing is rounded; with a scale it becomes float32, as readers do.
    Scales that belong to no 8-bit tensor stay where they are.
    """
    found = {key: tensor for key, tensor in tensors.items() if key != _MARKER}
    plain, scaled = 0, 0
    for key, tensor in tensors.items():
        if tensor.dtype not in _EIGHT_BITS or key not in found:
            continue
        scale_key = _scale_key(key, found)
        if scale_key is None:
            found[key] = tensor.to(torch.float16)
            plain += 1
            continue
        scale, wide = found.pop(scale_key).to(torch.float32), tensor.to(torch.float32)
        found[key] = wide * scale.reshape(-1, *[1] * (wide.ndim - 1)) if wide.ndim else wide * scale.reshape(())
        scaled += 1
    told = (
        (plain, "became float16, with the same values."),
        (scaled, "became float32, each times the scale that stands beside it."),
    )
    return found, [f"{count_of(n, 'tensor')} of 8-bit floating point {what}" for n, what in told if n]


def _scale_key(key: str, tensors: Mapping[str, Tensor]) -> str | None:
    """Return the key of a tensor's scale: one number, or one per output."""
    for end, scale_end in _SCALES:
        scale_key = f"{key.removesuffix(end)}{scale_end}"
        scale = tensors.get(scale_key) if key.endswith(f".{end}") else None
        if scale is not None and scale.dtype in (torch.float32, torch.float16, torch.bfloat16):
            outputs = tensors[key].shape[0] if tensors[key].ndim else 1
            if scale.numel() in (1, outputs):
                return scale_key
    return None
