"""The header of a safetensors file: metadata read and changed without touching a byte of the tensors, and hashes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.formats._source import read_metadata
from trainers.errors import UserError
from trainers.storage import write_bytes
from trainers.tensor_files import read_tensors

_LIMIT_METADATA_BYTES = 4 << 20
_LEGACY_START, _LEGACY_BYTES = 0x100000, 0x10000
CLAIMS = ("sshs_model_hash", "modelspec.hash_sha256")


@dataclass(frozen=True)
class Hashes:
    """All hashes that programs and sites call a file by."""

    file: str
    """SHA-256 of everything (AutoV2: first 10 digits). It changes with the metadata."""
    content: str
    """SHA-256 behind the header (`sshs_model_hash`; AutoV3: first 12 digits). Metadata does not change it."""
    legacy: str
    """Eight digits of 64 KiB from 1 MiB on (AutoV1)."""


def content_hash(serialised: bytes) -> str:
    """Return the SHA-256 of a safetensors file's bytes behind its header."""
    start = 8 + int.from_bytes(serialised[:8], "little")
    return hashlib.sha256(memoryview(serialised)[start:]).hexdigest()


def legacy_hash(serialised: bytes) -> str:
    """Return A1111's old eight-digit hash."""
    piece = memoryview(serialised)[_LEGACY_START : _LEGACY_START + _LEGACY_BYTES]
    return hashlib.sha256(piece).hexdigest()[:8]


def hashes_of(path: Path) -> Hashes:
    """Return a safetensors file's hashes.

    Raises:
        UserError: it is missing or no sound safetensors file.
    """
    if not path.exists():
        raise UserError(f"The file {path} does not exist. Give the path of a .safetensors file.")
    read_tensors(path, "file")  # says what is wrong with it, if anything is
    content = path.read_bytes()
    return Hashes(hashlib.sha256(content).hexdigest(), content_hash(content), legacy_hash(content))


def hash_problems(metadata: Mapping[str, str], hashes: Hashes) -> list[str]:
    """Return a sentence for each hash in the metadata that is not the file's."""
    return [
        f"its metadata says {name} = {metadata[name][:20]}…, its content's is {hashes.content[:18]}…"
        for name in CLAIMS
        if name in metadata and metadata[name].removeprefix("0x").lower() != hashes.content
    ]


def change_metadata(path: Path, changes: Mapping[str, str], removed: tuple[str, ...] = ()) -> dict[str, str]:
    """Change a file's metadata in place, atomically; the tensors' bytes and their order stay. Return what it is now.

    Raises:
        UserError: the file is not sound, a removed key is not there, or the metadata would be too large.
    """
    read_tensors(path, "file")
    metadata = read_metadata(path)
    missing = [key for key in removed if key not in metadata]
    if missing:
        raise UserError(
            f"{path.name} has no metadata {', '.join(missing)}. It has {', '.join(sorted(metadata)) or 'none'}."
        )
    changed = {key: value for key, value in {**metadata, **changes}.items() if key not in removed}
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header.pop("__metadata__", None)
    if changed:
        header = {"__metadata__": changed, **header}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    if sum(len(key) + len(value) for key, value in changed.items()) > _LIMIT_METADATA_BYTES:
        raise UserError(f"The metadata would be larger than {_LIMIT_METADATA_BYTES >> 20} MiB. Take a smaller preview.")
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight bytes
    write_bytes(path, len(text).to_bytes(8, "little") + text + content[end:])
    return changed
