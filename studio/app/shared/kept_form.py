"""Keep a form's values in the browser, so that they survive a reload of the page and a restart of the app.

Both directions run in the browser alone: what a user types while the page still loads is never overwritten by an answer
that was under way.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from studio.app.shared.first_opening import first_opening
from studio.app.shared.memory import browser_memory

_SAVE = """(...now) => {
  if ((window.studioKept || {})[%(key)s]) localStorage.setItem(%(place)s, JSON.stringify(now));
  return [];
}"""
_READ = """() => {
  try { return [JSON.parse(localStorage.getItem(%(place)s))]; } catch { return [null]; }
}"""
_RESTORE = """(saved, ...now) => {
  (window.studioKept = window.studioKept || {})[%(key)s] = true;
  const first = %(first)s;
  if (!Array.isArray(saved) || saved.length !== now.length) return now;
  const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
  return now.map((value, place) => same(value, first[place]) ? saved[place] : value);
}"""

Check = Callable[[list[Any]], tuple[list[Any], list[Any]]]
"""(saved values) -> (values that can be used, updates of `further`); also called with none, when nothing is saved."""


def keep_form(key: str, components: Sequence[Any], further: Sequence[Any], check: Check) -> None:
    """Save the components' values on every change, and put them back when the open tab is first opened on a page.

    Args:
        key: the form's name; forms of other names are kept apart.
        further: what has to change along with restored values, such as what is visible.
        check: leaves out what no longer exists.
    """
    # Written by the script above and not as a BrowserState: that one is still empty when the first changes come in, and
    # would be overwritten with nothing. Here it only carries the checked values back to the browser.
    saved = browser_memory(None, f"studio-{key}-read")
    first = [component.value for component in components]
    words = {"key": json.dumps(key), "place": json.dumps(f"studio-{key}"), "first": json.dumps(first)}
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def checked(values: list[Any] | None) -> list[Any] | None:
        usable = isinstance(values, list) and len(values) == len(components)
        found, updates = check(list(values) if usable and values is not None else [])
        return [found or None, *updates] if further else found or None

    opened = first_opening()(checked, [saved], [saved, *further], js=_READ % words, **quiet)
    opened.then(None, [saved, *components], list(components), js=_RESTORE % words, **quiet)
    gr.on(
        [component.change for component in components],
        None,
        list(components),
        None,
        js=_SAVE % words,
        **quiet,
    )
