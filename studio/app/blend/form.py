"""The Blend tab's form as plain values, and the recipe, YAML and command line that it stands for.

A form holds ``rows`` (adapter and weight, in their order), ``details`` (by adapter: parts, blocks, schedule and hash,
as in a recipe's input), ``blend``, ``settings``, ``seed``, ``dtype``, ``file``, and ``rest``: what a recipe may hold
besides and the page has no field for. It is plain JSON, so the browser keeps it; nothing here loads a model library.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from pipelines.blocks import ALL_OTHERS, LISTS
from studio.app.shared.weight_rows import MOST_ROWS
from studio.library.library import Library
from studio.proposals import proposed
from trainers.errors import UserError

_RECIPE_DEFAULTS: Mapping[str, Any] = {
    "blend": "exact",
    "part_blends": {},
    "settings": {},
    "seed": 0,
    "dtype": "float32",
    "file": "auto",
    "base": "",
}
_DETAIL_KEYS = ("hash", "parts", "blocks", "schedule")


def recipe_of(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe that a form stands for, without what is default; rows without an adapter are no part of it.

    Raises:
        UserError: no adapter is chosen, or a row has no weight.
    """
    rows = [(str(name), weight) for name, weight in form["rows"] if name]
    if not rows:
        raise UserError("No adapter is chosen yet. Choose at least one above, or load a recipe.")
    empty = [name for name, weight in rows if weight is None]
    if empty:
        raise UserError(f"{', '.join(empty)} has no weight. Write a number such as 0.6; 0 leaves it out.")
    inputs = []
    for name, weight in rows:
        details = form.get("details", {}).get(name, {})
        item: dict[str, Any] = {"adapter": name}
        if details.get("hash"):
            item["hash"] = details["hash"]
        if float(weight) != 1.0:
            item["weight"] = float(weight)
        for key in _DETAIL_KEYS[1:]:
            if details.get(key):
                item[key] = details[key]
        inputs.append(item)
    rest = form.get("rest", {})
    values = {key: form.get(key, rest.get(key, default)) for key, default in _RECIPE_DEFAULTS.items()}
    kept = {key: value for key, value in values.items() if value != _RECIPE_DEFAULTS[key]}
    return {**kept, "inputs": inputs}


def form_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form that stands for a recipe, given as `studio.engine.jobs.blend_recipe` returns it.

    Raises:
        UserError: it has more adapters than the page has rows.
    """
    inputs = recipe["inputs"]
    if len(inputs) > MOST_ROWS:
        raise UserError(
            f"The recipe has {len(inputs)} adapters, and this page has room for {MOST_ROWS}. Blend it on the command "
            "line with 'studio blend --recipe FILE --name NAME'."
        )
    values = {**_RECIPE_DEFAULTS, **recipe}
    details = {item["adapter"]: {key: item[key] for key in _DETAIL_KEYS if item.get(key)} for item in inputs}
    return {
        "rows": [[item["adapter"], float(item.get("weight", 1.0))] for item in inputs],
        "details": {name: kept for name, kept in details.items() if kept},
        **{key: values[key] for key in ("blend", "settings", "seed", "dtype", "file")},
        "rest": {key: recipe[key] for key in ("part_blends", "base") if recipe.get(key)},
    }


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """Return a recipe as the YAML that ``studio blend --recipe`` reads."""
    return str(yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True))


def command_line(recipe: Mapping[str, Any], name: str, library: Library | None = None, base: str = "") -> str:
    """Return the command that makes the same blend, ready for a shell.

    Args:
        library: where the adapters lie, if not where commands look by themselves.
        base: the base, where one is named.
    """
    if any(item.get("schedule") or item.get("hash") for item in recipe["inputs"]) or recipe.get("base"):
        return proposed(["blend", "--recipe", "recipe.yaml", "--name", name], library, base=base)
    words = [f"{item['adapter']}:{item.get('weight', 1.0):g}" for item in recipe["inputs"]]
    by_part = [f"{part}={blend}" for part, blend in recipe.get("part_blends", {}).items()]
    if recipe.get("blend") or by_part:
        words += ["--blend", ",".join([recipe.get("blend", "exact"), *by_part])]
    for key, value in recipe.get("settings", {}).items():
        flow = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
        words += ["--setting", f"{key}={flow.removesuffix(chr(10)).removesuffix('...').strip()}"]
    for item in recipe["inputs"]:
        if item.get("parts"):
            words += ["--part-weight", f"{item['adapter']}={_pairs(item['parts'])}"]
        blocks = item.get("blocks")
        if blocks:
            shown = _pairs(blocks) if isinstance(blocks, Mapping) else ",".join(f"{value:g}" for value in blocks)
            words += ["--blocks", f"{item['adapter']}={shown}"]
    for key in ("seed", "dtype", "file"):
        if key in recipe:
            words += [f"--{key}", str(recipe[key])]
    return proposed(["blend", *words, "--name", name], library, base=base)


def block_names(
    blocks: Sequence[float] | Mapping[str, float] | None, own: Sequence[str], kind: str
) -> dict[str, float]:
    """Return the sliders of a kind of block weights, with their values.

    Args:
        own: the blocks that the adapter touches.
        kind: ``own``, or how many values a list has, such as ``17``; anything else has no sliders.
    """
    names = tuple(own) if kind == "own" else LISTS.get(int(kind), ()) if kind.isdigit() else ()
    if isinstance(blocks, Mapping):
        others = blocks.get(ALL_OTHERS, 1.0)
        return (
            {name: blocks.get(name, others) for name in (*names, *(n for n in blocks if n not in names))}
            if names
            else {}
        )
    if blocks is not None and len(blocks) == len(names):
        return dict(zip(names, blocks, strict=True))
    return dict.fromkeys(names, 1.0)


def kind_of_blocks(blocks: Sequence[float] | Mapping[str, float] | None) -> str:
    """Return which kind of block weights an adapter has: ``none``, ``own``, or the length of its list."""
    if not blocks:
        return "none"
    return "own" if isinstance(blocks, Mapping) else str(len(blocks))


def blocks_of(values: Mapping[str, float], kind: str) -> list[float] | dict[str, float] | None:
    """Return block weights as a recipe holds them, from the sliders' values; None when all are 1."""
    if all(value == 1.0 for value in values.values()):
        return None
    if kind != "own":
        return [float(value) for value in values.values()]
    changed = {name: float(value) for name, value in values.items() if value != 1.0 and name != ALL_OTHERS}
    return {**changed, ALL_OTHERS: float(values.get(ALL_OTHERS, 1.0))}


def _pairs(values: Mapping[str, float]) -> str:
    return ",".join(f"{name}:{value:g}" for name, value in values.items())
