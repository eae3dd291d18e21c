"""Whoever draws or trains is told what a prompt or caption holds that is no words."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipelines.families import LoadedBase
from pipelines.prompt_notes import SENTENCES
from studio.app.shared.prompt_words import prompt_notes_said
from studio.app.shared.words import Words
from studio.cli.main import main
from studio.engine.jobs.generate import JOB
from studio.engine.workbench import Workbench
from studio.library.library import Library
from studio.runs.kinds.images.preflight import preflight_images
from tests.support import random_adapter
from trainers.adapter import write_adapter
from trainers.config import parse_config

CAPTURE = pytest.CaptureFixture[str]
_TAG = "<lora:one:0.8> is read as letters: tags load no adapter here. Take it out, and give --adapter NAME:0.8."


def test_generate_and_compare_say_what_is_not_understood(
    library: Library, tiny_base: Path, tiny_judge: Path, capsys: CAPTURE
) -> None:
    common = ["--base", str(tiny_base), "--device", "cpu", "--steps", "1", "--negative-prompt", "(ugly:1.2)"]
    prompt = "a red boat <lora:one:0.8>, (sea:1.3)"
    assert main(["generate", prompt, *common, "--out", "x.png"]) == 0
    said = capsys.readouterr().out
    assert f"Note: in the prompt, {_TAG}" in said
    assert "Note: in the prompt, (sea:1.3) is read with its brackets and numbers" in said
    assert "Note: in the negative prompt, (ugly:1.2) is read" in said
    assert main(["generate", "a boat (small)", *common[:-2], "--out", "y.png"]) == 0
    assert "Note: in the" not in capsys.readouterr().out
    more = ["--adapter", "one", "--weights", "1", "--judge", str(tiny_judge), "--cost"]
    assert main(["compare", "--prompt", "a boat", "--prompt", "__sea__", *common, *more]) == 0
    said = capsys.readouterr().out
    assert "Note: in the prompt '__sea__', __sea__ is read as letters: nothing is filled in" in said
    assert "Note: in the negative prompt" in said


def test_merging_is_proposed_for_a_batch_and_draws_the_same(library: Library, tiny_base: Path, capsys: CAPTURE) -> None:
    draw = ["generate", "a boat", "--base", str(tiny_base), "--device", "cpu", "--steps", "1", "--count", "4"]
    assert main([*draw, "--adapter", "one:0.5", "--out", "live.png"]) == 0
    assert "Note: the adapters cost time at each step of 4 pictures. --merge adds them" in capsys.readouterr().out
    assert main([*draw, "--adapter", "one:0.5", "--merge", "--out", "merged.png"]) == 0
    assert "--merge" not in capsys.readouterr().out
    for number in range(1, 5):
        with Image.open(f"live-{number}.png") as one, Image.open(f"merged-{number}.png") as other:
            assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1
    assert main([*draw, "--merge", "--out", "x.png"]) == 2
    assert "--merge is for adapters that --adapter names" in capsys.readouterr().err


def test_the_job_offers_merging_where_it_pays_and_can_be_done(
    library: Library, base: LoadedBase, tiny_base: Path
) -> None:
    write_adapter(library.adapters_folder / "narrow", random_adapter(base, "narrow", method="pfeiffer"))
    bench = Workbench(library, lambda event: None, lambda: None)
    common = {"prompt": "a boat", "base": str(tiny_base), "device": "cpu", "num_inference_steps": 1}
    for offered, weights, count, merge in (
        (True, {"one": 0.5, "narrow": 0.0}, 4, False),
        (False, {"one": 0.5}, 3, False),
        (False, {"one": 0.5}, 4, True),
        (False, {"one": 0.5, "narrow": 1.0}, 4, False),
        (False, {}, 4, False),
    ):
        events = [
            dict(event) for event in JOB.run(bench, {**common, "weights": weights, "count": count, "merge": merge})
        ]
        assert [event["event"] for event in events] == ["merging_pays"] * offered + ["picture"] * count
    bench.release()


def test_training_says_it_of_captions_and_sample_prompts(
    library: Library, tiny_base: Path, pictures: Path, train: list[str], capsys: CAPTURE
) -> None:
    captions = sorted(pictures.glob("*.txt"))
    for path in captions[:2]:
        path.write_text(f"{path.read_text()} <lora:one:0.8>")
    names = ", ".join(path.with_suffix(".png").name for path in captions[:2])
    wanted = [
        f"Note: in 2 captions ({names}), {_TAG}",
        "Note: in the sample prompt 'a [boat]', [boat] is read with its",
    ]
    settings = {"data": str(pictures), "name": "x", "base": str(tiny_base), "device": "cpu", "steps": 1}
    notes = preflight_images(parse_config({**settings, "sample_prompts": ["a [boat]"]}), library).notes
    assert [any(note.startswith(text) for note in notes) for text in wanted] == [True, True]
    assert main([*train, "--sample-prompt", "a [boat]", "--judge", "none"]) == 0
    said = capsys.readouterr().out
    assert all(text in said for text in wanted)


def test_the_app_says_it_in_the_readers_language() -> None:
    words = Words()
    assert all(f"prompt.{kind}" in words for kind in SENTENCES)
    chinese = SimpleNamespace(headers={"accept-language": "zh-TW"})
    prompts = ["a boat <lora:one:0.8>", "a cat <lora:one:0.8>", None, "a {red|blue} <ink> boat"]
    english = prompt_notes_said(partial(words.say, None), prompts)
    assert english[0].startswith(
        "<lora:one:0.8> is read as letters: tags load no adapter here. Take it out, and choose"
    )
    assert [text.split(" ")[0] for text in english] == ["<lora:one:0.8>", "{red|blue}"]
    told = prompt_notes_said(partial(words.say, chinese), prompts)  # type: ignore[arg-type]
    assert [text.split(" ")[1][:2] for text in told] == ["會被", "會被"]
