"""Write an adapter for other programs, prove the file, and leave it among the studio's outputs for download."""

import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.formats import find_format
from studio.engine._job import Event, Job
from studio.engine.workbench import Workbench
from studio.porting import export_adapter
from trainers.names import check_name, folder_name
from trainers.storage import disk_errors


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: name, format, precision (empty for the format's own), rank (empty for none), base (empty for its own).

    Yields ``{"event": "result", "path", "modules", "error", "notes", "merged"}``; a format that is a folder comes as
    a zip file.
    """
    name, chosen = check_name(str(arguments["name"])), find_format(str(arguments["format"]))
    number = workbench.new_file("", "exports")
    number.unlink()
    number.mkdir()
    try:
        out = number / (folder_name(name) if chosen.is_folder else f"{folder_name(name)}.safetensors")
        workbench.progress("exporting", 0, 1)
        exported = export_adapter(
            workbench.library,
            name,
            chosen.name,
            out,
            base_name=str(arguments["base"]) if arguments.get("base") else None,
            precision=str(arguments["precision"]) if arguments.get("precision") else None,
            rank=int(arguments["rank"]) if arguments.get("rank") else None,
        )
        if out.is_dir():
            out = _zipped(out)
    except BaseException:
        shutil.rmtree(number, ignore_errors=True)
        raise
    yield {
        "event": "result",
        "path": str(out),
        "modules": exported.modules,
        "error": exported.error,
        "notes": list(exported.notes),
        "merged": chosen.merge is not None,
    }


def _zipped(folder: Path) -> Path:
    """Return a folder as one file beside it, uncompressed, because weights hardly compress."""
    target = folder.with_name(folder.name + ".zip")
    with disk_errors(target), zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, str(Path(folder.name) / path.relative_to(folder)))
    shutil.rmtree(folder)
    return target


JOB = Job("export_adapter", _run)
