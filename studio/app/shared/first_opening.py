"""What a tab does when it is opened for the first time on a page."""

from typing import Any

import gradio as gr


def first_opening() -> Any:
    """Return the event that happens once on every page, when the tab that is being built is opened there.

    `page.load` would happen for all tabs at once, while the page opens: a dozen requests and their answers, half a
    second of the browser's work, before the first form can be used. What stands inside a tab is placed by the browser
    when the tab is first chosen, and so is the invisible mark that has this event.

    Another tab may have opened this one to leave something in its inbox: what is put back from last time must then
    stand back, so look into the inbox.
    """
    # Any event of HTML will do but `load`: that one happens for everything on the page as soon as the page is there.
    return gr.HTML("", visible="hidden", js_on_load="trigger('expand')").expand
