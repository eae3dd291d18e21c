"""Draw a grid's cells, score them, and take means with intervals over seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from pipelines.attach import Attachments
from pipelines.compare.grid import Cell
from pipelines.compare.store import PictureStore
from pipelines.compare.subject import THINGS, things_not_in
from pipelines.generate import generate
from pipelines.judge import Judge, own_style_score, share_of_style, style_scores
from pipelines.live import LiveRecipes

# Two-sided 95 % quantiles of Student's t by degrees of freedom, 1 to 30; beyond that the normal's.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
      2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)  # fmt: skip
_NORMAL = 1.960
_LEAST_SEEN = 0.05
"""Where the judge gives the base's own pictures no more CLIP-T than things that are not there, no share can be told."""


@dataclass(frozen=True)
class ScoredCell:
    """One picture with its scores."""

    cell: Cell
    picture: Image.Image
    prompt_score: float
    """CLIP-T of the whole prompt, which a style may contradict."""
    style_scores: Mapping[str, float]
    """CLIP-I to each adapter's own training pictures, by adapter."""
    subject_score: float
    """CLIP-T of the subject."""
    absent_score: float
    """Median CLIP-T of things that the prompt does not name: what the judge gives whatever is not there."""


@dataclass(frozen=True)
class LookSummary:
    """The means of one look over its prompts and seeds; half-widths are of 95 % intervals over seeds."""

    label: str
    prompt_score: float
    """Mean CLIP-T of the whole prompts."""
    subject_score: float
    """Mean CLIP-T of the subjects."""
    subject_kept: float | None
    """How much of the subjects is left: 1 is the base's own pictures, 0 is what the judge gives things that are not
    there. Empty without a base in the grid, and where the judge sees nothing of the subjects in the base's pictures."""
    style_scores: Mapping[str, float]
    """Mean CLIP-I by adapter."""
    style_shares: Mapping[str, float]
    """How much of each style arrived: 0 is the base, 1 is the style's own pictures; empty without a base, and not a
    number when the references cannot tell."""
    subject_change: float | None = None
    """Mean CLIP-T of the subjects less the base's; empty without a base in the grid."""
    seeds: int = 1
    pictures: int = 1
    prompt_half_width: float = math.nan
    subject_half_width: float = math.nan
    kept_half_width: float = math.nan
    """Of `subject_kept`; differences from the base's picture of the same prompt and seed are taken first."""
    style_half_widths: Mapping[str, float] = field(default_factory=dict)


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
    return score_cells(cells, draw_cells(attachments, cells, on_step=on_step), judge, references)


def draw_cells(
    attachments: Attachments,
    cells: Sequence[Cell],
    *,
    recipes: LiveRecipes | None = None,
    store: PictureStore | None = None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> list[Image.Image]:
    """Make every cell's picture.

    Args:
        recipes: what cells with a recipe act through.
        store: keeps every picture as soon as it is drawn, and has those of an earlier call.
    """
    pictures: dict[int, Image.Image] = {}
    if store is not None:
        pictures = {n: found for n, cell in enumerate(cells) if (found := store.read(cell)) is not None}
    same: dict[str, list[int]] = {}  # the base's picture may stand on several pages
    for number, cell in enumerate(cells):
        if number not in pictures:
            same.setdefault(repr(cell.request), []).append(number)
    left = list(same.values())
    requests = [cells[numbers[0]].request for numbers in left]
    for drawn, picture in generate(attachments, requests, recipes=recipes, on_step=on_step):
        pictures |= dict.fromkeys(left[drawn], picture)
        if store is not None:
            store.write(cells[left[drawn][0]], picture)
    return [pictures[number] for number in range(len(cells))]


def score_cells(
    cells: Sequence[Cell], pictures: Sequence[Image.Image], judge: Judge, references: Mapping[str, Tensor]
) -> list[ScoredCell]:
    """Score drawn pictures."""
    embeddings = judge.embed_pictures(pictures)
    prompt_scores = judge.prompt_scores(embeddings, [cell.request.prompt for cell in cells])
    subject_scores = judge.prompt_scores(embeddings, [cell.subject for cell in cells])
    absent = embeddings @ judge.embed_texts([f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}" for thing in THINGS]).T
    by_style = {name: style_scores(embeddings, rows) for name, rows in references.items()}
    return [
        ScoredCell(
            cell,
            pictures[number],
            float(prompt_scores[number]),
            {name: float(scores[number]) for name, scores in by_style.items()},
            float(subject_scores[number]),
            float(absent[number, list(things_not_in(f"{cell.request.prompt} {cell.subject}"))].median()),
        )
        for number, cell in enumerate(cells)
    ]


def summarise(scored: Sequence[ScoredCell], references: Mapping[str, Tensor]) -> list[LookSummary]:
    """Return the means of every look, in the order in which the looks first appear."""
    looks = list(dict.fromkeys(item.cell.look for item in scored))
    once = {(item.cell.look, repr(item.cell.request)): item for item in reversed(scored)}  # whatever page it is on
    unique = [item for item in scored if once[item.cell.look, repr(item.cell.request)] is item]
    groups = {label: [item for item in unique if item.cell.look == label] for label in looks}
    bases = {
        group[0].cell.setting: group
        for group in groups.values()
        if not group[0].cell.request.weights and group[0].cell.request.recipe is None
    }
    return [_summary(label, group, bases.get(group[0].cell.setting), references) for label, group in groups.items()]


def _summary(
    label: str, group: Sequence[ScoredCell], base: Sequence[ScoredCell] | None, references: Mapping[str, Tensor]
) -> LookSummary:
    styles = {name: _mean([item.style_scores[name] for item in group]) for name in references}
    subject = _mean([item.subject_score for item in group])
    shares: dict[str, float] = {}
    kept = change = None
    kept_width = math.nan
    if base is not None:
        for name in references:
            own, plain = own_style_score(references[name]), _mean([item.style_scores[name] for item in base])
            shares[name] = share_of_style(styles[name], plain, own)
        shown = _mean([item.subject_score for item in base])
        change, seen = subject - shown, shown - _mean([item.absent_score for item in base])
        if seen >= _LEAST_SEEN:
            kept = 1 + change / seen
            beside = {(item.cell.request.prompt, item.cell.request.seed): item.subject_score for item in base}
            places = [(item.cell.request.prompt, item.cell.request.seed) for item in group]
            changes = [item.subject_score - beside.get(at, shown) for item, at in zip(group, places, strict=True)]
            kept_width = _half_width_over_seeds(group, changes) / seen
    return LookSummary(
        label,
        _mean([item.prompt_score for item in group]),
        subject,
        kept,
        styles,
        shares,
        subject_change=change,
        seeds=len({item.cell.request.seed for item in group}),
        pictures=len(group),
        prompt_half_width=_half_width_over_seeds(group, [item.prompt_score for item in group]),
        subject_half_width=_half_width_over_seeds(group, [item.subject_score for item in group]),
        kept_half_width=kept_width,
        style_half_widths={
            name: _half_width_over_seeds(group, [item.style_scores[name] for item in group]) for name in references
        },
    )


def _half_width_over_seeds(group: Sequence[ScoredCell], scores: Sequence[float]) -> float:
    """Return the half-width of the interval of the mean, each seed counting once: its prompts share their noise."""
    by_seed: dict[int, list[float]] = {}
    for item, score in zip(group, scores, strict=True):
        by_seed.setdefault(item.cell.request.seed, []).append(score)
    return half_width([_mean(found) for found in by_seed.values()])


def half_width(values: Sequence[float]) -> float:
    """Return t · s / √n of the 95 % interval of a mean (Student 1908); not a number of fewer than two values."""
    count = len(values)
    if count < 2:
        return math.nan
    quantile = _T[count - 2] if count - 1 <= len(_T) else _NORMAL
    return quantile * float(torch.tensor(values, dtype=torch.float64).std()) / math.sqrt(count)


def _mean(values: Sequence[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).mean())
