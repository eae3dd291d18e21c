"""The rows of adapters and weights: what is read from a browser's answer, and what is shown."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from studio.app.blend.form import MOST_ROWS
from studio.app.shared.weight_rows import WeightRows, pairs
from studio.library.library import Library
from tests.studio.app.conftest import RunningApp, free_port


@pytest.fixture
def rows(tmp_path: Path) -> WeightRows:
    return WeightRows(Library(tmp_path), names_in=lambda _: ["north", "south"], least=2, first=0.5)


def test_what_is_no_row_is_left_out() -> None:
    assert pairs([["north", 1], ["", -2.5], [None, None]]) == [("north", 1.0), (None, -2.5), (None, None)]
    assert pairs([["north", "1"], ["south", True], [5, 0.5]]) == [("north", None), ("south", None), (None, 0.5)]
    assert pairs([["north"], "north", None, {"name": 1}, ["a", 1, 2]]) == []
    for wrong in (None, "north", 3, {"north": 1}):
        assert pairs(wrong) == []
    assert len(pairs([["north", 1.0]] * 100)) == MOST_ROWS


def test_empty_rows_fill_up_and_too_many_are_cut(rows: WeightRows) -> None:
    assert rows.laid_out([]) == [[None, 0.5], [None, 0.5]]
    assert rows.laid_out([("north", 3.0)]) == [["north", 3.0], [None, 0.5]]
    assert len(rows.laid_out([("north", 1.0)] * 20)) == MOST_ROWS


def test_only_adapters_of_the_library_fit(rows: WeightRows) -> None:
    wanted = [("north", 1.0), ("north@20", 0.5), ("gone", 1.0), (None, 1.0)]
    assert rows.fitting(wanted) == ([("north", 1.0), ("north@20", 0.5)], ["gone"])
    assert rows.fitting([("south", 1.0)] * (MOST_ROWS + 1)) == ([("south", 1.0)] * MOST_ROWS, ["south"])


_APP = """
import gradio as gr
from pathlib import Path
from studio.app.shared.tab_record import Tab
from studio.app.shared.weight_rows import WeightRows

def build(desk):
    rows = WeightRows(desk.library, names_in=lambda _: ["north", '<b id="bold">'])
    told, chosen = gr.JSON(elem_id="told"), gr.Number(0, label="Chosen")
    number = gr.State(0)
    rows.box.input(lambda value: value, rows.box, told, trigger_mode="always_last")
    rows.box.select(lambda number: (number + 1,) * 2, number, [number, chosen], trigger_mode="multiple")
    gr.Button("Fill").click(lambda: rows.laid_out([("north", -7.25), ('<b id="bold">', 0.5)]), None, rows.box)

TAB = Tab("rows", 0, build)
"""


@pytest.fixture(scope="module")
def app_of_rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app with a tab of rows before all others."""
    folder = tmp_path_factory.mktemp("rows")
    room = folder / "rooms" / "rows"
    room.mkdir(parents=True)
    (room / "__init__.py").write_text("")
    (room / "tab.py").write_text(_APP)
    (room / "locales").mkdir()
    (room / "locales" / "en.json").write_text('{"rows.title": "Rows"}')
    (folder / "sitecustomize.py").write_text(
        f"import studio.app; studio.app.__path__.append({str(folder / 'rooms')!r})"
    )
    path = {"PYTHONPATH": f"{folder}:{Path(__file__).resolve().parents[3]}"}
    app = RunningApp(folder / "library", free_port(), path).start()
    yield app
    app.close()


@pytest.fixture
def rows_page(app_of_rows: RunningApp, open_page: Callable[..., Page]) -> Callable[..., Page]:
    """Open the tab in a language."""
    return lambda locale: open_page(f"{app_of_rows.url}/?tab=rows", locale=locale)


def _value(page: Page, expected: list[Any]) -> None:
    held = page.locator("#told")
    for word in (str(part) for row in expected for part in row):
        expect(held).to_contain_text(word)


def test_slider_number_and_names_follow_each_other(rows_page: Callable[..., Page]) -> None:
    page = rows_page("en-US")
    name, slider = page.get_by_role("combobox", name="Adapter"), page.get_by_role("slider", name="Weight, −2 to 2")
    number = page.get_by_label("Exact weight")
    slider.fill("-0.5")
    expect(number).to_have_value("-0.5")
    number.fill("12")
    expect(slider).to_have_value("2")
    name.fill("north")
    name.blur()  # the names may not be there yet, by which a written one is known at once
    _value(page, [["north", 12]])
    expect(page.get_by_label("Chosen")).to_have_value("1")  # the weights told nothing of this

    page.get_by_role("button", name="Fill").click()
    expect(name).to_have_count(2)
    expect(number.first).to_have_value("-7.25")
    expect(slider.first).to_have_value("-2")
    expect(name.nth(1)).to_have_value('<b id="bold">')
    expect(page.locator("#bold")).to_have_count(0)  # a name is a text and never a piece of the page
    expect(page.get_by_label("Chosen")).to_have_value("2")
    page.get_by_role("button", name="Remove").first.click()
    expect(name).to_have_count(1)
    expect(name).to_have_value('<b id="bold">')
    for count in range(2, MOST_ROWS + 1):
        page.get_by_role("button", name="Add an adapter").click()
        expect(name).to_have_count(count)
    expect(page.get_by_role("button", name="Add an adapter")).to_be_disabled()


def test_a_click_offers_all_names_and_loses_none(rows_page: Callable[..., Page]) -> None:
    page = rows_page("zh-TW")
    name = page.get_by_role("combobox", name="轉接器")
    name.fill("north")
    name.blur()
    name.click()
    expect(name).to_have_value("")
    page.get_by_label("精確權重").click()
    expect(name).to_have_value("north")
