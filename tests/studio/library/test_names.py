"""Names of any printable signs from training to export and back, in the library and on the command line."""

import json
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from pipelines.families import LoadedBase
from pipelines.formats._source import read_metadata
from studio.cli.main import main
from studio.library.datasets import dataset_folder, dataset_names, free_run_name, new_dataset
from studio.library.library import Library, parse_adapters, parse_weighted
from studio.runs.run import find_run
from tests.studio.cli.test_cli_errors import refused
from tests.support import content_of, random_adapter
from trainers.adapter import write_adapter
from trainers.card import read_card
from trainers.errors import UserError

CAPTURE = pytest.CaptureFixture[str]
NAME = "水墨 船 🛥️ & Café's"


def test_a_name_from_training_to_export_and_back(
    library: Library, train: list[str], tiny_base: Path, tmp_path: Path, capsys: CAPTURE
) -> None:
    own = ["--base", str(tiny_base), "--device", "cpu"]
    name = unicodedata.normalize("NFD", NAME)  # as a Mac's terminal gives it
    assert main([*train, "--name", name, "--judge", "none", "--method", "lora"]) == 0
    assert library.card(NAME).name == NAME
    assert find_run(library, name).name == NAME
    assert NAME in capsys.readouterr().out
    assert main(["generate", "x", "--adapter", f"{name}:0.5", "--out", "p.png", "--steps", "1", *own]) == 0
    weighed = [NAME, "one:0.5", "--part-weight", f"{name}=unet:0.5"]
    for given in (weighed, [f"{NAME}@1"]):
        assert main(["blend", *given, "--name", f"{NAME} {len(given)}"]) == 0
    assert main(["blend", f"{NAME} 4", "--without", name, "--name", "rest"]) == 0
    assert main(["export", NAME, "--format", "kohya", "--out", str(tmp_path / f"{NAME}.safetensors"), *own[:2]]) == 0
    assert read_metadata(tmp_path / f"{NAME}.safetensors")["ss_output_name"] == NAME
    assert main(["remove", name]) == 0
    assert NAME not in library.names()
    assert main(["import", str(tmp_path / f"{NAME}.safetensors"), *own]) == 0
    assert library.card(NAME).name == NAME
    capsys.readouterr()
    assert main(["list"]) == 0
    assert NAME in capsys.readouterr().out
    assert main(["show", NAME]) == 0


def test_a_run_is_resumed_and_refused_under_such_a_name(library: Library, train: list[str], capsys: CAPTURE) -> None:
    named = [*train[:-2], "--steps", "1", "--judge", "none", "--name", NAME]
    assert main(named) == 0
    said = refused(capsys, library.folder, *named)
    assert f"The library has an adapter {NAME!r} already" in said
    assert """studio remove '水墨 船 🛥️ & Café'"'"'s'""" in said


def test_capitals_alone_make_two_adapters(base: LoadedBase, library: Library) -> None:
    write_adapter(library.new_adapter_folder("One"), random_adapter(base, "One"))
    assert {"One", "one"} <= set(library.names())
    assert library.card("One").name == "One"
    assert library.card("one").name == "one"
    assert library.adapter_folder("One").name.casefold() != "one"
    library.remove("One")
    assert "one" in library.names()


def test_an_adapters_folder_keeps_its_name_when_it_is_imported(
    base: LoadedBase, library: Library, tiny_base: Path, tmp_path: Path
) -> None:
    write_adapter(tmp_path / "from elsewhere", random_adapter(base, NAME))
    assert main(["import", str(tmp_path / "from elsewhere"), "--base", str(tiny_base), "--device", "cpu"]) == 0
    assert read_card(library.find(NAME)).name == NAME


@pytest.mark.parametrize("name", ["../evil", "a/b", "a\\b", "a\0b", "a\u202eb", "a:b", "ink+night"])
def test_no_name_leads_out_of_the_library(base: LoadedBase, library: Library, name: str, tmp_path: Path) -> None:
    before = content_of(tmp_path)
    for act in (
        library.new_adapter_folder,
        library.remove,
        library.remove_run,
        library.run_folder,
        lambda own: new_dataset(library, own),
        library.find,
        lambda own: find_run(library, own),
    ):
        with pytest.raises(UserError):
            act(name)
    assert content_of(tmp_path) == before


def test_a_card_with_such_a_name_is_refused(base: LoadedBase, tmp_path: Path) -> None:
    write_adapter(tmp_path / "x", random_adapter(base, "x"))
    card = json.loads((tmp_path / "x/adapter.json").read_text())
    (tmp_path / "x/adapter.json").write_text(json.dumps({**card, "name": "../../evil"}))
    with pytest.raises(UserError, match="cannot be used: it begins with"):
        read_card(tmp_path / "x")


def test_datasets_have_such_names_too(library: Library) -> None:
    new_dataset(library, NAME)
    new_dataset(library, "CON")
    assert dataset_names(library) == sorted(["CON", NAME])
    assert dataset_folder(library, "CON").name == "=43ON"
    with pytest.raises(UserError, match="There is a dataset"):
        new_dataset(library, unicodedata.normalize("NFD", NAME))
    assert free_run_name(library, "captions-水墨") == "captions-水墨"


@pytest.mark.parametrize(
    ("file", "name"),
    [("te,st1", "te-st1"), ("test2 ", "test2"), ("this.is.a.lora", "this.is.a.lora"), ("[FLX] 絵", "[FLX] 絵")],
)
def test_a_file_of_any_name_is_imported(
    library: Library, tiny_base: Path, tmp_path: Path, file: str, name: str
) -> None:
    at = ["--base", str(tiny_base)]
    assert main(["export", "one", "--format", "kohya", "--out", str(tmp_path / f"{file}.safetensors"), *at]) == 0
    assert main(["import", str(tmp_path / f"{file}.safetensors"), *at]) == 0
    assert library.card(name).name == name


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_terminal_that_lacks_the_signs_ends_no_command(library: Library, encoding: str) -> None:
    shutil.copytree(library.find("one"), library.adapter_folder(NAME))
    odd = os.fsencode(library.adapters_folder) + b"/caf\xe9"  # a name in another encoding, as old archives bring it
    shutil.copytree(os.fsencode(library.find("one")), odd)
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    ran = subprocess.run([sys.executable, "-m", "studio", "list"], capture_output=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    shown = ran.stdout.decode(encoding)
    assert ("\\u6c34" if encoding != "utf-8" else NAME) in shown
    assert "caf\\udce9" in shown


def test_weights_and_names_stay_apart() -> None:
    assert parse_weighted(f"{NAME}:-0.5") == (NAME, -0.5)
    assert parse_weighted(unicodedata.normalize("NFD", NAME)) == (NAME, 1.0)
    with pytest.raises(UserError, match="is given twice"):
        parse_adapters([NAME, unicodedata.normalize("NFD", NAME)])


def test_a_file_given_as_adapter_is_told_as_one(library: Library, tmp_path: Path, capsys: CAPTURE) -> None:
    shutil.copy(library.adapters_folder / "one/unet/adapter_model.safetensors", tmp_path / "my style.safetensors")
    for name in ("my style.safetensors", "./my style.safetensors", str(tmp_path / "my style.safetensors")):
        said = refused(capsys, library.folder, "generate", "x", "--adapter", name)
        assert "is a file, not an adapter of the library" in said
        assert "studio import '" in said
