"""Keep a form's values in the browser, so that they survive a reload of the page and a restart of the app.

Both directions run in the browser alone: what a user types while the page still loads is never overwritten by an answer
that was under way.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from studio.app.shared.first_opening import first_opening
from studio.app.shared.memory import browser_memory
from studio.app.shared.named_inputs import QUIET, Changes, Fields, named

_SAVE = """(...now) => {
  const names = %(names)s;
  const kept = Object.fromEntries(names.map((name, place) => [name, now[place]]));
  if ((window.studioKept || {})[%(key)s]) localStorage.setItem(%(place)s, JSON.stringify(kept));
  return [];
}"""
_READ = """() => {
  try { return [JSON.parse(localStorage.getItem(%(place)s))]; } catch { return [null]; }
}"""
_RESTORE = """(saved, ...now) => {
  (window.studioKept = window.studioKept || {})[%(key)s] = true;
  const names = %(names)s, first = %(first)s;
  if (!saved || typeof saved !== "object") return now;
  const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
  const kept = (name, place) => Object.hasOwn(saved, name) && same(now[place], first[place]);
  return names.map((name, place) => kept(name, place) ? saved[name] : now[place]);
}"""

Check = Callable[[dict[str, Any]], tuple[Mapping[str, Any], Changes]]
"""(saved values by name) -> (those that can be used, changes of `further`); also called with none, when nothing is
saved. A field that has come since they were saved is not among them."""


def keep_form(
    key: str, fields: Fields | Sequence[Any], further: Fields | Sequence[Any], check: Check | Callable[..., Any]
) -> None:
    """Save the fields' values on every change, and put them back when the open tab is first opened on a page.

    Args:
        key: the form's name; forms of other names are kept apart.
        further: what has to change along with restored values, such as what is visible; its names are others than
            `saved`.
        check: leaves out what no longer exists.
    """
    if not isinstance(fields, Mapping) or not isinstance(further, Mapping):
        keep_form(key, *_numbered(list(fields), list(further), check))
        return
    # Written by the script above and not as a BrowserState: that one is still empty when the first changes come in, and
    # would be overwritten with nothing. Here it only carries the checked values back to the browser.
    saved = browser_memory(None, f"studio-{key}-read")
    components = list(fields.values())
    first = [component.value for component in components]
    texts = {"key": key, "place": f"studio-{key}", "names": list(fields), "first": first}
    words = {name: json.dumps(value) for name, value in texts.items()}

    def checked(saved: Any) -> Changes:
        known = {name: saved[name] for name in fields if name in saved} if isinstance(saved, dict) else {}
        usable, changes = check(known)
        return {"saved": dict(usable) or None, **changes}

    opened = first_opening()(**named(checked, {"saved": saved}, {"saved": saved, **further}), js=_READ % words, **QUIET)
    opened.then(None, [saved, *components], components, js=_RESTORE % words, **QUIET)
    gr.on([component.change for component in components], None, components, None, js=_SAVE % words, **QUIET)


def _numbered(components: Sequence[Any], further: Sequence[Any], check: Callable[..., Any]) -> tuple[Any, Any, Any]:
    """Return fields, further fields and check by name, for a form whose fields have an order alone."""

    def checked(values: dict[str, Any]) -> tuple[Any, Any]:
        found, updates = check(list(values.values()) if len(values) == len(components) else [])
        return {str(place): value for place, value in enumerate(found)}, dict(zip(more, updates, strict=True))

    more = {f"further {place}": component for place, component in enumerate(further)}
    return {str(place): component for place, component in enumerate(components)}, more, checked
