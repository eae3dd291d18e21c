"""Pictures of every tab of the app, in both themes and at a phone's width, from the app as it runs.

    python tools/app_screenshots.py --out screenshots [--library FOLDER] [--tab NAME …] [--format jpeg]

Tabs that show what was asked of them are asked first: Generate draws, Compare draws a grid, Text answers, Blend blends.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what tests do to the app is not installed

from playwright.sync_api import Page

from studio.app.tabs import tabs
from studio.library.library import Library
from studio.report import Terminal
from tests.app_checking.browsing import chromium, open_tab, settle
from tests.app_checking.running_app import RunningApp

VIEWS = {"light": ("light", 1280), "dark": ("dark", 1280), "narrow": ("light", 390)}
"""Name of a view -> theme, and width in px."""
STYLES = ("blueprint", "watercolor")
VOICES = ("pirate", "haiku")
_LONGEST_MS = 300_000


def main(out: Path, library: Path, names: Sequence[str], form: str, locale: str) -> list[Path]:
    """Write ``TAB-VIEW.png`` for every tab and view, and return the paths.

    Args:
        form: png or jpeg.
    """
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    app = RunningApp(library)
    with chromium() as browser:
        app.start()
        try:
            for name in names or tabs():
                for view, (theme, width_px) in VIEWS.items():
                    page = browser.new_page(locale=locale, viewport={"width": width_px, "height": 900})
                    page.set_default_timeout(_LONGEST_MS)
                    open_tab(page, app.url, name, f"&__theme={theme}")
                    if name in _FILLED and locale.startswith("en"):
                        _FILLED[name](page)
                    settle(page, quiet_ms=2000, longest_ms=20_000)
                    written.append(out / f"{name}-{view}.{form}")
                    quality = {"quality": 80} if form == "jpeg" else {}
                    page.screenshot(path=written[-1], full_page=True, type=form, **quality)  # type: ignore[arg-type]
                    page.close()
                    print(written[-1], flush=True)
        finally:
            app.close()
    return written


def _draw(page: Page) -> None:
    tab = page.locator("#tab-generate")
    tab.get_by_role("combobox", name="Adapter", exact=True).first.fill(STYLES[0])
    page.keyboard.press("Enter")
    tab.get_by_role("button", name="Draw", exact=True).click()
    tab.get_by_text("Done:").first.wait_for()


def _compare(page: Page) -> None:
    tab = page.locator("#tab-compare")
    for name in STYLES:
        tab.get_by_role("combobox", name="Adapters").click()
        page.get_by_role("option", name=name, exact=True).click()
    tab.get_by_role("textbox", name="Weights").first.fill("0.5,1")
    tab.get_by_label("Prompts, one a line").fill("a red boat, sea\na cat, room")
    tab.get_by_role("textbox", name="Seeds").fill("0")
    tab.get_by_role("button", name="More settings").locator("visible=true").click()
    tab.get_by_label("number input for Steps").locator("visible=true").fill("10")
    tab.get_by_role("button", name="Work out the cost").click()
    tab.get_by_role("button", name="Start", exact=True).click()
    page.get_by_text("Means over prompts and seeds").first.wait_for()


def _chat(page: Page) -> None:
    tab = page.locator("#tab-text")
    for row, name in enumerate(VOICES):
        tab.get_by_role("combobox", name="Adapter", exact=True).nth(row).fill(name)
        page.keyboard.press("Enter")
        if not row:
            tab.get_by_role("button", name="Add an adapter").click()
    tab.get_by_role("button", name="Send", exact=True).click()
    tab.get_by_text("Done:").first.wait_for()


def _watch(page: Page) -> None:
    page.locator("#tab-runs").get_by_text(STYLES[0]).first.click()


_FILLED: Mapping[str, Callable[[Page], None]] = {"generate": _draw, "compare": _compare, "text": _chat, "runs": _watch}


def train_demo_library(folder: Path, steps: int) -> None:
    """Train two of the shipped styles and two voices into a library, unless it has them."""
    from studio.resources import example_folder
    from studio.runs.kinds import kind_of
    from studio.runs.run import create_run, execute

    library = Library(folder)
    runs = [{"kind": "images", "data": f"styles/{style}", "name": style, "seed": 1} for style in STYLES]
    runs += [{"kind": "text", "data": f"texts/{voice}", "name": voice, "batch_size": 16} for voice in VOICES]
    for run in runs:
        if run["name"] not in library.names():
            settings = {**run, "data": str(example_folder(str(run["data"]))), "steps": steps}
            with Terminal() as report:
                execute(create_run(library, kind_of(settings).parse(settings)), report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("screenshots"), help="folder of the pictures")
    parser.add_argument("--library", type=Path, help="a library to show; else styles and voices are trained for it")
    parser.add_argument("--tab", action="append", default=[], choices=list(tabs()), help="a tab; default all of them")
    parser.add_argument("--steps", type=int, default=30, help="training steps of each adapter (default 30)")
    parser.add_argument("--format", choices=["png", "jpeg"], default="png")
    parser.add_argument("--locale", default="en-US", help="language of the browser, such as zh-TW")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if options.library is None:
            train_demo_library(Path(temporary), options.steps)
        main(options.out, options.library or Path(temporary), options.tab, options.format, options.locale)
