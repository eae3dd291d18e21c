"""Write an adapter for other programs, prove the file, and leave it among the studio's outputs for download."""

import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.export_writing import Exported
from pipelines.exporting import choose
from pipelines.formats import Format
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.import_export import export_adapter
from trainers.names import check_name, folder_name
from trainers.storage import disk_errors


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: name; reader (the program that the file is for), format (one of the two may be empty), allow_unread;
    precision (empty for the format's own), rank (empty for none), base (empty for its own); only_tell.

    Yields ``{"event": "result", "path", "modules", "error", "notes", "merged"}``; a format that is a folder comes as
    a zip file. With only_tell nothing is written, and the path is empty.
    """
    name, reader = check_name(str(arguments["name"])), _or_none(arguments, "reader")
    chosen, _ = choose(workbench.library.read(name), _or_none(arguments, "format"), reader)
    options: dict[str, Any] = {
        "base_name": _or_none(arguments, "base"),
        "reader_name": reader,
        "allow_unread": bool(arguments.get("allow_unread")),
        "precision": _or_none(arguments, "precision"),
        "rank": int(arguments["rank"]) if arguments.get("rank") else None,
    }
    if arguments.get("only_tell"):
        yield _told(export_adapter(workbench.library, name, chosen.name, None, **options), "", chosen)
        return
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
            **options,
        )
        if out.is_dir():
            out = _zipped(out)
    except BaseException:
        shutil.rmtree(number, ignore_errors=True)
        raise
    yield _told(exported, str(out), chosen)


def _told(exported: Exported, path: str, chosen: Format) -> Event:
    return {
        "event": "result",
        "path": path,
        "modules": exported.modules,
        "error": exported.error,
        "notes": exported.told,
        "merged": chosen.merge is not None,
    }


def _or_none(arguments: Mapping[str, Any], key: str) -> str | None:
    return str(arguments[key]) if arguments.get(key) else None


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
