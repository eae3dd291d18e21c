"""Rows of the table of readers are what really happens; one per kind of harm, and LoRA, which must have none."""

from collections.abc import Mapping

import pytest

from pipelines.families import LoadedBase
from tests.pipelines.readers import cells


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "bitfit"])
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_the_table_is_true(reader_bases: Mapping[str, LoadedBase], family: str, method: str) -> None:
    base = reader_bases[family]
    titles = {"Files for no program in particular": False, "Files for one program": True}
    for title, is_for in titles.items():
        assert cells.row(base, method, is_for=is_for) == cells.committed(title, family)[method]
