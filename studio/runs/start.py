"""The first seconds of a training: a line at once, while the base's weights are already on their way into memory."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def telling_seconds(say: Callable[[str], None], what: str) -> Iterator[None]:
    """Tell how long a part of the start took, once it is done."""
    started = time.monotonic()
    yield
    say(f"{what} loaded in {time.monotonic() - started:.1f} s.")


def read_ahead(base: str) -> list[str]:
    """Ask the system to read a base's weights while Python is busy importing; return the names of the files.

    It asks and does not wait. A name that is no folder here is left to the loading.
    """
    asked: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        folder = Path(base).expanduser()
        for path in sorted((*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors"))):
            if "." in path.stem or not hasattr(os, "posix_fadvise"):  # a variant such as model.fp16, which is not read
                continue
            with open(path, "rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
            asked.append(path.name)
    return asked
