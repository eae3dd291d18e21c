"""bitsandbytes, kept away from those who would import it without need.

PEFT imports it wherever it is installed, two seconds of every start, and asks it about every layer that it adapts,
though only quantised weights use it.
"""

import importlib
import importlib.util
import sys
from types import ModuleType

_NAME = "bitsandbytes"


def hide_quantiser() -> None:
    """Let every library find that bitsandbytes is not installed, until `quantiser` is called.

    To be called when a process starts, before the model libraries are imported; later it has no effect.
    """
    sys.modules.setdefault(_NAME, None)  # type: ignore[arg-type]  # importlib's way to say that there is none


def has_quantiser() -> bool:
    """Return whether bitsandbytes is installed."""
    _reveal()
    return importlib.util.find_spec(_NAME) is not None


def quantiser() -> ModuleType:
    """Import bitsandbytes.

    Raises:
        ImportError: it is not installed.
    """
    _reveal()
    return importlib.import_module(f"{_NAME}.functional")


def _reveal() -> None:
    if _NAME in sys.modules and sys.modules[_NAME] is None:
        del sys.modules[_NAME]
