"""What tests do on the tab Text, and from there on Train."""

from playwright.sync_api import Locator, Page, expect

SLOW_MS = 180_000
"""For what trains, or loads the model libraries first."""


def choose(tab: Locator, row: int, name: str, weight: str) -> None:
    tab.get_by_role("combobox", name="Adapter", exact=True).nth(row).fill(name)
    tab.get_by_label("Exact weight").nth(row).fill(weight)


def send(tab: Locator, text: str) -> None:
    tab.locator("#text-prompt textarea").fill(text)
    tab.locator("#text-send").click()


def pick(tab: Locator, label: str, name: str) -> None:
    tab.get_by_label(label, exact=True).click()
    tab.page.get_by_role("option", name=name, exact=True).last.click()  # the list of another may still be closing


def queue(page: Page, name: str, steps: int) -> None:
    """Shorten the run that the form holds, queue it, and go to where it is watched."""
    expect(page.locator("#field-run-name").locator("input, textarea")).to_have_value(name)
    page.locator("#field-run-steps input").first.fill(str(steps))
    page.locator("#train-add").click()
    expect(page.locator("#train-watch")).to_be_visible(timeout=SLOW_MS)
    page.locator("#train-watch").click()


def show_rows(tab: Locator, data: str) -> None:
    field = tab.get_by_role("combobox", name="Data")
    field.fill(data)
    field.press("Enter")
    tab.locator("#text-show").click()
