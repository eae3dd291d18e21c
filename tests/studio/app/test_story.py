"""From nothing to a picture, as a user walks it in one app: train, come back, compare, blend, share, draw."""

import re
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect

from pipelines.image_file import read_settings
from studio.operations.stored_comparisons import drawn_comparisons
from studio.runs.run import find_run
from tests.studio.app.conftest import RunningApp, free_port
from trainers.adapter import read_adapter

_LONG = 80
"""Steps of the run that is reloaded, stopped and resumed on its way: enough to be still at work after a reload."""
_SLOW_MS = 180_000
"""For what trains, or loads the model libraries first."""


def test_two_styles_are_trained_compared_blended_shared_and_drawn(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    app = RunningApp(tmp_path / "library", free_port()).start()
    try:
        page = open_page(app.url, locale="en-US")
        _train(page, "blueprint", steps=4, resolution=64)
        expect(page.locator("#runs-head")).to_contain_text("my-blueprint · done", timeout=_SLOW_MS)
        page.get_by_role("tab", name="Train").click()
        _train(page, "watercolor", steps=_LONG, resolution=128)
        _come_back_stop_and_resume(page, app)
        assert app.library.names() == ["my-blueprint", "my-watercolor"]
        _compare(page, app)
        _blend(page, app)
        _share(page, app)
        _draw(page, app)
    finally:
        app.close()


def _train(page: Page, style: str, *, steps: int, resolution: int) -> None:
    """Fill in the form as it stands on the page, queue the run, and go to where it is watched."""
    expect(_field(page, "learning_rate", "unet")).to_be_visible(timeout=_SLOW_MS)  # the list of methods has been read
    if style != "blueprint":  # which the form begins with
        page.get_by_role("combobox", name="Example data").click()
        page.get_by_role("option", name=re.compile(style)).click()
    expect(_field(page, "name")).to_have_value(f"my-{style}")
    _field(page, "steps").fill(str(steps))
    _field(page, "batch_size").fill("1")
    _field(page, "resolution_px").fill(str(resolution))
    page.locator("#train-add").click()
    expect(page.locator("#train-report")).to_contain_text(f"my-{style} is in the queue", timeout=_SLOW_MS)
    page.locator("#train-watch").click()
    expect(page.locator("#runs-head")).to_contain_text(f"my-{style}")


def _field(page: Page, name: str, part: str = "run") -> Locator:
    return page.locator(f"#field-{part}-{name}").locator("input, textarea").first


def _come_back_stop_and_resume(page: Page, app: RunningApp) -> None:
    head = page.locator("#runs-head")
    expect(head).to_contain_text(re.compile(rf"my-watercolor · working.* [1-9]\d* / {_LONG}"), timeout=_SLOW_MS)
    page.reload()
    expect(head).to_contain_text(re.compile(rf"my-watercolor · working.* [1-9]\d* / {_LONG}"))
    shown = _step(head)
    expect(page.locator("#runs-loss")).to_contain_text("my-watercolor: smoothed")
    expect(page.locator("#tab-runs").get_by_text("step 0: ").first).to_be_visible()
    expect(page.get_by_label("Log", exact=True)).to_have_value(re.compile("trainable parameters"))
    page.get_by_role("button", name="Stop after this step").click()
    expect(head).to_contain_text("my-watercolor · stopped, can be resumed")
    stopped = find_run(app.library, "my-watercolor").state()["step"]
    assert shown <= stopped < _LONG
    page.get_by_role("button", name="Start or resume").click()
    expect(head).to_contain_text(f"my-watercolor · done {_LONG} / {_LONG}", timeout=_SLOW_MS)
    lines = (find_run(app.library, "my-watercolor").folder / "metrics.jsonl").read_text().splitlines()
    assert [line.count('"loss"') for line in lines].count(1) >= _LONG


def _step(head: Locator) -> int:
    found = re.search(rf"(\d+) / {_LONG}", head.inner_text())
    assert found
    return int(found[1])


def _compare(page: Page, app: RunningApp) -> None:
    page.get_by_role("tab", name="Compare").click()
    for name in ("my-blueprint", "my-watercolor"):
        page.get_by_role("combobox", name="Adapters").click()
        page.get_by_role("option", name=name, exact=True).click()
    page.keyboard.press("Escape")
    page.get_by_label("Weights").locator("visible=true").fill("1")
    page.get_by_label("Prompts, one a line").fill("a red boat, sea")
    page.get_by_label("Seeds").locator("visible=true").fill("0")
    page.get_by_role("button", name="More settings").locator("visible=true").click()
    page.get_by_label("number input for Steps").locator("visible=true").fill("2")
    page.get_by_role("button", name="Work out the cost").click()
    expect(page.get_by_text("3 pictures, 0 of them drawn already; 3 to draw")).to_be_visible(timeout=_SLOW_MS)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("Means over prompts and seeds").first).to_be_visible(timeout=_SLOW_MS)
    (drawn,) = drawn_comparisons(app.library)
    assert [line[0] for line in drawn.means()[1:]] == ["base", "my-blueprint", "my-watercolor"]
    scored = {"style:my-blueprint", "style:my-watercolor"}
    assert scored <= set(drawn.means()[0]), "each style is scored by its own pictures"


def _blend(page: Page, app: RunningApp) -> None:
    page.get_by_role("tab", name="Blend").click()
    tab = page.locator("#tab-blend")
    tab.get_by_label("Draw as I move the sliders").uncheck()  # it would draw before it saves
    for row, name in enumerate(("my-blueprint", "my-watercolor")):
        adapter = tab.get_by_role("combobox", name="Adapter", exact=True).nth(row)
        adapter.fill(name)
        adapter.press("Enter")
    slider = tab.get_by_role("slider", name="Weight, −2 to 2").first
    slider.focus()
    for _ in range(3):
        slider.press("PageUp")
    expect(slider).not_to_have_value("0.5")
    moved = float(slider.input_value())
    tab.get_by_label("Name of the blend").fill("mix")
    tab.get_by_role("button", name="Save and prove").click()
    expect(page.get_by_text("mix is in the library")).to_be_visible(timeout=_SLOW_MS)
    recipe = app.library.card("mix").recipe
    assert recipe is not None
    assert {parent.name: parent.weight for parent in recipe.parents} == {"my-blueprint": moved, "my-watercolor": 0.5}


def _share(page: Page, app: RunningApp) -> None:
    """Write the blend as a file for other programs, and take that file in again under another name."""
    page.get_by_role("tab", name="Library").click()
    page.locator("button[data-name=mix]").click()
    details = page.locator("#library-details")
    expect(details.get_by_role("heading", name="mix")).to_be_visible()
    details.get_by_role("tab", name="Export").click()
    details.get_by_role("button", name="Write the file").click()
    expect(details.get_by_text("modules read back and compared")).to_be_visible(timeout=_SLOW_MS)
    exported = next((app.folder / "outputs" / "exports").glob("*/*/mix.safetensors"))
    page.locator("#library-upload input[type=file]").set_input_files(str(exported))
    expect(page.locator("#library-upload").get_by_text("mix").first).to_be_visible()
    page.get_by_role("button", name="See what it is").click()
    expect(page.get_by_label("What it is")).to_have_value(re.compile("Format: kohya"))
    page.get_by_label("Name in the library").fill("come-back")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(details.get_by_role("heading", name="come-back")).to_be_visible()
    ours, theirs = (read_adapter(app.library.adapters_folder / name) for name in ("mix", "come-back"))
    assert set(ours.parts) == set(theirs.parts) == {"unet", "text_encoder"}


def _draw(page: Page, app: RunningApp) -> None:
    page.get_by_role("button", name="Use in Generate").click()
    tab = page.locator("#tab-generate")
    expect(tab.get_by_role("combobox", name="Adapter", exact=True).first).to_have_value("come-back")
    tab.get_by_label("number input for Steps").first.fill("2")
    tab.get_by_role("button", name="Draw", exact=True).click()
    expect(tab.get_by_text(re.compile(r"Done: 2 pictures, seed \d+"))).to_be_visible(timeout=_SLOW_MS)
    with_it, without = sorted((app.folder / "outputs" / "pictures").glob("*/*.png"))
    settings = [read_settings(path) for path in (with_it, without)]
    assert [found["adapters"] for found in settings if found] == [{"come-back": 1.0}, {}]
    assert Image.open(with_it).tobytes() != Image.open(without).tobytes()
