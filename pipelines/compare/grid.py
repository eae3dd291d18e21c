"""A grid of pictures over any of thirteen axes, the same noise in every cell of a seed.

An axis runs along the rows, the columns or the pages; one that has a single value need not be named. Axes that change
the adapter make a **look**; a base, guidance, a number of steps and a sampler make a **setting**; prompts and seeds are
what means are taken over.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.blocks import ALL_OTHERS
from pipelines.compare.subject import subject_of
from pipelines.generate import ImageRequest
from pipelines.recipe import Recipe, parse_recipe
from trainers.errors import UserError, unknown
from trainers.seeds import drawn_seed
from trainers.wording import count_of

LOOK_AXES = ("adapter", "method", "rank", "step", "blend", "block", "weight")
SETTING_AXES = ("base", "guidance_scale", "num_inference_steps", "sampler")
AXES = (*LOOK_AXES, *SETTING_AXES, "prompt", "seed")
USUAL_AXES = ("adapter", "weight", "prompt", "seed")
BASE_LABEL = "base"
EVERYWHERE, WHOLE, FINAL, EXACT = "all", "full", "final", "exact"
"""Values of the axes block, rank, step and blend that leave an adapter as it is."""
_PLAIN: Mapping[str, Any] = {
    "method": "",
    "rank": WHOLE,
    "step": FINAL,
    "blend": EXACT,
    "block": EVERYWHERE,
    "base": "",
}


@dataclass(frozen=True)
class Cell:
    """One picture of a grid."""

    row: str
    column: str
    look: str
    """What means are taken over: all but prompt and seed."""
    request: ImageRequest
    subject: str
    """The part of the prompt that every look should keep."""
    page: str = ""
    base: str = ""
    """The base as the user called it; empty where only one is used."""
    setting: str = ""
    """Base, guidance, steps and sampler: looks are measured against the base of their own setting."""
    axes: Mapping[str, str] = field(default_factory=dict)
    """The values of those axes along rows, columns and pages that make the look; the base has a weight of 0 alone."""


Mixtures = Mapping[str, Mapping[str, float]]


def plan_grid(
    mixtures: Mixtures,
    weights: Sequence[float],
    prompts: Sequence[str],
    seeds: Sequence[int],
    template: ImageRequest,
    *,
    rows: Sequence[str] = ("prompt", "seed"),
    columns: Sequence[str] = ("adapter", "weight"),
    pages: Sequence[str] = (),
    more: Mapping[str, Sequence[Any]] | None = None,
    with_base: bool = False,
    subjects: Mapping[str, str] | None = None,
) -> list[Cell]:
    """Return the cells of a grid, page by page and row by row.

    Args:
        mixtures: the values of the axis ``adapter``: label -> adapter -> share. One adapter is ``{name: {name: 1}}``.
            A name may hold ``{method}``, ``{rank}`` or ``{step}``, which those axes fill in.
        weights: the values of the axis ``weight``; each multiplies a mixture's shares, and 0 is the base.
        template: supplies everything but prompt, seed and weights.
        rows: axes along the rows, the slowest first.
        columns: axes along the columns, the slowest first.
        pages: axes along the pages, the slowest first.
        more: the values of the other axes. ``rank``: numbers, or ``full``; a name without ``{rank}`` is cut to it by
            SVD. ``step``: steps of checkpoints, or ``final``. ``blend``: a blend's name with settings behind it, such
            as ``ties density=0.4``. ``block``: where the adapter acts alone, ``-NAME`` where it does not, or ``all``.
        with_base: add a row or column without any adapter where no weight of 0 makes one.
        subjects: for a prompt, the part of it that every look should keep; empty takes `subject_of`.

    Raises:
        UserError: an axis is unknown, missing or given twice, or a value cannot be used.
    """
    values: dict[str, Sequence[Any]] = {axis: (plain,) for axis, plain in _PLAIN.items()}
    values |= {
        "guidance_scale": (template.guidance_scale,),
        "num_inference_steps": (template.num_inference_steps,),
        "sampler": (template.sampler,),
    }
    values |= more or {}
    values |= {
        "adapter": list(mixtures),
        "weight": list(weights),
        "prompt": list(prompts),
        "seed": [drawn_seed(seed) for seed in seeds],
    }
    layout = [*rows, *columns, *pages]
    _check_axes(layout, rows, columns, values)
    fixed = {axis: found[0] for axis, found in values.items() if axis not in layout}
    cells: dict[tuple[str, str, str], Cell] = {}
    for page in _combinations(pages, values, mixtures, with_base=with_base):
        for row in _combinations(rows, values, mixtures, with_base=with_base):
            for column in _combinations(columns, values, mixtures, with_base=with_base):
                cell = _cell(
                    {**fixed, **page, **row, **column}, (page, row, column), mixtures, values, template, subjects
                )
                cells.setdefault((cell.page, cell.row, cell.column), cell)  # every adapter's base is one and the same
    return list(cells.values())


def _cell(
    point: Mapping[str, Any],
    places: tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]],
    mixtures: Mixtures,
    values: Mapping[str, Sequence[Any]],
    template: ImageRequest,
    subjects: Mapping[str, str] | None,
) -> Cell:
    bare = any(value is None for value in point.values())  # `_combinations` marks the base so
    shares = {} if bare else _shares(point, mixtures)
    common = {
        "prompt": point["prompt"],
        "seed": point["seed"],
        **{axis: point[axis] for axis in ("guidance_scale", "num_inference_steps", "sampler")},
    }
    recipe = _recipe(point, shares, mixtures) if shares else None
    request = replace(template, **common, weights={} if recipe is not None else shares, recipe=recipe)
    page, row, column = (_label(place, mixtures, values, bare=bare) for place in places)
    look_point = {axis: point[axis] for axis in (*LOOK_AXES, *SETTING_AXES) if axis in values}
    setting = _label({axis: point[axis] for axis in SETTING_AXES}, mixtures, values)
    return Cell(
        row,
        column,
        _label(look_point, mixtures, values, bare=bare or not shares),
        request,
        (subjects or {}).get(request.prompt) or subject_of(request.prompt),
        page,
        str(point["base"]),
        setting,
        _used_axes({**places[0], **places[1], **places[2]}, bare=not shares),
    )


def _used_axes(place: Mapping[str, Any], *, bare: bool) -> dict[str, str]:
    if bare:
        return {"weight": "0"}
    shown = {axis: place[axis] for axis in LOOK_AXES if axis in place}
    return {axis: f"{value:g}" if axis == "weight" else str(value) for axis, value in shown.items()}


def _shares(point: Mapping[str, Any], mixtures: Mixtures) -> dict[str, float]:
    """Return adapter -> weight, with the names that the axes make of the mixture's."""
    shares: dict[str, float] = {}
    for name, share in mixtures[point["adapter"]].items():
        filled = name
        for axis in ("method", "rank", "step"):
            filled = filled.replace(f"{{{axis}}}", str(point[axis]))
        if point["step"] != FINAL and "{step}" not in name:
            filled = f"{filled}@{point['step']}"
        if share * point["weight"]:
            shares[filled] = share * point["weight"]
    return shares


def _recipe(point: Mapping[str, Any], shares: Mapping[str, float], mixtures: Mixtures) -> Recipe | None:
    """Return the recipe of a point that is more than weights."""
    blend, *settings = str(point["blend"]).split()
    values: dict[str, Any] = {"blend": blend, "settings": dict(_setting(item) for item in settings)}
    if point["rank"] != WHOLE and not any("{rank}" in name for name in mixtures[point["adapter"]]):
        values["settings"] = {**values["settings"], "rank": int(point["rank"])}
        values["blend"] = "svd" if blend == EXACT else blend
    block = str(point["block"])
    blocks = None
    if block != EVERYWHERE:
        inside, name = (0.0, block[1:]) if block.startswith("-") else (1.0, block)
        blocks = {name: inside, ALL_OTHERS: 1.0 - inside}
    if values["blend"] == EXACT and not settings and blocks is None:
        return None
    inputs = [{"adapter": name, "weight": weight, "blocks": blocks} for name, weight in shares.items()]
    return parse_recipe({**values, "inputs": inputs})


def _setting(item: str) -> tuple[str, Any]:
    import yaml

    key, found, value = item.partition("=")
    if not found:
        raise UserError(f"The blend's setting {item!r} must be KEY=VALUE, such as 'ties density=0.4'.")
    return key, yaml.safe_load(value)


def _check_axes(
    layout: Sequence[str], rows: Sequence[str], columns: Sequence[str], values: Mapping[str, Sequence[Any]]
) -> None:
    for axis in (*layout, *values):
        if axis not in AXES:
            raise unknown("Axis", axis, AXES)
    wanted = {axis for axis in AXES if axis in USUAL_AXES or len(values[axis]) > 1}
    missing, twice = sorted(wanted - set(layout)), sorted({axis for axis in layout if layout.count(axis) > 1})
    if missing or twice:
        said = [f"{', '.join(missing)} missing"] if missing else []
        said += [f"{', '.join(twice)} twice"] if twice else []
        raise UserError(
            f"The rows {','.join(rows)!r} and columns {','.join(columns)!r} must hold each axis that varies once: "
            f"{'; '.join(said)}. More than two kinds of axes can go to --pages."
        )


def _combinations(
    axes: Sequence[str], values: Mapping[str, Sequence[Any]], mixtures: Mixtures, *, with_base: bool
) -> list[dict[str, Any]]:
    found = [dict(zip(axes, point, strict=True)) for point in itertools.product(*(values[axis] for axis in axes))]
    if with_base and "adapter" in axes and 0 not in values["weight"] and all(mixtures.values()):
        others = [axis for axis in axes if axis not in LOOK_AXES]
        bare = itertools.product(*(values[axis] for axis in others))
        base = [{axis: None for axis in axes if axis in LOOK_AXES} | dict(zip(others, p, strict=True)) for p in bare]
        found = [*base, *found]
    return found


def _label(
    point: Mapping[str, Any], mixtures: Mixtures, values: Mapping[str, Sequence[Any]], *, bare: bool = False
) -> str:
    """Name a place by the axes that vary along the grid."""
    words: list[str] = []
    looks = [axis for axis in point if axis in LOOK_AXES]
    without = "adapter" in point and (point["adapter"] is None or not mixtures[point["adapter"]])
    if looks and (without or point.get("weight") == 0 or (bare and "adapter" in point)):
        words.append(BASE_LABEL)
        point = {axis: value for axis, value in point.items() if axis not in LOOK_AXES}
    for axis, value in point.items():
        alone = len(values[axis]) == 1
        if axis == "adapter":
            words.append(str(value))
        elif axis == "weight" and not (alone and value == 1):
            words.append(f"{value:g}" if "adapter" in point else f"weight {value:g}")
        elif axis == "prompt":
            words.append(str(value))
        elif axis == "seed" and not alone:
            words.append(f"· seed {value}" if words else f"seed {value}")
        elif axis == "num_inference_steps" and not alone:
            words.append(count_of(value, "step"))
        elif axis in _SHOWN and not alone:
            words.append(_SHOWN[axis].format(value))
    return " ".join(words)


_SHOWN = {
    "method": "{}",
    "rank": "rank {}",
    "step": "step {}",
    "blend": "{}",
    "block": "block {}",
    "base": "on {}",
    "guidance_scale": "guidance {:g}",
    "sampler": "{}",
}
