"""What adapters, runs and datasets may be called, and the folders that stand for those names on every file system.

A name is a line of printable text. Its folder is called the same, but for signs that some system cannot have in a file
name, which are written ``=XX`` (their number in hexadecimal), and ``=~2``, ``=~3`` … behind names that differ from
another's in capitals alone. ``=`` is no sign of a name, so every folder leads back to its name.
"""

import re
import unicodedata
from pathlib import Path

from trainers.errors import UserError

FORBIDDEN = {
    "/": "folders",
    "\\": "folders",
    ":": "weights, as in ink:0.5",
    "@": "steps of a run, as in ink@200",
    ",": "lists",
    "+": "sums, as in ink+night",
    "=": "settings, as in ink=0.5",
    "<": "tags, as in <lora:ink:1>",
    ">": "tags, as in <lora:ink:1>",
    "{": "places, as in {method}",
    "}": "places, as in {method}",
}
"""Signs that no name holds, with what they mean where names are written."""

_MOST_SIGNS = 100
_MOST_BYTES = 200
"""Of a folder's name; systems take 255, and files written beside it need some."""
_FIRST = ".-~"
_JOINERS = "\u200c\u200d"
"""They make one sign of two, in emoji and in Persian and Indian scripts; alone they cannot be seen."""
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.- ()")
_DEVICES = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³")]
)
"""Files that Windows has in every folder, with whatever ending."""
_NUMBERED = re.compile(r"=~\d+$")
_ESCAPED = re.compile(r"=([0-7][0-9A-F])")


def composed(name: str) -> str:
    """Return a name in the form that is kept (NFC), in which equal letters are equal signs."""
    return unicodedata.normalize("NFC", name)


def check_name(name: str) -> str:
    """Return a name as it is kept: composed (NFC), so that the same letters are the same name everywhere.

    Raises:
        UserError: it is empty or too long, or holds what cannot be seen or means something else where names are
            written.
    """
    kept = composed(name)
    problem = _problem(kept)
    if problem:
        raise UserError(f"The name {name[:120]!r} cannot be used: {problem}")
    return kept


def _problem(name: str) -> str:
    """Return what is wrong with a name and what to do; empty when nothing is."""
    if not name.strip():
        return "it is empty. Give one, such as my-style."
    if len(name) > _MOST_SIGNS:
        return f"it has {len(name)} characters, and at most {_MOST_SIGNS} are possible. Shorten it."
    if name != name.strip():
        return "it begins or ends with a space. Leave that out."
    if name[0] in _FIRST:
        return f"it begins with {name[0]!r}, which is for hidden files, options and home folders. Begin it otherwise."
    for sign, meaning in FORBIDDEN.items():
        if sign in name:
            return f"{sign!r} stands for {meaning}. Write '-' or a space instead."
    hidden = next((sign for number, sign in enumerate(name) if not _is_seen(sign, number, name)), "")
    if hidden:
        told = unicodedata.name(hidden, "").lower()
        return f"it holds U+{ord(hidden):04X}{f' ({told})' if told else ''}, which cannot be seen. Leave it out."
    size = len(_escaped(name).encode())
    if size > _MOST_BYTES:
        return f"it takes {size} bytes as a file name, and at most {_MOST_BYTES} are possible. Shorten it."
    return ""


def _is_seen(sign: str, number: int, name: str) -> bool:
    if sign in _JOINERS:
        return 0 < number < len(name) - 1
    return sign.isprintable() and sign not in _BLANK


def usable_name(text: str, otherwise: str) -> str:
    """Return a name made of a text, such as a file's name: what no name can hold becomes ``-``.

    Args:
        otherwise: the name where nothing is left.
    """
    text = unicodedata.normalize("NFC", text)[: 2 * _MOST_SIGNS]
    seen = "".join(
        "-" if sign in FORBIDDEN or not _is_seen(sign, number, text) else sign for number, sign in enumerate(text)
    )
    name = re.sub(r"-{2,}", "-", seen) if seen != text else seen
    name = name.strip(f"{_FIRST} ")[:_MOST_SIGNS]
    while name and len(_escaped(name).encode()) > _MOST_BYTES:
        name = name[:-1]
    name = name.rstrip("".join((*"- ", *_JOINERS)))
    return name if name and not _problem(name) else otherwise


def folder_name(name: str) -> str:
    """Return a checked name as a folder's or file's, without ending, that every file system can have."""
    return _escaped(check_name(name))


def _escaped(name: str) -> str:
    text = "".join(sign if sign in _PLAIN or not sign.isascii() else f"={ord(sign):02X}" for sign in name)
    if text.partition(".")[0].rstrip().upper() in _DEVICES:
        text = f"={ord(text[0]):02X}{text[1:]}"
    return f"{text[:-1]}=2E" if text.endswith(".") else text


def name_of(folder: str) -> str:
    """Return the name that a folder of the library stands for."""
    text = unicodedata.normalize("NFC", folder)
    name = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), _NUMBERED.sub("", text))
    return text if _problem(name) else name  # a folder that came here by hand may be called anything


def names_in(parent: Path) -> dict[str, Path]:
    """Return name -> folder of all that lie in a folder of the library, hidden ones left out, sorted."""
    if not parent.is_dir():
        return {}
    there = sorted(path for path in parent.iterdir() if not path.name.startswith("."))
    return {name_of(path.name): path for path in there}


def folder_of(parent: Path, name: str) -> Path:
    """Return the folder of a name: the one that there is, else where it goes, which no other name's folder is.

    Raises:
        UserError: the name cannot be used.
    """
    there = names_in(parent)
    kept = composed(name)
    if kept in there:
        return there[kept]
    kept = check_name(name)
    taken = {_alike(path.name) for path in there.values()}
    wanted = plain = folder_name(kept)
    number = 1
    while _alike(wanted) in taken:
        number += 1
        wanted = f"{plain}=~{number}"
    return parent / wanted


def _alike(folder: str) -> str:
    """Return what two folders share that are one on a file system that knows no capitals."""
    return unicodedata.normalize("NFC", folder.casefold())
