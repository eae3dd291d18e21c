"""Settings as a form sees them: what each field of a settings class holds, as plain JSON, and its values back again."""

import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from trainers.registry import Naming, OneOf

Shape = Mapping[str, Any]
"""One field: name, kind (yes_no, choice, number, text, lines or nested), optional, required, default, description,
choices, the words that its text can begin with (named), whether it names adapters, and whether it is short for other
fields, which a form shows in its place (shorthand). Plain JSON, so that it can be kept in a file."""

_UNITS = {"px": "px", "seconds": "s", "bytes": "bytes"}
_CAPITALS = {"snr": "SNR", "lr": "LR", "cfg": "CFG", "url": "URL"}


def shapes_of(model: type[BaseModel]) -> list[Shape]:
    """Return the fields of a settings class in order."""
    return [_shape(name, field) for name, field in model.model_fields.items()]


def _shape(name: str, field: Any) -> Shape:
    kind, choices, optional = _kind(field.annotation)
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, Mapping) else {}
    named = next((mark for mark in field.metadata if isinstance(mark, OneOf)), None)
    naming = next((mark for mark in field.metadata if isinstance(mark, Naming)), None)
    if named is not None:
        kind, choices = "choice", list(named.records())
    if kind == "text" and extra.get("enum"):
        kind, choices = "choice", list(extra["enum"])
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return {
        "name": name,
        "kind": kind,
        "choices": choices,
        "optional": optional,
        "required": field.is_required(),
        "default": _plain(default),
        "description": field.description or "",
        "named": list(naming.words()) if naming is not None else [],
        "adapters": bool(extra.get("adapters")),
        "shorthand": bool(extra.get("shorthand")),
    }


def _kind(annotation: Any) -> tuple[str, list[Any], bool]:
    """Return (kind, choices, whether it may be empty) of a type."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType) and type(None) in inner:
        others = [one for one in inner if one is not type(None)]
        kind, choices, _ = _kind(others[0] if len(others) == 1 else Union[tuple(others)])  # noqa: UP007 - built
        return kind, choices, True
    if annotation is bool:
        return "yes_no", [], False
    if origin is Literal:
        return "choice", list(inner), False
    if annotation in (int, float):
        return "number", [], False
    if annotation is str:
        return "text", [], False
    if origin in (tuple, list) and inner and inner[0] is str:
        return "lines", [], False
    return "nested", [], False


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def label_of(name: str) -> str:
    """Return a field's name in words: ``batch_size`` is "Batch size", ``resolution_px`` is "Resolution (px)"."""
    words = name.split("_")
    unit = _UNITS.get(words[-1]) if len(words) > 1 else None
    words = [_CAPITALS.get(word, word) for word in (words[:-1] if unit else words)]
    text = " ".join(words)
    return text[:1].upper() + text[1:] + (f" ({unit})" if unit else "")


def shown(shape: Shape, value: Any) -> Any:
    """Return a setting as a form's field shows it."""
    if shape["kind"] == "lines":
        return "\n".join(str(line) for line in value or ())
    if shape["kind"] == "choice":
        return "" if value is None else value
    if shape["kind"] == "text" or (shape["kind"] == "number" and shape["optional"]):
        return "" if value is None else str(value)
    return value


def plain(shape: Shape, value: Any) -> Any:
    """Return what a form's field shows as a setting; nothing is repaired, so that a mistake is told by the schema."""
    if shape["kind"] == "lines":
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]
    if shape["kind"] == "number":
        return _number(value)
    if shape["kind"] in ("text", "choice"):
        return None if value in (None, "") and (shape["optional"] or shape["required"]) else value
    return value


def _number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = float(value) if value.strip() else None
        except ValueError:
            return value
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole else value


def given(shapes: Iterable[Shape], values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> dict:
    """Return the settings that differ from their defaults, so that what is written down is what was chosen.

    Args:
        defaults: values that stand in place of the schema's defaults, such as a method's recommendation.
    """
    own = defaults or {}
    chosen = {}
    for shape in shapes:
        name = shape["name"]
        if name not in values:
            continue
        value = values[name]
        if shape["required"]:
            if value is not None:
                chosen[name] = value
        elif _differs(value, _plain(own.get(name, shape["default"]))):
            chosen[name] = value
    return chosen


def _differs(value: Any, default: Any) -> bool:
    same_kind = isinstance(value, bool) == isinstance(default, bool)
    return not (same_kind and value == default)
