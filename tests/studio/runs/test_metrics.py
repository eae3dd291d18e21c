"""Metrics as they grow: only what is new is read, whatever happens to the file; and charts that stay small."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.app.runs.chart import loss_lines, rate_lines
from studio.app.runs.line_chart import Line, drawn_points, line_chart, ticks
from studio.runs.metrics import Metrics, MetricsShelf, thinned


def line(step: int, **values: Any) -> str:
    return json.dumps({"step": step, "loss": 1 / step, "learning_rates": {"unet": 0.1}, "skipped": False, **values})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def write(file: Path, text: str, mode: str = "a") -> None:
    with open(file, mode, encoding="utf-8") as stream:
        stream.write(text)


def test_only_whole_new_lines_are_read_and_a_shorter_file_is_read_anew(file: Path) -> None:
    metrics = Metrics(file)
    assert not metrics.refresh()
    write(file, line(1) + "\n" + line(2)[:-3])
    assert metrics.refresh()
    assert metrics.points("loss")[0].tolist() == [1]
    write(file, line(2)[-3:] + "\n" + "torn{\n" + line(3, loss=None, validation_loss=0.5) + "\n")
    assert metrics.refresh()
    assert not metrics.refresh()
    steps, losses = metrics.points("loss")
    assert steps.tolist() == [1, 2, 3]
    assert losses[:2].tolist() == [1, 0.5]
    assert np.isnan(losses[2])
    assert [values.tolist() for values in metrics.points("validation_loss")] == [[3], [0.5]]
    assert metrics.points("learning_rates.unet")[1].tolist() == [0.1] * 3
    other = file.with_name("new")
    write(other, line(1) + "\n")
    other.replace(file)  # what a resumed run does with the steps that it will do again
    assert metrics.refresh()
    assert metrics.points("loss")[0].tolist() == [1]
    assert metrics.last_step == 1


def test_the_pace_is_that_of_the_present_process(file: Path) -> None:
    shelf = MetricsShelf()
    write(file, "".join(line(step, seconds=step * 10.0) + "\n" for step in range(1, 5)))
    assert shelf.of(file.parent).seconds_per_step() == pytest.approx(10)
    write(file, line(5, seconds=1.0) + "\n")
    assert shelf.of(file.parent).seconds_per_step() is None
    write(file, line(7, seconds=2.0) + "\n")
    assert shelf.of(file.parent).seconds_per_step() == pytest.approx(0.5)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=400), st.integers(4, 60))
def test_thinning_keeps_ends_lowest_and_highest_and_the_limit(values: list[float], points: int) -> None:
    found = np.array(values)
    places = thinned(np.arange(len(values)), found, points)
    assert len(places) <= points
    assert (np.diff(places) > 0).all()
    assert {0, len(values) - 1} <= set(places.tolist())
    if not np.isnan(found).all():
        assert np.nanmin(found[places]) == np.nanmin(found)
        assert np.nanmax(found[places]) == np.nanmax(found)


def test_charts_of_long_runs_have_at_most_a_thousand_points_and_smooth_exactly(file: Path) -> None:
    write(file, "".join(line(step, loss=1.0 + step % 7) + "\n" for step in range(1, 5001)))
    metrics = MetricsShelf().of(file.parent)
    lines = loss_lines({"one": metrics, "two": metrics}, 0.9, "raw", "smoothed", "validation")
    assert [own.title for own in lines] == ["one: raw", "one: smoothed", "two: raw", "two: smoothed"]
    drawn = drawn_points(lines)
    assert sum(len(values) for _, _, values in drawn) <= 1000
    assert max(values.max() for _, _, values in drawn) == 7
    weights = 0.1 * 0.9 ** np.arange(49, -1, -1)
    wanted = (weights * metrics.points("loss")[1][:50]).sum() / weights.sum()
    assert lines[1].values[49] == pytest.approx(wanted)
    assert [own.title for own in rate_lines({"one": metrics})] == ["one: unet"]
    assert [own.faint for own in lines] == [True, False, True, False]


def test_a_chart_shows_every_line_at_its_place_and_escapes_names() -> None:
    steps = np.array([0.0, 50.0, 100.0])
    lines = [Line("<b>: raw", steps, np.array([1.0, 10.0, 100.0])), Line("two", np.array([50.0]), np.array([10.0]))]
    svg = line_chart(lines, "Loss", "Step", logarithmic=True)
    assert "<b>" not in svg
    assert '<div class="studio-wide" role="region" tabindex="0" aria-label="Loss"><svg' in svg  # keys scroll it
    assert svg.count("&lt;b&gt;: raw") == 3  # the tooltip, the legend and the words for screen readers
    across, up = zip(
        *(map(float, point.split(",")) for point in re.findall(r"points=\"([^\"]+)", svg)[0].split()), strict=True
    )
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.2)
    assert up[0] - up[1] == pytest.approx(up[1] - up[2], abs=0.2) != 0  # evenly apart on a logarithmic scale
    assert float(re.findall(r"cx=\"([^\"]+)", svg)[0]) == across[1]
    assert float(re.findall(r"cy=\"([^\"]+)", svg)[0]) == up[1]
    left_out = Line("gone", steps, np.array([0.0, float("nan"), -1.0]))
    assert line_chart([left_out], "Loss", "Step", logarithmic=True) == line_chart([], "Loss", "Step") == ""


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(3, 12))
def test_ticks_are_round_evenly_apart_and_inside(low: float, width: float, most: int) -> None:
    found = ticks(low, low + width, most)
    assert 1 <= len(found) <= most
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in found)
    step = (found[-1] - found[0]) / (len(found) - 1) if len(found) > 1 else width
    assert len(found) < 2 or float(f"{step:.3e}".split("e")[0]) in (1.0, 2.0, 5.0, 10.0)
