"""Fork, and do something before every call that changes the disk; for tests that kill a process at each of them."""

import os
import traceback
from collections.abc import Callable
from typing import Any

HOOKED = ("fsync", "replace", "rename", "mkdir", "unlink", "rmdir")


def forked(work: Callable[[], None]) -> int:
    """Do something in a fork; return how it ended as `waitpid` says."""
    process = os.fork()
    if process == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(process, 0)[1]


def hook(act: Callable[[int, str], None]) -> None:
    """Call `act` with a running number before every call that changes the disk."""
    count = 0

    def wrap(name: str) -> Any:
        original = getattr(os, name)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            act(count, name)
            return original(*arguments, **options)

        return wrapped

    for name in HOOKED:
        setattr(os, name, wrap(name))
