"""Captioning runs: stopped, resumed, captions kept or replaced, and what cannot be captioned is named."""

import json
from pathlib import Path

import pytest

from studio.cli.main import main
from studio.library.library import Library
from studio.report import Quiet
from studio.resources import example_folder
from studio.runs.kinds import run_kinds
from studio.runs.run import Run, create_run, execute
from tests.support import draw_pictures, random_adapter, write_tiny_captioner
from trainers.adapter import write_adapter
from trainers.data.captions import captions_of
from trainers.errors import UserError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_captioner(tmp_path_factory.mktemp("captioner"))


def _create(library: Library, data: Path, model: Path, **settings: object) -> Run:
    values = {"kind": "captions", "name": "says", "data": str(data), "model": str(model), "device": "cpu"}
    return create_run(library, run_kinds()["captions"].parse({**values, "batch_size": 1, **settings}))


def _lines(run: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def test_a_stopped_captioning_goes_on_where_it_was(tmp_path: Path, model: Path) -> None:
    library, data = Library(tmp_path / "library"), draw_pictures(tmp_path / "data", 5, captions=False)
    run = _create(library, data, model, prefix="zqx, ", beginning="a red")
    asked = iter([False, False, True])
    assert execute(run, Quiet(), lambda: next(asked)) is None
    assert run.status() == "stopped"
    assert run.state()["step"] == 2
    assert run.state()["total"] == 5
    first = {name: caption.text for name, caption in captions_of(data).items() if caption.text}
    assert len(first) == 2
    assert all(text.startswith("zqx, a red") for text in first.values())
    (data / "0.txt").write_text("mine\n")  # the user's own word in between stays, though the run wrote there before
    assert execute(run, Quiet()) == data
    assert run.status() == "done"
    assert captions_of(data)["0.png"].text == "mine"
    assert all(caption.text for caption in captions_of(data).values())
    assert [line["step"] for line in _lines(run)] == [1, 2, 3, 4, 5]
    assert sorted(str(line["picture"]) for line in _lines(run)) == sorted(captions_of(data))


@pytest.mark.parametrize("overwrite", [False, True])
def test_captions_that_are_there_stay_unless_told_otherwise(tmp_path: Path, model: Path, overwrite: bool) -> None:
    data = draw_pictures(tmp_path / "data", 3)
    (data / "1.txt").unlink()
    (data / "2.txt").rename(data / "2.caption")
    before = {name: caption.text for name, caption in captions_of(data).items()}
    run = _create(Library(tmp_path / "library"), data, model, overwrite=overwrite, prefix="zqx, ", batch_size=2)
    execute(run, Quiet())
    after = captions_of(data)
    changed = {name for name in before if after[name].text != before[name]}
    assert changed == (set(before) if overwrite else {"1.png"})
    assert after["2.png"].source == ".caption"
    assert not (data / "2.txt").exists()


def test_what_cannot_be_read_is_named_and_the_rest_captioned(tmp_path: Path, model: Path) -> None:
    data = draw_pictures(tmp_path / "data", 2, captions=False)
    (data / "1.png").write_bytes(b"no picture")
    run = _create(Library(tmp_path / "library"), data, model)
    execute(run, Quiet())
    assert "1.png: cannot be decoded" in (run.folder / "log.txt").read_text()
    assert [bool(line.get("problem")) for line in _lines(run)] == [False, True]
    (data / "0.png").write_bytes(b"nor this")
    (data / "0.txt").unlink()
    with pytest.raises(UserError, match="None of 2 pictures"):
        execute(_create(Library(tmp_path / "library"), data, model, name="other"), Quiet())


def test_wrong_inputs_leave_nothing_behind(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_LIBRARY", str(tmp_path / "library"))
    data = draw_pictures(tmp_path / "data", 1, captions=False)
    for arguments, said in (
        (["--data", str(data), "--model", str(tmp_path)], "holds no model"),
        (["--data", str(data), "--model", "nowhere"], "'nowhere' does not exist"),
        (["--data", str(data), "--model", str(model), "--batch-size", "0"], "batch_size"),
        (["--data", str(example_folder("styles/neon")), "--model", str(model)], "ships with the studio"),
        (["--data", str(data)], "--model must be given"),
    ):
        assert main(["caption", *arguments]) == 2
        assert said in capsys.readouterr().err
        assert not list((tmp_path / "library").glob("runs/*"))


def test_a_captioning_needs_no_adapter_name(
    base: object, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_LIBRARY", str(tmp_path / "library"))
    library = Library(tmp_path / "library")
    write_adapter(library.adapters_folder / "same", random_adapter(base, "same"))  # type: ignore[arg-type]
    data = draw_pictures(tmp_path / "data", 1, captions=False)
    assert main(["caption", "--data", str(data), "--model", str(model), "--name", "same", "--device", "cpu"]) == 0
    assert captions_of(data)["0.png"].text
    assert library.names() == ["same"]


def test_a_forecast_tells_all_problems(tmp_path: Path, model: Path) -> None:
    kind, library = run_kinds()["captions"], Library(tmp_path / "library")
    good = {"kind": "captions", "name": "x", "data": str(draw_pictures(tmp_path / "data", 3)), "model": str(model)}
    found = kind.preflight(kind.parse(good), library)
    assert found.facts["pictures"] == "3"
    assert found.facts["to be captioned"] == "0"
    assert not found.problems
    assert len(kind.preflight(kind.parse({**good, "data": str(tmp_path / "no"), "model": "no"}), library).problems) == 2
