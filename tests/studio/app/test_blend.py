"""The Blend tab: sliders that draw, the proof, the map, recipes, the search, and the endpoint that a script calls."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import Page, expect

from pipelines.bases import POCKET, load_base
from pipelines.judge import Judge
from pipelines.recipe import parse_recipe, write_recipe
from studio.app.blend.details import details_of, settings_of
from studio.app.blend.form import MOST_ROWS, block_names, blocks_of, command_line, form_of, recipe_of, recipe_text
from studio.app.shared.newest import Newest
from studio.engine.jobs.blends import JOB as BLENDS
from tests.app_checking.browsing import settle
from tests.studio.app.conftest import RunningApp, free_port
from tests.support import random_adapter
from trainers.adapter import Adapter, read_adapter, write_adapter
from trainers.errors import UserError

_LOADING_MS = 180_000
"""How long the first use of the inference process may take: it loads the model libraries and the base."""
FULL = {
    "blend": "ties",
    "part_blends": {"text_encoder": "exact"},
    "settings": {"density": 0.4},
    "seed": 3,
    "dtype": "float16",
    "file": "whole",
    "inputs": [
        {"adapter": "north", "weight": 0.6, "parts": {"text_encoder": 0.5}, "blocks": {"IN01": 0.2, "default": 1.0}},
        {"adapter": "south's", "weight": -3.5},
        {"adapter": "west", "blocks": [0.5] * 17},
    ],
}


@pytest.fixture(scope="module")
def blend_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app on a library with two random adapters of the pocket base, which know their own pictures."""
    app = RunningApp(tmp_path_factory.mktemp("blend") / "library", free_port())
    base, judge = load_base(POCKET, device="cpu"), Judge(device="cpu")
    width = judge.embed_texts(["a boat"]).shape[1]
    for number, name in enumerate(("north", "south")):
        made = random_adapter(base, name, seed=number, size=0.06)
        embeddings = torch.nn.functional.normalize(
            torch.randn(4, width, generator=torch.Generator().manual_seed(number))
        )
        write_adapter(
            app.library.adapters_folder / name, Adapter(made.card, made.parts, {judge.fingerprint: embeddings})
        )
    yield app.start()
    app.close()


@pytest.fixture
def blend_page(blend_app: RunningApp, open_page: Callable[..., Page]) -> Page:
    """The tab with one sampling step, so that a picture costs little."""
    page = open_page(f"{blend_app.url}/?tab=blend", locale="en-US")
    expect(page.locator("#tab-blend").get_by_label("Adapter").first).to_have_value("north")
    page.locator("#tab-blend").get_by_label("Steps").first.fill("1")
    return page


def _picture(page: Page) -> bytes:
    address = page.get_by_test_id("detailed-image").or_(page.locator("#tab-blend img")).first.get_attribute("src")
    assert address
    return page.request.get(address).body()


def test_a_moved_slider_draws_another_picture_and_the_file_is_proved(blend_page: Page, blend_app: RunningApp) -> None:
    page = blend_page
    expect(page.get_by_text("Drawn with 0.5·north + 0.5·south")).to_be_visible(timeout=_LOADING_MS)
    before = _picture(page)
    slider = page.get_by_role("slider", name="Weight, −2 to 2").first
    slider.focus()
    for _ in range(10):
        slider.press("PageUp")  # moves by more than one step, as dragging does
    weight = page.get_by_label("Exact weight").first
    expect(weight).not_to_have_value("0.5")
    expect(page.get_by_text(f"Drawn with {float(weight.input_value()):g}·north")).to_be_visible()
    assert _picture(page) != before
    weight.fill("2.5")
    expect(page.get_by_text("Drawn with 2.5·north")).to_be_visible()
    expect(slider).to_have_value("2")

    page.get_by_label("Name of the blend").fill("north-south")
    page.get_by_role("button", name="Save and prove").click()
    expect(page.get_by_text("north-south is in the library")).to_be_visible()
    expect(page.get_by_text("error of the worst layer").first).to_be_visible()
    recipe = blend_app.library.card("north-south").recipe
    assert recipe is not None
    assert recipe.formula() == "2.5·north + 0.5·south"

    page.get_by_role("button", name="Where they fight").click()
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("layers are touched by both")).to_be_visible()
    expect(page.get_by_text("sign conflict").first).to_be_visible()
    assert list((blend_app.folder / "outputs" / "inspections").glob("*/*.png"))


def test_a_recipe_goes_out_and_comes_in_again(blend_page: Page, tmp_path: Path) -> None:
    page = blend_page
    page.get_by_label("Draw as I move the sliders").uncheck()
    page.get_by_role("button", name=re.compile("^Recipe")).click()
    text = page.get_by_label("Recipe as YAML")
    expect(text).to_have_value("inputs:\n- adapter: north\n  weight: 0.5\n- adapter: south\n  weight: 0.5\n")
    given = {**FULL, "inputs": [{**FULL["inputs"][0]}, {"adapter": "south", "schedule": {"stop": 0.7}}]}  # type: ignore[dict-item]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(given))
    page.locator("input[type=file][accept*=yaml]").first.set_input_files(tmp_path / "mine.yaml")
    expect(text).to_have_value(recipe_text(given), timeout=_LOADING_MS)
    expect(page.get_by_label("Exact weight").first).to_have_value("0.6")
    expect(page.get_by_label("density")).to_have_value("0.4")
    page.get_by_label("density").fill("")
    page.keyboard.insert_text("0.6")  # as it is pasted: no key is pressed
    page.keyboard.press("Tab")
    expect(text).to_have_value(recipe_text({**given, "settings": {"density": 0.6}}))
    page.get_by_label("Name of the blend").focus()
    page.keyboard.insert_text("pasted")
    page.keyboard.press("Tab")
    expect(page.get_by_label("On the command line")).to_have_value(re.compile("--name mixpasted"))
    page.get_by_label("density").fill("0.4")
    page.keyboard.press("Tab")
    expect(text).to_have_value(recipe_text(given))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the recipe").click()
    assert yaml.safe_load(Path(download.value.path()).read_text()) == given

    text.fill("blend: tiess\ninputs: [{adapter: north}]")
    page.get_by_role("button", name="Apply this text").click()
    expect(page.get_by_text("Did you mean 'ties'")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Exact weight").first).to_have_value("0.6")


def test_what_failed_stands_where_it_was_started_and_notices_go_with_the_tab(blend_page: Page) -> None:
    page, tab = blend_page, blend_page.locator("#tab-blend")
    expect(page.get_by_text("Drawn with")).to_be_visible(timeout=_LOADING_MS)
    tab.get_by_role("button", name="More settings").click()
    tab.get_by_role("textbox", name="Base").press_sequentially("nowhere")
    expect(page.locator("#blend-status [role=alert]")).to_have_text(re.compile("The base 'nowhere' does not exist"))
    tab.get_by_role("button", name="Save and prove").click()
    expect(page.locator("#blend-save-status [role=alert]")).to_have_text(re.compile("The base 'nowhere' does not"))
    expect(page.get_by_text("Error", exact=True)).to_have_count(0)
    tab.get_by_role("textbox", name="Base").fill("elsewhere")  # another recipe: the error was not about this one
    page.keyboard.press("Tab")
    expect(page.locator("#blend-status [role=alert]")).to_have_text(re.compile("'elsewhere'"))
    expect(page.locator("#blend-save-status [role=alert]")).to_have_count(0)

    page.get_by_role("button", name=re.compile("^Recipe")).click()
    settle(page)  # the field that was left may still be said anew
    page.get_by_label("Recipe as YAML").fill("blend: tiess")
    page.get_by_role("button", name="Apply this text").click()
    notice = page.get_by_test_id("toast-body")
    expect(notice).to_be_visible()
    tabs, box = page.get_by_role("tablist").first.bounding_box(), notice.bounding_box()
    assert tabs is not None
    assert box is not None
    assert box["y"] > tabs["y"] + tabs["height"]
    page.get_by_role("tab", name="Library").click()
    expect(notice).to_have_count(0)


def test_the_search_fills_the_sliders(blend_page: Page, blend_app: RunningApp) -> None:
    page = blend_page
    page.get_by_label("Draw as I move the sliders").uncheck()
    page.get_by_role("button", name="Search the weights").click()
    page.get_by_label("Trials").first.fill("2")
    page.locator("#tab-blend").get_by_label("Steps").last.fill("1")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("Best of 2 trials")).to_be_visible(timeout=_LOADING_MS)
    lines = (blend_app.folder / "searches" / "search" / "trials.jsonl").read_text().splitlines()
    best = max((json.loads(line) for line in lines), key=lambda trial: trial["score"])
    page.get_by_role("button", name="Put the best weights on the sliders").click()
    expect(page.get_by_label("Exact weight").first).to_have_value(f"{best['weights']['north']:g}")
    expect(page.get_by_label("Exact weight").nth(1)).to_have_value(f"{best['weights']['south']:g}")


def test_a_script_blends_through_the_endpoint(blend_app: RunningApp) -> None:
    client = Client(blend_app.url, verbose=False)
    recipe = {"inputs": [{"adapter": "north", "weight": 0.25}, {"adapter": "south", "weight": -1}]}
    proof = client.predict(recipe, "scripted", api_name="/blend")
    assert proof["name"] == "scripted"
    assert proof["unmatched"] == []
    assert proof["matched"] == len(proof["layers"]) > 0
    assert max(part["worst_error"] for part in proof["parts"].values()) < proof["tolerance"]
    assert read_adapter(blend_app.library.adapters_folder / "scripted").card.recipe is not None
    with pytest.raises(AppError, match="has an adapter 'scripted' already"):
        client.predict(recipe, "scripted", api_name="/blend")


def test_the_form_and_the_recipe_are_the_same(tmp_path: Path) -> None:
    assert recipe_of(form_of(FULL)) == FULL
    write_recipe(tmp_path / "recipe.yaml", parse_recipe(FULL))
    assert recipe_text(recipe_of(form_of(FULL))) == (tmp_path / "recipe.yaml").read_text()


def test_the_command_line_makes_the_same_recipe() -> None:
    import argparse
    import shlex

    from studio.cli.commands.blend import COMMAND, _recipe

    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    words = shlex.split(command_line(FULL, "my mix"))
    assert words[:2] == ["studio", "blend"]
    options = parser.parse_args(words[2:])
    assert options.name == "my mix"
    assert _recipe(options) == parse_recipe(FULL)
    with_time = {"inputs": [{"adapter": "north", "schedule": {"stop": 0.5}}]}
    assert command_line(with_time, "mix") == "studio blend --recipe recipe.yaml --name mix"


def test_rows_say_what_is_missing() -> None:
    empty = {"rows": [[None, 0.5]], "blend": "exact"}
    with pytest.raises(UserError, match="No adapter is chosen"):
        recipe_of(empty)
    with pytest.raises(UserError, match="north has no weight"):
        recipe_of({**empty, "rows": [["north", None]]})
    many = {"inputs": [{"adapter": f"a{number}"} for number in range(MOST_ROWS + 1)]}
    with pytest.raises(UserError, match=f"room for {MOST_ROWS}"):
        form_of(many)


def test_details_hold_only_what_changes_something() -> None:
    parts, blocks = ["unet", "text_encoder"], ["BASE", "IN01"]
    assert details_of({}, parts, blocks, "own", (1.0, 1.0, 1.0, 1.0, 0.0, 1.0)) == {}
    found = details_of({"hash": "ab"}, parts, blocks, "own", (1.0, 0.5, 1.0, 0.2, 0.1, 1.0))
    assert found == {
        "hash": "ab",
        "parts": {"text_encoder": 0.5},
        "blocks": {"IN01": 0.2, "default": 1.0},
        "schedule": {"start": 0.1},
    }
    assert block_names(found["blocks"], ["BASE", "IN01"], "own") == {"BASE": 1.0, "IN01": 0.2, "default": 1.0}
    assert blocks_of(block_names([0.5] * 17, [], "17"), "17") == [0.5] * 17
    assert block_names(None, [], "none") == {}


def test_every_blend_has_a_form_that_gives_its_defaults_back() -> None:
    (event,) = BLENDS.run(None, {})  # type: ignore[arg-type]
    assert {"exact", "ties", "klora"} <= {item["name"] for item in event["blends"]}
    for item in event["blends"]:
        values: tuple[Any, ...] = tuple(schema.get("default") for schema in item["settings"].values())
        shown = tuple(value if isinstance(value, int | float | str) else "" for value in values)
        assert settings_of(item["settings"], shown) == {}
    svd = next(item for item in event["blends"] if item["name"] == "svd")["settings"]
    assert settings_of(svd, ("8", "", "", "")) == {"rank": 8}


def test_only_the_newest_wish_of_a_page_counts() -> None:
    newest = Newest()
    assert not newest.is_stale("page", "a")
    newest.ask("page", "a")
    newest.ask("other", "x")
    newest.ask("page", "b")
    assert newest.is_stale("page", "a")
    assert not newest.is_stale("page", "b")
    assert not newest.is_stale("other", "x")
