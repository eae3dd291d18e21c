"""Find and load a base: the shipped pocket base, a folder in diffusers layout, or a hub id."""

import contextlib
import importlib.resources
import os
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError

from pipelines.families import LoadedBase, families
from trainers.errors import UserError

POCKET = "pocket"


def pocket_folder(which: str) -> Path:
    """Return the folder of a shipped model: ``base`` or ``judge``."""
    return Path(str(importlib.resources.files("pipelines") / "pocket" / which))


def load_base(name: str, *, device: str = "auto", precision: str = "auto") -> LoadedBase:
    """Load a base with frozen weights.

    Args:
        name: ``pocket``, a folder in diffusers layout, or a hub id such as ``owner/model`` (optionally ``@revision``).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32``, ``bf16``, or ``auto``: bf16 on a GPU that has it, else fp32.

    Raises:
        UserError: it does not exist, cannot be fetched, is of no known family, or the device is not there.
    """
    folder = _find(name)
    family = next((f for f in families().values() if f.recognise(folder)), None)
    if family is None:
        raise UserError(
            f"The base {name!r} is of no known family. Known: {', '.join(f.title for f in families().values())}, "
            "as a folder in diffusers layout with a model_index.json."
        )
    chosen = choose_device(device)
    with quiet_libraries():
        try:
            # A folder is called by its last name, because names travel in cards and cards hold no paths.
            short = folder.resolve().name if Path(name).expanduser().is_dir() else name
            return family.load(short, folder, chosen, choose_dtype(precision, chosen))
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise UserError(f"The base {name!r} cannot be loaded: {' '.join(str(error).split())[:300]}") from error


def base_folder(name: str) -> Path:
    """Return the folder with a base's files.

    Raises:
        UserError: it does not exist, or cannot be fetched.
    """
    return _find(name)


def choose_device(wanted: str) -> torch.device:
    """Return the torch device; ``auto`` takes the first GPU when there is one."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", wanted):
        raise UserError(f"The device {wanted!r} is unknown. Use auto, cpu, cuda or cuda:N.")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"The device {wanted!r} is not there: torch sees {torch.cuda.device_count()} GPUs. Use --device cpu."
        )
    return device


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the number format of the frozen weights."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    known = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if precision not in known:
        raise UserError(f"The precision {precision!r} is unknown. Use auto, fp32 or bf16.")
    return known[precision]


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the model libraries' progress bars and notices out of our output while a model is loaded."""
    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging

    loggers = (diffusers_logging, transformers_logging)
    levels = [logger.get_verbosity() for logger in loggers]
    for logger in loggers:
        logger.set_verbosity_error()
        logger.disable_progress_bar()
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.set_verbosity(level)


def _find(name: str) -> Path:
    if name == POCKET:
        return pocket_folder("base")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", name) or name.startswith("."):
        raise UserError(
            f"The base {name!r} does not exist. Use 'pocket' (shipped), a folder in diffusers layout, or a hub id like "
            "'owner/model'."
        )
    return _fetch(name)


def _fetch(name: str) -> Path:
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    wanted = ["*.json", "*.txt", "*/*.json", "*/*.txt", "*/*.safetensors"]
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=wanted))
    except Exception as error:  # the hub client raises many kinds, all meaning that it is not to be had
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise UserError(
            f"The base {name!r} is neither a folder here nor to be had from the hub{offline}: {type(error).__name__}. "
            "Use 'pocket', which ships with the studio, or a folder."
        ) from error
