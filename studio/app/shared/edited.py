"""Which events tell that a user has changed a field, and not the code that fills it."""

from typing import Any

import gradio as gr


def edited(component: Any) -> list[Any]:
    """Return the events that together tell of every change by the user.

    A text box tells `input` of keys alone: what is pasted or dropped into it is told when it is left.
    """
    return [component.input, component.blur] if isinstance(component, gr.Textbox) else [component.input]
