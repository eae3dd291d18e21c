"""Measure one adapter, or where two fight, and write it as a table and a heat map."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from pipelines.bases import POCKET, load_base, shipped_base_of
from pipelines.blocks import by_block
from pipelines.compare.heat_map import Measure, draw_heat_map
from pipelines.deltas import BIAS, kind_of, needs_base
from pipelines.families import LoadedBase
from pipelines.interference import Meeting, Room, compare_adapters, mean, measure_adapter
from pipelines.mixing import TOKEN_KINDS, check_same_base, read_all
from studio.operations.layer_tables import Column, Item, layer_table
from trainers.adapter import Adapter
from trainers.errors import UserError
from trainers.wording import count_of, listed

_CONFLICT_ABOVE, _OVERLAP_ABOVE_CHANCE, _LOUD_RATIO = 0.6, 2.0, 3.0
_NAMED_BLOCKS = 3


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
    Measure("A / B", 0.25, 4, "{:.2f}", neutral=1, ratio=True),
)


@dataclass(frozen=True)
class Inspection:
    """A table, what stands out in it, and the same as a picture."""

    lines: Sequence[str]
    notes: Sequence[str]
    picture: Image.Image
    measures: tuple[Measure, ...]
    rows: Mapping[str, Sequence[float]]
    """Block -> its mean of each measure: the numbers of the picture."""


def open_base(adapters: list[Adapter], base_name: str | None, device: str, precision: str) -> LoadedBase | None:
    """Load the base that `wanted_base` names."""
    wanted = wanted_base(adapters, base_name)
    return load_base(wanted, device=device, precision=precision) if wanted else None


def wanted_base(adapters: list[Adapter], base_name: str | None) -> str | None:
    """Return the base that is named, else the shipped one that all adapters are of, else `pocket` if one is needed."""
    needed = any(needs_base(part) for adapter in adapters for part in adapter.parts.values()
                 if kind_of(part) not in TOKEN_KINDS)  # fmt: skip
    shipped = shipped_base_of(adapter.card.base.name for adapter in adapters)
    return base_name or shipped or (POCKET if needed else None)


def inspect_adapters(
    names: list[str], adapters: list[Adapter], base: LoadedBase | None, *, every_layer: bool = False
) -> Inspection:
    """Return the measures of one adapter, or of two together.

    Args:
        every_layer: a line for each layer instead of each block.

    Raises:
        UserError: the adapters belong to different bases, hold no deltas, or share no layer.
    """
    check_same_base([adapter.card for adapter in adapters])
    deltas = read_all(dict(zip(names, adapters, strict=True)), base)
    if not any(deltas[name][part] for name in names for part in deltas[name]):
        raise UserError(f"{', '.join(names)} holds learned tokens and no deltas, so there is nothing to measure.")
    norms = _base_norms(base)
    if len(names) == 1:
        return _one(names[0], measure_adapter(deltas[names[0]], norms), every_layer=every_layer)
    meetings = compare_adapters(deltas[names[0]], deltas[names[1]], norms)
    if not meetings:
        raise UserError(
            f"{names[0]!r} and {names[1]!r} share no layer, so they do not meet; their blend is exact and free."
        )
    return _two(names[0], names[1], meetings, every_layer=every_layer)


def _base_norms(base: LoadedBase | None) -> Callable[[str, str], float | None]:
    if base is None:
        return lambda part, path: None

    def norm(part: str, path: str) -> float | None:
        layer = base.parts[part].get_submodule(path.removesuffix(BIAS))
        return float(layer.weight.detach().double().norm())

    return norm


_ROOM_MEASURES: Sequence[tuple[str, str, Callable[[Sequence[Room]], float]]] = (
    ("energy", "{:.2%}", lambda rooms: sum(room.share for room in rooms)),
    ("ΔW / W", "{:.4f}", lambda rooms: mean(_ratio(room.size, room.base_norm) for room in rooms)),
    ("rank", "{:.1f}", lambda rooms: mean(room.rank for room in rooms)),
    ("effective", "{:.1f}", lambda rooms: mean(room.effective for room in rooms)),
    ("99 % in", "{:.1f}", lambda rooms: mean(room.rank_99 for room in rooms)),
)
_MEETING_FORMS = (
    *(("cosine", "{:+.4f}"), ("outputs", "{:.3f}"), ("inputs", "{:.3f}"), ("chance", "{:.3f}")),
    *(("conflict", "{:.3f}"), ("ΔA / W", "{:.4f}"), ("ΔB / W", "{:.4f}"), ("A / B", "{:.2f}")),
)


def _one(name: str, rooms: list[Room], *, every_layer: bool) -> Inspection:
    rows = {block: [of(items) for _, _, of in _ROOM_MEASURES] for block, items in by_block(rooms).items()}
    columns = [Column(title, _writer(form, of)) for title, form, of in _ROOM_MEASURES]
    stored, used = mean(room.rank for room in rooms), mean(room.rank_99 for room in rooms)
    notes = [
        f"{count_of(len(rooms), 'layer')}; the mean stored rank is {stored:.1f}, and {used:.1f} hold 99 % of a "
        "layer's energy."
    ]
    if used < stored / 2:
        notes.append("Less than half of the rank is used: --blend svd --setting energy=0.99 makes the file smaller.")
    title = f"What {name} changes"
    picture = draw_heat_map(rows, ONE_MEASURES, title=title, subtitle=notes[0])
    return Inspection(layer_table(rooms, columns, every_layer=every_layer), notes, picture, ONE_MEASURES, rows)


def _two(first: str, second: str, meetings: list[Meeting], *, every_layer: bool) -> Inspection:
    rows = {block: _means(items) for block, items in by_block(meetings).items()}
    columns = [
        Column(title, _writer(form, functools.partial(_mean_of, number)))
        for number, (title, form) in enumerate(_MEETING_FORMS)
    ]
    notes = [
        f"A is {first}, B is {second}; their sizes are Frobenius norms of the changes.",
        f"{count_of(len(meetings), 'layer')} {'is' if len(meetings) == 1 else 'are'} touched by both.",
    ]
    notes += _remarks(rows, first, second)
    title = f"{first} and {second}"
    picture = draw_heat_map(rows, TWO_MEASURES, title=title, subtitle=" ".join(notes[:2]))
    return Inspection(layer_table(meetings, columns, every_layer=every_layer), notes, picture, TWO_MEASURES, rows)


def _remarks(rows: Mapping[str, Sequence[float]], first: str, second: str) -> list[str]:
    """Return what stands out, each kind once, with the blocks where it is strongest."""
    found: dict[str, list[tuple[float, str]]] = {}
    for block, values in rows.items():
        cosine, outputs, _, chance, conflict, *_, ratio = values
        if conflict > _CONFLICT_ABOVE or cosine < -0.2:
            place = f"{block} (cosine {cosine:+.2f}, sign conflict {conflict:.0%})"
            found.setdefault("They undo each other in", []).append((conflict - cosine, place))
        elif outputs > _OVERLAP_ABOVE_CHANCE * chance and outputs > 0.2:
            place = f"{block} ({outputs:.0%}, by chance {chance:.0%})"
            found.setdefault("They write into the same directions in", []).append((outputs, place))
        if math.isfinite(ratio) and ratio > 0 and not 1 / _LOUD_RATIO <= ratio <= _LOUD_RATIO:
            louder, times = (first, ratio) if ratio > 1 else (second, 1 / ratio)
            said = f"{louder} is much the stronger, so lower its weight or that of the block, in"
            found.setdefault(said, []).append((times, f"{block} ({times:.1f} times)"))
    return [
        f"{said} {listed([place for _, place in sorted(places, reverse=True)], _NAMED_BLOCKS)}."
        for said, places in found.items()
    ]


def _values(item: Meeting) -> tuple[float, ...]:
    a, b = item.norms
    ratios = (_ratio(a, item.base_norm), _ratio(b, item.base_norm), a / b if b else math.nan)
    return (item.cosine, item.outputs, item.inputs, item.chance, item.conflict, *ratios)


def _means(items: Sequence[Meeting]) -> list[float]:
    return [mean(column) for column in zip(*map(_values, items), strict=True)]


def _mean_of(number: int, items: Sequence[Meeting]) -> float:
    return _means(items)[number]


def _ratio(size: float, base_norm: float | None) -> float:
    return size / base_norm if base_norm else math.nan


def _writer(form: str, of: Callable[[Sequence[Item]], float]) -> Callable[[Sequence[Item]], str]:
    """Return what writes a measure; one that is not a number stays empty."""

    def text(items: Sequence[Item]) -> str:
        value = of(items)
        return form.format(value) if math.isfinite(value) else ""

    return text
