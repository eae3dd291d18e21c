"""Activations computed twice to save memory, for the length of a training."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from torch import nn

_ON = ("enable_gradient_checkpointing", "activation_checkpointing_enable", "gradient_checkpointing_enable")
_OFF = ("disable_gradient_checkpointing", "activation_checkpointing_disable", "gradient_checkpointing_disable")


@contextlib.contextmanager
def gradient_checkpointing(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Trade time for memory in these modules; they bear no trace of it afterwards."""
    modules = tuple(modules)
    for module in modules:
        _call_first(module, _ON)
    try:
        yield
    finally:
        for module in modules:
            _call_first(module, _OFF)
            if hasattr(module, "disable_input_require_grads"):  # transformers lets its embeddings' gradients on
                module.disable_input_require_grads()


def _call_first(module: nn.Module, names: Sequence[str]) -> None:
    """Call the first switch that a module has: diffusers and transformers, and their versions, name it differently."""
    for name in names:
        if hasattr(module, name):
            getattr(module, name)()
            return
    raise AssertionError(f"{type(module).__name__} has no gradient checkpointing")
