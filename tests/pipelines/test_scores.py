"""The judge's scores against numpy, and the grid: what varies, the same noise, means, and the table."""

import csv
import dataclasses
import io
import math
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import torch

from pipelines.attach import attached
from pipelines.compare.grid import BASE_LABEL, plan_grid
from pipelines.compare.page import Beside, grid_html
from pipelines.compare.scores import LookSummary, ScoredCell, render_grid, summarise
from pipelines.compare.tables import grid_csv
from pipelines.families import LoadedBase
from pipelines.generate import ImageRequest, generate
from pipelines.judge import Judge, own_style_score, share_of_style, style_scores
from pipelines.metrics import Mean
from studio.operations.search_weights import prompt_share
from studio.operations.sheets import column_notes, sheet_cells, summary_lines
from tests.support import draw_pictures, random_adapter
from trainers.data.images import open_image
from trainers.errors import UserError


@pytest.fixture(scope="module")
def judge(tiny_judge: Path) -> Judge:
    return Judge(str(tiny_judge), device="cpu")


class PageReader(HTMLParser):
    """What a browser would make of a page: tags, the sources of pictures, and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.sources.append(str(dict(attrs)["src"]))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def rescored(item: ScoredCell, **scores: float) -> ScoredCell:
    """Return a cell with other scores."""
    return dataclasses.replace(item, scores={**item.scores, **scores})


def redone(summary: LookSummary, **means: float | Mean) -> LookSummary:
    """Return a summary with other values; ``style_a`` is the style's of adapter ``a``."""
    given = {
        name.replace("style_", "style:"): own if isinstance(own, Mean) else Mean(own) for name, own in means.items()
    }
    return dataclasses.replace(summary, means={**summary.means, **given})


def units(count: int, seed: int = 0) -> torch.Tensor:
    rows = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=1)


def test_scores_follow_their_formulas() -> None:
    pictures, references = units(3), units(5, 1)
    a, b = pictures.double().numpy(), references.double().numpy()
    cosines = np.array([[x @ y for y in b] for x in a])
    assert np.allclose(style_scores(pictures, references).numpy(), cosines.mean(axis=1), atol=1e-6)
    own = [b[i] @ b[j] for i in range(5) for j in range(5) if i != j]
    assert own_style_score(references) == pytest.approx(np.mean(own), abs=1e-6)
    assert share_of_style(0.4, 0.4, 0.9) == 0
    assert share_of_style(0.9, 0.4, 0.9) == 1
    assert share_of_style(0.65, 0.4, 0.9) == pytest.approx(0.5)
    assert math.isnan(share_of_style(0.5, 0.4, 0.4))
    assert math.isnan(own_style_score(units(1)))


def test_embeddings_are_unit_and_do_not_depend_on_the_batch(judge: Judge, tmp_path: Path) -> None:
    pictures = [open_image(path) for path in sorted(draw_pictures(tmp_path, 5).glob("*.png"))]
    embedded = judge.embed_images(pictures, batch_size=2)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(5), atol=1e-5)
    assert torch.allclose(embedded, judge.embed_images(pictures), atol=1e-5)
    texts = ["a red boat", "a much longer prompt about houses and trees"]
    alone = torch.cat([judge.embed_texts([text]) for text in texts])
    assert torch.allclose(judge.embed_texts(texts), alone, atol=1e-5)
    expected = (embedded[:2] * alone).sum(1)
    assert torch.allclose(judge.prompt_scores(embedded[:2], texts), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["nowhere", "/nowhere"])
def test_a_judge_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="is not a folder with a CLIPModel"):
        Judge(name)


@pytest.mark.parametrize("content", [b"", b"{}", b"not tensors at all"])
def test_a_broken_judge_is_refused(tiny_judge: Path, tmp_path: Path, content: bytes) -> None:
    import shutil

    shutil.copytree(tiny_judge, tmp_path / "judge")
    (tmp_path / "judge" / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="cannot be loaded"):
        Judge(str(tmp_path / "judge"))


TEMPLATE = ImageRequest("", num_inference_steps=2, guidance_scale=3.0)


def test_every_axis_can_run_along_rows_or_columns() -> None:
    mixtures = {"a": {"a": 1.0}, "b": {"b": 1.0}}
    cells = plan_grid(mixtures, [0, 0.5, 1], ["p", "q"], [1, 2], TEMPLATE)
    columns = list(dict.fromkeys(cell.column for cell in cells))
    assert columns == [BASE_LABEL, "a 0.5", "a 1", "b 0.5", "b 1"]
    assert len(cells) == 5 * 4
    assert len({cell.row for cell in cells}) == 4
    for cell in cells:
        assert (cell.request.num_inference_steps, cell.request.guidance_scale) == (2, 3.0)
        if cell.column == BASE_LABEL:
            assert cell.request.weights == {}
        else:
            name, weight = cell.column.split()
            assert cell.request.weights == {name: float(weight)}
        assert cell.request.prompt in cell.row
        assert f"seed {cell.request.seed}" in cell.row
    turned = plan_grid(
        mixtures, [0, 0.5, 1], ["p", "q"], [1, 2], TEMPLATE, rows=("adapter", "weight"), columns=("prompt", "seed")
    )
    assert {(c.row, c.column, str(c.request)) for c in turned} == {(c.column, c.row, str(c.request)) for c in cells}


def test_a_mixture_is_scaled_as_a_whole() -> None:
    cells = plan_grid({"mix": {"a": 0.6, "b": -0.4}}, [0.5], ["p"], [1], TEMPLATE)
    assert [dict(cell.request.weights) for cell in cells] == [{"a": 0.3, "b": -0.2}]


@pytest.mark.parametrize(
    "rows", [("prompt",), ("prompt", "prompt", "seed"), ("prompt", "seed", "adapter"), ("colour",)]
)
def test_axes_that_do_not_add_up_are_refused(rows: tuple[str, ...]) -> None:
    with pytest.raises(UserError):
        plan_grid({"a": {"a": 1}}, [1], ["p"], [1], TEMPLATE, rows=rows)


@pytest.fixture
def scored(base: LoadedBase, judge: Judge, tmp_path: Path) -> tuple[list[ScoredCell], dict[str, torch.Tensor]]:
    pictures = [open_image(path) for path in sorted(draw_pictures(tmp_path / "style", 4).glob("*.png"))]
    references = {"a": judge.embed_images(pictures)}
    cells = plan_grid({"a": {"a": 1.0}}, [0, 1], ["a boat", "a house"], [1], TEMPLATE)
    with attached(base, {"a": random_adapter(base, size=0.3)}) as attachments:
        found = render_grid(attachments, cells, judge, references)
        again = dict(generate(attachments, [cell.request for cell in cells]))
    for number, item in enumerate(found):
        assert (np.asarray(item.picture) == np.asarray(again[number])).all()
    return found, references


def test_cells_are_scored_by_their_own_prompt_and_means_are_means(
    scored: tuple[list[ScoredCell], dict[str, torch.Tensor]], judge: Judge
) -> None:
    items, references = scored
    low = min(item.scores["subject_clip_t"] for item in items)
    for item in items:
        embedded = judge.embed_images([item.picture])
        expected = float(judge.prompt_scores(embedded, [item.cell.request.prompt])[0])
        assert item.scores["clip_t"] == pytest.approx(expected, abs=1e-4)
        assert item.scores["subject_clip_t"] == pytest.approx(expected, abs=1e-4)  # "a boat" is all subject
        assert item.scores["clip_i:a"] == pytest.approx(float((embedded @ references["a"].T).mean()), abs=1e-4)
    items = [rescored(item, subject_clip_t=item.scores["subject_clip_t"] - low + 0.1, absent_clip_t=0.0)
             for item in items]  # fmt: skip
    base, styled = summarise(items, references)
    assert (base.label, styled.label) == (BASE_LABEL, "a 1")
    plain, adapted = ([item for item in items if item.cell.look == label] for label in (BASE_LABEL, "a 1"))
    assert base.value("clip_i", "a") == pytest.approx(np.mean([item.scores["clip_i:a"] for item in plain]))
    assert styled.value("clip_t") == pytest.approx(np.mean([item.scores["clip_t"] for item in adapted]))
    subjects = [np.mean([item.scores["subject_clip_t"] for item in own]) for own in (plain, adapted)]
    assert styled.value("subject_clip_t") == pytest.approx(subjects[1])
    assert styled.value("subject_kept") == pytest.approx(subjects[1] / subjects[0])
    assert base.value("style", "a") == pytest.approx(0)
    assert base.value("subject_kept") == pytest.approx(1)
    real = own_style_score(references["a"])
    moved = styled.value("clip_i", "a") - base.value("clip_i", "a")
    assert styled.value("style", "a") == pytest.approx(moved / (real - base.value("clip_i", "a")))
    without_base = summarise([item for item in items if item.cell.look != BASE_LABEL], references)[0]
    assert math.isnan(without_base.value("style", "a"))
    assert math.isnan(without_base.value("subject_kept"))
    assert summary_lines(without_base) == [f"CLIP-T {without_base.value('subject_clip_t'):.3f}"]


@pytest.mark.parametrize("base_score", [-0.05, 0.0, 0.04])
def test_a_base_that_shows_nothing_of_the_prompt_gives_no_share(
    scored: tuple[list[ScoredCell], dict[str, torch.Tensor]], base_score: float
) -> None:
    items = [
        rescored(item, subject_clip_t=base_score + 0.15 if item.cell.look == BASE_LABEL else 0.25, absent_clip_t=0.15)
        for item in scored[0]
    ]
    base, styled = summarise(items, scored[1])
    assert all(math.isnan(summary.value("subject_kept")) for summary in (base, styled))
    assert prompt_share(styled, base) == pytest.approx(1 + 0.1 - base_score)
    assert summary_lines(styled)[-1] == "CLIP-T 0.250"
    assert prompt_share(styled, base) > prompt_share(base, base) == pytest.approx(1)
    worse = redone(styled, subject_clip_t=base.value("subject_clip_t") - 0.2)
    assert 0 < prompt_share(worse, base) < 1


def test_notes_stand_under_columns_also_when_looks_have_pages(
    scored: tuple[list[ScoredCell], dict[str, torch.Tensor]],
) -> None:
    items, references = scored
    looks = summarise(items, references)
    paged = [
        dataclasses.replace(item, cell=dataclasses.replace(item.cell, look=f"{item.cell.look} on page"))
        for item in items
    ]
    notes = column_notes(paged, [dataclasses.replace(look, label=f"{look.label} on page") for look in looks])
    assert notes == {"base": summary_lines(looks[0]), "a 1": summary_lines(looks[1])}
    mixed = [dataclasses.replace(item, cell=dataclasses.replace(item.cell, column="c")) for item in items]
    assert column_notes(mixed, looks) == {}


def test_the_table_has_a_line_per_cell_and_names_its_judge(
    scored: tuple[list[ScoredCell], dict[str, torch.Tensor]], judge: Judge
) -> None:
    items, _ = scored
    rows = list(csv.DictReader(io.StringIO(grid_csv(items, judge))))
    assert len(rows) == len(items) == 4
    for row, item in zip(rows, items, strict=True):
        assert (row["row"], row["column"]) == (item.cell.row, item.cell.column)
        assert float(row["clip_t"]) == pytest.approx(item.scores["clip_t"], abs=1e-4)
        assert float(row["subject_clip_t"]) == pytest.approx(item.scores["subject_clip_t"], abs=1e-4)
        assert row["subject"] == row["prompt"]
        assert float(row["clip_i:a"]) == pytest.approx(item.scores["clip_i:a"], abs=1e-4)
        assert row["judge"] == f"tiny-judge:{judge.fingerprint[:12]}"
        assert (row["seed"], row["num_inference_steps"], row["guidance_scale"]) == ("1", "2", "3")
    assert [row["adapters"] for row in rows] == ["", "a:1", "", "a:1"]


def test_the_page_escapes_what_it_shows_and_gives_shares_in_percent(
    scored: tuple[list[ScoredCell], dict[str, torch.Tensor]], judge: Judge
) -> None:
    items, references = scored
    wild = "<i>&'\" #?"
    cells = [dataclasses.replace(item.cell, row=wild, column=wild, page="p", look=f"{item.cell.look}{wild}")
             for item in items]  # fmt: skip
    items = [dataclasses.replace(item, cell=cell) for item, cell in zip(items, cells, strict=True)]
    base, styled = summarise(items, references)
    summaries = [
        redone(base, subject_kept=1.0),
        redone(styled, subject_kept=Mean(-0.004, 0.034), style_a=-0.514),
    ]
    files = [f"{wild}-{number}.png" for number in range(len(items))]
    beside = Beside(files, {"p": f"{wild}.png"}, {wild: "t.csv"})
    page = grid_html(wild, wild, items, summaries, judge, beside)
    reader = PageReader()
    reader.feed(page)
    assert set(reader.tags).isdisjoint({"i", "script"})
    assert [unquote(file) for file in reader.sources] == files
    assert reader.texts.count(wild) >= 4 + len(items)
    assert "0\u00a0% ± 3\u00a0%" in reader.texts
    assert "−51\u00a0%" in reader.texts
    assert "100\u00a0%" in reader.texts
    assert "http" not in page


def test_one_reference_alone_gives_scores_and_no_share(
    scored: tuple[list[ScoredCell], dict[str, torch.Tensor]],
) -> None:
    items, references = scored
    summary = summarise(items, {"a": references["a"][:1]})[1]
    assert math.isnan(summary.value("style", "a"))
    assert column_notes(items, [summary, summarise(items, references)[0]])["a 1"] == summary_lines(summary)
    assert len(summary_lines(summary)) == 1
    assert sheet_cells(items)[0].lines[0] == f"CLIP-T a boat {items[0].scores['subject_clip_t']:.3f}"
