"""What a browser remembers for a tab, from one visit to the next."""

from typing import Any

import gradio as gr
from gradio.context import Context


def browser_memory(first: Any, key: str) -> gr.BrowserState:
    """Return a value that the browser keeps under a key, and that `load` events of the page can read.

    It stands outside of all tabs: what stands inside one is placed when the tab is first opened, and until then its
    value would be `first`, whatever the browser has kept.
    """
    inside, Context.block = Context.block, Context.root_block
    try:
        return gr.BrowserState(first, storage_key=key, secret="studio")  # noqa: S106 - it hides nothing
    finally:
        Context.block = inside
