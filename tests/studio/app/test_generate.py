"""The tab Generate in a browser and through its endpoint: adapters with weights, before and after, cancel, recall."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect

from pipelines.image_file import read_settings
from studio.engine.client import Engine
from tests.studio.app.conftest import RunningApp
from tests.studio.app.drawing_library import TRIGGER, drawing_app


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with drawing_app(tmp_path_factory.mktemp("generate")) as app:
        yield app


def _open(page: Page, app: RunningApp) -> None:
    page.goto(f"{app.url}/?tab=generate")
    expect(page.get_by_role("button", name="Draw", exact=True)).to_be_visible()
    page.wait_for_function("window.studioKept && window.studioKept.generate")


def _choose(page: Page, row: int, name: str) -> None:
    page.get_by_role("combobox", name="Adapter", exact=True).nth(row).fill(name)


def _steps(page: Page, count: int) -> None:
    page.locator("#tab-generate").get_by_label("number input for Steps").fill(str(count))


def _newest(app: RunningApp) -> Path:
    return max((app.folder / "outputs" / "pictures").glob("*/*.png"))


def test_weighted_adapters_are_drawn_beside_the_base_and_the_form_outlives_a_reload(
    drawing: RunningApp, page: Page
) -> None:
    _open(page, drawing)
    _choose(page, 0, "one")
    page.get_by_role("button", name="Add an adapter").click()
    _choose(page, 1, "two")
    expect(page.get_by_label("Trigger words of the chosen adapters")).to_have_value(TRIGGER)
    first, second = (page.get_by_label("Exact weight").nth(row) for row in range(2))
    first.fill("3.5")
    first.blur()
    expect(page.get_by_role("slider", name="Weight, −2 to 2").nth(0)).to_have_value("2")
    page.get_by_role("slider", name="Weight, −2 to 2").nth(1).fill("-0.5")
    expect(second).to_have_value("-0.5")
    expect(first).to_have_value("3.5")
    _steps(page, 2)
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.get_by_text("Done: 2 pictures, seed 0.")).to_be_visible()
    expect(page.get_by_label("Notes").first).to_have_value(re.compile(TRIGGER))
    expect(page.get_by_text("Before and after")).to_be_visible()
    plain = read_settings(_newest(drawing))
    changed = read_settings(_newest(drawing).with_name("000001.png"))
    assert plain is not None
    assert changed is not None
    assert plain["adapters"] == {}
    assert changed["adapters"] == {"one": 3.5, "two": -0.5}
    assert {key: plain[key] for key in ("prompt", "seed", "num_inference_steps")} == {
        "prompt": "a red boat, sea",
        "seed": 0,
        "num_inference_steps": 2,
    }

    page.get_by_role("button", name="Put them into the prompt").click()
    expect(page.get_by_label("Prompt", exact=True).first).to_have_value(f"{TRIGGER}, a red boat, sea")
    page.reload()
    expect(page.get_by_label("Exact weight").nth(1)).to_have_value("-0.5")
    expect(page.get_by_role("combobox", name="Adapter", exact=True).nth(1)).to_have_value("two")
    expect(page.get_by_label("Prompt", exact=True).first).to_have_value(f"{TRIGGER}, a red boat, sea")


def test_cancel_stops_a_drawing_and_the_next_one_works(drawing: RunningApp, page: Page) -> None:
    _open(page, drawing)
    page.get_by_role("button", name="Cancel").first.click()
    expect(page.get_by_text("Nothing is being drawn.").first).to_be_visible()
    _steps(page, 150)
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.get_by_text(re.compile(r"Drawing: step \d+ of 150"))).to_be_visible()
    page.get_by_role("button", name="Cancel").first.click()
    expect(page.get_by_text("Cancelled; 0 pictures were finished.")).to_be_visible()
    _steps(page, 2)
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.get_by_text("Done: 1 picture, seed 0.")).to_be_visible()


def test_a_cancelled_drawing_does_not_go_on(drawing: RunningApp) -> None:
    engine = Engine(drawing.folder)
    try:
        ticket = engine.submit("generate", {"prompt": "a boat", "num_inference_steps": 200})
        late = 0
        last = ""
        for event in engine.follow(ticket):
            last = event["event"]
            if last == "progress":
                late += event["done"] > 3
                if event["done"] == 3:
                    engine.cancel(ticket)
        assert last == "cancelled"
        assert late <= 3
        again = list(engine.run("generate", {"prompt": "a boat", "num_inference_steps": 1}))
        assert [event["event"] for event in again][-2:] == ["picture", "done"]
    finally:
        engine.close()


def test_what_a_prompt_holds_that_is_no_words_is_named_and_merging_is_offered(drawing: RunningApp, page: Page) -> None:
    _open(page, drawing)
    tab = page.locator("#tab-generate")
    tab.get_by_label("Prompt", exact=True).first.fill("a red boat <lora:one:0.8>, (sea:1.3)")
    _choose(page, 0, "one")
    page.get_by_role("button", name="More settings").locator("visible=true").click()
    tab.get_by_label("Pictures", exact=True).first.fill("4")
    _steps(page, 1)
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.get_by_text("Done: 8 pictures, seed 0.")).to_be_visible()
    notes = page.get_by_label("Notes").first
    expect(notes).to_have_value(re.compile(r"<lora:one:0\.8> is read as letters.*choose the adapter", re.DOTALL))
    expect(notes).to_have_value(re.compile(r"\(sea:1\.3\) is read with its brackets"))
    expect(notes).to_have_value(re.compile("For 4 pictures, “Merge into the base while drawing”"))


def test_settings_come_back_from_pictures_and_go_to_compare(drawing: RunningApp, page: Page, tmp_path: Path) -> None:
    information = PngInfo()
    information.add_text(
        "parameters",
        "a green teapot <lora:two:0.7> <lora:gone:1>\nNegative prompt: fog\n"
        "Steps: 3, Sampler: Euler a, CFG scale: 6.5, Seed: 77, Size: 64x64, Model: other",
    )
    foreign = tmp_path / "foreign.png"
    Image.new("RGB", (8, 8)).save(foreign, pnginfo=information)
    bare = tmp_path / "bare.png"
    Image.new("RGB", (8, 8)).save(bare)
    _open(page, drawing)
    tab = page.locator("#tab-generate")
    upload = page.locator("#tab-generate input[type=file], input[type=file][data-testid=file-upload]").first
    upload.set_input_files(bare)
    expect(page.get_by_text("carries no settings").first).to_be_visible()
    upload.set_input_files(foreign)
    expect(page.get_by_label("What was read")).to_have_value(re.compile("gone"))
    expect(page.get_by_label("What was read")).to_have_value(re.compile("Sampler: Euler a"))
    expect(tab.get_by_label("Prompt", exact=True).first).to_have_value("a green teapot")
    expect(tab.get_by_label("Seed", exact=True).first).to_have_value("77")
    expect(tab.get_by_label("number input for Steps").first).to_have_value("3")
    expect(tab.get_by_label("Exact weight").first).to_have_value("0.7")
    page.get_by_role("button", name="Compare these adapters").click()
    expect(page.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("Prompts, one a line")).to_have_value("a green teapot")


def test_the_endpoint_draws(drawing: RunningApp, tmp_path: Path) -> None:
    client = Client(drawing.url, verbose=False, download_files=str(tmp_path))
    try:
        asked = {
            "prompt": "a boat",
            "adapters": {"one": 0.8, "two": -1.5},
            "seed": 5,
            "num_inference_steps": 2,
            "guidance_scale": 3.0,
        }
        files = client.predict(**asked, beside_base=True, api_name="/generate")
        settings = [json.loads(Image.open(file).text["adapter-studio"]) for file in files]
        assert [found["adapters"] for found in settings] == [{"one": 0.8, "two": -1.5}, {}]
        assert {found["seed"] for found in settings} == {5}
        with pytest.raises(Exception, match="unknown"):
            client.predict(prompt="a boat", adapters={"nobody": 1.0}, num_inference_steps=2, api_name="/generate")
    finally:
        client.close()


def test_nothing_drawn_yet_says_what_to_do(open_page: Callable[..., Page], drawing: RunningApp) -> None:
    page = open_page(f"{drawing.url}/?tab=generate", locale="zh-TW")
    expect(page.get_by_text("輸入提示詞後按「繪製」", exact=False)).to_be_visible()
