"""What every tab is given: the library, the queue, the inference process, texts, and the way to other tabs."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from studio.app.shared.field_names import on_page
from studio.app.shared.words import Words
from studio.engine.client import Engine
from studio.library.library import Library
from studio.runs.queue import RunQueue
from trainers.errors import UserError


@dataclass
class Desk:
    """The app as a tab sees it."""

    library: Library
    queue: RunQueue
    engine: Engine
    words: Words
    tabs: gr.Tabs | None = None
    inboxes: dict[str, gr.State] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def send(
        self, event: Callable[..., Any], content: Callable[..., Mapping[str, Any]], inputs: Sequence[Any], to: str
    ) -> None:
        """On an event such as ``button.click``, open another tab and put something into its inbox.

        The tab that receives it listens to ``desk.inbox(name).change``.

        Args:
            content: (values of `inputs`) -> plain values, in the receiving tab's own words.
        """

        def deliver(*values: Any) -> tuple[Any, Any]:
            with told():
                return {**content(*values), "number": next(self._numbers)}, gr.Tabs(selected=to)

        event(deliver, list(inputs), [self.inbox(to), self.tabs], api_visibility="private", show_progress="hidden")

    def inbox(self, name: str) -> gr.State:
        """Return the state in which other tabs leave things for a tab."""
        return self.inboxes[name]

    @property
    def outputs(self) -> Path:
        """Where pictures and sheets made in the app lie; the only place besides previews that is served."""
        return self.library.folder / "outputs"


class told:
    """Turn a UserError of the block into a notice of Gradio's; every other error keeps its traceback for the log.

    For handlers that have no place of their own for the sentence; where there is one, it stands there."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UserError):
            raise gr.Error(on_page(str(error)), duration=None, print_exception=False) from error
