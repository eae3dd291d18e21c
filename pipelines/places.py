"""Where a model is that a user names: a folder here, or the hub. What is here is never denied, nor sought elsewhere."""

import difflib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from trainers.errors import UserError
from trainers.paths import ADDRESS, is_there, path_of

_HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*(@[\w./-]+)?", re.ASCII)
_HUB_PAGE = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)", re.ASCII)
_PICKLES = (".ckpt", ".pt", ".pth", ".bin")
_FILES = (".safetensors", *_PICKLES, ".gguf", ".onnx")
_ADAPTER_KEYS = ("lora_", "hada_", "lokr_", "oft_", "dora_scale", "ia3_")


def is_hub_id(name: str) -> bool:
    """Return whether a name can only be ``owner/model`` on the hub, optionally ``@revision``; never so of a path."""
    owner_and_model = name.partition("@")[0]
    return bool(_HUB_ID.fullmatch(name)) and ".." not in name and not owner_and_model.lower().endswith(_FILES)


def folder_here(name: str, what: str, advice: str) -> Path | None:
    """Return the folder that a name means on this machine; None where it is a hub id.

    Args:
        what: of the model, such as ``The base``, for messages.
        advice: what can be given, as a sentence.

    Raises:
        UserError: it is a file, or it looks like a path and nothing is there.
    """
    if ADDRESS.match(name):
        found = _HUB_PAGE.match(name)
        such = found[1] if found else "owner/model"
        raise UserError(f"{what} {name!r} is an address. Give a folder, or {such!r} as the hub calls it. {advice}")
    folder = path_of(name)
    if is_there(folder):
        if not folder.is_dir():
            raise UserError(f"{what} {name!r} is {_about_file(folder)}")
        return folder
    if is_hub_id(name):
        return None
    raise UserError(f"{what} {name!r} does not exist.{_nearest(folder, name)} {advice}")


def fetched(name: str, wanted: Sequence[str], what: str, advice: str) -> Path:
    """Return the folder in the hub's cache with the wanted files of a hub id, fetched where they are not there yet.

    Raises:
        UserError: it is not to be had.
    """
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(wanted)))
    except Exception as error:  # the hub client raises many kinds, all meaning that it is not to be had
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise UserError(
            f"{what} {name!r} is neither a folder here nor to be had from the hub{offline}: {type(error).__name__}. "
            f"{advice}"
        ) from error


def _about_file(file: Path) -> str:
    """Say what a file is that stands where a folder is expected, and what to do; ends the sentence."""
    around = next((folder for folder in file.resolve().parents[:2] if (folder / "model_index.json").is_file()), None)
    if around is None and (file.parent / "config.json").is_file():
        around = file.parent
    if around is not None:
        return f"one file of a model. Give the model's folder instead: {around}."
    if file.suffix.lower() in _PICKLES:
        return (
            "a pickle, which can run code when it is read, so it is never read. Take the same model's .safetensors; "
            f"or, where you trust the file, {_convert(file, 'StableDiffusionPipeline')}"
        )
    if file.suffix.lower() == ".gguf":
        return "a single file in GGUF, which is not read. Take the model as a folder in transformers layout."
    keys = _keys(file)
    if any(word in key for key in keys for word in _ADAPTER_KEYS):
        return "an adapter's file, not a model. Bring it into the library with studio import, and name its base here."
    pipeline = "StableDiffusionXLPipeline" if any("conditioner." in key for key in keys) else "StableDiffusionPipeline"
    return f"a single file, which is not loaded as it is. With diffusers, {_convert(file, pipeline)}"


def _convert(file: Path, pipeline: str) -> str:
    """Return the second half of a sentence: how a single file becomes a folder."""
    return (
        f"make a folder of it: {pipeline}.from_single_file({str(file)!r}).save_pretrained({file.stem!r}); then give "
        f"that folder."
    )


def _keys(file: Path) -> list[str]:
    try:
        with safe_open(str(file), framework="pt") as tensors:
            return list(tensors.keys())
    except (OSError, SafetensorError):
        return []


def _nearest(path: Path, name: str) -> str:
    """Return a question with the likeliest name beside a path that is not there; empty where nothing is near."""
    bare = name.strip("\"' \t\r\n")
    if bare and bare != name and path_of(bare).exists():
        return f" Without the quotes and spaces around it, {bare!r}, it does."
    try:
        beside = [item.name for item in path.parent.iterdir() if not item.name.startswith(".")]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.8)
    return f" Did you mean {name[: len(name) - len(path.name)] + near[0]!r}?" if near else ""


def about_unknown(folder: Path) -> str:
    """Say what a folder holds that is no base, and what to do; empty where nothing is known of it."""
    if any((folder / card).is_file() for card in ("adapter.json", "adapter_config.json")):
        return "It is an adapter, not a base: bring it into the library with studio import, and name its base here."
    pipeline = _json(folder / "model_index.json").get("_class_name")
    if pipeline:
        return f"Its model_index.json names {pipeline!r}, a pipeline that is not known here."
    config = _json(folder / "config.json")
    made_of = [config.get("_class_name"), *_list(config.get("architectures"))]
    if any(made_of):
        above = folder.resolve().parent
        whole = f" Give the folder above it, {above}." if (above / "model_index.json").is_file() else ""
        part = "one part of a model" if config.get("_class_name") or whole else "a model of another kind"
        rest = "" if whole else " Take a whole model's folder, with its model_index.json." * bool(made_of[0])
        return f"It holds {part}, {next(name for name in made_of if name)}.{whole}{rest}"
    from pipelines.families import known_parts

    parts = [name for name in (*known_parts("picture"), "vae") if (folder / name).is_dir()]
    if parts:
        return f"It holds {', '.join(parts)}, but no model_index.json, which says what it is. Fetch that too."
    inside = _bases_inside(folder)
    if inside:
        return f"It holds bases in folders of their own. Give one of them: {', '.join(inside)}."
    files = sorted(item.name for item in folder.iterdir() if item.suffix.lower() in _FILES)
    if files:
        return f"It holds {', '.join(files[:3])}, without the folders and settings of a model."
    return "" if any(folder.iterdir()) else "It is empty."


def _bases_inside(folder: Path) -> list[str]:
    """Return the first folders below, down to those of the hub's cache, that look like whole models."""
    found = {path.parent for path in (*folder.glob("*/model_index.json"), *folder.glob("*/*/model_index.json"))}
    found |= {
        path.parent
        for path in (*folder.glob("*/config.json"), *folder.glob("snapshots/*/config.json"))
        if "CausalLM" in str(_json(path).get("architectures"))
    }
    return sorted(str(place) for place in found)[:3]


def _json(path: Path) -> dict[str, object]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
