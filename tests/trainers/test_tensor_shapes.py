"""Shapes by the header alone: equal to the tensors', without torch, and no broken file passes for one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from trainers.errors import UserError
from trainers.tensor_files import write_tensors
from trainers.tensor_shapes import read_shapes


def test_shapes_are_those_of_the_tensors(tmp_path: Path) -> None:
    tensors = {"a": torch.ones(2, 3), "b": torch.ones(4, dtype=torch.bfloat16), "c": torch.tensor(1.0)}
    write_tensors(tmp_path / "x.safetensors", tensors)
    shapes = read_shapes(tmp_path / "x.safetensors", "adapter file")
    assert shapes == {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def test_torch_is_not_loaded(tmp_path: Path) -> None:
    write_tensors(tmp_path / "x.safetensors", {"a": torch.ones(2)})
    program = (
        "import sys; from pathlib import Path; from trainers.tensor_shapes import read_shapes;"
        f"read_shapes(Path({str(tmp_path / 'x.safetensors')!r}), 'file'); print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_what_is_no_sound_file_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(UserError, match="does not exist"):
        read_shapes(path, "adapter file")
    write_tensors(path, {"a": torch.ones(100)})
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:20], b"", b"version https://git-lfs.github.com/spec/v1\n"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"The adapter file .*x\.safetensors"):
            read_shapes(path, "adapter file")
