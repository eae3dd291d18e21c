"""Say which blocks an adapter touches, so that the page can offer a weight for each."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.blocks import block_of, layout_of_card
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from trainers.adapter import KEY_PREFIX

_RUNS = ("BASE", "IN", "down_blocks", "M", "OUT", "up_blocks")
"""Beginnings of blocks' names, in the order in which a picture runs through them."""


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: adapter. Yields a result with ``blocks``, by the names of lora-block-weight and in their order.

    Where the card does not say how many layers the base's levels have, blocks go by their paths, such as
    ``down_blocks.1``, which a recipe takes as well.
    """
    adapter = workbench.read(str(arguments["adapter"]))
    layout = layout_of_card(adapter.card.base)
    paths = [(part, key.removeprefix(KEY_PREFIX)) for part, content in adapter.parts.items() for key in content.tensors]
    found = {block_of(part, path, layout) for part, path in paths}
    yield {"event": "result", "blocks": sorted(found, key=_order)}


def _order(name: str) -> tuple[int, str]:
    return next(number for number, start in enumerate(_RUNS) if name.startswith(start)), name


JOB = Job("adapter_blocks", _run)
