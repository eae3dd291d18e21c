"""A comparison from plan to files: cost, pictures, scores, sheets, tables, and the index that votes are cast over."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from torch import Tensor

from pipelines.compare.grid import Cell
from pipelines.compare.index import Entry, write_index
from pipelines.compare.page import Beside, grid_html
from pipelines.compare.scores import ScoredCell, draw_cells, score_cells, summarise
from pipelines.compare.sheet import draw_sheet
from pipelines.compare.store import ImageStore
from pipelines.compare.tables import grid_csv, judge_name, means_csv
from pipelines.generate import generate
from pipelines.image_file import png_bytes
from pipelines.judge import Judge
from pipelines.recipe import Recipe, content_hash
from studio.operations.session import Session, find_references
from studio.operations.sheets import column_notes, sheet_cells
from studio.operations.stored_comparisons import span
from studio.report import Report
from trainers.storage import write_bytes, write_text
from trainers.wording import count_of


@dataclass(frozen=True)
class Comparison:
    """What is to be compared, and how."""

    cells: Sequence[Cell]
    title: str
    facts: str
    """Settings that are the same in all cells, for the sheets."""
    out: Path
    """PNG file of the first sheet; all others lie beside it."""
    base: str
    device: str
    precision: str

    @property
    def folder(self) -> Path:
        """Where the pictures lie, one file each."""
        return self.out.with_name(f"{self.out.stem}-cells")


Sessions = Callable[[str, Sequence[str], Sequence[Recipe]], AbstractContextManager[Session]]
"""(base, adapters, recipes) -> the base with those adapters."""


@dataclass(frozen=True)
class Cost:
    """What is left to do on one base."""

    pictures: int
    drawn: int
    """How many of them are there already."""
    evaluations: int
    """Calls of the model, two a step with guidance."""
    seconds: float
    """At most, by a first step that was measured; not all pictures are drawn alone."""

    def sentence(self) -> str:
        """Return it in words."""
        left = self.pictures - self.drawn
        said = f"{count_of(self.pictures, 'picture')}, {self.drawn} of them drawn already; {left} to draw: "
        said += count_of(self.evaluations, "evaluation")
        return f"{said}, at most {span(self.seconds)} by a first step just measured." if left else f"{said}."


def comparison_costs(plan: Comparison, sessions: Sessions) -> Iterator[Cost]:
    """Yield what is left to do, base by base; nothing is kept of what is drawn to measure it.

    Raises:
        UserError: an adapter is unknown or does not fit, or a recipe cannot be used.
    """
    for _, cells, opened in _by_base(plan, sessions):
        with opened as session:
            yield _cost(cells, _store(plan, session), session)


def run_comparison(
    plan: Comparison,
    judge: Judge,
    report: Report,
    sessions: Sessions,
    on_cost: Callable[[Cost], None] | None = None,
) -> list[Path]:
    """Draw, score and write; return the files written. What was drawn before is not drawn again.

    Args:
        on_cost: is told what is left to do on each base before it is done; measuring that takes a step.

    Raises:
        UserError: an adapter is unknown or does not fit, or a recipe cannot be used.
    """
    drawn: dict[int, Image.Image] = {}
    references: dict[str, Tensor] = {}
    files: dict[int, Path] = {}
    for own, cells, opened in _by_base(plan, sessions):
        with opened as session:
            store = _store(plan, session)
            if on_cost is not None:
                on_cost(_cost(cells, store, session))
            references |= find_references(session.adapters, judge, report)
            found = draw_cells(
                session.attachments,
                cells,
                recipes=session.recipes,
                store=store,
                on_step=lambda done, total: report.progress("drawing", done, total),
            )
            drawn |= dict(zip(own, found, strict=True))
            files |= {number: store.path(cell) for number, cell in zip(own, cells, strict=True)}
    # Scored together, because a style's references may only be known to the last base.
    pictures = [drawn[number] for number in range(len(plan.cells))]
    rescored = score_cells(plan.cells, pictures, judge, references)
    entries = {
        files[number].name: Entry(files[number].name, cell.look, cell.request.prompt, cell.request.seed, cell.setting)
        for number, cell in enumerate(plan.cells)
    }
    write_index(plan.folder, list(entries.values()))
    pictures_beside = [f"{plan.folder.name}/{files[number].name}" for number in range(len(plan.cells))]
    return _write(plan, rescored, references, judge, pictures_beside)


def _by_base(
    plan: Comparison, sessions: Sessions
) -> Iterator[tuple[list[int], list[Cell], AbstractContextManager[Session]]]:
    """Yield, for each base, the numbers of its cells, the cells, and the session that draws them."""
    for base in dict.fromkeys(cell.base or plan.base for cell in plan.cells):
        own = [number for number, cell in enumerate(plan.cells) if (cell.base or plan.base) == base]
        cells = [plan.cells[number] for number in own]
        plain = sorted({name for cell in cells for name in cell.request.weights})
        recipes = {cell.request.recipe.model_dump_json(): cell.request.recipe
                   for cell in cells if cell.request.recipe is not None}  # fmt: skip
        yield own, cells, sessions(base, plain, list(recipes.values()))


def _store(plan: Comparison, session: Session) -> ImageStore:
    hashes = {name: content_hash(adapter) for name, adapter in session.adapters.items()}
    return ImageStore(plan.folder, session.base_facts(), hashes)


def _cost(cells: Sequence[Cell], store: ImageStore, session: Session) -> Cost:
    unique = list({repr(cell.request): cell for cell in cells}.values())
    left = [cell for cell in unique if store.read(cell) is None]
    evaluations = sum(cell.request.num_inference_steps * (2 if cell.request.guidance_scale > 1 else 1) for cell in left)
    seconds = 0.0
    if left:
        start = time.monotonic()
        list(generate(session.attachments, [replace(left[0].request, num_inference_steps=1)], recipes=session.recipes))
        seconds = (time.monotonic() - start) * sum(cell.request.num_inference_steps for cell in left)
    return Cost(len(unique), len(unique) - len(left), evaluations, seconds)


def _write(
    plan: Comparison,
    scored: Sequence[ScoredCell],
    references: Mapping[str, Tensor],
    judge: Judge,
    pictures: Sequence[str],
) -> list[Path]:
    """Write sheets, tables and the page that shows `pictures`, which are paths from its own folder."""
    summaries = summarise(scored, references)
    facts = f"{plan.facts} · judge {judge_name(judge)}"
    pages = list(dict.fromkeys(item.cell.page for item in scored))
    sheets: dict[str, Path] = {}
    for number, page in enumerate(pages, start=1):
        path = plan.out if len(pages) == 1 else plan.out.with_stem(f"{plan.out.stem}-{number}")
        own = [item for item in scored if item.cell.page == page]
        title = f"{plan.title} · {page}" if page else plan.title
        notes = column_notes(own, summaries)
        sheet = draw_sheet(sheet_cells(own), title=title, subtitle=facts, column_notes=notes)
        write_bytes(path, png_bytes(sheet))
        sheets[page] = path
    table, means, page_file = (
        plan.out.with_suffix(".csv"),
        plan.out.with_name(f"{plan.out.stem}-means.csv"),
        plan.out.with_suffix(".html"),
    )
    write_text(table, grid_csv(scored, judge))
    write_text(means, means_csv(summaries, judge))
    names = {page: path.name for page, path in sheets.items()}
    beside = Beside(pictures, names, {"every picture": table.name, "means": means.name})
    write_text(page_file, grid_html(plan.title, plan.facts, scored, summaries, judge, beside))
    return [*sheets.values(), table, means, page_file]
