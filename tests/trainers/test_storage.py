"""Writing survives kills, full disks and second processes: the old content or the new, never half."""

import errno
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import content_of
from trainers.checkpoint import Checkpoint, newest_checkpoint, write_checkpoint
from trainers.errors import UserError
from trainers.storage import (
    folder_lock,
    new_folder,
    read_json,
    sha256_of_file,
    sweep_temporary,
    write_bytes,
    write_json,
    write_text,
)
from trainers.tensor_files import read_tensors, write_tensors

ROOT = Path(__file__).parents[2]


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"unet": {"a": torch.full((40, 40), float(step))}, "optimizer": {}}, {"skipped": 0})


def test_a_writer_killed_at_every_call_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.trainers.checkpoint_kills", str(tmp_path / "kills")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    counts = json.loads(result.stdout)
    assert counts["calls"] > 40
    expected = {"killed": counts["calls"], "whole": counts["calls"], "older_than_told": 0, "finished": counts["calls"]}
    assert {key: counts[key] for key in expected} == expected


def test_tensors_and_json_read_back_equal(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4).T, "b": torch.ones(0, 2), "c": torch.tensor(3), "d": torch.ones(2).bfloat16()}
    write_tensors(tmp_path / "t.safetensors", tensors, {"format": "pt"})
    found = read_tensors(tmp_path / "t.safetensors", "file")
    assert all(torch.equal(found[key], value) and found[key].dtype == value.dtype for key, value in tensors.items())
    write_tensors(tmp_path / "empty.safetensors", {})
    assert read_tensors(tmp_path / "empty.safetensors", "file") == {}
    write_json(tmp_path / "v.json", {"ä": [1, 2.5, None]})
    assert read_json(tmp_path / "v.json", "value") == {"ä": [1, 2.5, None]}
    with pytest.raises(ValueError, match="nan"):
        write_json(tmp_path / "v.json", float("nan"))
    assert read_json(tmp_path / "v.json", "value") == {"ä": [1, 2.5, None]}
    assert (
        sha256_of_file(tmp_path / "v.json")
        == __import__("hashlib").sha256((tmp_path / "v.json").read_bytes()).hexdigest()
    )


def _failing(number: int, code: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("call", ["fsync", "replace", "rename", "mkdir"])
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "No room left"),
        (errno.EDQUOT, "No room left"),
        (errno.EFBIG, "No room left"),
        (errno.EROFS, "Cannot write"),
        (errno.EACCES, "Cannot write"),
    ],
)
def test_a_full_disk_leaves_old_files_and_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, sentence: str
) -> None:
    write_text(tmp_path / "a.txt", "old")
    write_checkpoint(tmp_path / "checkpoints", checkpoint(1), keep=2)
    before = content_of(tmp_path)
    writers: list[Callable[[], object]] = [lambda: write_checkpoint(tmp_path / "checkpoints", checkpoint(2), keep=2)]
    if call in ("fsync", "replace"):
        writers.append(lambda: write_text(tmp_path / "a.txt", "new"))
    for write in writers:
        with monkeypatch.context() as patch:
            patch.setattr(os, call, _failing(1, code))
            with pytest.raises(UserError, match=sentence) as caught:
                write()
        assert str(tmp_path) in str(caught.value)
        assert content_of(tmp_path) == before
    found = newest_checkpoint(tmp_path / "checkpoints")
    assert found is not None
    assert found.step == 1


def test_a_file_size_limit_at_every_kilobyte_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, checkpoint(1), keep=2)
    before = content_of(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in range(0, 6 * 1024, 1024):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(UserError, match="No room left"):
                write_checkpoint(tmp_path, checkpoint(2), keep=2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert content_of(tmp_path) == before
    write_checkpoint(tmp_path, checkpoint(2), keep=2)


@pytest.mark.parametrize("place", ["file/x.txt", "folder", "x" * 300])
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder").mkdir()
    before = content_of(tmp_path)
    with pytest.raises(UserError, match="Cannot write"):
        write_bytes(tmp_path / place, b"x")
    assert content_of(tmp_path) == before


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "new") as folder:
        (folder / "missing").unlink()
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "new") as folder:
        (folder / "a").touch()
        assert not (tmp_path / "new").exists()
    assert content_of(tmp_path / "new").keys() == {"a"}
    with pytest.raises(UserError, match="exists already"), new_folder(tmp_path / "new"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_leftovers_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".tmp-file").touch()
    (tmp_path / ".tmp-folder" / "inside").mkdir(parents=True)
    (tmp_path / "kept").touch()
    sweep_temporary(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_only_old_leftovers_are_swept_where_others_may_be_writing(tmp_path: Path) -> None:
    for name in (".tmp-old", ".tmp-fresh"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / ".tmp-old", (0, time.time() - 7200))
    sweep_temporary(tmp_path, older_than_s=3600)
    assert [path.name for path in tmp_path.iterdir()] == [".tmp-fresh"]


def test_the_newest_checkpoint_that_verifies_is_taken(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, checkpoint(step), keep=3)
    damaged = tmp_path / "step-00000003" / "unet.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1  # safetensors itself has no checksum
    damaged.write_bytes(bytes(content))
    (tmp_path / "step-00000002" / "MANIFEST.json").write_text("{")
    (tmp_path / "step-00000009").mkdir()
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 1
    assert torch.equal(found.groups["unet"]["a"], torch.full((40, 40), 1.0))
    write_checkpoint(tmp_path, checkpoint(3), keep=3)
    again = newest_checkpoint(tmp_path)
    assert again is not None
    assert again.step == 3


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        write_checkpoint(tmp_path, checkpoint(step), keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000004", "step-00000005"]


def test_rotation_never_counts_a_broken_checkpoint_as_one_to_keep(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, checkpoint(1), keep=2)
    for broken in ("step-00000008", "step-00000009"):
        (tmp_path / broken).mkdir()
    write_checkpoint(tmp_path, checkpoint(2), keep=2)
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 2


def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    script = "import sys, time\nfrom pathlib import Path\nfrom trainers.storage import folder_lock\n"
    script += "with folder_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="Another run is working in"), folder_lock(tmp_path):
            pass
        holder.kill()
    with folder_lock(tmp_path):
        pass
