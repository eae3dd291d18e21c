"""Stages of training a language model, one file each."""

import functools
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from trainers.errors import problem_sentence, raise_problems, unknown
from trainers.old_names import STAGE, with_new_names
from trainers.registry import discover
from trainers.stages._stage import VALIDATION, Fold, Stage, StageSettings, TextTask

if TYPE_CHECKING:
    from trainers.data.texts import TextRow
    from trainers.protocols import LanguageModel
    from trainers.text_config import TextConfig

__all__ = [
    "VALIDATION",
    "Fold",
    "Stage",
    "StageSettings",
    "TextTask",
    "find_stage",
    "make_task",
    "stage_names",
    "stage_settings",
    "stages",
]


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


def make_task(config: "TextConfig", role: "LanguageModel", rows: "Sequence[TextRow]") -> TextTask:
    """Return what a run on texts learns.

    Raises:
        UserError: a setting of the stage is wrong, or rows cannot be used.
    """
    stage = find_stage(config.stage)
    return stage.task(config, stage_settings(config), role, rows)


def stage_settings(config: "TextConfig") -> StageSettings:
    """Return the checked settings of a run's stage.

    Raises:
        UserError: listing every problem.
    """
    stage = find_stage(config.stage)
    given, twice = with_new_names(config.stage_settings, STAGE)
    raise_problems(f"The settings of the stage {stage.name!r} cannot be used:", twice)
    try:
        return stage.settings.model_validate(given)
    except ValidationError as error:
        known = stage.settings.model_fields
        problems = [problem_sentence(dict(item), known) for item in error.errors()]
        raise_problems(f"The settings of the stage {stage.name!r} cannot be used:", problems)
        raise
