"""Draw a grid's cells, let every metric measure them, and sum up look by look."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from pipelines.attach import Attachments
from pipelines.compare.grid import Cell
from pipelines.compare.store import ImageStore
from pipelines.generate import generate
from pipelines.judge import Judge
from pipelines.live import LiveRecipes
from pipelines.metrics import Look, Mean, Pictures, column_key, columns, metrics


@dataclass(frozen=True)
class ScoredCell:
    """One picture with its scores."""

    cell: Cell
    picture: Image.Image
    scores: Mapping[str, float]
    """What every metric measured of it, hidden ones too: ``clip_t``, ``clip_i:ink``, see `pipelines.metrics`."""


@dataclass(frozen=True)
class LookSummary:
    """What the metrics say of one look over its prompts and seeds."""

    label: str
    pictures: int
    seeds: int
    means: Mapping[str, Mean]
    """Column -> value and half-width; what cannot be told is not a number."""

    def value(self, metric: str, adapter: str = "") -> float:
        """Return the value of a metric; not a number where it cannot be told."""
        return self.mean(column_key(metric, adapter)).value

    def half_width(self, metric: str, adapter: str = "") -> float:
        """Return the half-width of the 95 % interval over seeds; not a number where there is none."""
        return self.mean(column_key(metric, adapter)).half_width

    def mean(self, column: str) -> Mean:
        """Return what a column holds of this look."""
        return self.means.get(column, Mean())


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
    store: ImageStore | None = None,
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
    """Let every metric measure drawn pictures.

    Args:
        references: the judge's embeddings [n, d] of each adapter's training pictures, by adapter.
    """
    shown = Pictures(
        pictures, [cell.request.prompt for cell in cells], [cell.subject for cell in cells], judge, references
    )
    measured: dict[str, Sequence[float]] = {}
    for metric in metrics().values():
        if metric.measure is not None:
            for adapter in references if metric.by_adapter else [""]:
                measured[column_key(metric.name, adapter)] = metric.measure(shown, adapter)
    return [
        ScoredCell(cell, pictures[number], {column: values[number] for column, values in measured.items()})
        for number, cell in enumerate(cells)
    ]


def summarise(scored: Sequence[ScoredCell], references: Mapping[str, Tensor]) -> list[LookSummary]:
    """Return what the metrics say of every look, in the order in which the looks first appear."""
    looks = list(dict.fromkeys(item.cell.look for item in scored))
    once = {(item.cell.look, repr(item.cell.request)): item for item in reversed(scored)}  # whatever page it is on
    unique = [item for item in scored if once[item.cell.look, repr(item.cell.request)] is item]
    groups = {label: [item for item in unique if item.cell.look == label] for label in looks}
    bases = {
        group[0].cell.setting: group
        for group in groups.values()
        if not group[0].cell.request.weights and group[0].cell.request.recipe is None
    }
    summaries = []
    for label, group in groups.items():
        look = Look(group, bases.get(group[0].cell.setting), references)
        means = {column.key: column.metric.of_look(look, column.adapter) for column in columns(references)}
        summaries.append(LookSummary(label, len(group), len({item.cell.request.seed for item in group}), means))
    return summaries
