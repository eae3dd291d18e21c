"""Measure one adapter, or where two fight, and write it as a table and a heat map."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from pipelines.bases import POCKET, load_base
from pipelines.compare.heat_map import Measure, draw_heat_map
from pipelines.deltas import BIAS, kind_of, needs_base
from pipelines.families import LoadedBase
from pipelines.interference import Meeting, Room, by_block, compare_adapters, mean, measure_adapter
from pipelines.mixing import TOKEN_KINDS, check_same_base, read_all
from trainers.adapter import Adapter
from trainers.errors import UserError

_CONFLICT_ABOVE, _OVERLAP_ABOVE_CHANCE, _LOUD_RATIO = 0.6, 2.0, 3.0


# The font that Pillow carries has no glyph for the signs of a norm or of a difference.
ONE_MEASURES = (
    Measure("share of energy", 0, 0.3, "{:.1%}"),
    Measure("change / weight", 0, 0.3, "{:.3f}"),
    Measure("stored rank", 0, 64, "{:.0f}"),
    Measure("effective rank", 0, 64, "{:.1f}"),
    Measure("rank of 99 %", 0, 64, "{:.1f}"),
)
TWO_MEASURES = (
    Measure("cosine", -1, 1, "{:+.3f}", neutral=0),
    Measure("output overlap", 0, 1),
    Measure("input overlap", 0, 1),
    Measure("by chance", 0, 1),
    Measure("sign conflict", 0, 1, neutral=0.5),
    Measure("A / weight", 0, 0.3, "{:.3f}"),
    Measure("B / weight", 0, 0.3, "{:.3f}"),
    Measure("A / B", 0, 4, "{:.2f}", neutral=1),
)


@dataclass(frozen=True)
class Inspection:
    """A table, what stands out in it, and the same as a picture."""

    lines: tuple[str, ...]
    notes: tuple[str, ...]
    picture: Image.Image
    measures: tuple[Measure, ...]
    rows: Mapping[str, Sequence[float]]
    """Block -> its mean of each measure: the numbers of the picture."""


def open_base(adapters: list[Adapter], base_name: str | None, device: str, precision: str) -> LoadedBase | None:
    """Load the base that `wanted_base` names."""
    wanted = wanted_base(adapters, base_name)
    return load_base(wanted, device=device, precision=precision) if wanted else None


def wanted_base(adapters: list[Adapter], base_name: str | None) -> str | None:
    """Return the base that is named, else the shipped one when a method needs it or all adapters are of it."""
    needed = any(needs_base(part) for adapter in adapters for part in adapter.parts.values()
                 if kind_of(part) not in TOKEN_KINDS)  # fmt: skip
    if base_name is None and not needed and any(adapter.card.base.name != POCKET for adapter in adapters):
        return None
    return base_name or POCKET


def inspect_adapters(names: list[str], adapters: list[Adapter], base: LoadedBase | None) -> Inspection:
    """Return the measures of one adapter, or of two together.

    Raises:
        UserError: the adapters belong to different bases, hold no deltas, or share no layer.
    """
    check_same_base([adapter.card for adapter in adapters])
    deltas = read_all(dict(zip(names, adapters, strict=True)), base)
    if not any(deltas[name][part] for name in names for part in deltas[name]):
        raise UserError(f"{', '.join(names)} holds learned tokens and no deltas, so there is nothing to measure.")
    norms = _base_norms(base)
    if len(names) == 1:
        return _one(names[0], measure_adapter(deltas[names[0]], norms))
    meetings = compare_adapters(deltas[names[0]], deltas[names[1]], norms)
    if not meetings:
        raise UserError(
            f"{names[0]!r} and {names[1]!r} share no layer, so they do not meet; their blend is exact and free."
        )
    return _two(names[0], names[1], meetings)


def _base_norms(base: LoadedBase | None) -> Callable[[str, str], float | None]:
    if base is None:
        return lambda part, path: None

    def norm(part: str, path: str) -> float | None:
        layer = base.parts[part].get_submodule(path.removesuffix(BIAS))
        return float(layer.weight.detach().double().norm())

    return norm


def _one(name: str, rooms: list[Room]) -> Inspection:
    heads = ("energy", "ΔW / W", "rank", "effective", "99 % in")
    rows = {
        block: [
            sum(room.share for room in items),
            mean(_ratio(room.size, room.base_norm) for room in items),
            mean(room.rank for room in items),
            mean(room.effective for room in items),
            mean(room.rank_99 for room in items),
        ]
        for block, items in by_block(rooms).items()
    }
    lines = [_head("layer", heads)]
    for room in rooms:
        values = (room.share, _ratio(room.size, room.base_norm), room.rank, room.effective, room.rank_99)
        lines.append(_line(room.part, room.layer, values, ("{:.2%}", "{:.4f}", "{:.0f}", "{:.1f}", "{:.0f}")))
    stored, used = mean(room.rank for room in rooms), mean(room.rank_99 for room in rooms)
    notes = [
        f"{len(rooms)} layers; the mean stored rank is {stored:.1f}, and {used:.1f} hold 99 % of a layer's energy."
    ]
    if used < stored / 2:
        notes.append("Less than half of the rank is used: --blend svd --setting energy=0.99 makes the file smaller.")
    title = f"What {name} changes"
    picture = draw_heat_map(rows, ONE_MEASURES, title=title, subtitle=notes[0])
    return Inspection(tuple(lines), tuple(notes), picture, ONE_MEASURES, rows)


def _two(first: str, second: str, meetings: list[Meeting]) -> Inspection:
    heads = ("cosine", "outputs", "inputs", "chance", "conflict", "ΔA / W", "ΔB / W", "A / B")
    rows = {block: [mean(column) for column in zip(*map(_values, items), strict=True)]
            for block, items in by_block(meetings).items()}  # fmt: skip
    form = ("{:+.4f}", "{:.3f}", "{:.3f}", "{:.3f}", "{:.3f}", "{:.4f}", "{:.4f}", "{:.2f}")
    lines = [_head("layer", heads)]
    lines += [_line(item.part, item.layer, _values(item), form) for item in meetings]
    notes = [
        f"A is {first}, B is {second}; their sizes are Frobenius norms of the changes.",
        f"{len(meetings)} layers are touched by both.",
    ]
    for block, values in rows.items():
        cosine, outputs, _, chance, conflict, *_, ratio = values
        if conflict > _CONFLICT_ABOVE or cosine < -0.2:
            notes.append(f"{block}: they undo each other (cosine {cosine:+.2f}, sign conflict {conflict:.0%}).")
        elif outputs > _OVERLAP_ABOVE_CHANCE * chance and outputs > 0.2:
            notes.append(f"{block}: they write into the same directions ({outputs:.0%}, by chance {chance:.0%}).")
        if not 1 / _LOUD_RATIO <= ratio <= _LOUD_RATIO:
            louder = first if ratio > 1 else second
            notes.append(f"{block}: {louder} is {max(ratio, 1 / ratio):.1f} times as strong; lower its weight there.")
    title = f"{first} and {second}"
    picture = draw_heat_map(rows, TWO_MEASURES, title=title, subtitle=" ".join(notes[:2]))
    return Inspection(tuple(lines), tuple(notes), picture, TWO_MEASURES, rows)


def _values(item: Meeting) -> tuple[float, ...]:
    a, b = item.norms
    ratios = (_ratio(a, item.base_norm), _ratio(b, item.base_norm), a / b if b else math.nan)
    return (item.cosine, item.outputs, item.inputs, item.chance, item.conflict, *ratios)


def _ratio(size: float, base_norm: float | None) -> float:
    return size / base_norm if base_norm else math.nan


def _head(label: str, heads: tuple[str, ...]) -> str:
    return f"{'part':<13} {label:<64}" + "".join(f"{head:>10}" for head in heads)


def _line(part: str, layer: str, values: tuple[float, ...], forms: tuple[str, ...]) -> str:
    shown = (form.format(value) if math.isfinite(value) else "" for value, form in zip(values, forms, strict=True))
    return f"{part:<13} {layer[-64:]:<64}" + "".join(f"{text:>10}" for text in shown)
