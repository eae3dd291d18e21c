"""From nothing to a blend of voices, as a user walks it in one app: train, come back, chat, vote, blend."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from studio.resources import example_folder
from tests.studio.app.conftest import RunningApp, free_port
from tests.studio.app.text_tab import SLOW_MS, choose, pick, queue, send, show_rows


def test_two_voices_are_trained_watched_heard_judged_and_blended(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    """The whole way in one app, from an empty library."""
    app = RunningApp(tmp_path / "library", free_port()).start()
    try:
        page = open_page(app.url, locale="en-US")
        _learn_and_come_back(page, app, "pirate", steps=120)
        _learn_and_come_back(page, app, "haiku", steps=3)
        page.get_by_role("button", name="Chat with it").click()
        tab = page.locator("#tab-text")
        expect(tab.get_by_role("combobox", name="Adapter", exact=True).first).to_have_value("my-haiku")
        tab.get_by_role("button", name="Add an adapter").click()
        choose(tab, 1, "my-pirate", "0.75")
        tab.get_by_label("Longest answer in tokens").fill("12")
        send(tab, "Where is Tom?")
        expect(tab.get_by_text("Done: 4 answers, seed 0.")).to_be_visible(timeout=SLOW_MS)
        pick(tab, "Better", "my-pirate")
        tab.get_by_role("button", name="Keep the vote").click()
        expect(tab.locator("#text-voted")).to_contain_text("Pairs kept for pocket-lm: 1.")
        tab.get_by_role("button", name="Save the blend, and where").click()
        tab.get_by_label("Name of the blend").fill("sea-poems")
        tab.get_by_role("button", name="Save and prove").click()
        expect(tab.get_by_role("button", name="Show it in the library")).to_be_visible(timeout=SLOW_MS)
        recipe = app.library.card("sea-poems").recipe
        assert recipe is not None
        assert {parent.name: parent.weight for parent in recipe.parents} == {"my-haiku": 1.0, "my-pirate": 0.75}
    finally:
        app.close()


def _learn_and_come_back(page: Page, app: RunningApp, voice: str, steps: int) -> None:
    """Train on a voice from its rows, and reload the page on the way."""
    page.get_by_role("tab", name="Text", exact=True).click()
    tab = page.locator("#tab-text")
    tab.get_by_role("tab", name="Texts to learn from").click()
    show_rows(tab, str(example_folder(f"texts/{voice}")))
    expect(tab.locator("#text-rows section")).to_have_count(3, timeout=SLOW_MS)
    tab.locator("#text-train").click()
    queue(page, f"my-{voice}", steps)
    head = page.locator("#runs-head")
    expect(head).to_contain_text(re.compile(rf"my-{voice} · (working|done)"), timeout=SLOW_MS)
    page.reload()
    expect(head).to_contain_text(f"my-{voice} · done", timeout=SLOW_MS)
    expect(page.locator("#runs-loss")).to_contain_text(f"my-{voice}: smoothed")
    expect(page.locator("#runs-answers section").first).to_be_visible()
    assert app.library.card(f"my-{voice}").data["stage"] == "sft"
