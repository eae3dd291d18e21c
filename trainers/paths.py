"""Paths as a user writes them."""

import re
from pathlib import Path

from trainers.errors import UserError

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def path_of(text: str | Path) -> Path:
    """Return the path that a text names, with ``~`` as the home folder.

    Raises:
        UserError: the text is no path but an address, or names the home of a user who is not there.
    """
    if ADDRESS.match(str(text)):
        raise UserError(
            f"{str(text)!r} is an address, and a path is expected: nothing is fetched from there. Fetch it yourself "
            "first, and give the path of what you have."
        )
    if "\0" in str(text):
        raise UserError(f"The path {str(text)!r} holds a NUL character, which no path can. Leave it out.")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"The path {str(text)!r} begins with the home of a user who is not on this machine. Write ~/ for your own, "
            "or the whole path."
        ) from error


def is_there(path: Path) -> bool:
    """Return whether there is a file or folder.

    Raises:
        UserError: the system does not let us look.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        shown = str(path) if len(str(path)) <= 300 else f"{str(path)[:100]}… ({len(str(path))} characters)"
        raise UserError(
            f"{shown} cannot be looked at: {error.strerror}. Check its name and who may read the folder."
        ) from error
    return True
