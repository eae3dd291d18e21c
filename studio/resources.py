"""The example pictures that travel with the studio: inside an installed wheel, or in the checkout that it runs from."""

import importlib.resources
from pathlib import Path

from trainers.errors import UserError


def example_folder(name: str) -> Path:
    """Return a folder of the examples, such as ``styles/blueprint``.

    Raises:
        UserError: it is in neither place.
    """
    package = Path(str(importlib.resources.files("studio")))
    places = (package / "examples" / name, package.parent / "examples" / name)
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise UserError(f"The example {name!r} is missing from this installation. Install the studio again.")
    return found
