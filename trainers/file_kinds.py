"""What a file is by its own bytes, whatever its name claims: for files that should be safetensors.

Nothing is unpickled, unpacked or loaded here, and torch is not needed.
"""

import json
from dataclasses import dataclass
from pathlib import Path

_LIMIT_HEADER_BYTES = 16 << 20
_START_BYTES = 4096
_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class FileKind:
    """One kind of file."""

    name: str
    """``safetensors``, ``pickle``, ``lfs_pointer``, ``web_page``, …; ``unknown`` where nothing fits."""
    sentence: str = ""
    """What it is and what to do, to stand behind the file's name; empty for a sound safetensors file."""


_FETCH = "The download failed or needs a login; fetch the file itself again."
_KINDS = {
    kind.name: kind
    for kind in (
        FileKind("safetensors"),
        FileKind("empty", "is empty (0 bytes). Fetch or train it again."),
        FileKind(
            "lfs_pointer",
            "is a Git LFS pointer (a line of text that stands for the file), not the file. Fetch the file with git lfs "
            "pull, or download it from its page.",
        ),
        FileKind("web_page", f"is a web page, not a model's file. {_FETCH}"),
        FileKind("json", f"is a JSON text, not a model's file. {_FETCH}"),
        FileKind("text", f"is a text, not a model's file. {_FETCH}"),
        FileKind(
            "pickle",
            "is a pickle, whatever its name says; a pickle can run code. Convert it to .safetensors where you trust "
            "it, or take the .safetensors file of the same model.",
        ),
        FileKind("zip", "is a zip archive. Unpack it, and give the .safetensors file that is in it."),
        FileKind("archive", "is a packed archive. Unpack it, and give the .safetensors file that is in it."),
        FileKind("picture", "is a picture, and a model inside of one is not read. Give the .safetensors file."),
        FileKind("gguf", "is a GGUF file (for llama.cpp), which is not read. Take the model's .safetensors file."),
        FileKind("hdf5", "is an HDF5 file (of Keras), which is not read. Take the model's .safetensors file."),
        FileKind("numpy", "is a NumPy array, which is not read. Take the model's .safetensors file."),
        FileKind("apple_double", "is what macOS puts beside a file (its name begins with ._). Give the file itself."),
        FileKind("unknown", "is not a safetensors file, and of no other kind that is known here. Fetch it again."),
    )
}
_STARTS = (
    (_POINTER, "lfs_pointer"),
    (b"\x80\x02", "pickle"),
    (b"\x80\x03", "pickle"),
    (b"\x80\x04", "pickle"),
    (b"\x80\x05", "pickle"),
    (b"\x89PNG", "picture"),
    (b"\xff\xd8\xff", "picture"),
    (b"GIF8", "picture"),
    (b"RIFF", "picture"),
    (b"GGUF", "gguf"),
    (b"\x89HDF", "hdf5"),
    (b"\x93NUMPY", "numpy"),
    (b"\x00\x05\x16\x07", "apple_double"),
    (b"\x1f\x8b", "archive"),
    (b"7z\xbc\xaf", "archive"),
    (b"Rar!", "archive"),
    (b"\xfd7zXZ", "archive"),
)


def file_kind(path: Path) -> FileKind:
    """Return what a file is; one that is cut off is ``cut_off``, one with too large a header ``unsound``.

    Raises:
        OSError: it cannot be read.
    """
    size_bytes = path.stat().st_size
    with open(path, "rb") as stream:
        start = stream.read(_START_BYTES)
    if not start:
        return _KINDS["empty"]
    header_bytes = int.from_bytes(start[:8], "little")
    begins = start[8:9] == b"{"
    if begins and header_bytes <= _LIMIT_HEADER_BYTES:  # asked first: a length can begin like another kind's mark
        return _safetensors(path, header_bytes, size_bytes)
    name = next((name for mark, name in _STARTS if start.startswith(mark)), "")
    if name:
        return _KINDS[name]
    if start.startswith(b"PK\x03\x04"):
        return _KINDS["pickle" if b"/data.pkl" in start else "zip"]  # torch's archives begin with it
    if size_bytes <= 8:
        return FileKind("cut_off", f"is cut off: it has {size_bytes} bytes, fewer than any file. Fetch it again.")
    name = "unknown" if begins else _kind_of_text(start)
    if name == "unknown" and header_bytes > _LIMIT_HEADER_BYTES:
        return FileKind("unsound", f"has a header of {header_bytes:,} bytes, so it is not read. Fetch it again.")
    return _KINDS[name]


def _safetensors(path: Path, header_bytes: int, size_bytes: int) -> FileKind:
    """Return the kind of a file that begins like safetensors: whole, or cut off."""
    told, least = 8 + header_bytes, "at least "
    if told <= size_bytes:
        with open(path, "rb") as stream:
            stream.seek(8)
            told, least = told + _data_bytes(stream.read(header_bytes)), ""
    if told > size_bytes:
        return FileKind("cut_off", f"is cut off: {size_bytes:,} of {least}{told:,} bytes are there. Fetch it again.")
    return _KINDS["safetensors"]


def _data_bytes(header: bytes) -> int:
    """Return the size of the data that a header speaks of; 0 where it is no such header."""
    try:
        entries = json.loads(header)
        return max((int(own["data_offsets"][1]) for key, own in entries.items() if key != "__metadata__"), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return 0  # what is wrong with it is said by the reader


def _kind_of_text(start: bytes) -> str:
    try:
        text = start.decode("utf-8-sig", errors="strict").lstrip()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:
            return "unknown"  # not merely a character that the end of what was read cuts through
        text = start[: error.start].decode("utf-8-sig").lstrip()
    if not text or any(ord(character) < 32 and not character.isspace() for character in text):
        return "unknown"
    low = text[:200].lower()
    if low.startswith(("<!doctype", "<html", "<?xml", "<head", "<body", "<!--")):
        return "web_page"
    return "json" if text.startswith(("{", "[")) else "text"
