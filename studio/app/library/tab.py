"""Library: the adapters as cards, everything about one of them, and the ways in and out."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.context import Context

from studio.app.library.details import Details
from studio.app.library.importing import build_import
from studio.app.library.shelf import CARD_WORDS, SORTS, cards_html, entries_of, searched
from studio.app.shared.desk import Desk
from studio.app.shared.first_opening import first_opening
from studio.app.shared.memory import browser_memory
from studio.app.shared.tab_record import Tab
from studio.app.shared.words import reader_language
from trainers.errors import UserError

_QUIET: Mapping[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_CLICK = """
element.addEventListener('click', (event) => {
  const card = event.target.closest('button[data-name]');
  if (card) trigger('click', {adapter: card.dataset.name});
});
"""
_CSS = """
.studio-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 0.7rem; padding: 0;
  margin: 0; list-style: none; }
.studio-cards li { margin: 0; }
.studio-cards button { width: 100%; height: 100%; display: flex; flex-direction: column; text-align: left; padding: 0;
  overflow: hidden; cursor: pointer; border-radius: 8px; color: var(--body-text-color);
  border: 1px solid var(--border-color-primary); background: var(--block-background-fill); }
.studio-cards button:hover { border-color: var(--color-accent); }
.studio-cards button:focus-visible { outline: 3px solid var(--color-accent); outline-offset: 1px; }
.studio-cards button[aria-pressed=true] { border-color: var(--color-accent);
  box-shadow: 0 0 0 2px var(--color-accent); }
.studio-cards img, .studio-card-blank { width: 100%; aspect-ratio: 1; object-fit: cover; margin: 0; border-radius: 0;
  background: var(--background-fill-secondary); }
.studio-card-blank { display: flex; align-items: center; justify-content: center; }
.studio-card-blank { padding: 0.6rem; text-align: center; }
.studio-card-answer { font-weight: 400; font-size: 0.8rem; line-height: 1.35; text-align: left;
  overflow-wrap: anywhere; color: var(--body-text-color-subdued); }
.studio-card-text { font-weight: 400; }
.studio-card-text { display: flex; flex-direction: column; padding: 0.5rem 0.6rem; font-size: 0.82rem; gap: 0.15rem;
  overflow-wrap: anywhere; }
.studio-card-text strong { font-size: 0.95rem; }
"""


def _build(desk: Desk) -> None:
    words = desk.words
    own_tab = Context.block
    memory = browser_memory(["", "newest", ""], "studio-library")
    with gr.Row():
        search = gr.Textbox(
            label=words("library.search"), info=words("library.search_help"), max_lines=1, min_width=220
        )
        sort = gr.Dropdown(_sorts(desk), value="newest", label=words("library.sort"), min_width=160)
        refresh = gr.Button(words("shared.refresh"), scale=0, min_width=140)
    told_count = gr.Markdown(elem_id="library-count")
    cards = gr.HTML(
        "", label=words("library.cards"), js_on_load=_CLICK, css_template=_CSS, elem_id="library-cards", padding=False
    )
    selected = gr.State("")
    listing = [told_count, cards, selected, memory]

    def show(search: str, sort: str, name: str, request: gr.Request) -> list[Any]:
        entries = entries_of(desk.library)
        found = searched(entries, search or "", sort if sort in SORTS else "newest")
        name = name if any(entry.name == name for entry in entries) else ""
        if not entries:
            said = words.say(request, "library.none")
        elif not found.entries:
            said = words.say(request, "library.not_found", total=found.total)
        else:
            said = words.say(request, "library.count", count=len(found.entries), total=found.total)
        labels = {key: words.say(request, f"library.{key}") for key in CARD_WORDS}
        return [said, cards_html(found, name, labels, reader_language(request)), name, [search, sort, name]]

    details = Details(desk, selected)
    details.build()

    def again(event: Any) -> Any:
        """After an event, show the list and the selected adapter as they are now."""
        return event.then(show, [search, sort, selected], listing, **_QUIET).then(
            details.show, [selected, details.filled], details.outputs, **_QUIET
        )

    details.wire(again)
    build_import(desk, selected, again)

    def chosen(event: gr.EventData) -> str:
        return str(event._data["adapter"])

    again(cards.click(chosen, None, selected, **_QUIET))
    for event in (search.change, search.submit, sort.change):
        event(show, [search, sort, selected], listing, trigger_mode="always_last", **_QUIET)
    again(refresh.click(lambda: None, None, None, **_QUIET))
    again(
        desk.inbox("library").change(
            lambda sent: (sent or {}).get("name", ""), desk.inbox("library"), selected, **_QUIET
        )
    )
    if isinstance(own_tab, gr.Tab):
        again(own_tab.select(lambda: None, None, None, **_QUIET))
    again(first_opening()(_kept, [memory, desk.inbox("library")], [search, sort, selected], **_QUIET))
    for button, to, content in (
        (details.to_generate, "generate", lambda name: {"adapters": [[_some(name), 1.0]]}),
        (details.to_compare, "compare", lambda name: {"adapters": [_some(name)]}),
        (details.to_blend, "blend", lambda name: {"adapters": [[_some(name), 1.0]]}),
    ):
        if to in desk.inboxes:
            desk.send(button.click, content, [selected], to=to)
        else:
            button.visible = False


def _sorts(desk: Desk) -> list[tuple[Any, str]]:
    return [(desk.words(f"library.{sort if sort == 'newest' else f'by_{sort}'}"), sort) for sort in SORTS]


def _kept(kept: Any, sent: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Return search, sort and selection of last time, whatever a browser kept; what another tab sent wins."""
    if not isinstance(kept, list) or len(kept) != 3 or not all(isinstance(item, str) for item in kept):
        kept = ["", "newest", ""]
    return kept[0], kept[1] if kept[1] in SORTS else "newest", (sent or {}).get("name", kept[2])


def _some(name: str) -> str:
    if not name:
        raise UserError("No adapter is selected. Choose one first.")
    return name


TAB = Tab("library", 50, _build)
