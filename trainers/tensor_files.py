"""Safetensors files: written atomically, read with limits. Apart from `trainers.storage`, so that what only lists runs
and adapters need not load torch.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from trainers.errors import UserError
from trainers.file_kinds import file_kind
from trainers.storage import write_bytes


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Replace a safetensors file atomically. Tensors are copied to the CPU and made contiguous."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, safetensors.torch.save(plain, dict(metadata) if metadata else None))


def tensors_size_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> int:
    """Return the size that `write_tensors` gives a file of floating-point tensors, without writing any."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        start, end = end, end + tensor.numel() * tensor.element_size()
        kind = f"{'BF' if tensor.dtype == torch.bfloat16 else 'F'}{8 * tensor.element_size()}"
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return 8 + -(-len(text) // 8) * 8 + end  # the header's length, the header padded to 8 bytes, the data


def read_tensors(path: Path, what: str, *, limit_bytes: int = 8 << 30) -> dict[str, Tensor]:
    """Read a safetensors file onto the CPU, or say in one sentence why not.

    Raises:
        UserError: the file is missing, empty, cut off, larger than the limit, of another kind, or not sound.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > limit_bytes:
            raise UserError(f"The {what} {path} has {size_bytes:,} bytes; at most {limit_bytes:,} are read.")
        kind = file_kind(path)
        if kind.sentence:
            raise UserError(f"The {what} {path} {kind.sentence}")
        return safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        raise UserError(f"The {what} {path} does not exist.") from error
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RuntimeError, MemoryError) as error:
        raise UserError(
            f"The {what} {path} is not a sound safetensors file ({error}). Fetch or train it again."
        ) from error
