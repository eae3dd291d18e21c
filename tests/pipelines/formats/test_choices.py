"""A format or a program dropped into its folder is a choice everywhere, and listing either loads no torch."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pipelines.formats
import pipelines.readers
from pipelines.formats import formats, writable
from pipelines.readers import readers, readers_of
from studio.cli.main import main
from studio.operations.catalogue import catalogue
from tests.dropped import dropped

FILES: dict[str, tuple[ModuleType, Callable[[], Any], str]] = {
    "format": (
        pipelines.formats,
        formats,
        "from pipelines.formats._format import Format\n"
        "FORMAT = Format('zebra', 'Zebra files', lambda source: False, write=lambda path, export: None)\n",
    ),
    "for": (
        pipelines.readers,
        readers,
        "import dataclasses\nfrom pipelines.readers.kohya import READER as KOHYA\n"
        "READER = dataclasses.replace(KOHYA, name='zebra', title='Zebra')\n",
    ),
}


@pytest.mark.parametrize("option", FILES)
def test_a_dropped_file_is_a_choice_of_export(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with dropped(*FILES[option][:2], tmp_path, FILES[option][2]):
        with pytest.raises(SystemExit):
            main(["export", "--help"])
        assert "zebra" in capsys.readouterr().out
        if option == "format":
            assert "zebra" in writable()
            found = catalogue()["formats"]
            assert [one["writes"] for one in found if one["name"] == "zebra"] == [True]
        else:
            assert "zebra" in [reader.name for reader in readers_of("kohya", "sd1")]
    assert "zebra" not in {**formats(), **readers()}


def test_what_can_be_written_is_what_writes_or_merges() -> None:
    assert writable() == [name for name, found in formats().items() if found.write or found.merge]
    assert "studio" not in writable()


def test_listing_formats_and_readers_loads_no_model_library() -> None:
    code = (
        "import sys; from pipelines.formats import writable; from pipelines.readers import readers; "
        "writable(); readers(); assert not {'torch', 'safetensors', 'peft'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
