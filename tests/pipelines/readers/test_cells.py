"""Rows of the table of readers are what really happens; one per kind of harm, and LoRA, which must have none."""

from collections.abc import Mapping

import pytest

from pipelines.families import LoadedBase
from pipelines.readers import readers
from studio.operations.import_export import READERS
from tests.pipelines.readers import cells


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "bitfit"])
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_the_table_is_true(reader_bases: Mapping[str, LoadedBase], family: str, method: str) -> None:
    base = reader_bases[family]
    titles = {"Files for no program in particular": False, "Files for one program": True}
    for title, is_for in titles.items():
        assert cells.row(base, method, is_for=is_for) == cells.committed(title, family)[method]


def test_the_command_and_the_app_name_every_reader() -> None:
    assert {name: reader.title for name, reader in readers().items()} == dict(sorted(READERS.items()))
