"""Checkpoints that survive a kill at any moment.

A checkpoint is a folder: tensors in safetensors, the rest in JSON, and a manifest with every file's SHA-256 written
last. The folder is made beside its place, flushed and renamed; only then are older ones removed, and the newest
complete ones always stay. A folder without a sound manifest is never resumed from.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainers.storage import new_folder, read_json, sha256_of_file, sweep_temporary, write_json
from trainers.tensor_files import read_tensors, write_tensors

MANIFEST_NAME = "MANIFEST.json"
_STEP_PREFIX = "step-"


@dataclass(frozen=True)
class Checkpoint:
    """A complete state of a run after `step` steps."""

    step: int
    groups: Mapping[str, Mapping[str, Tensor]]
    """Tensors by file: one per part, and ``optimizer``."""
    state: Mapping[str, Any]
    """Plain values: config, thread count, versions, skipped steps."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Write a checkpoint below `folder`, then remove all but the newest `keep` sound ones. Return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep_temporary(folder)
    target = folder / f"{_STEP_PREFIX}{checkpoint.step:08d}"
    if target.exists():  # left by a run that was killed after this step and resumed from an older one
        if _verified(target):
            return target
        shutil.rmtree(target)
    with new_folder(target) as temporary:
        for name, tensors in checkpoint.groups.items():
            write_tensors(temporary / f"{name}.safetensors", tensors)
        write_json(temporary / "state.json", {"step": checkpoint.step, **checkpoint.state})
        hashes = {path.name: sha256_of_file(path) for path in sorted(temporary.iterdir())}
        write_json(temporary / MANIFEST_NAME, {"version": 1, "sha256": hashes})
    sound = [path for path in _folders(folder) if path == target or _verified(path)]
    for path in _folders(folder):
        if path not in sound[:keep]:
            shutil.rmtree(path, ignore_errors=True)
    return target


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint whose manifest verifies, or None."""
    for candidate in _folders(folder):
        if not _verified(candidate):
            continue
        state = read_json(candidate / "state.json", "checkpoint state")
        groups = {path.stem: read_tensors(path, "checkpoint file") for path in sorted(candidate.glob("*.safetensors"))}
        return Checkpoint(int(state.pop("step")), groups, state)
    return None


def checkpoint_steps(folder: Path) -> list[int]:
    """Return the steps of all sound checkpoints, rising."""
    found = [path for path in _folders(folder) if _verified(path)]
    return sorted(int(path.name.removeprefix(_STEP_PREFIX)) for path in found)


def checkpoint_tensors(folder: Path, step: int, names: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of some of a sound checkpoint's files, by name."""
    path = folder / f"{_STEP_PREFIX}{step:08d}"
    return {name: read_tensors(path / f"{name}.safetensors", "checkpoint file") for name in names}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return copies of an optimizer's state as named tensors, ``<parameter number>.<name>``."""
    return {
        f"{number}.{name}": value.clone() if isinstance(value, Tensor) else torch.tensor(value)
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Fill an optimizer over the same parameters with the state that `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _folders(folder: Path) -> list[Path]:
    """Return the checkpoint folders, newest first."""
    return sorted(folder.glob(f"{_STEP_PREFIX}*"), reverse=True)


def _verified(folder: Path) -> bool:
    manifest_path = folder / MANIFEST_NAME
    if not manifest_path.is_file():
        return False
    try:
        hashes = dict(read_json(manifest_path, "manifest")["sha256"])
    except Exception:  # a torn manifest is no manifest
        return False
    return all((folder / name).is_file() and sha256_of_file(folder / name) == digest for name, digest in hashes.items())
