"""axe-core finds nothing serious in any tab, in either theme."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from studio.tabs import tabs
from tests.studio.web.conftest import RunningApp

AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"
KNOWN = {
    # Gradio names the box of a picture or gallery that is empty, and gives the box no role.
    "empty picture": ("aria-prohibited-attr", 'aria-label="Empty value" class="empty'),
}
"""What is Gradio's own: name -> (rule, piece of the element's HTML). Every entry says why in a comment."""
_RUN = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21aa"]});
  return found.violations.filter((item) => ["serious", "critical"].includes(item.impact)).flatMap(
    (item) => item.nodes.map((node) => [item.id, node.html, node.failureSummary]));
}"""


def _is_known(rule: str, element: str) -> bool:
    return any(rule == known and piece in element for known, piece in KNOWN.values())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(app: RunningApp, open_page: Callable[..., Page], theme: str) -> None:
    assert AXE.is_file(), "axe-core is missing. Install it with: npm install --no-save axe-core@4"
    page = open_page(f"{app.url}/?__theme={theme}", locale="en-US")
    page.add_script_tag(path=AXE)
    problems: list[Any] = []
    for name, tab in tabs().items():
        page.get_by_role("tab", name=tab.texts[f"{name}.title"][0], exact=True).click()
        expect(page.locator(f"#tab-{name}")).to_be_visible()
        page.wait_for_timeout(1000)
        for folded in page.locator(f"#tab-{name} button.label-wrap:not(.open)").all():
            if folded.is_visible():
                folded.click()
        page.wait_for_timeout(500)
        problems += [(name, *found) for found in page.evaluate(_RUN) if not _is_known(found[0], found[1])]
    assert not problems, "\n\n".join("\n".join(problem) for problem in problems)
