"""Runs from the form and from outside: check, make, queue, and tell how they stand."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from studio.app.shared.desk import Desk, told
from studio.runs.watch import find_row, run_rows
from trainers.errors import unknown
from trainers.names import check_name


def queue_run(desk: Desk, settings: Mapping[str, Any]) -> str:
    """Check settings, make the run and put it at the end of the queue; return its name.

    Raises:
        UserError: listing every problem of the settings, or the name is taken.
    """
    name = str(desk.engine.result("create_run", {"settings": dict(settings)})["name"])
    desk.queue.add(name)
    return name


def place_endpoints(desk: Desk) -> None:
    """Offer ``train`` and ``status`` to programs, such as `gradio_client`."""

    def train(settings: dict) -> str:
        """Queue a run.

        Args:
            settings: as in a YAML config, such as {"data": …, "name": …, "steps": 250}.

        Returns:
            the run's name.
        """
        with told():
            return queue_run(desk, settings)

    def status(name: str) -> dict:
        """Tell how a run stands.

        Args:
            name: of the run.

        Returns:
            status, step, total, place in the queue, and the problem of a failed run.
        """
        with told():
            rows = run_rows(desk.library, desk.queue)
            row = find_row(rows, check_name(name))
            if row is None:
                raise unknown("Run", name, [own.name for own in rows])
            return {
                "name": row.name,
                "status": row.status,
                "step": row.step,
                "total": row.total,
                "place": row.place,
                "problem": row.problem,
            }

    gr.api(train, api_name="train")
    gr.api(status, api_name="status")
