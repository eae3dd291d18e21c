"""What the methods share whose tuner layers are this project's own."""

from collections.abc import Mapping, Sequence
from typing import Any


def sidecar_config(kind: str, targets: Sequence[str], settings: Mapping[str, Any]) -> Any:
    """Return the PEFT config of an adapter of one of our kinds. PEFT is imported late: listing the methods needs none.

    Args:
        kind: a name in `trainers.tuners.kinds`.
        targets: module paths, or ``root`` for the part itself.
        settings: as plain JSON.
    """
    from trainers.tuners.kinds import register_kinds
    from trainers.tuners.sidecar import register

    return register(register_kinds()[kind])(target_modules=list(targets), settings=dict(settings))


def delta_config(targets: Sequence[str], tensors: Sequence[str]) -> Any:
    """Return the PEFT config that trains these tensors (``weight``, ``bias``) of the target layers."""
    return sidecar_config("delta", targets, {"tensors": list(tensors)})
