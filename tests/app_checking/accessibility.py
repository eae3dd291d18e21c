"""What axe-core finds in every tab of the app, in either theme."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

from studio.app.tabs import tabs

from .browsing import open_tab, settle
from .running_app import RunningApp

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
THEMES = ("light", "dark")
KNOWN = {
    # Gradio names the box of a picture or gallery that is empty, and gives the box no role.
    "empty picture": ("aria-prohibited-attr", 'aria-label="Empty value" class="empty'),
}
"""What is Gradio's own: name -> (rule, piece of the element's HTML). Every entry says why in a comment."""
_RUN = """async () => {
  const found = await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa"]});
  const serious = found.violations.filter((item) => ["serious", "critical"].includes(item.impact));
  return [found.passes.length, serious.flatMap(
    (item) => item.nodes.map((node) => [item.id, node.html, node.failureSummary]))];
}"""


@dataclass(frozen=True)
class Looked:
    """What axe says of one tab in one theme."""

    tab: str
    theme: str
    rules: int
    """Rules that it found to hold."""
    problems: tuple[tuple[str, str, str], ...]
    """Serious and critical ones: rule, element, what to do."""
    known: int
    """Those of `KNOWN`, which are not among the problems."""


def look_at_tabs(app: RunningApp, new_page: Callable[[], Page], themes: tuple[str, ...] = THEMES) -> Iterator[Looked]:
    """Open each tab with all its folds open and let axe look.

    Raises:
        AssertionError: axe-core is not installed.
    """
    assert AXE.is_file(), "axe-core is missing. Install it with: npm install --no-save axe-core@4.14.1"
    for theme in themes:
        page = new_page()
        for number, name in enumerate(tabs()):
            if number:
                page.locator(f"#tab-{name}-button").dispatch_event("click")
                page.locator(f"#tab-{name}").wait_for(state="visible")
                settle(page)
            else:
                open_tab(page, app.url, name, f"&__theme={theme}")
                page.add_script_tag(path=AXE)
            for folded in page.locator(f"#tab-{name} button.label-wrap:not(.open)").all():
                if folded.is_visible():
                    folded.dispatch_event("click")
            settle(page)
            rules, found = page.evaluate(_RUN)
            problems = tuple((rule, html, what) for rule, html, what in found if not _is_known(rule, html))
            yield Looked(name, theme, rules, problems, len(found) - len(problems))
        page.close()


def _is_known(rule: str, element: str) -> bool:
    return any(rule == known and piece in element for known, piece in KNOWN.values())
