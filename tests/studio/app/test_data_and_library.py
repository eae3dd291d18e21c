"""The Data and Library tabs in a real browser: captions by keys, bulk and undo, uploads, import, export, removal."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pipelines.bases import load_base
from studio.library.datasets import copy_dataset, example_datasets
from studio.library.library import Library
from studio.operations.import_export import export_adapter
from studio.runs.run import find_run
from tests.app_checking.browsing import open_tab, settle
from tests.studio.app.conftest import RunningApp, free_port
from tests.support import draw_pictures, random_adapter, write_tiny_captioner
from trainers.adapter import write_adapter
from trainers.data.captions import captions_of

_HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """One app for all of this file, with a dataset of six pictures and an adapter."""
    folder = tmp_path_factory.mktemp("studio")
    library = Library(folder)
    copy_dataset(library, example_datasets()["subjects/bip"], "robot")
    for path in sorted((folder / "datasets/robot").glob("*.*"))[12:]:
        path.unlink()
    adapter = random_adapter(load_base("pocket", device="cpu"), "one", parts=("unet",), rank=2)
    write_adapter(library.adapters_folder / "one", adapter)
    running = RunningApp(folder, free_port()).start()
    yield running
    running.close()


def _open_dataset(page: Page, app: RunningApp, folder: Path) -> None:
    open_tab(page, app.url, "data")
    place = page.get_by_label("Or any folder of pictures")
    place.fill(str(folder))
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator("#data-name").get_by_role("textbox")).not_to_have_value("")


def test_captions_are_edited_by_keys_changed_together_and_taken_back(app: RunningApp, page: Page) -> None:
    folder = app.folder / "datasets" / "robot"
    before = captions_of(folder)
    names = list(before)
    _open_dataset(page, app, folder)
    expect(page.locator("#data-status")).to_contain_text("6 pictures, 6 with a caption")
    name = page.locator("#data-name").get_by_role("textbox")
    caption = page.locator("#data-caption").get_by_role("textbox")
    expect(caption).to_have_value(before[names[0]].text)
    caption.fill("by hand")
    caption.press("Control+Enter")
    expect(name).to_have_value(names[1])
    assert captions_of(folder)[names[0]].text == "by hand"
    page.keyboard.press("Alt+ArrowRight")
    expect(name).to_have_value(names[2])
    page.keyboard.press("Alt+ArrowLeft")
    expect(name).to_have_value(names[1])
    page.locator("#tab-data").get_by_role("textbox", name=re.compile("^Text")).fill("zqx, ")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_text("6 captions would change.")).to_be_visible()
    assert captions_of(folder)[names[1]] == before[names[1]]
    page.get_by_role("button", name="Change the captions").click()
    expect(page.get_by_text("6 captions were changed")).to_be_visible()
    assert captions_of(folder)[names[0]].text == "zqx, by hand"
    for _ in range(2):
        page.get_by_role("button", name="Undo the last change").click()
        expect(page.locator("#data-status")).to_contain_text("Taken back")
        page.get_by_role("button", name="Next", exact=True).click()
    expect(page.get_by_role("button", name="Undo the last change")).to_be_disabled()
    assert captions_of(folder) == before
    page.get_by_label("Or any folder of pictures").fill(str(folder / "gone"))
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator("#data-status [role=alert]")).to_contain_text("gone")
    page.reload()
    expect(name).not_to_have_value("")  # the dataset is open again

    choice = page.locator("#data-choice input")
    choice.click()
    page.get_by_role("option", name="styles/blueprint").click()
    expect(page.locator("#data-status")).to_contain_text("24 pictures")
    page.locator("#data-folder textarea, #data-folder input").first.click()
    shown = name.input_value()
    page.get_by_role("button", name="Next", exact=True).click()
    expect(name).not_to_have_value(shown)
    there = name.input_value()
    choice.click()
    page.keyboard.press("Tab")  # looked at and left: the same dataset is not opened anew
    settle(page)
    expect(name).to_have_value(there)


def test_uploads_get_our_names_and_what_ships_is_not_changed(app: RunningApp, page: Page, tmp_path: Path) -> None:
    _open_dataset(page, app, example_datasets()["subjects/bip"])
    expect(page.locator("#data-status")).to_contain_text("are not changed")
    expect(page.locator("#data-caption").get_by_role("textbox")).to_be_disabled()
    page.get_by_label("Name of the new dataset").fill("fresh")
    page.get_by_role("button", name="Make an empty dataset").click()
    expect(page.locator("#data-status")).to_contain_text("This dataset is empty")
    drawn = draw_pictures(tmp_path / "drawn", 2)
    shutil.move(drawn / "1.png", drawn / f"{_HOSTILE}.png")
    (drawn / "1.txt").unlink()
    (drawn / "bad.png").write_bytes(b"nothing")
    page.locator("input[type=file]").first.set_input_files([str(path) for path in sorted(drawn.iterdir())])
    expect(page.get_by_role("cell", name="bad.png")).to_be_visible()
    page.get_by_role("button", name="Add to the dataset").click()
    said = page.get_by_label("What came of it")
    expect(said).to_have_value(re.compile("2 added to fresh"))
    assert "bad.png: cannot be decoded" in said.input_value()
    expect(page.locator("#data-status")).to_contain_text("2 pictures, 1 with a caption")
    folder = app.folder / "datasets" / "fresh"
    assert sorted(path.name for path in folder.glob("*.png")) == ["0001.png", "0002.png"]
    assert page.title() == "Adapter Studio"


def test_a_model_writes_captions_as_a_run_in_the_queue(app: RunningApp, page: Page, tmp_path: Path) -> None:
    folder = draw_pictures(tmp_path / "plain", 3, captions=False)
    (folder / "c.HEIC").touch()
    (folder / "<b>.txt").write_text("of no picture")
    _open_dataset(page, app, folder)
    notes = page.locator("#data-notes")
    expect(notes).to_contain_text("1 picture has a form that is not read (.heic): c.HEIC.")
    expect(notes).to_contain_text("1 caption belongs to no picture that is read: <b>.txt.")
    page.get_by_role("tab", name="Captions by a model").click()
    page.get_by_label("Captioning model").fill(str(write_tiny_captioner(tmp_path / "blip")))
    page.get_by_label("The model's sentence begins with").fill("a red")
    page.locator("#tab-data").get_by_label("Device").fill("cpu")
    page.get_by_role("button", name="Put into the queue").click()
    expect(page.get_by_text("captions-plain: done, 3 of 3 pictures.")).to_be_visible(timeout=120_000)
    expect(page.locator("#data-status")).to_contain_text("3 pictures, 3 with a caption")
    assert find_run(app.library, "captions-plain").status() == "done"
    assert all(caption.text.startswith("a red") for caption in captions_of(folder).values())


def test_an_adapter_is_looked_at_exported_imported_edited_and_removed(
    app: RunningApp, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page(f"{app.url}/?tab=library", locale="en-US")
    page.locator("button[data-name=one]").click()
    details = page.locator("#library-details")
    expect(details.get_by_role("heading", name="one")).to_be_visible()
    page.get_by_role("button", name="Compute the content hash").click()
    expect(details.get_by_text(re.compile("Content hash [0-9a-f]{64}"))).to_be_visible()
    details.get_by_role("tab", name="Export").click()
    page.get_by_role("button", name="See what will be read").click()
    expect(details.get_by_text("All of it is read and applied")).to_be_visible()
    page.get_by_role("button", name="Write the file").click()
    expect(details.get_by_text("modules read back and compared")).to_be_visible()
    exported = next((app.folder / "outputs" / "exports").glob("*/*/one.safetensors"))

    page.locator("#library-upload input[type=file]").set_input_files(str(exported))
    expect(page.locator("#library-upload").get_by_text("one").first).to_be_visible()
    page.get_by_role("button", name="See what it is").click()
    expect(page.get_by_label("What it is")).to_have_value(re.compile("Format: kohya"))
    page.get_by_label("Name in the library").fill("two")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(details.get_by_role("heading", name="two")).to_be_visible()
    details.get_by_role("tab", name="Edit").click()
    details.get_by_label("Name", exact=True).fill("three")
    details.get_by_label("Trigger words, with commas").fill(_HOSTILE)
    details.get_by_role("button", name="Save changes").click()
    expect(page.locator("button[data-name=three]")).to_be_visible()
    expect(page.locator("button[data-name=three]")).to_contain_text("onerror")
    assert app.library.card("three").triggers == (_HOSTILE,)
    export_adapter(app.library, "three", "kohya", tmp_path / "again.safetensors")
    page.get_by_label("Search").fill("thr")
    expect(page.locator("button[data-name=one]")).to_have_count(0)
    expect(details.get_by_role("heading", name="three")).to_be_visible()
    details.get_by_role("tab", name="Edit").click()
    details.get_by_label("Author").fill("typed, not saved")
    page.get_by_role("tab", name="Data", exact=True).click()
    page.get_by_role("tab", name="Library").click()
    settle(page)
    expect(details.get_by_label("Author")).to_have_value("typed, not saved")
    details.get_by_role("tab", name="Remove").click()
    settle(page)  # the browser places what stands in a tab when it is first opened
    details.get_by_label("Name of the adapter").fill("three")
    details.get_by_role("button", name="Remove the adapter").click()
    expect(page.locator("button[data-name=three]")).to_have_count(0)
    assert app.library.names() == ["one"]
    assert page.title() == "Adapter Studio"
