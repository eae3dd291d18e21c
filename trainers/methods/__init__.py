"""Parameter-efficient methods, one file each, the same for every part that they fit."""

import functools
import logging
import sys
from collections.abc import Mapping

from trainers.method import Course, Fresh, Learner, Method, MethodSettings, Recommendation
from trainers.registry import discover, find

__all__ = ["Course", "Fresh", "Learner", "Method", "MethodSettings", "Recommendation", "find_method", "methods"]

# PEFT imports bitsandbytes where it is installed, and that says on every start that a faster kernel is not.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


@functools.cache
def methods() -> Mapping[str, Method]:
    """Return every method by name."""
    return discover(sys.modules[__name__], "METHOD")


def find_method(name: str) -> Method:
    """Return the method of that name.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    return find("Method", name, methods(), "'studio methods' lists them.")
