"""Commands that the studio proposes: each runs as it stands, in the shell in which it is read."""

import shlex
from collections.abc import Sequence

from studio.library.library import Library


def proposed(words: Sequence[str], library: Library | None = None, *, base: str = "", usual_base: str = "") -> str:
    """Return a command of the studio, quoted for a shell.

    Args:
        words: what stands behind ``studio``.
        library: where it is to look; named where the command would look elsewhere.
        base: the base that it needs; named where it is not the usual one of the command.
        usual_base: what the command takes where no base is named.
    """
    on = ["--base", base] if base and base != usual_base else []
    return shlex.join(["studio", *words, *on, *(library.option() if library is not None else [])])
