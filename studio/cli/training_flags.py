"""The flags of every command that trains, built from the settings of its kind of run."""

import argparse
import contextlib
import functools
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from studio.cli.command import add_library, add_old_name, library_of
from studio.library.library import Library
from studio.report import Terminal
from studio.runs.joining import join
from studio.runs.kinds import RunKind
from studio.runs.launch import launch_of
from studio.runs.run import CONFIG_NAME, Run, create_run, discard_unstarted, execute, find_run
from studio.runs.start import read_ahead, telling_seconds
from studio.runs.team import Team, joined
from studio.settings_schema import shapes_of
from trainers.config_files import read_config
from trainers.errors import UserError
from trainers.methods import find_method
from trainers.old_names import TRAINING
from trainers.part_config import check_parts_shape

# Flags that are built from the schema; the others below need a shape of their own on a command line.
_OWN_SHAPE = {"kind", "parts", "sample_prompts"}
_OF_PARTS = ("parts", "method", "learning_rate", "rank", "alpha", "targets", "settings")


@dataclass(frozen=True)
class Training:
    """What a command trains."""

    kind: RunKind
    parts: tuple[str, ...]
    """What is trained when no part is named, as help says it; the base at hand says what that is there."""
    example: str
    """A whole command that works, for messages."""


def add_training(parser: argparse.ArgumentParser, training: Training) -> None:
    """Add ``--library``, ``--config``, ``--resume``, what belongs to parts, and a flag for every setting."""
    add_library(parser)
    parser.set_defaults(several_processes=True)
    default = ",".join(training.parts)
    parser.add_argument("--config", metavar="FILE", help="YAML file of settings; flags given beside it win")
    parser.add_argument("--resume", metavar="RUN", help="continue a stopped or killed run, by name or folder")
    parser.add_argument("--parts", default=None, help=f"what to train, with commas (default {default})")
    for name, text in (
        (
            "method",
            f"method, for all parts or by part, such as {training.parts[-1]}=dora (default lora; 'studio methods' "
            "lists them)",
        ),
        (
            "learning-rate",
            "step size, for all parts or by part (default: the method's recommendation)",
        ),
        ("rank", "rank of the delta, for all parts or by part"),
        ("alpha", "the delta is scaled by alpha / rank, for all parts or by part"),
        ("targets", "kinds of layers or module names joined by +, for all parts or by part"),
    ):
        parser.add_argument(f"--{name}", default=None, metavar="VALUE", help=text)
    parser.add_argument(
        "--setting",
        action="append",
        dest="settings",
        metavar="[PART.]KEY=VALUE",
        help="any setting of the method, for all parts or one; may be repeated ('studio methods NAME' lists them)",
    )
    parser.add_argument(
        "--sample-prompt",
        action="append",
        dest="sample_prompts",
        metavar="PROMPT",
        help="may be repeated",
    )
    choices = {shape["name"]: shape["choices"] for shape in shapes_of(training.kind.settings)}
    for name, field in training.kind.settings.model_fields.items():
        if name in _OWN_SHAPE:
            continue
        flag = "--" + name.replace("_", "-")
        shown = (
            f" (default {field.default})"
            if field.default not in (None, ..., "", PydanticUndefined) and not field.is_required()
            else ""
        )
        text = (field.description or "").rstrip(".") + shown
        if get_origin(field.annotation) is dict:
            parser.add_argument(
                flag.removesuffix("s"), dest=name, action="append", metavar="KEY=VALUE", help=f"{text}; may be repeated"
            )
        elif field.annotation is bool:
            parser.add_argument(flag, dest=name, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            # the schema checks the value, and names those that there are; argparse's own check has another voice
            metavar = f"{{{','.join(map(str, choices[name]))}}}" if choices[name] else "VALUE"
            action = parser.add_argument(flag, dest=name, default=None, metavar=metavar, help=text)
            for old in (old for old, new in TRAINING.items() if new == name):
                add_old_name(parser, action, "--" + old.replace("_", "-"))


def config_from_options(options: argparse.Namespace, training: Training) -> Any:
    """Build the config from the YAML file, if any, and the flags.

    Raises:
        UserError: listing every problem.
    """
    values: dict[str, Any] = read_config(Path(options.config)) if options.config else {}
    for name, field in training.kind.settings.model_fields.items():
        given = getattr(options, name, None)
        if given is not None and name != "parts":
            if get_origin(field.annotation) is dict:
                values[name] = {**dict(values.get(name) or {}), **_pairs(name, given)}
            else:
                values[name] = None if given == "none" and _may_be_empty(field) else given
    missing = [name for name in ("data", "name") if name not in values]
    if missing:
        raise UserError(f"{' and '.join('--' + name for name in missing)} must be given, as in: {training.example}.")
    base = str(values.get("base") or training.kind.settings.model_fields["base"].default)
    parts = _parts(options, values.pop("parts", None), tuple(training.kind.default_parts(base)))
    return training.kind.parse({**values, **({"parts": parts} if parts is not None else {})})


def _parts(options: argparse.Namespace, from_file: Any, default: tuple[str, ...]) -> dict[str, Any] | None:
    """Merge part flags over the parts of a YAML file."""
    flags = {
        "method": options.method,
        "learning_rate": options.learning_rate,
        "rank": options.rank,
        "alpha": options.alpha,
        "targets": options.targets,
    }
    if options.parts is None and all(value is None for value in flags.values()) and not options.settings:
        return from_file
    if from_file is not None:
        check_parts_shape(from_file)
    parts: dict[str, Any] = dict(from_file or {part: {} for part in default})
    if options.parts is not None:
        named = [part.strip() for part in options.parts.split(",")]
        if "" in named or len(set(named)) < len(named):
            raise UserError(f"--parts {options.parts!r} must name each part once, such as {','.join(default)}.")
        parts = {part: parts.get(part, {}) for part in named}
    for key, text in flags.items():
        for part, value in _by_part(key, text, list(parts)).items():
            plan = dict(parts[part])
            if key in ("method", "learning_rate"):
                plan[key] = value
            else:
                checked: Any = value.split("+") if key == "targets" else value
                plan["settings"] = {**plan.get("settings", {}), key: checked}
            parts[part] = plan
    for text in options.settings or ():
        _apply_setting(parts, text)
    return parts


def _apply_setting(parts: dict[str, Any], text: str) -> None:
    """Put ``KEY=VALUE`` into every part's settings, or ``PART.KEY=VALUE`` into one's."""
    name, equals, value = text.partition("=")
    part, dot, key = name.rpartition(".")
    if not equals or (dot and part not in parts):
        raise UserError(
            f"--setting {text} cannot be read. Write KEY=VALUE, or PART.KEY=VALUE for one of the trained parts "
            f"{', '.join(parts)}."
        )
    for chosen in [part] if dot else list(parts):
        plan = dict(parts[chosen])
        field = find_method(plan.get("method", "lora")).settings.model_fields.get(key)
        several = field is not None and get_origin(field.annotation) is tuple
        checked: Any = None if value == "none" else value.split("+") if several else value
        parts[chosen] = {**plan, "settings": {**plan.get("settings", {}), key: checked}}


def _by_part(key: str, text: str | None, parts: list[str]) -> dict[str, str]:
    """Read ``VALUE`` (all parts) or ``unet=VALUE,text_encoder=VALUE``."""
    if text is None:
        return {}
    if "=" not in text:
        return dict.fromkeys(parts, text)
    found = dict(item.partition("=")[::2] for item in text.split(","))
    wrong = [part for part in found if part not in parts]
    if wrong:
        raise UserError(
            f"--{key.replace('_', '-')} {text} names the part {wrong[0]!r}, which is not trained. "
            f"Trained: {', '.join(parts)}."
        )
    return found


def _pairs(name: str, items: list[str]) -> dict[str, str]:
    """Read several ``KEY=VALUE``."""
    wrong = [item for item in items if "=" not in item]
    if wrong:
        raise UserError(f"--{name.removesuffix('s').replace('_', '-')} {wrong[0]} cannot be read. Write KEY=VALUE.")
    return dict(item.partition("=")[::2] for item in items)


def _may_be_empty(field: FieldInfo) -> bool:
    """Whether a setting is a number or nothing, which a command line writes as ``none``."""
    return type(None) in get_args(field.annotation) and str not in get_args(field.annotation)


def _given_beside_resume(options: argparse.Namespace, training: Training) -> list[str]:
    others = ("config", *_OF_PARTS, *training.kind.settings.model_fields)
    names = [name for name in dict.fromkeys(others) if getattr(options, name, None) is not None]
    shown = {"sample_prompts": "sample-prompt", "settings": "setting"}
    return ["--" + shown.get(name, name.replace("_", "-")) for name in names]


def train_from_options(options: argparse.Namespace, training: Training) -> int:
    """Train, or go on with a run of any kind, until its end or until the user stops it; return the exit status.

    Of several processes that a launcher started, the main one does, and the others join it.

    Raises:
        UserError: the settings are wrong, or training failed; a run that made no step leaves nothing behind.
    """
    library, launch, team = library_of(options), launch_of(os.environ), None
    try:
        with joined(launch) as team:
            if launch.processes.is_main:
                return _lead(options, training, library, team)
            with _stop_on_signals(team.ask_stop):
                join(library, team)
    except UserError:
        if launch.processes.is_main or team is None or (team.problem is not None and launch.processes.rank == 1):
            raise
        return team.code  # the main process tells it, or of those that lost it the first one
    return 0


def _lead(options: argparse.Namespace, training: Training, library: Library, team: Team) -> int:
    """Create the run or find it, and execute it."""
    run: Run | None = None
    if options.resume is not None:
        beside = _given_beside_resume(options, training)
        if beside:
            raise UserError(
                f"--resume goes on with the run's own settings, so {', '.join(beside)} cannot be given beside it. "
                "Leave it out, or start a new run under another --name."
            )
        run = find_run(library, options.resume)
    print("Loading the libraries and the base …", flush=True)
    read_ahead(_base_of(options, run))
    with telling_seconds(functools.partial(print, flush=True), "Libraries"):
        import trainers.loop  # noqa: F401 - torch and PEFT, which checking the settings needs too

        new = create_run(library, config_from_options(options, training)) if run is None else run
    stop = threading.Event()
    try:
        with Terminal() as report, _stop_on_signals(stop.set, report):
            adapter = execute(new, report, stop.is_set, team=team)
    except UserError:
        if options.resume is None:
            discard_unstarted(new)
        raise
    if adapter is None:
        return 130
    if (command := new.kind().tried_by) is not None:
        print(f"Try it: {command(new.config(), new.library)}")
    return 0


def _base_of(options: argparse.Namespace, run: Run | None) -> str:
    """Return the base that will be loaded, as far as that can be told without the libraries."""
    file = run.folder / CONFIG_NAME if run is not None else options.config and Path(options.config)
    with contextlib.suppress(UserError):  # what is wrong with the file is told where it is checked
        return str(options.base or (read_config(file).get("base") if file else None) or "")
    return ""


class _stop_on_signals:
    """Let the first Ctrl-C (or SIGTERM) stop after the step; a second one stops at once."""

    def __init__(self, stop: Callable[[], None], report: Terminal | None = None) -> None:
        self._stop, self._report, self._asked = stop, report, False

    def __enter__(self) -> None:
        self._before = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self._stop()
        if self._report is not None:
            self._report.say("Stopping after this step; once more to stop at once.")
