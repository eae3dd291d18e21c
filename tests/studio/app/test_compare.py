"""The tab Compare in a browser and through its endpoint: cost, grid, scores, votes by keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from playwright.sync_api import Page, expect

from pipelines.compare.votes import read_votes
from studio.operations.stored_comparisons import drawn_comparisons
from tests.studio.app.conftest import RunningApp
from tests.studio.app.drawing_library import drawing_app


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with drawing_app(tmp_path_factory.mktemp("compare")) as app:
        yield app


def test_a_grid_is_costed_drawn_scored_and_voted_on(drawing: RunningApp, page: Page) -> None:
    page.goto(f"{drawing.url}/?tab=compare")
    page.wait_for_function("window.studioKept && window.studioKept.compare")
    expect(page.get_by_text("No comparison yet")).to_be_visible()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()
    page.get_by_role("combobox", name="Adapters").click()
    page.get_by_role("option", name="one", exact=True).click()
    page.keyboard.press("Escape")
    page.get_by_label("Weights").locator("visible=true").fill("0, 1")
    page.get_by_label("Prompts, one a line").fill("a red boat, sea")
    page.get_by_role("button", name="More settings").locator("visible=true").click()
    page.get_by_label("number input for Steps").locator("visible=true").fill("2")
    page.get_by_role("button", name="Work out the cost").click()
    expect(page.get_by_text("4 pictures, 0 of them drawn already; 4 to draw: 16 evaluations")).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("Means over prompts and seeds").first).to_be_visible()
    expect(page.get_by_text(".html", exact=True).first).to_be_visible()
    (drawn,) = drawn_comparisons(drawing.library)
    means = [dict(zip(drawn.means()[0], line, strict=True)) for line in drawn.means()[1:]]
    assert [line["look"] for line in means] == ["base", "one 1"]
    assert all(float(line["subject_clip_t ±"]) >= 0 for line in means), "two seeds give an interval"
    assert means[0]["style:one"] == "0.0000"
    expect(page.get_by_text(drawn.judge).first).to_be_visible()

    page.get_by_role("button", name="Vote blindly").click()
    page.get_by_role("button", name="Start voting").click()
    expect(page.get_by_text("0 votes cast, 2 pairs open.")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("1 vote cast, 1 pair open.")).to_be_visible()
    page.get_by_role("button", name="Tie").click()
    expect(page.get_by_text("Every pair has been voted on: 2 votes.", exact=False)).to_be_visible()
    votes = read_votes(drawn.cells_folder)
    assert [vote.choice for vote in votes] == ["left", "tie"]
    assert votes[0].chosen == votes[0].left

    page.reload()
    page.wait_for_function("window.studioKept && window.studioKept.compare")
    expect(page.get_by_text("Means over prompts and seeds").first).to_be_visible()
    expect(page.get_by_label("Prompts, one a line")).to_have_value("a red boat, sea")
    page.get_by_role("button", name="Work out the cost").click()
    expect(page.get_by_text("4 pictures, 4 of them drawn already; 0 to draw")).to_be_visible()


def test_the_endpoint_compares(drawing: RunningApp, tmp_path: Path) -> None:
    client = Client(drawing.url, verbose=False, download_files=str(tmp_path))
    try:
        common = {"prompts": ["a boat"], "weights": [1], "seeds": [0], "num_inference_steps": 1}
        files, means = client.predict(
            adapters=["one", "two"],
            **common,
            more={"guidance_scale": [1, 3]},
            pages=["guidance_scale"],
            api_name="/compare",
        )
        names = [Path(file).name for file in files]
        assert names == ["grid-1.png", "grid-2.png", "grid.csv", "grid-means.csv", "grid.html"]
        assert [line[0] for line in means[1:]] == [
            f"{look} guidance {guidance_scale}".strip() for guidance_scale in (1, 3) for look in ("base", "one", "two")
        ]
        with pytest.raises(Exception, match="nothing to compare"):
            client.predict(adapters=[], **common, api_name="/compare")
    finally:
        client.close()
