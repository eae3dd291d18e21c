"""The page: a head and the tabs, each from its own file."""

import json
from collections.abc import Mapping

import gradio as gr

from studio.app.shared.desk import Desk
from studio.app.shared.tab_record import Tab
from studio.app.shared.words import Words
from studio.app.tabs import tabs
from studio.engine.client import Engine
from studio.library.library import Library
from studio.runs.queue import RunQueue

_NAME_IN_ADDRESS = """() => {
  if (window.studioTabs) {
    const address = new URL(window.location);
    address.searchParams.set("tab", %s);
    window.history.replaceState(window.history.state, "", address);
  }
  window.studioTabs = true;
  return [];
}"""
"""Names the tab in the address, so that a reload or a bookmark opens it again. The first call is no choice: it tells
of the tab that stands open before the address has been looked at."""

_OPEN_NAMED = """() => {
  const wanted = new URLSearchParams(window.location.search).get("tab");
  return [%s.includes(wanted) ? { __type__: "update", selected: wanted } : { __type__: "update" }];
}"""
"""Opens the tab that the address names."""


def build_app(library: Library, engine: Engine, found: Mapping[str, Tab] | None = None) -> tuple[gr.Blocks, Desk]:
    """Return the page and what its tabs share.

    Args:
        found: the tabs; all of `studio.app.tabs` unless given.
    """
    shown = tabs() if found is None else found
    words = Words()
    desk = Desk(library, RunQueue(library), engine, words)
    with gr.Blocks(title="Adapter Studio", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.Markdown(words("app.head"), elem_classes="studio-head")
        desk.inboxes = {name: gr.State() for name in shown}
        with gr.Tabs(selected=next(iter(shown), None)) as desk.tabs:
            for name, tab in shown.items():
                with gr.Tab(words(f"{name}.title"), id=name, elem_id=f"tab-{name}") as placed:
                    tab.build(desk)
                placed.select(None, None, None, js=_NAME_IN_ADDRESS % json.dumps(name), api_visibility="private")
        page.load(None, None, desk.tabs, js=_OPEN_NAMED % json.dumps(list(shown)), api_visibility="private")
    _report_to_few(page)
    return page, desk


def _report_to_few(page: gr.Blocks) -> None:
    """Let an event report its progress to its first output, and to nothing when its progress is hidden.

    The browser tells every component that any event ever reported to about every step of every later event, and walks
    the whole page for each of them: opening the tab Blend made 26 million steps of that walk, half a minute of work.
    """
    for event in page.fns.values():
        if event.show_progress == "hidden":
            event.show_progress_on = []
        elif event.show_progress_on is None:
            event.show_progress_on = event.outputs[:1]
