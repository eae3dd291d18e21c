"""Every mistake a user can make: exit code 2, one message on standard error, nothing left behind. A bug stays a bug."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.cli.main import main
from studio.library.library import Library
from tests.support import content_of

CAPTURE = pytest.CaptureFixture[str]


def refused(capsys: CAPTURE, folder: Path, *arguments: str) -> str:
    """Run a command that must fail as a user's mistake, and return what it said."""
    before = content_of(folder)
    capsys.readouterr()
    code = main(arguments)
    said = capsys.readouterr().err
    assert code == 2, said
    assert "Traceback" not in said
    assert content_of(folder) == before
    return said


def _no_pictures(data: Path) -> None:
    for path in data.iterdir():
        path.unlink()


def _no_caption(data: Path) -> None:
    (data / "1.txt").unlink()


def _bad_picture(data: Path) -> None:
    (data / "2.png").write_bytes(b"")


def _gbk(data: Path) -> None:
    (data / "0.txt").write_bytes("一艘船".encode("gbk"))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_no_pictures, ["holds no pictures"]),
        (_no_caption, ["1.png has no caption", "--prompt"]),
        (_bad_picture, ["2.png", "empty", "--skip-bad"]),
        (_gbk, ["The encoding of 0.txt cannot be told"]),
    ],
)
def test_data_that_cannot_be_trained_on(
    library: Library,
    train: list[str],
    pictures: Path,
    capsys: CAPTURE,
    spoil: Callable[[Path], None],
    expected: list[str],
) -> None:
    spoil(pictures)
    said = refused(capsys, library.folder, *train)
    assert all(text in said for text in expected)
    assert said.startswith("studio train: ")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--data", "nowhere"], "does not exist"),
        (["--base", "nowhere"], "'nowhere' does not exist"),
        (["--base", "owner/model"], "neither a folder here nor to be had from the hub (HF_HUB_OFFLINE is set)"),
        (["--name", "one"], "has an adapter 'one' already"),
        (["--name", "../evil"], "'../evil'"),
        (["--steps", "0"], "steps = '0'"),
        (["--steps", "1", "--warmup-steps", "5"], "warmup_steps 5 must be below steps 1"),
        (["--steps", "many", "--batch-size", "-3"], "batch_size = '-3'"),
        (["--device", "tpu"], "'tpu' is unknown"),
        (["--device", "cuda:7"], "'cuda:7' is not there"),
        (["--rank", "vae=3"], "names the part 'vae'"),
        (["--rank", "0"], "parts.unet.settings.rank = '0'"),
        (["--parts", "unett"], "'unett'"),
        (["--method", "lorra"], "Did you mean 'lora'"),
        (["--targets", "nowhere"], "nowhere"),
        (["--judge", "/nowhere"], "The judge '/nowhere'"),
        (["--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["--resolution-px", "65"], "resolution_px = '65': a multiple of 8 is expected; take 64 or 72"),
        (["--learning-rate", "nan"], "learning_rate = 'nan'"),
        (["--sample-evry", "3"], "Option '--sample-evry' is unknown. Did you mean '--sample-every'"),
        (["--resume", "nobody"], "--resume goes on with the run's own settings"),
    ],
)
def test_settings_that_cannot_be_used(
    library: Library, train: list[str], capsys: CAPTURE, flags: list[str], expected: str
) -> None:
    assert expected in refused(capsys, library.folder, *train, *flags)


def test_an_unknown_key_of_a_config_file(library: Library, train: list[str], tmp_path: Path, capsys: CAPTURE) -> None:
    (tmp_path / "run.yaml").write_text("stepz: 3\nbatch_size: 0\nparts: {unet: {settings: {rnak: 1}}}\n")
    said = refused(capsys, library.folder, *train, "--config", str(tmp_path / "run.yaml"))
    for text in ("stepz", "Did you mean 'steps'", "batch_size = 0", "Did you mean 'rank'"):
        assert text in said


def test_what_must_be_given_is_named(library: Library, capsys: CAPTURE) -> None:
    assert "--data and --name must be given" in refused(capsys, library.folder, "train")
    assert "Run 'nobody' is unknown" in refused(capsys, library.folder, "train", "--resume", "nobody")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["import", "nowhere"], "There is no nowhere. Give the path of a .safetensors file"),
        (["hash", "nowhere"], "nowhere does not exist. Give the path of a .safetensors file."),
        (["methods", "lora", "--left-out"], "--left-out is for the list of methods; leave it away, or the name 'lora'"),
        (["methods", "--left-out", "--markdown"], "--left-out is a list of its own"),
        (["methods", "--settings", "--markdown"], "--markdown prints the table alone"),
    ],
)
def test_what_is_not_there_or_not_meant_is_told(
    library: Library, capsys: CAPTURE, arguments: list[str], expected: str
) -> None:
    assert main(arguments) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["generate", "x", "--adapter", "onne"], "Adapter 'onne' is unknown. Did you mean 'one'"),
        (["generate", "x", "--adapter", "foreign"], "belongs to the base 'sdxl-base' of family 'sdxl'"),
        (["generate", "x", "--adapter", "one:heavy"], "The weight 'heavy' in 'one:heavy' is no number"),
        (["generate", "x", "--adapter", "one:nan"], "The weight 'nan'"),
        (["generate", "x", "--adapter", "one:1e9"], "out of range"),
        (["generate", "x", "--adapter", "one", "--adapter", "one:2"], "given twice"),
        (["generate", "x", "--adapter", "./one"], "is not an adapter's folder"),
        (["generate", "x", "--out", "boat.jpg"], "must be a .png file"),
        (["generate", "x", "--out", "folder.png"], "is a folder"),
        (["generate", "x", "--out", "file/boat.png"], "Cannot write"),
        (["generate", "x", "--steps", "0"], "steps 0 is out of range"),
        (["generate", "x", "--seed", "-2"], "seed -2 is out of range"),
        (["generate", "x", "--count", "0"], "--count 0 is out of range"),
        (
            ["generate", "x", "--width", "33"],
            "33 x 32 px cannot be drawn: this base draws multiples of 8 px. Take width 32 or",
        ),
        (["generate", "x", "--width", "60", "--height", "36"], "Take width 56 or 64 and height 32 or 40."),
        (["generate", "x", "--guidance-scale", "nan"], "guidance_scale nan"),
        (["generate", "x", "--precision", "fp8"], "'fp8' is unknown"),
        (["generate"], "prompt must be given. See 'studio generate --help'."),
        (["generate", "x", "--colour", "red"], "Option '--colour' is unknown"),
        (["compare", "--prompt", "x"], "nothing to compare"),
        (["compare", "--prompt", "x", "--adapter", "onne", "--judge", "JUDGE"], "Did you mean 'one'"),
        (["compare", "--prompt", "x", "--adapter", "one"], "No judge is known"),
        (["compare", "--prompt", "x", "--adapter", "one", "--judge", "nowhere"], "The judge 'nowhere'"),
        (["compare", "--prompt", "x", "--adapter", "one", "--weights", "0,a"], "--weights '0,a' cannot be read"),
        (["compare", "--prompt", "x", "--adapter", "one", "--weights", "nan"], "nan"),
        (["compare", "--prompt", "x", "--adapter", "one", "--seeds", "1.5"], "--seeds '1.5' cannot be read"),
        (["compare", "--prompt", "x", "--adapter", "one", "--rows", "sed"], "Did you mean 'seed'"),
        (["compare", "--prompt", "x", "--adapter", "one", "--out", "g.jpg"], "must be a .png file"),
        (["compare", "--prompt", "x", "--adapter", "one", "--out", "folder.png"], "is a folder"),
        (["compare", "--prompt", "x", "--mix", "one:x"], "is no number"),
    ],
)
def test_pictures_that_cannot_be_made(
    library: Library,
    tiny_base: Path,
    tiny_judge: Path,
    tmp_path: Path,
    capsys: CAPTURE,
    arguments: list[str],
    expected: str,
) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    arguments = [str(tiny_judge) if text == "JUDGE" else text for text in arguments]
    few = [] if "--steps" in arguments else ["--steps", "1"]
    said = refused(capsys, tmp_path, *arguments, "--base", str(tiny_base), "--device", "cpu", *few)
    assert expected in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["blend", "one:0.5", "twoo:0.5", "--name", "mix"], "Did you mean 'two'"),
        (["blend", "one:0.5", "foreign:0.5", "--name", "mix"], "only adapters of the same base can be blended"),
        (["blend", "one:0", "two:0", "--name", "mix"], "Every weight is 0"),
        (["blend", "one:a", "two:0", "--name", "mix"], "is no number"),
        (["blend", "one", "two", "--name", "one"], "has an adapter 'one' already"),
        (["blend", "one", "two", "--name", "a/b"], "'a/b' cannot be used"),
        (["blend", "one", "two", "--name", "mix", "--blend", "exakt"], "Did you mean 'exact'"),
        (["blend", "one", "two"], "--name must be given"),
        (["show", "onne"], "Did you mean 'one'"),
        (["remove", "onne"], "Did you mean 'one'"),
        (["remove", "../adapters/one"], "cannot be used"),
        (["remove", ".."], "cannot be used"),
        (["pant", "a boat"], "Command 'pant' is unknown"),
        ([], "No command is given"),
    ],
)
def test_other_commands(library: Library, tmp_path: Path, capsys: CAPTURE, arguments: list[str], expected: str) -> None:
    assert expected in refused(capsys, tmp_path, *arguments)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_broken_adapter_file(
    library: Library, tiny_base: Path, tmp_path: Path, capsys: CAPTURE, content: bytes
) -> None:
    (library.adapters_folder / "one/unet/adapter_model.safetensors").write_bytes(content)
    for arguments in (
        ["generate", "x", "--adapter", "one", "--base", str(tiny_base)],
        ["blend", "one:1", "two:1", "--name", "mix"],
        ["show", "one"],
    ):
        assert "adapter_model.safetensors" in refused(capsys, tmp_path, *arguments)


def test_a_broken_adapter_or_run_does_not_hide_the_others(library: Library, capsys: CAPTURE) -> None:
    (library.adapters_folder / "one/adapter.json").write_text("{")
    for leftover in (library.adapters_folder / ".tmp-0/adapter.json", library.runs_folder / ".tmp-1/config.yaml"):
        leftover.parent.mkdir(parents=True)
        leftover.touch()
    (library.runs_folder / "torn").mkdir()
    (library.runs_folder / "torn/config.yaml").touch()
    (library.runs_folder / "torn/state.json").write_text("{")
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["foreign", "two", "adapter", "run"]
    assert lines[2].startswith("adapter one: broken")
    assert "torn" in lines[3]


def test_skip_bad_goes_on_without_the_bad_picture(
    library: Library, train: list[str], pictures: Path, capsys: CAPTURE
) -> None:
    (pictures / "2.png").write_bytes(b"")
    assert main([*train, "--skip-bad", "--judge", "none"]) == 0
    assert "Left out: 2.png" in capsys.readouterr().out
    card = json.loads((library.adapters_folder / "new/adapter.json").read_text())
    assert card["data"]["pictures"] == 4
