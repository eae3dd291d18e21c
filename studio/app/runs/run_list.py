"""The part of Runs that lists them: a table, the run that is shown, and those that are laid over it."""

from typing import Any

import gradio as gr

from studio.app.runs.parts import Look
from studio.app.shared.desk import Desk
from studio.app.shared.field_texts import kind_title
from studio.app.shared.named_inputs import Changes, Fields
from studio.app.shared.tables import filled, text_table
from studio.app.shared.words import reader_language
from studio.runs.kinds import run_kinds
from studio.runs.watch import RunRow

_HEADS = ("runs.run", "runs.state", "runs.progress", "runs.kind", "runs.updated")


class RunList:
    """A `Part`."""

    def __init__(self, desk: Desk, around: Fields) -> None:
        """Place it.

        Args:
            around: `none`, what is said while there is no run, and `details`, what is shown else.
        """
        words = desk.words
        self.table = text_table(words, "runs.table", *_HEADS, max_height=260, elem_id="runs-table", wrap=False)
        with gr.Row():
            self.chosen = gr.Dropdown(
                [], label=words("runs.run"), allow_custom_value=True, elem_id="runs-run", min_width=240
            )
            self.beside = gr.Dropdown(
                [], multiselect=True, allow_custom_value=True, label=words("runs.beside"), min_width=240
            )
        self.outputs: Fields = {**around, "table": self.table, "chosen": self.chosen, "beside": self.beside}

    def depends_on(self, look: Look) -> Any:
        """Return all runs, and which are shown."""
        return look.rows, look.name, look.beside

    def changes(self, look: Look) -> Changes:
        """Return the table, and the choices of the boxes."""
        names = [one.name for one in look.rows]
        named = look.name or None
        return {
            "none": gr.update(visible=not look.rows),
            "details": gr.update(visible=bool(look.rows)),
            "table": filled(look.desk.words, look.request, [_cells(look, one) for one in look.rows], *_HEADS),
            # its value only where it must change: another may have been chosen since this look began
            "chosen": gr.update(choices=names) if named == look.choice.name else gr.update(choices=names, value=named),
            "beside": gr.update(choices=[name for name in names if name != look.name], value=list(look.beside)),
        }


def state_of(look: Look, row: RunRow | None) -> str:
    """Return how a run stands, in words."""
    return look.say(f"runs.is.{row.status}", place=row.place) if row else ""


def _cells(look: Look, row: RunRow) -> list[str]:
    steps = f"{row.step:,} / {row.total:,}" if row.total else ""
    updated = row.updated[:19].replace("T", " ") + (" UTC" if row.updated else "")
    kind = run_kinds().get(row.kind)
    title = kind_title(reader_language(look.request), kind) if kind else row.kind
    return [row.name, state_of(look, row), steps, title, updated]
