"""A grid of pictures over two axes, the same noise in every cell of a seed."""

import csv
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pipelines.attach import Attachments
from pipelines.generate import PictureRequest, generate
from pipelines.judge import Judge, own_style_score, share_of_style, style_scores
from trainers.errors import UserError, unknown

AXES = ("adapter", "weight", "prompt", "seed")
BASE_LABEL = "base"


@dataclass(frozen=True)
class Cell:
    """One picture of a grid."""

    row: str
    column: str
    look: str
    """The mixture and its weight: what means are taken over."""
    request: PictureRequest


@dataclass(frozen=True)
class ScoredCell:
    """One picture with its scores."""

    cell: Cell
    picture: Image.Image
    prompt_score: float
    """CLIP-T of the prompt."""
    style_scores: Mapping[str, float]
    """CLIP-I to each adapter's own training pictures, by adapter."""


def plan_grid(
    mixtures: Mapping[str, Mapping[str, float]],
    weights: Sequence[float],
    prompts: Sequence[str],
    seeds: Sequence[int],
    template: PictureRequest,
    *,
    rows: Sequence[str] = ("prompt", "seed"),
    columns: Sequence[str] = ("adapter", "weight"),
) -> list[Cell]:
    """Return the cells of a grid, row by row.

    Args:
        mixtures: the values of the axis ``adapter``: label -> adapter -> share. One adapter is ``{name: {name: 1}}``.
        weights: the values of the axis ``weight``; each multiplies a mixture's shares, and 0 is the base.
        template: supplies everything but prompt, seed and weights.
        rows: axes along the rows, the slowest first.
        columns: axes along the columns, the slowest first.

    Raises:
        UserError: an axis is unknown, missing or given twice.
    """
    _check_axes(rows, columns)
    values: dict[str, Sequence[Any]] = {
        "adapter": list(mixtures),
        "weight": list(weights),
        "prompt": list(prompts),
        "seed": list(seeds),
    }
    cells: dict[tuple[str, str], Cell] = {}
    for row in _combinations(rows, values):
        for column in _combinations(columns, values):
            point = {**row, **column}
            shares = {name: share * point["weight"] for name, share in mixtures[point["adapter"]].items()}
            request = replace(template, prompt=point["prompt"], seed=point["seed"], weights=_without_zeros(shares))
            look = _label({axis: point[axis] for axis in ("adapter", "weight")}, mixtures, values)
            cell = Cell(_label(row, mixtures, values), _label(column, mixtures, values), look, request)
            cells.setdefault((cell.row, cell.column), cell)  # the base of every adapter is one and the same
    return list(cells.values())


def render_grid(
    attachments: Attachments,
    cells: Sequence[Cell],
    judge: Judge,
    references: Mapping[str, Tensor],
    *,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> list[ScoredCell]:
    """Make every cell's picture and score it.

    Args:
        references: the judge's embeddings [n, d] of each adapter's training pictures, by adapter.
    """
    pictures: dict[int, Image.Image] = {}
    for number, picture in generate(attachments, [cell.request for cell in cells], on_step=on_step):
        pictures[number] = picture
    ordered = [pictures[number] for number in range(len(cells))]
    embeddings = judge.embed_pictures(ordered)
    prompt_scores = judge.prompt_scores(embeddings, [cell.request.prompt for cell in cells])
    by_style = {name: style_scores(embeddings, rows) for name, rows in references.items()}
    return [
        ScoredCell(
            cell,
            ordered[number],
            float(prompt_scores[number]),
            {name: float(scores[number]) for name, scores in by_style.items()},
        )
        for number, cell in enumerate(cells)
    ]


@dataclass(frozen=True)
class LookSummary:
    """The means of one look over its prompts and seeds."""

    label: str
    prompt_score: float
    """Mean CLIP-T."""
    prompt_kept: float | None
    """Mean CLIP-T as a share of the base's; empty without a base in the grid."""
    style_scores: Mapping[str, float]
    """Mean CLIP-I by adapter."""
    style_shares: Mapping[str, float]
    """How much of each style arrived: 0 is the base, 1 is the style's own pictures; empty without a base, and not a
    number when the references cannot tell."""


def summarise(scored: Sequence[ScoredCell], references: Mapping[str, Tensor]) -> list[LookSummary]:
    """Return the means of every look, in the order in which the looks first appear."""
    looks = list(dict.fromkeys(item.cell.look for item in scored))
    groups = {label: [item for item in scored if item.cell.look == label] for label in looks}
    base = next((group for group in groups.values() if not group[0].cell.request.weights), None)
    summaries = []
    for label, group in groups.items():
        styles = {name: _mean([item.style_scores[name] for item in group]) for name in references}
        prompt = _mean([item.prompt_score for item in group])
        shares = {}
        if base is not None:
            shares = {
                name: share_of_style(
                    styles[name],
                    _mean([item.style_scores[name] for item in base]),
                    own_style_score(references[name]),
                )
                for name in references
            }
        base_prompt = _mean([item.prompt_score for item in base]) if base is not None else 0.0
        kept = prompt / base_prompt if base_prompt else None
        summaries.append(LookSummary(label, prompt, kept, styles, shares))
    return summaries


def grid_csv(scored: Sequence[ScoredCell], judge: Judge) -> str:
    """Return one line per cell: axes, request and scores; the judge is named in every line."""
    buffer = io.StringIO()
    styles = sorted({name for item in scored for name in item.style_scores})
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["row", "column", "prompt", "seed", "steps", "guidance", "adapters", "clip_t"]
        + [f"clip_i:{name}" for name in styles]
        + ["judge"]
    )
    for item in scored:
        request = item.cell.request
        adapters = " ".join(f"{name}:{weight:g}" for name, weight in request.weights.items())
        writer.writerow(
            [
                item.cell.row,
                item.cell.column,
                request.prompt,
                request.seed,
                request.steps,
                f"{request.guidance:g}",
            ]
            + [adapters, f"{item.prompt_score:.4f}"]
            + [f"{item.style_scores[name]:.4f}" for name in styles]
            + [f"{judge.name}:{judge.fingerprint[:12]}"]
        )
    return buffer.getvalue()


def _check_axes(rows: Sequence[str], columns: Sequence[str]) -> None:
    given = [*rows, *columns]
    for axis in given:
        if axis not in AXES:
            raise unknown("Axis", axis, AXES)
    if sorted(given) != sorted(AXES):
        raise UserError(
            f"The rows {','.join(rows)!r} and columns {','.join(columns)!r} must hold each of {', '.join(AXES)} once."
        )


def _combinations(axes: Sequence[str], values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(axes, point, strict=True)) for point in itertools.product(*(values[axis] for axis in axes))]


def _label(
    point: Mapping[str, Any], mixtures: Mapping[str, Mapping[str, float]], values: Mapping[str, Sequence[Any]]
) -> str:
    """Name a row or column by the axes that vary along the grid."""
    if point.get("weight") == 0 or ("adapter" in point and not mixtures[point["adapter"]]):
        point = {axis: value for axis, value in point.items() if axis not in ("adapter", "weight")}
        words = [BASE_LABEL]
    else:
        words = []
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
    return " ".join(words)


def _without_zeros(weights: Mapping[str, float]) -> dict[str, float]:
    return {name: weight for name, weight in weights.items() if weight}


def _mean(values: Sequence[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).mean())
