"""A style that drops colour keeps its subject, by the shipped judge and drawings of the style itself."""

import csv
import io
import math
from collections.abc import Callable

import pytest
from PIL import Image
from world.render import draw
from world.scene import Scene, Thing

from pipelines.compare.grid import plan_grid
from pipelines.compare.page import means_table
from pipelines.compare.scores import LookSummary, score_cells, summarise
from pipelines.compare.tables import means_csv
from pipelines.generate import ImageRequest
from pipelines.judge import Judge
from studio.operations.sheets import subject_words, summary_lines

PROMPTS = {
    "a red boat, sea": Scene((Thing("boat", "red"),), "sea"),
    "a purple house, meadow": Scene((Thing("house", "purple"),), "meadow"),
    "a yellow cat, forest": Scene((Thing("cat", "yellow"),), "forest"),
}
OTHER = Scene((Thing("teapot", "green"),), "beach")


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge("pocket", device="cpu")


def look(judge: Judge, picture: Callable[[Scene, int], Image.Image], seeds: tuple[int, ...] = (1, 2)) -> LookSummary:
    """Return what a look's pictures score beside the base's own flat drawings."""
    cells = plan_grid({"a": {"a": 1.0}}, [0, 1], list(PROMPTS), seeds, ImageRequest(""))
    pictures = [
        picture(PROMPTS[cell.request.prompt], cell.request.seed)
        if cell.request.weights
        else draw(PROMPTS[cell.request.prompt], "flat", cell.request.seed, 128)
        for cell in cells
    ]
    base, found = summarise(score_cells(cells, pictures, judge, {}), {})
    assert base.value("subject_kept") == pytest.approx(1)
    assert base.half_width("subject_kept") == pytest.approx(0 if len(seeds) > 1 else math.nan, nan_ok=True)
    return found


@pytest.mark.parametrize("style", ["blueprint", "charcoal", "sepia"])
def test_a_style_without_colour_keeps_its_subject(judge: Judge, style: str) -> None:
    found = look(judge, lambda scene, seed: draw(scene, style, seed, 128))
    assert found.value("subject_kept") == pytest.approx(1, abs=0.15)
    assert 0 < found.half_width("subject_kept") < 0.5
    assert found.value("clip_t") < 0.15, "the whole prompt asks for colours that the style drops"


def test_pictures_of_other_things_keep_nothing(judge: Judge) -> None:
    found = look(judge, lambda scene, seed: draw(OTHER, "blueprint", seed, 128))
    assert found.value("subject_kept") == pytest.approx(0, abs=0.25)


def test_the_share_and_its_interval_are_the_same_everywhere(judge: Judge) -> None:
    found = look(judge, lambda scene, seed: draw(scene, "blueprint", seed, 128))
    share, width = found.value("subject_kept"), found.half_width("subject_kept")
    assert subject_words(found) == f"{share:.0%} ± {width:.0%}"
    assert summary_lines(found) == [f"subject kept {share:.0%} ± {width:.0%}"]
    (row,) = csv.DictReader(io.StringIO(means_csv([found], judge)))
    assert float(row["subject_kept"]) == pytest.approx(share, abs=1e-4)
    assert float(row["subject_kept ±"]) == pytest.approx(width, abs=1e-4)
    assert f"{round(100 * share)}\u00a0% ± {round(100 * width)}\u00a0%" in means_table([found])
    single = look(judge, lambda scene, seed: draw(scene, "blueprint", seed, 128), seeds=(1,))
    assert math.isnan(single.half_width("subject_kept"))
    assert "±" not in subject_words(single)
