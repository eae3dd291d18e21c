"""A grid of pictures over two axes, the same noise in every cell of a seed."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from pipelines.attach import Attachments
from pipelines.generate import PictureRequest, generate
from pipelines.judge import Judge, own_style_score, share_of_style, style_scores


@dataclass(frozen=True)
class Look:
    """One mixture of adapters, the thing that a column (or a row) stands for."""

    label: str
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Cell:
    """One picture of a grid."""

    row: str
    column: str
    look: Look
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


def adapter_looks(adapters: Sequence[str], weights: Sequence[float]) -> list[Look]:
    """Return one look per adapter and weight; weight 0 is the base and appears once, first."""
    looks = [Look("base", {})] if 0 in weights else []
    looks += [Look(f"{adapter} {weight:g}", {adapter: weight}) for adapter in adapters for weight in weights if weight]
    return looks


def plan_grid(
    looks: Sequence[Look],
    prompts: Sequence[str],
    seeds: Sequence[int],
    template: PictureRequest,
    *,
    looks_in_rows: bool = False,
) -> list[Cell]:
    """Return the cells of a grid, row by row: looks along one axis, prompts and seeds along the other.

    Args:
        template: supplies everything but prompt, seed and weights.
    """
    cells = [
        Cell(
            row=_line_label(prompt, seed, prompts, seeds),
            column=look.label,
            look=look,
            request=replace(template, prompt=prompt, seed=seed, weights=look.weights),
        )
        for prompt in prompts
        for seed in seeds
        for look in looks
    ]
    if looks_in_rows:
        order = {look.label: number for number, look in enumerate(looks)}
        cells = sorted(
            (replace(cell, row=cell.column, column=cell.row) for cell in cells),
            key=lambda cell: order[cell.row],
        )
    return cells


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
    """How much of each style arrived: 0 is the base, 1 is the style's own pictures; empty without a base."""


def summarise(scored: Sequence[ScoredCell], references: Mapping[str, Tensor]) -> list[LookSummary]:
    """Return the means of every look, in the order in which the looks first appear."""
    looks = list(dict.fromkeys(item.cell.look.label for item in scored))
    groups = {label: [item for item in scored if item.cell.look.label == label] for label in looks}
    base = next((group for group in groups.values() if not group[0].cell.look.weights), None)
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
        kept = prompt / _mean([item.prompt_score for item in base]) if base is not None else None
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


def _line_label(prompt: str, seed: int, prompts: Sequence[str], seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return prompt
    return f"seed {seed}" if len(prompts) == 1 else f"{prompt} · seed {seed}"


def _mean(values: Sequence[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).mean())
