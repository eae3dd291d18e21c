"""What can be done with a run."""

from studio.app.shared.desk import Desk
from studio.runs.queue import ask_run, kill_run
from studio.runs.watch import RunRow

ACTIONS = ("start", "stop", "kill", "save", "sample", "up", "down", "remove")


def act(desk: Desk, action: str, name: str) -> None:
    """Do what a button says.

    Raises:
        UserError: it cannot be done with the run as it is.
    """
    if action == "start":
        desk.queue.add(name)
    elif action in ("up", "down"):
        desk.queue.move(name, -1 if action == "up" else 1)
    elif action == "remove":
        if name in desk.queue.waiting():
            desk.queue.remove(name)
        desk.library.remove_run(name)
    elif name in desk.queue.waiting():
        desk.queue.remove(name)  # stopping one that waits
    elif action == "kill":
        kill_run(desk.library, name)
    else:
        ask_run(desk.library, name, action)  # type: ignore[arg-type]


def usable_actions(row: RunRow | None) -> dict[str, bool]:
    """Return which actions fit the run's state."""
    if row is None:
        return dict.fromkeys(ACTIONS, False)
    waits = row.status == "waiting"
    working = row.status in ("running", "stopping")
    return {
        "start": row.startable,
        "stop": waits or row.status in ("running", "starting"),
        "kill": row.works,
        "save": working,
        "sample": working,
        "up": waits,
        "down": waits,
        "remove": not row.works,
    }
