"""Names that settings had before; files and commands that were written with them still work.

A rename is one line here. Whatever parses settings from outside calls `with_new_names` first.
"""

from collections.abc import Mapping
from typing import Any

TRAINING: Mapping[str, str] = {
    "accumulation": "gradient_accumulation_steps",
    "maximum_gradient_norm": "max_grad_norm",
    "optimiser": "optimizer",
    "sample_tokens": "sample_max_new_tokens",
    "schedule": "lr_scheduler",
}
"""Of the settings of a training."""

KINDS_OF_RUNS: Mapping[str, str] = {"pictures": "images"}
"""Values of ``kind``."""

STAGE: Mapping[str, str] = {"maximum_tokens": "max_new_tokens"}
"""Of the settings of a stage."""

CAPTIONING: Mapping[str, str] = {"most_tokens": "max_new_tokens"}
"""Of the settings of a captioning."""

SAMPLING: Mapping[str, str] = {"guidance": "guidance_scale", "steps": "num_inference_steps"}
"""Of the settings of a picture, as they travel in its PNG, and of a comparison's axes."""


def with_new_names(values: Mapping[str, Any], renamed: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return settings under their present names, and a sentence for each that is given under both."""
    problems = [
        f"{old} is the old name of {new}; both are given. Leave {old} away"
        for old, new in renamed.items()
        if old in values and new in values
    ]
    return {renamed.get(key, key): value for key, value in values.items()}, problems
