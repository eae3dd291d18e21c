"""What a captioner's file states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL import Image


class LoadedCaptioner(Protocol):
    """A captioning model in memory."""

    def describe(self, pictures: Sequence[Image.Image], *, beginning: str = "", max_new_tokens: int = 40) -> list[str]:
        """Return a caption for each picture, on one line; it may be empty when the model has nothing to say.

        The same picture must get the same caption.

        Args:
            beginning: words that every caption begins with and the model goes on from, such as ``a drawing of``.
            max_new_tokens: where a caption is cut, in tokens of the model.
        """
        ...


@dataclass(frozen=True)
class Captioner:
    """One kind of captioning model, as facts. Listing them loads no model library: import such inside `load`."""

    name: str
    title: str
    """The class of model that it reads, as messages call it."""
    source: str
    """Paper."""
    example: str
    """What to give, for messages, without a full stop."""
    recognise: Callable[[Mapping[str, Any]], bool]
    """Whether a folder's ``config.json`` is of this kind."""
    load: Callable[[str, Path, str], LoadedCaptioner]
    """(the user's name of the model, its folder, device) -> the model; no code that comes with it may run.

    Raises `UserError` when it cannot be loaded.
    """
