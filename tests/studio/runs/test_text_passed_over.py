"""What of a data set of texts is passed over is told by every command and on the page; long rows are no prompts."""

import json
from pathlib import Path
from typing import Any

import pytest

from studio.cli.main import main
from studio.engine.jobs.text_perplexity import JOB as PERPLEXITY
from studio.engine.jobs.text_preview import JOB as PREVIEW
from studio.engine.workbench import Workbench
from studio.library.library import Library
from studio.runs.kinds import kind_of
from trainers.config import parse_config
from trainers.text_config import TextConfig

USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ahoy"}
KEYS = "Passed over: keys of turns of train.jsonl that are not read: 1 (mood in 1 turn)."
COLUMNS = "Passed over: columns of train.jsonl that are not used: 1 (source)."


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library(tmp_path / "library")
    monkeypatch.setenv("STUDIO_LIBRARY", str(library.folder))
    monkeypatch.chdir(tmp_path)
    return library


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Chats of which one is longer than the base reads, one has no answer, and one says more than is read."""
    rows = [
        {"messages": [{**USER, "content": "Hi " * 200}, ANSWER]},
        {"messages": [USER]},
        {"messages": [{**USER, "mood": "gay"}, ANSWER], "source": "web"},
        {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Arr"}]},
    ]
    (tmp_path / "texts").mkdir()
    for name in ("train", "held_out"):
        (tmp_path / "texts" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "texts"


def test_long_rows_are_no_prompts_of_samples_and_the_chosen_are_said(
    tiny_language: Path, data: Path, place: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--base", str(tiny_language), "--device", "cpu"]
    training = ["text", "train", *base, "--data", str(data), "--steps", "1", "--name", "x", "--cut-long"]
    assert main([*training, "--sample-max-new-tokens", "2"]) == 0
    said = capsys.readouterr().out
    assert "sample prompts: train.jsonl line 3, train.jsonl line 4" in said
    notes = [line.removeprefix("Note: ") for line in said.splitlines() if line.startswith("Note: ")]
    assert notes[0] == COLUMNS
    assert KEYS in notes
    for told in (
        "1 of 4 rows was cut to 256 tokens (train.jsonl line 1)",
        "Passed over: rows with nothing to learn from: 1 (train.jsonl line 2).",
        "Passed over: rows with nothing left to learn from, once they are cut: 1 (train.jsonl line 1).",
        "held_out.jsonl: Passed over: rows with nothing to learn from: 1 (held_out.jsonl line 2).",
    ):
        assert [note for note in notes if note.startswith(told)] != [], told
    for path in (place.runs_folder / "x" / "samples").glob("*.jsonl"):
        assert [json.loads(line)["prompt"] for line in path.read_text().splitlines()] == ["Hi", "Who?"]


def test_even_a_whole_chat_that_is_cut_asks_no_more_than_the_base_reads(
    tiny_language: Path, data: Path, place: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--base", str(tiny_language), "--device", "cpu"]
    training = ["text", "train", *base, "--data", str(data), "--steps", "1", "--name", "x", "--cut-long"]
    assert main([*training, "--sample-max-new-tokens", "2", "--no-assistant-only"]) == 0
    assert "sample prompts: train.jsonl line 3, train.jsonl line 4" in capsys.readouterr().out


def test_forecast_preview_and_page_tell_the_same(
    tiny_language: Path, data: Path, place: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    values: dict[str, Any] = {"base": str(tiny_language), "data": str(data), "device": "cpu", "cut_long": True}
    preflight = kind_of({"kind": "text"}).preflight(parse_config({**values, "name": "x"}, TextConfig), place)
    assert not preflight.problems
    preview = ["text", "preview", "--base", str(tiny_language), "--device", "cpu", "--data", str(data)]
    assert main(preview) == 0
    said = capsys.readouterr().out
    bench = Workbench(place, lambda event: None, lambda: None)
    (event,) = PREVIEW.run(bench, {"settings": values})
    measured = {"data": str(data), "columns": [{"title": "base", "weights": {}}], "base": str(tiny_language)}
    (found,) = PERPLEXITY.run(bench, measured)
    for told in (KEYS, COLUMNS, "Passed over: rows with nothing to learn from: 1 (train.jsonl line 2)."):
        assert told in preflight.notes
        assert f"Note: {told}\n" in said
        assert told in event["notes"]
        assert told.replace("train.jsonl", "held_out.jsonl") in found["notes"]
    assert event["count"] == 2
    assert main(["text", "compare", *preview[2:]]) == 0
    assert KEYS.replace("train.jsonl", "held_out.jsonl") in capsys.readouterr().err


def test_prompts_that_leave_no_room_are_left_out_of_sampling_where_rows_may_be_cut(
    tiny_language: Path, data: Path, place: Library
) -> None:
    values: dict[str, Any] = {"base": str(tiny_language), "data": str(data), "device": "cpu", "stage": "grpo"}
    values |= {"name": "x", "batch_size": 1, "stage_settings": {"group_size": 2, "max_new_tokens": 4}}
    preflight = kind_of({"kind": "text"}).preflight(parse_config(values, TextConfig), place)
    assert "give --cut-long to leave them out" in preflight.problems[0]
    preflight = kind_of({"kind": "text"}).preflight(parse_config({**values, "cut_long": True}, TextConfig), place)
    assert preflight.problems == []
    assert "Passed over: prompts that leave no room for an answer: 1 (train.jsonl line 1)." in preflight.notes
    assert "held_out.jsonl: Passed over: prompts that leave no room for an answer: 1 (held_out.jsonl line 1)." in (
        preflight.notes
    )
