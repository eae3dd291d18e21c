"""What the studio takes from its machine: the example pictures that travel with it, and memory."""

import importlib.resources
import resource
import sys
from pathlib import Path

from trainers.errors import UserError


def example_folder(name: str) -> Path:
    """Return a folder of the examples, such as ``styles/blueprint``: of the wheel, or of the checkout.

    Raises:
        UserError: it is in neither place.
    """
    package = Path(str(importlib.resources.files("studio")))
    places = (package / "examples" / name, package.parent / "examples" / name)
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise UserError(f"The example {name!r} is missing from this installation. Install the studio again.")
    return found


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held at once (resident set)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
