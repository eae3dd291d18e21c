"""What only an adapter's tensors tell: its content hash, and how many values each part holds in which number format."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.recipe import content_hash
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: name. Yields ``{"event": "result", "hash", "parts": [[part, tensors, values, number formats]…]}``."""
    adapter = workbench.read(str(arguments["name"]))
    parts = []
    for part, content in adapter.parts.items():
        kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in content.tensors.values()})
        count = sum(tensor.numel() for tensor in content.tensors.values())
        parts.append([part, len(content.tensors), count, ", ".join(kinds)])
    yield {"event": "result", "hash": content_hash(adapter), "parts": parts}


JOB = Job("measure_adapter", _run)
