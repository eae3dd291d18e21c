"""Every metric keeps its word, and a file dropped into the registry is a column everywhere."""

import csv
import io
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

import pipelines.metrics
from pipelines.compare.grid import plan_grid
from pipelines.compare.page import Beside, grid_html
from pipelines.compare.scores import ScoredCell, score_cells, summarise
from pipelines.compare.tables import grid_csv, means_csv
from pipelines.generate import ImageRequest
from pipelines.judge import Judge
from pipelines.metrics import Pictures, columns, metrics
from studio.app.compare.tables import descriptions, readable
from studio.app.shared.words import Words
from studio.cli.main import main
from studio.operations.sheets import sheet_cells, summary_lines
from tests.dropped import dropped

BRIGHTNESS = """
from pipelines.metrics import Metric, MetricText

def _measure(pictures, adapter):
    return [picture.convert("L").getpixel((0, 0)) / 255 for picture in pictures.pictures]

METRIC = Metric("zebra", MetricText("Brightness", "Brightness is 0 for black and 1 for white."), short="light",
                measure=_measure,
                better="lower", below_pictures=True, above_columns=True, place=5)
"""


@pytest.fixture(scope="module")
def judge(tiny_judge: Path) -> Judge:
    return Judge(str(tiny_judge), device="cpu")


@pytest.fixture(scope="module")
def references(judge: Judge) -> dict[str, torch.Tensor]:
    return {"a": judge.embed_images([Image.new("RGB", (16, 16), (90 * n, 30, 200)) for n in range(3)])}


@pytest.fixture
def zebra(tmp_path: Path) -> Iterator[None]:
    with dropped(pipelines.metrics, metrics, tmp_path, BRIGHTNESS):
        yield


def scored_cells(
    judge: Judge, references: dict[str, torch.Tensor], *, seeds: tuple[int, ...] = (1, 2)
) -> list[ScoredCell]:
    cells = plan_grid({"a": {"a": 1.0}}, [0, 1], ["a red boat", "a house"], seeds, ImageRequest(""))
    shades = [(51 * (number % 6),) * 3 for number in range(len(cells))]
    return score_cells(cells, [Image.new("RGB", (16, 16), shade) for shade in shades], judge, references)


@pytest.mark.parametrize("name", metrics())
def test_a_metric_measures_every_picture_and_sums_up_every_look(
    name: str, judge: Judge, references: dict[str, torch.Tensor]
) -> None:
    metric, adapter = metrics()[name], "a" if metrics()[name].by_adapter else ""
    scored = scored_cells(judge, references)
    assert metric.name == name
    assert metric.short
    assert metric.english.title
    assert metric.english.description
    if metric.measure is not None:
        pictures = [item.picture for item in scored]
        prompts = [item.cell.request.prompt for item in scored]
        given = Pictures(pictures, prompts, [item.cell.subject for item in scored], judge, references)
        found = metric.measure(given, adapter)
        assert len(found) == len(scored)
        assert all(isinstance(value, float) for value in found)
    if not metric.hidden:
        base, styled = summarise(scored, references)
        assert base.means.keys() == styled.means.keys()
        single = summarise(scored_cells(judge, references, seeds=(1,)), references)[-1]
        assert not torch.isfinite(torch.tensor(single.half_width(name, adapter)))
        alone = summarise([item for item in scored if item.cell.look != base.label], references)[0]
        if metric.needs_base:
            assert alone.value(name, adapter) != alone.value(name, adapter), "not a number without the base"
        else:
            assert alone.mean(f"{name}:{adapter}" if adapter else name) == styled.mean(
                f"{name}:{adapter}" if adapter else name
            )
    if metric.instead:
        assert not metrics()[metric.instead].hidden


@pytest.mark.usefixtures("zebra")
def test_a_dropped_file_is_a_column_of_every_table(judge: Judge, references: dict[str, torch.Tensor]) -> None:
    scored = scored_cells(judge, references)
    summaries = summarise(scored, references)
    assert columns(["a"])[0].key == "zebra"  # by its place
    rows = list(csv.DictReader(io.StringIO(grid_csv(scored, judge))))
    assert [float(row["zebra"]) for row in rows] == pytest.approx([(n % 6) / 5 for n in range(len(rows))], abs=1e-3)
    means = means_csv(summaries, judge)
    assert all(0 < float(row["zebra"]) < 1 and row["zebra ±"] for row in csv.DictReader(io.StringIO(means)))
    page = grid_html("t", "f", scored, summaries, judge, Beside(["p.png"] * len(scored), {}, {}))
    assert "Brightness ↓" in page
    assert "Brightness is 0 for black" in page
    assert "<span>light 0.200</span>" in page
    assert any(line.startswith("light 0.") for line in sheet_cells(scored)[1].lines)
    assert any(line.startswith("light 0.") for line in summary_lines(summaries[1]))


@pytest.mark.usefixtures("zebra")
def test_a_dropped_file_is_a_column_in_the_app_and_in_the_command_line(
    judge: Judge, references: dict[str, torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    table = list(csv.reader(io.StringIO(means_csv(summarise(scored_cells(judge, references), references), judge))))
    say = partial(Words().say, None)
    assert readable(table, say)[0][3] == "Brightness"
    assert readable(table, say, "zh-TW")[0][3] == "Brightness", "what a language lacks is shown in English"
    assert "Brightness is 0" in descriptions(table)
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    assert "zebra (brightness)" in " ".join(capsys.readouterr().out.split())


def test_listing_metrics_loads_no_model_library() -> None:
    code = "import sys; from pipelines.metrics import metrics; metrics(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
