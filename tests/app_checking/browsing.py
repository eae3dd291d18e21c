"""A real browser that stays on this machine, and pages in it that have come to rest."""

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, Page, sync_playwright

_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP evil.example 127.0.0.1",  # a foreign name that leads here, as in DNS rebinding
)

_AT_REST = """([quiet, longest]) => new Promise((done) => {
  let timer = setTimeout(done, quiet);
  const observer = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, quiet); });
  observer.observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
  setTimeout(done, longest);
})"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium for the length of a block; no browser is ever downloaded.

    Raises:
        AssertionError: there is none.
    """
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "Chromium is needed. Install it, for example with: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_QUIET))
        yield browser
        browser.close()


def open_tab(page: Page, url: str, name: str, query: str = "") -> None:
    """Open one tab of the app and wait until it is there and at rest."""
    page.goto(f"{url}/?tab={name}{query}")
    page.locator(f"#tab-{name}").wait_for(state="visible")
    settle(page)


def settle(page: Page, *, quiet_ms: int = 400, longest_ms: int = 5_000) -> None:
    """Wait until nothing on the page changes any more.

    The network is never idle: a page of Gradio holds a stream open for as long as it lives.
    """
    page.evaluate(_AT_REST, [quiet_ms, longest_ms])
