"""``studio text`` from the command line: train, stop, go on, preview, chat, compare, blend and export."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.image_file import read_settings
from pipelines.image_settings import read_image_settings
from studio.cli.main import main
from studio.library.library import Library
from studio.operations.text_preview import histogram, preview_texts
from studio.report import Quiet
from studio.runs.kinds import kind_of
from studio.runs.run import Run, create_run, execute
from tests.support import bits, content_of
from trainers.config import parse_config
from trainers.errors import UserError
from trainers.lr_schedulers import lr_schedulers
from trainers.optimizers import optimizers
from trainers.rewards import rewards
from trainers.text_config import TextConfig

_STAGES = "{classify,dpo,grpo,reward,sft}"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, count in (("train", 6), ("held_out", 2)):
        chats = [
            [{"role": "user", "content": f"who {n}"}, {"role": "assistant", "content": "ahoy" * (1 + n % 2)}]
            for n in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library(tmp_path / "library")
    monkeypatch.setenv("STUDIO_LIBRARY", str(library.folder))
    monkeypatch.chdir(tmp_path)
    return library


def settings(base: Path, texts: Path, **values: Any) -> TextConfig:
    plan = {"language_model": {"learning_rate": 1e-2}}
    usual = {"base": str(base), "data": str(texts), "name": "voice", "device": "cpu", "batch_size": 2, "parts": plan}
    return parse_config(
        {**usual, "steps": 4, "sample_every": 2, "sample_max_new_tokens": 6, "checkpoint_every": 1, **values},
        TextConfig,
    )


def outcome(library: Library) -> dict[str, Any]:
    """What a run leaves that must not depend on whether it was stopped."""
    run = library.runs_folder / "voice"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    adapter = library.read("voice")
    return {
        "metrics": [{key: value for key, value in line.items() if key != "seconds"} for line in lines],
        "samples": content_of(run / "samples"),
        "adapter": bits(adapter.parts["language_model"].tensors),
        "training": adapter.card.training,
        "data": adapter.card.data,
    }


def test_a_stopped_run_ends_bit_equal_to_one_that_never_was(tiny_language: Path, texts: Path, tmp_path: Path) -> None:
    whole, halved = Library(tmp_path / "whole"), Library(tmp_path / "halved")
    assert execute(create_run(whole, settings(tiny_language, texts)), Quiet()) is not None
    run = create_run(halved, settings(tiny_language, texts))
    for _ in range(3):
        assert execute(run, Quiet(), lambda: True) is None
        assert run.status() == "stopped"
    assert execute(run, Quiet()) is not None
    assert outcome(halved) == outcome(whole)
    metrics = outcome(whole)["metrics"]
    assert [line["step"] for line in metrics if "validation_loss" in line] == [0, 2, 4]
    assert outcome(whole)["data"] == {"rows": 6, "form": "messages", "stage": "sft"}
    (first, *_) = (json.loads(line) for line in (run.folder / "samples/step-00000004.jsonl").read_text().splitlines())
    assert first.keys() == {"prompt", "answer"}
    assert first["prompt"] == "who 0"


def test_what_a_kill_left_out_after_a_checkpoint_is_made_up_for(
    tiny_language: Path, texts: Path, tmp_path: Path
) -> None:
    whole, killed = Library(tmp_path / "whole"), Library(tmp_path / "killed")
    execute(create_run(whole, settings(tiny_language, texts)), Quiet())
    run = create_run(killed, settings(tiny_language, texts))
    for _ in range(2):
        execute(run, Quiet(), lambda: True)
    (run.folder / "samples/step-00000002.jsonl").unlink()
    metrics = run.folder / "metrics.jsonl"
    kept = [line for line in metrics.read_text().splitlines(True) if not ("validation" in line and '"step": 2' in line)]
    metrics.write_text("".join(kept))
    execute(run, Quiet())
    assert outcome(killed) == outcome(whole)


def test_other_texts_or_settings_are_not_resumed(tiny_language: Path, texts: Path, tmp_path: Path) -> None:
    run = create_run(Library(tmp_path / "library"), settings(tiny_language, texts))
    execute(run, Quiet(), lambda: True)
    content = (texts / "train.jsonl").read_text()
    (texts / "train.jsonl").write_text(content.replace("who 3", "who else"))
    with pytest.raises(UserError, match="its texts changed since it began"):
        execute(run, Quiet())
    (texts / "train.jsonl").write_text(content)
    assert execute(run, Quiet()) is not None


def test_from_texts_to_a_blend_of_two_voices(
    tiny_language: Path, texts: Path, place: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["text", "train", "--base", str(tiny_language), "--data", str(texts), "--device", "cpu", "--steps", "2"]
    common = [*train, "--sample-max-new-tokens", "4", "--learning-rate", "1e-2"]
    assert main([*common, "--name", "one"]) == 0
    said = capsys.readouterr().out
    assert "6 rows of chats (messages) in train.jsonl" in said
    assert "lora on 14 layers, 16,384 trainable parameters" in said
    assert "2 × self_attn.q_proj" in said
    assert "studio text chat --adapter one" in said
    assert main([*common, "--name", "two", "--seed", "1", "--packing", "--max-length", "64"]) == 0
    assert "6 rows in" in capsys.readouterr().out

    base = ["--base", str(tiny_language), "--device", "cpu"]
    chat = ["text", "chat", *base, "--max-new-tokens", "5", "--prompt", "hi"]
    assert main([*chat, "--adapter", "one:0.7", "--adapter", "two:0.5"]) == 0
    found = capsys.readouterr()
    assert "one: attached to 14 layers of language_model" in found.out
    assert "5 tokens" in found.err

    compare = ["text", "compare", *base, "--max-new-tokens", "5", "--prompt", "hi", "--adapter", "one"]
    assert main([*compare, "--adapter", "two", "--blend", "one:0.5+two:0.5", "--data", str(texts), "--markdown"]) == 0
    table = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in table[0]] == ["", "base", "one", "two", "one:0.5+two:0.5"]
    values = [float(cell) for cell in table[-1][1:]]
    assert values[1] < values[0]  # what is learned from is foreseen better
    assert len(table) == 4

    assert main(["blend", "one:0.5", "two:0.5", "--name", "both"]) == 0
    assert "14 layers read back and compared with the formula of 'exact'" in capsys.readouterr().out
    assert main(["blend", "one:0.5", "two:0.5", "--name", "tied", "--blend", "ties", "--base", str(tiny_language)]) == 0
    assert "14 layers found in the base, 0 not" in capsys.readouterr().out


def test_mistakes_are_sentences(
    tiny_language: Path, tiny_base: Path, texts: Path, place: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--base", str(tiny_language), "--device", "cpu"]
    train = ["text", "train", *base, "--data", str(texts), "--name", "x"]
    (texts / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    (texts / "bad.jsonl").write_text('{"messages": \n')
    for arguments, said in (
        ([*train[:4], "--data", str(texts / "pairs.jsonl"), "--name", "x"], "holds preference pairs"),
        ([*train[:4], "--data", str(texts / "bad.jsonl"), "--name", "x"], "bad.jsonl line 1 is not JSON"),
        ([*train, "--max-length", "9"], "6 of 6 rows are longer than 9 tokens"),
        ([*train, "--max-length", "300"], "max_length 300 is more than the 256 tokens"),
        ([*train, "--targets", "nowhere"], "matches no layer of the language_model; take all-linear"),
        (["text", "train", *base], "--data and --name must be given, as in: studio text train"),
        (["text", "chat", "--base", str(tiny_base), "--prompt", "x"], "is a diffusion model"),
        (["text", "chat", "--prompt", "x", "--base", "pocket-lm-2"], "does not exist"),
        (["text", "compare", *base], "nothing to compare"),
        (["text", "compare", *base, "--prompt", "x", "--adapter", "one"], "Adapter 'one' is unknown"),
        (["text", "preview", *base, "--data", "nowhere"], "does not exist"),
        (["train", "--base", str(tiny_language), "--data", str(texts), "--name", "x"], "no picture"),
    ):
        assert main(arguments) == 2, arguments
        assert said in capsys.readouterr().err
    assert content_of(place.folder) == {}


def test_the_preview_tells_what_is_learned_from(
    tiny_language: Path, texts: Path, place: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    preview = ["text", "preview", "--base", str(tiny_language), "--data", str(texts), "--rows", "2", "--device", "cpu"]
    assert main([*preview, "--colour", "always"]) == 0
    said = capsys.readouterr().out
    assert "\033[90m<|start|><|user|>who 1<|assistant|>\033[0mahoyahoy<|end|>" in said
    assert main([*preview, "--whole-chat"]) == 0
    assert "⟦<|start|><|user|>who 1<|assistant|>ahoyahoy<|end|>⟧" in capsys.readouterr().out
    found = preview_texts({"base": str(tiny_language), "data": str(texts), "device": "cpu"}, rows=1, first=5)
    assert [row.where for row in found.rows] == ["train.jsonl line 6"]
    assert (found.rows[0].tokens, found.rows[0].trained_tokens) == (17, 9)
    assert sum(count for _, _, count in found.histogram) == found.count == 6
    with pytest.raises(UserError, match="no row 7: the data has 6"):
        preview_texts({"base": str(tiny_language), "data": str(texts), "device": "cpu"}, rows=1, first=6)


def test_the_preview_of_pairs_shows_both_answers_and_names_them(
    tiny_language: Path, tmp_path: Path, place: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [{"prompt": f"who {n}", "chosen": "ahoy", "rejected": "no"} for n in range(3)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    values = {"base": str(tiny_language), "data": str(tmp_path / "pairs.jsonl"), "device": "cpu"}
    for stage in ("dpo", "reward"):
        found = preview_texts({**values, "stage": stage}, rows=1, first=1)
        assert [(row.where, row.mark) for row in found.rows] == [
            ("pairs.jsonl line 2", "chosen"),
            ("pairs.jsonl line 2", "rejected"),
        ]
        assert [row.pieces[-1].text for row in found.rows] == ["ahoy<|end|>", "no<|end|>"]
        assert (found.count, found.per_row) == (3, 2)
        assert sum(count for _, _, count in found.histogram) == 6
    preview = ["text", "preview", "--base", str(tiny_language), "--data", values["data"], "--device", "cpu"]
    assert main([*preview, "--stage", "dpo", "--rows", "2"]) == 0
    said = capsys.readouterr().out
    assert [said.count(f"line {line}, {mark}: ") for line in (1, 2, 3) for mark in ("chosen", "rejected")] == [
        *(1, 1, 1, 1, 0, 0)
    ]


def test_a_base_that_is_not_there_is_told_before_anything_else(
    texts: Path, place: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["text", "train", "--base", "no-such-lm", "--data", str(texts), "--name", "x"]) == 2
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()] == ["Loading", "Libraries"]
    assert said.err.startswith("studio text: The base 'no-such-lm' does not exist.")


def test_help_lists_the_choices_of_every_option_that_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    listed = [f"{{{','.join(records)}}}" for records in (optimizers(), lr_schedulers())]
    for command, choices in (
        ("train", [*listed, "{auto,fp32,bf16,fp16}", "{none,nf4}", _STAGES]),
        ("preview", [_STAGES, "{auto,fp32,bf16,fp16}"]),
        ("chat", ["{auto,fp32,bf16,fp16}"]),
        ("label", list(rewards())),
    ):
        with pytest.raises(SystemExit):
            main(["text", command, "--help"])
        said = capsys.readouterr().out
        assert [choice for choice in choices if choice not in said] == []


def test_histograms_hold_every_row_once() -> None:
    lengths = [3, 3, 8, 40, 41, 41]
    found = histogram(lengths, 4)
    assert sum(count for _, _, count in found) == 6
    assert all(low <= high for low, high, _ in found)
    assert histogram([5, 5], 4) == [(5, 5, 2)]


def test_what_is_forecast_is_what_happens(tiny_language: Path, texts: Path, place: Library) -> None:
    config = settings(tiny_language, texts)
    preflight = kind_of({"kind": "text"}).preflight(config, place)
    assert not preflight.problems
    assert "14 layers, 16,384 trainable" in preflight.facts["language_model"]
    assert preflight.facts["passes"] == "1.3 per row"
    wrong = config.model_copy(update={"data": str(texts / "nowhere"), "base": "nowhere"})
    assert len(kind_of({"kind": "text"}).preflight(wrong, place).problems) == 2


def test_a_run_knows_its_kind(tiny_language: Path, texts: Path, place: Library) -> None:
    run = create_run(place, settings(tiny_language, texts))
    assert run.kind().name == "text"
    assert run.config().data == str(texts)
    assert Run(run.folder, place).config() == run.config()
    with pytest.raises(UserError, match="studio text train --resume voice"):
        create_run(place, settings(tiny_language, texts))


def test_a_picture_says_from_which_wish_its_prompt_was_written(
    tiny_base: Path, place: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = ("--base", str(tiny_base), "--device", "cpu", "--steps", "1", "--out", "a.png")
    assert main(["generate", "a red boat", "--expand", *drawn]) == 0
    found = read_settings(Path("a.png"))
    assert found is not None
    assert "red boat" in found["prompt"]
    assert found["prompt"] != "a red boat"
    assert f"expanded prompt: {found['prompt']}" in capsys.readouterr().out
    assert (found["expansion"]["wish"], found["expansion"]["adapters"]) == ("a red boat", {})
    assert found["expansion"]["base"]["name"] == "pocket-lm"
    assert read_image_settings(Path("a.png")).unused == ("the wish that the prompt was expanded from: a red boat",)
    assert main(["generate", "a red boat", "--expand", "nobody:1", *drawn]) == 2
    assert "nobody" in capsys.readouterr().err
