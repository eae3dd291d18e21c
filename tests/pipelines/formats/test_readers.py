"""Each cell of the conformance table is what really happens, and what files hold besides their factors."""

from pathlib import Path

import pytest
import torch

from pipelines.families import LoadedBase
from pipelines.importing import bring_in
from tests.pipelines.formats import cells, files


@pytest.mark.parametrize("kind", files.KINDS)
def test_the_table_is_true(base: LoadedBase, tiny_base: Path, tmp_path: Path, kind: str) -> None:
    assert cells.row(base, tiny_base, tmp_path, kind) == cells.committed()[kind]


def test_half_precision_is_kept_and_integer_alphas_are_read(base: LoadedBase, tmp_path: Path) -> None:
    content = files.make(files.KINDS["lora"], base)
    halves = {
        place: files.Made(
            {end: torch.tensor(2) if end == "alpha" else tensor.half() for end, tensor in made.leaves.items()}, None
        )
        for place, made in content.items()
    }
    path = files.write_kohya(tmp_path / "half.safetensors", halves)
    adapter = bring_in(path, base, "it").adapters["it"]
    assert {tensor.dtype for part in adapter.parts.values() for tensor in part.tensors.values()} == {torch.float16}
