"""Stages of training a language model, one file each."""

import functools
import pkgutil
import sys
from collections.abc import Mapping

from trainers.errors import unknown
from trainers.registry import discover
from trainers.stages._stage import Stage, TextTask

__all__ = ["Stage", "TextTask", "find_stage", "stage_names", "stages"]


@functools.cache
def stages() -> Mapping[str, Stage]:
    """Return every stage by name."""
    return discover(sys.modules[__name__], "STAGE")


def stage_names() -> list[str]:
    """Return the names of all stages without loading them: settings are read where torch is not wanted."""
    return [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]


def find_stage(name: str) -> Stage:
    """Return a stage by name.

    Raises:
        UserError: there is none.
    """
    if name not in stage_names():
        raise unknown("Stage", name, stage_names())
    return stages()[name]
