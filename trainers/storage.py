"""Writing that survives crashes: temporary file, flush to disk, rename. Nothing here ever unpickles.

A reader sees the old file or the new one, never half of either (POSIX rename). A folder is written beside its place
and renamed whole.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from trainers.data.plain_text import plain_values
from trainers.errors import UserError

TEMPORARY_PREFIX = ".tmp-"
_DISK_ERRORS = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}  # Windows knows no quota
_ACCESS_ERRORS = {errno.EACCES, errno.EPERM, errno.EROFS}
_PLACE_ERRORS = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
_LIMIT_JSON_BYTES = 64 << 20
_PATIENCE_S = 0.3
"""How long a lock is tried for: one who only looks whether it is held holds it for a moment."""


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission into a sentence that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            raise UserError(
                f"No room left to write {path}: {error.strerror}. Earlier files are intact. Free some space, or choose "
                "another folder, and run the same command again."
            ) from error
        if error.errno in _ACCESS_ERRORS:
            raise UserError(f"Cannot write {path}: {error.strerror}. Choose a folder that you may write to.") from error
        if error.errno in _PLACE_ERRORS:
            raise UserError(f"Cannot write {path}: {error.strerror}. Choose another place.") from error
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically; on any failure the old file stays and no leftover remains."""
    with disk_errors(path):
        _make_folder(path.parent)
        temporary = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
        try:
            with open(temporary, "xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    """Replace a text file atomically, as UTF-8.

    Raises:
        UserError: half a character is in it, which no border kept out; or the disk is full.
    """
    try:
        encoded = content.encode()
    except UnicodeEncodeError as error:
        line = content.count("\n", 0, error.start) + 1
        raise UserError(
            f"Cannot write {path}: its line {line} would not be plain text (a broken character)."
        ) from error
    write_bytes(path, encoded)


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically; NaN and infinity are refused, because JSON has neither."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file, or say in one sentence why not.

    Args:
        what: how a user calls the file, e.g. ``"adapter card"``.
    """
    try:
        if path.stat().st_size > _LIMIT_JSON_BYTES:
            raise UserError(f"The {what} {path} has more than {_LIMIT_JSON_BYTES:,} bytes, so it is not read.")
        return plain_values(json.loads(path.read_text(encoding="utf-8")), f"The {what} {path}")
    except FileNotFoundError as error:
        raise UserError(f"The {what} {path} does not exist.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"The {what} {path} cannot be read: {error}.") from error


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside `target`; when the block ends well, flush and rename it to `target`.

    A block that raises leaves nothing behind. The target must not exist.

    Raises:
        UserError: the target exists, or the disk is full.
    """
    with disk_errors(target):
        _make_folder(target.parent)
        temporary = target.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
        temporary.mkdir()
        try:
            yield temporary
            _flush_tree(temporary)
            if target.exists():
                raise UserError(f"{target} exists already. Remove it or choose another name.")
            os.rename(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _flush_folder(target.parent)


def sweep_temporary(folder: Path, older_than_s: float | None = None) -> None:
    """Remove what a killed writer left behind.

    Args:
        older_than_s: spare what changed within so many seconds, for folders without a lock, where another process
            may be writing. None removes all: call it so only while holding the folder's lock.
    """
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # its writer has just finished
            if older_than_s is not None and time.time() - leftover.stat().st_mtime < older_than_s:
                continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the operating system frees it when the process ends, however it ends.

    Raises:
        UserError: another process holds it.
    """
    lock = _lock(folder)
    try:
        with disk_errors(folder):
            lock.acquire(timeout=_PATIENCE_S, poll_interval=0.03)
    except Timeout as error:
        raise UserError(
            f"Another run is working in {folder}. Wait until it ends or stop it, or choose another --name."
        ) from error
    try:
        yield
    finally:
        lock.release()


def folder_is_locked(folder: Path) -> bool:
    """Return whether a process holds the folder's lock, now."""
    if not (folder / "lock").exists():
        return False
    lock = _lock(folder)
    for _ in range(3):  # another who only looks holds the lock for a moment, too
        try:
            lock.acquire(timeout=0)
        except Timeout:
            time.sleep(0.002)
        except OSError:  # a library that may only be read has no runs at work
            return False
        else:
            lock.release()
            return False
    return True


def _lock(folder: Path) -> FileLock:
    return FileLock(folder / "lock", thread_local=False)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # with all parents made, only a file system that makes no folders is left
        raise UserError(f"Cannot write into {folder}: no folder can be made there. Choose another place.") from error


def _flush_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as stream:
                os.fsync(stream.fileno())
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            _flush_folder(path)


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows opens no folders, and writes their entries through by itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
