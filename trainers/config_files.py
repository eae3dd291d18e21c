"""A run's settings as YAML: read as plain values, written in the schema's order."""

from pathlib import Path
from typing import Any

import yaml

from trainers.config import TrainingConfig
from trainers.data.plain_text import plain_values
from trainers.errors import UserError, raise_problems
from trainers.old_names import TRAINING, with_new_names


def read_config(path: Path) -> dict[str, Any]:
    """Read the plain values of a YAML file; `parse_config` checks them.

    Raises:
        UserError: the file is missing, is not YAML, or is not a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # bad dates are a ValueError
        reason = " ".join(str(error).split())
        raise UserError(f"The config {path} cannot be read: {reason}.") from error
    if not isinstance(values, dict):
        raise UserError(f"The config {path} must be a mapping of settings, such as 'steps: 250'.")
    renamed, twice = with_new_names(plain_values(values, f"The config {path}"), TRAINING)
    raise_problems(f"The config {path} cannot be used:", twice)
    return renamed


def config_as_yaml(config: TrainingConfig) -> str:
    """Return the config as YAML with its keys in the schema's order."""
    values = config.model_dump(mode="json")
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    if yaml.safe_load(text) != values:  # PyYAML folds U+0085, a line end of old mainframes, into a space
        text = yaml.safe_dump(values, sort_keys=False)
    return text
