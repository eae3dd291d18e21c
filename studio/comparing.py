"""A comparison from plan to files: cost, pictures, scores, sheets, tables, and the index that votes are cast over."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from torch import Tensor

from pipelines.compare.grid import Cell
from pipelines.compare.page import Beside, grid_html
from pipelines.compare.scores import ScoredCell, draw_cells, score_cells, summarise
from pipelines.compare.sheet import draw_sheet
from pipelines.compare.store import Entry, PictureStore, write_index
from pipelines.compare.tables import grid_csv, judge_name, means_csv
from pipelines.generate import generate
from pipelines.judge import Judge
from pipelines.picture_file import png_bytes
from pipelines.recipe import content_hash
from studio.library import Library
from studio.report import Report
from studio.session import Session, find_references, open_session
from studio.sheets import column_notes, sheet_cells
from trainers.storage import write_bytes, write_text


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
    cost_only: bool = False

    @property
    def folder(self) -> Path:
        """Where the pictures lie, one file each."""
        return self.out.with_name(f"{self.out.stem}-cells")


def run_comparison(library: Library, plan: Comparison, judge: Judge, report: Report) -> list[Path]:
    """Draw, score and write; return the files written. What was drawn before is not drawn again.

    Raises:
        UserError: an adapter is unknown or does not fit, or a recipe cannot be used.
    """
    drawn: dict[int, Image.Image] = {}
    references: dict[str, Tensor] = {}
    files: dict[int, Path] = {}
    bases = list(dict.fromkeys(cell.base or plan.base for cell in plan.cells))
    for base in bases:
        own = [number for number, cell in enumerate(plan.cells) if (cell.base or plan.base) == base]
        cells = [plan.cells[number] for number in own]
        plain = sorted({name for cell in cells for name in cell.request.weights})
        recipes = list({cell.request.recipe.model_dump_json(): cell.request.recipe
                        for cell in cells if cell.request.recipe is not None}.values())  # fmt: skip
        with open_session(
            library, base, plain, report, device=plan.device, precision=plan.precision, recipes=recipes
        ) as session:
            hashes = {name: content_hash(adapter) for name, adapter in session.adapters.items()}
            store = PictureStore(plan.folder, session.base_facts(), hashes)
            report.say(_cost(cells, store, session))
            if plan.cost_only:
                continue
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
    if plan.cost_only:
        return []
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


def _cost(cells: Sequence[Cell], store: PictureStore, session: Session) -> str:
    """Return what is left to do: pictures, evaluations of the model, and a time from one step that is measured now."""
    unique = list({repr(cell.request): cell for cell in cells}.values())
    left = [cell for cell in unique if store.read(cell) is None]
    evaluations = sum(cell.request.steps * (2 if cell.request.guidance > 1 else 1) for cell in left)
    steps = sum(cell.request.steps for cell in left)
    drawn = len(unique) - len(left)
    said = f"{len(unique)} pictures, {drawn} of them drawn already; {len(left)} to draw: {evaluations} evaluations"
    if not left:
        return said + "."
    probe = replace(left[0].request, steps=1)
    start = time.monotonic()
    list(generate(session.attachments, [probe], recipes=session.recipes))
    seconds = (time.monotonic() - start) * steps
    return f"{said}, at most {_span(seconds)} by a first step just measured."


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


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
