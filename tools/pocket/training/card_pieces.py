"""What every model card has: a head, the number of parameters, how it was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

HEAD = """---
license: apache-2.0
library_name: {library}
pipeline_tag: {task}
language: en
---

# {title}

"""


def read(path: Path) -> dict[str, Any]:
    """A JSON file. Raises FileNotFoundError with what to run."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; run the training script and evaluate.py first")
    return json.loads(path.read_text())


def parameters(folder: Path) -> int:
    """How many numbers a folder's safetensors file holds."""
    (path,) = folder.glob("*.safetensors")
    with safe_open(path, "pt") as tensors:
        shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    total = 0
    for shape in shapes:
        count = 1
        for side in shape:
            count *= side
        total += count
    return total


def training(title: str, path: Path) -> str:
    """What was trained how, when and on what."""
    record = read(path)
    return (
        f"**{title}**, {record['date']}, one {record['hardware']}, {record['seconds']} s, {record['steps']} steps,\n"
        f"seed {record['seed']}, torch {record['torch']}; data {'; '.join(record['data'])}\n\n"
        f"```\n{record['command']}\n```\n\n"
    )
