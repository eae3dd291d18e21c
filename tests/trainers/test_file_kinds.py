"""What a file is by its bytes: everything that comes where a safetensors file was meant."""

import io
import json
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from trainers.errors import UserError
from trainers.file_kinds import file_kind
from trainers.tensor_files import read_tensors

WHOLE = save({"a": torch.ones(4, 4)}, {"format": "pt"})


def packed(names: tuple[str, ...]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return stream.getvalue()


def pickled(*, zipped: bool) -> bytes:
    stream = io.BytesIO()
    torch.save({"a": torch.ones(2)}, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "empty", r"is empty \(0 bytes\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n", "lfs_pointer", "git lfs pull"),
        (b"<!DOCTYPE html><html>sign in</html>", "web_page", "needs a login"),
        (b"\n  <html lang='en'>", "web_page", "is a web page"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "web_page", "is a web page"),
        ("\ufeff<html>é</html>".encode(), "web_page", "is a web page"),
        (b'{"error": "Unauthorized"}', "json", "is a JSON text"),
        (b"Access denied. Please sign in.", "text", "is a text"),
        (b"\xe9" * 200, "unsound", "has a header of"),
        (pickled(zipped=True), "pickle", "is a pickle"),
        (pickled(zipped=False), "pickle", "is a pickle"),
        (packed(("model.safetensors",)), "zip", "Unpack it"),
        (b"Rar!\x1a\x07" + b"\0" * 20, "archive", "Unpack it"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "picture", "is a picture"),
        (b"GGUF\3\0\0\0" + b"\0" * 20, "gguf", "llama.cpp"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00" + b"\0" * 80, "apple_double", "macOS"),
        (b"\3\0\0\0\0\0\0\0abc", "unknown", "not a safetensors file"),
        (b"abc", "cut_off", "it has 3 bytes"),
        (WHOLE[:-1], "cut_off", f"{len(WHOLE) - 1} of {len(WHOLE)} bytes"),
        (WHOLE[:20], "cut_off", "20 of at least"),
        (struct.pack("<Q", 90 << 20) + b"{}", "unsound", "header of 94,371,840 bytes"),
    ],
)
def test_what_is_no_safetensors_file_is_called_what_it_is(tmp_path: Path, content: bytes, name: str, said: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert file_kind(path).name == name
    with pytest.raises(UserError, match=said):
        read_tensors(path, "adapter file")


@pytest.mark.parametrize("length", [0x0280, 0x8B1F, 0x8B1F00 + 0x1F])
def test_a_header_whose_length_begins_like_another_kind_is_still_safetensors(tmp_path: Path, length: int) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", length) + header.ljust(length) + struct.pack("<f", 2.5))
    assert file_kind(path).name == "safetensors"
    assert read_tensors(path, "file")["a"].tolist() == [2.5]


def test_the_name_of_a_file_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lora.ckpt"
    path.write_bytes(WHOLE)
    assert file_kind(path).sentence == ""
