"""Work in a thread of its own.

A browser's tests may have run in this process before: Playwright leaves an event loop running in the thread that it was
used in, in which `asyncio.run` refuses to work and Python 3.11 loses count of how deep it parses.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Result = TypeVar("_Result")


def apart(work: Callable[..., _Result], *arguments: object) -> _Result:
    """Call a function in a thread of its own, and return what it returns or raise what it raises."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work, *arguments).result()
