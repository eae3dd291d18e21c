"""Say which blocks an adapter touches, so that the page can offer a weight for each."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.blocks import block_of, layers_per_block
from studio.engine._job import Event, Job
from studio.engine.workbench import Workbench
from trainers.adapter import KEY_PREFIX


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: adapter. Yields a result with ``blocks``, by the names of lora-block-weight and in their order."""
    paths = [
        (part, key.removeprefix(KEY_PREFIX))
        for part, content in workbench.read(str(arguments["adapter"])).parts.items()
        for key in content.tensors
    ]
    per_level = layers_per_block(path for part, path in paths if part == "unet")
    found = {block_of(part, path, per_level) for part, path in paths}
    yield {"event": "result", "blocks": sorted(found, key=_order)}


def _order(name: str) -> tuple[int, str]:
    """Sort as a picture runs through: BASE, IN, M, OUT."""
    return next(number for number, start in enumerate(("BASE", "IN", "M", "OUT")) if name.startswith(start)), name


JOB = Job("adapter_blocks", _run)
