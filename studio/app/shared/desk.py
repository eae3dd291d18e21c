"""What every tab is given: the library, the queue, the inference process, texts, and the way to other tabs."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from studio.app.shared.field_names import on_page
from studio.app.shared.named_inputs import QUIET, Changes, named
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
        self,
        event: Callable[..., Any],
        content: Callable[..., Mapping[str, Any]],
        inputs: Mapping[str, Any] | Sequence[Any],
        to: str,
    ) -> None:
        """On an event such as ``button.click``, open another tab and put something into its inbox.

        The tab that receives it listens to ``desk.inbox(name).change``.

        Args:
            content: takes `inputs` by name, as a handler of `named`; returns plain values, in the receiving tab's own
                words.
            inputs: as of `named`; a sequence gives its values in their order.
        """

        def sent(found: Mapping[str, Any]) -> Changes:
            return {"inbox": {**found, "number": next(self._numbers)}, "tabs": gr.Tabs(selected=to)}

        @functools.wraps(content)
        def deliver(**values: Any) -> Changes:
            with told():
                return sent(content(**values))

        def deliver_in_order(*values: Any) -> list[Any]:
            with told():
                return list(sent(content(*values)).values())

        outputs = {"inbox": self.inbox(to), "tabs": self.tabs}
        if isinstance(inputs, Mapping):
            event(**named(deliver, inputs, outputs), **QUIET)
        else:
            event(deliver_in_order, list(inputs), list(outputs.values()), **QUIET)

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
