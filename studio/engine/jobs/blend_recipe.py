"""Check a recipe that came as text or as plain values, and return it without what is default."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipelines.recipe import parse_recipe
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from trainers.errors import UserError

_LIMIT_CHARACTERS = 1 << 20


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: text (YAML or JSON), or recipe (plain values). Yields a result with ``recipe``."""
    values = arguments.get("recipe")
    if values is None:
        text = str(arguments["text"])
        if len(text) > _LIMIT_CHARACTERS:
            raise UserError(f"The recipe has more than {_LIMIT_CHARACTERS:,} characters, so it is not read.")
        try:
            values = yaml.safe_load(text)
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            raise UserError(f"The recipe cannot be read: {' '.join(str(error).split())[:300]}.") from error
    recipe = parse_recipe(values)
    yield {"event": "result", "recipe": recipe.model_dump(mode="json", exclude_defaults=True)}


JOB = Job("blend_recipe", _run)
