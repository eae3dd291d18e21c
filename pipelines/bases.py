"""Find and load a base: a shipped one, a folder in diffusers or transformers layout, or a hub id."""

import contextlib
import importlib.resources
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError

from pipelines.families import Family, ImageBase, LoadedBase, TextBase, families, family_of
from pipelines.places import about_unknown, fetched, folder_here, is_hub_id
from trainers.errors import UserError
from trainers.paths import path_of

POCKET = "pocket"
POCKET_LANGUAGE = "pocket-lm"
SHIPPED: Mapping[str, str] = {POCKET: "base", POCKET_LANGUAGE: "language_model"}
"""The bases that ship with the studio, with their folders."""
_WHAT = "The base"
_ROLES = {"picture": "a diffusion model", "text": "a language model"}


def pocket_folder(which: str) -> Path:
    """Return the folder of a shipped model: ``base`` or ``judge``."""
    return Path(str(importlib.resources.files("pipelines") / "pocket" / which))


def load_base(
    name: str, *, device: str = "auto", precision: str = "auto", trust_remote_code: bool = False
) -> LoadedBase:
    """Load a base with frozen weights.

    Args:
        name: ``pocket`` or ``pocket-lm`` (shipped), a folder in diffusers or transformers layout, or a hub id such as
            ``owner/model`` (optionally ``@revision``).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32``, ``bf16``, ``fp16``, or ``auto``: bf16 on a GPU that has it, else fp32.
        trust_remote_code: run Python code that the base brings.

    Raises:
        UserError: it does not exist, cannot be fetched, is of no known family, or the device is not there.
    """
    folder, family = _found(name, trust_remote_code)
    chosen = choose_device(device)
    load = family.load_with_code if trust_remote_code else family.load
    if load is None:
        raise UserError(
            f"The base {name!r} is {family.title}, which never brings code of its own; leave --trust-remote-code out."
        )
    with quiet_libraries():
        try:
            # A folder is called by its last name, because names travel in cards and cards hold no paths.
            from_hub = is_hub_id(name) and not path_of(name).is_dir()
            short = name if name in SHIPPED or from_hub else folder.resolve().name
            return load(short, folder, chosen, choose_dtype(precision, chosen))
        except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
            raise UserError(f"The base {name!r} cannot be loaded: {' '.join(str(error).split())[:300]}") from error


def load_image_base(name: str, *, device: str = "auto", precision: str = "auto") -> ImageBase:
    """Load a base that draws; see `load_base`.

    Raises:
        UserError: as `load_base`, or it is a language model.
    """
    return cast(ImageBase, _of_role("picture", name, device=device, precision=precision))


def load_text_base(
    name: str, *, device: str = "auto", precision: str = "auto", trust_remote_code: bool = False
) -> TextBase:
    """Load a base that writes; see `load_base`.

    Raises:
        UserError: as `load_base`, or it is a diffusion model.
    """
    options = {"device": device, "precision": precision, "trust_remote_code": trust_remote_code}
    return cast(TextBase, _of_role("text", name, **options))


def role_of(name: str) -> str:
    """Return what a base is for, ``picture`` or ``text``, without loading it.

    Raises:
        UserError: it does not exist, or is of no known family.
    """
    return _found(name, False)[1].role


def _of_role(role: str, name: str, **options: Any) -> LoadedBase:
    _, family = _found(name, bool(options.get("trust_remote_code")))
    if family.role != role:
        raise UserError(
            f"The base {name!r} is {_ROLES[family.role]} ({family.title}), and {_ROLES[role]} is needed here. Give "
            f"one with --base, such as {POCKET if role == 'picture' else POCKET_LANGUAGE!r}."
        )
    return load_base(name, **options)


def _found(name: str, with_code: bool) -> tuple[Path, Family]:
    """Return a base's folder and its family."""
    folder = _find(name, with_code=with_code)
    return folder, _family_of(name, folder)


def _family_of(name: str, folder: Path) -> Family:
    family = family_of(folder)
    if family is None:
        found = about_unknown(folder)
        raise UserError(
            f"The base {name!r} is of no known family.{' ' * bool(found)}{found} Known: "
            f"{', '.join(f.title for f in families().values())}, as a folder in diffusers layout with a "
            "model_index.json, or in transformers layout with a config.json."
        )
    return family


def shipped_base_of(names: Iterable[str]) -> str | None:
    """Return the one base that all these names of adapters' bases stand for, if it ships with the studio."""
    found = set(names)
    return found.pop() if len(found) == 1 and found <= SHIPPED.keys() else None


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
        return torch.bfloat16 if device.type == "cuda" and _has_bf16(device) else torch.float32
    known = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision not in known:
        raise UserError(f"The precision {precision!r} is unknown. Use auto, fp32, bf16 or fp16.")
    return known[precision]


def _has_bf16(device: torch.device) -> bool:
    """Return whether a GPU multiplies in bf16 itself; older ones emulate it, many times slower than fp32."""
    return torch.cuda.get_device_capability(device) >= (8, 0)


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


def _find(name: str, *, with_code: bool = False) -> Path:
    if name in SHIPPED:
        folder = pocket_folder(SHIPPED[name])
        if not folder.is_dir():
            raise UserError(
                f"The base {name!r} is not among this installation's files ({folder} is missing). Install the studio "
                "again, or give a folder or a hub id with --base."
            )
        return folder
    advice = (
        f"Use {' or '.join(map(repr, SHIPPED))} (shipped), a folder in diffusers or transformers layout, or a hub id "
        "like 'owner/model'."
    )
    return folder_here(name, _WHAT, advice) or _fetch(name, with_code=with_code)


def _fetch(name: str, *, with_code: bool) -> Path:
    """Fetch what tells the family, and then that family's files and no others."""
    advice = f"Use one that ships with the studio ({', '.join(SHIPPED)}), or a folder."
    folder = fetched(name, ["*.json"], _WHAT, advice)
    code = ("*.py",) if with_code else ()
    return fetched(name, ["*.json", *_family_of(name, folder).files, *code], _WHAT, advice)
