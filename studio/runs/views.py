"""The same run in three ways: as YAML, as the command line, and as Python."""

import pprint
from collections.abc import Mapping, Sequence
from typing import Any

from studio.library.library import Library
from studio.proposals import proposed
from studio.runs.kinds import RunKind, kind_of
from trainers.config_files import config_as_yaml

_REPEATED = {"sample_prompts": "sample-prompt"}


def views_of(values: Mapping[str, Any], library: Library | None = None) -> dict[str, str]:
    """Return ``yaml`` (every setting written out), ``command`` and ``python`` (what differs from the defaults).

    Raises:
        UserError: listing every problem of the settings.
    """
    kind = kind_of(values)
    config = kind.parse(values)
    return {
        "yaml": config_as_yaml(config),
        "command": as_command(kind, values, library),
        "python": as_python(kind, values, library),
    }


def as_command(kind: RunKind, values: Mapping[str, Any], library: Library | None = None) -> str:
    """Return the command that starts the run; empty for a kind without one."""
    if not kind.command:
        return ""
    words: list[str] = []
    for name, value in values.items():
        if name == "parts":
            words += _part_words(value)
        elif name != "kind":
            words += _field_words(name, value)
    return proposed([*kind.command.split(), *words], library)


def as_python(kind: RunKind, values: Mapping[str, Any], library: Library | None = None) -> str:
    """Return a script that does the run."""
    folder = repr(str(library.folder)) if library is not None and library.option() else None
    settings = pprint.pformat({"kind": kind.name, **values}, indent=4, width=100, sort_dicts=False)
    return (
        "from studio.library.library import open_library\n"
        "from studio.report import Terminal\n"
        "from studio.runs.kinds import kind_of\n"
        "from studio.runs.run import create_run, execute\n\n"
        f"settings = {settings}\n"
        "config = kind_of(settings).parse(settings)\n"
        "with Terminal() as report:\n"
        f"    print(execute(create_run(open_library({folder}), config), report))\n"
    )


def _field_words(name: str, value: Any) -> list[str]:
    flag = "--" + _REPEATED.get(name, name).replace("_", "-")
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    if isinstance(value, list | tuple):
        return [f"{flag}={item}" for item in value]
    if isinstance(value, Mapping):
        return [f"{flag.removesuffix('s')}={key}={_text(item)}" for key, item in value.items()]
    return [f"{flag}={_text(value)}"]


def _part_words(parts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    words = [f"--parts={','.join(parts)}"]
    for key in ("method", "learning_rate"):
        named = {part: plan[key] for part, plan in parts.items() if plan.get(key) is not None}
        if named:
            flag = key.replace("_", "-")
            words.append(f"--{flag}=" + ",".join(f"{part}={_text(value)}" for part, value in named.items()))
    for part, plan in parts.items():
        words += [f"--setting={part}.{key}={_text(value)}" for key, value in (plan.get("settings") or {}).items()]
    return words


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "+".join(str(item) for item in value)
    return str(value)
