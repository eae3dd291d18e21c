"""Settings outside the command line: shapes for forms, presets, and one run as YAML, command and Python."""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from studio.cli.commands.train import _TRAINING, COMMAND
from studio.cli.training_flags import config_from_options
from studio.library.library import Library
from studio.operations.catalogue import catalogue
from studio.resources import example_datasets
from studio.runs.kinds import kind_of, run_kinds
from studio.runs.kinds.images.preflight import preflight_images
from studio.runs.presets import applied, presets
from studio.runs.views import views_of
from studio.settings_schema import label_of, plain, shapes_of, shown
from trainers.card import CARD_NAME
from trainers.config import RunConfig, parse_config
from trainers.methods import methods

SETTINGS: dict[str, Any] = {
    "kind": "images",
    "data": "a folder/with 'quotes'",
    "name": "style",
    "steps": 7,
    "flip": True,
    "caption_dropout": 0.0,
    "trigger": "-sks, person",
    "snr_gamma": 5,
    "sample_prompts": ["a red boat, sea", "one more"],
    "parts": {
        "unet": {
            "method": "lora",
            "learning_rate": 1e-5,
            "settings": {"rank": 4, "alpha": 2.5, "targets": ["attention"]},
        },
        "text_encoder": {"method": "bitfit"},
    },
}


def test_the_command_and_the_script_are_the_same_run() -> None:
    wanted = parse_config(SETTINGS)
    views = views_of(SETTINGS)
    assert parse_config(yaml.safe_load(views["yaml"])) == wanted
    words = shlex.split(views["command"])
    assert words[:2] == ["studio", "train"]
    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    assert config_from_options(parser.parse_args(words[2:]), _TRAINING) == wanted
    names: dict[str, Any] = {}
    exec(views["python"].partition("with Terminal()")[0], names)  # noqa: S102 - what the page shows to be run
    assert names["config"] == wanted


def test_every_shape_goes_to_the_form_and_back() -> None:
    config = parse_config(SETTINGS).model_dump(mode="json")
    for shape in shapes_of(RunConfig):
        if shape["kind"] != "nested":
            assert plain(shape, shown(shape, config[shape["name"]])) == config[shape["name"]], shape["name"]
    shapes = {shape["name"]: shape for shape in shapes_of(RunConfig)}
    assert {shapes[name]["kind"] for name in ("flip", "steps", "lr_scheduler", "sample_prompts")} == {
        *("yes_no", "number", "choice", "lines")
    }
    assert plain(shapes["snr_gamma"], "five") == "five"  # so that the schema says what is wrong with it
    assert plain(shapes["steps"], 4.5) == 4.5
    assert plain(shapes["name"], "") is None
    assert label_of("resolution_px") == "Resolution (px)"
    assert label_of("snr_gamma") == "SNR gamma"


def test_presets_are_valid_runs_and_keep_what_a_run_is_about() -> None:
    abouts: dict[str, dict[str, Any]] = {
        "images": {"base": "pocket", "data": "mine", "name": "mine", "trigger": "sks"},
        "text": {"base": "pocket-lm", "data": "mine", "name": "mine"},
    }
    for preset in presets():
        about = abouts[preset.kind]
        config = kind_of({"kind": preset.kind}).parse(applied(preset, {**about, "kind": preset.kind, "steps": 9}))
        assert {name: getattr(config, name) for name in about} == about
        assert config.steps == preset.settings["steps"]
        assert all(preset.title + preset.description)
    places = [(preset.kind, preset.order) for preset in presets()]
    assert len(set(places)) == len(places)


def test_the_examples_of_a_kind_are_there() -> None:
    found = example_datasets(run_kinds()["images"].examples)
    assert "styles/blueprint" in found
    assert all(folder.is_dir() for folder in found.values())
    assert example_datasets(["no such group"]) == {}


def test_the_catalogue_has_everything_and_loads_no_model_library() -> None:
    assert [method["name"] for method in catalogue()["methods"]] == list(methods())
    program = (
        "import sys; from studio.operations.catalogue import catalogue; catalogue();"
        "print([name for name in ('torch', 'peft', 'transformers', 'diffusers') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_forecast_measures_a_step_and_tells_all_problems(tiny_base: Path, pictures: Path, tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    settings = {"base": str(tiny_base), "data": str(pictures), "name": "style", "device": "cpu", "batch_size": 2}
    preflight = preflight_images(parse_config({**settings, "steps": 1000}), library)
    assert not preflight.problems
    assert "for 1,000 steps of" in preflight.facts["time"]
    assert "at the peak of a step" in preflight.facts["memory"]
    assert "for checkpoints and adapter" in preflight.facts["disk"]
    assert not library.folder.exists()
    wrong = {**settings, "data": str(tmp_path / "gone"), "parts": {"unet": {"settings": {"targets": ["no_such"]}}}}
    problems = preflight_images(parse_config(wrong), library).problems
    assert len(problems) == 2
    assert "gone" in problems[0]
    assert "no_such" in problems[1]
    full = preflight_images(parse_config({**settings, "keep_checkpoints": 1000}), library)
    assert not full.problems  # toy checkpoints fit any disk


@pytest.mark.parametrize("free", [10, 10**15])
def test_a_disk_that_is_too_small_is_a_problem(free: int) -> None:
    from studio.runs.step_cost import Cost, duration, size

    cost = Cost(0.5, 100, 1, 1, on_gpu=False, disk_bytes=2_500_000, free_disk_bytes=free)
    assert cost.facts()["time"].startswith("50 s for 100 steps")
    assert bool(cost.problems()) == (free == 10)
    assert [duration(1), duration(600), duration(12_000)] == ["1 s", "10 min", "3 h 20 min"]
    assert [size(999), size(2_500_000), size(3.25e9)] == ["999 bytes", "2.5 MB", "3.25 GB"]


@pytest.mark.parametrize(
    ("kind", "head", "command"),
    [
        ("images", None, "studio generate 'neon, a red boat, sea' --adapter 'my style' --out boat.png"),
        ("text", None, "studio text chat --adapter 'my style' --prompt 'Tell me a story.'"),
        ("text", "reward", "studio text score --adapter 'my style' --prompt 'How are you?' --answer 'Very well.'"),
        ("text", "classes", "studio text classify --adapter 'my style' 'It was a quiet morning.'"),
    ],
)
def test_what_was_trained_is_tried_by_a_command_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, head: str | None, command: str
) -> None:
    """Whichever command resumed the run; on the usual base and in the usual library, and on and in others."""
    card = {
        "name": "my style",
        "base": {"name": "any", "family": "sd15", "fingerprint": "0" * 64, "widths": {}},
        "parts": {},
        "triggers": ["neon"],
        "head": {"kind": head, "part": "language_model"} if head else None,
    }
    library = Library(tmp_path / "my library")
    library.adapter_folder("my style").mkdir(parents=True)
    (library.adapter_folder("my style") / CARD_NAME).write_text(json.dumps(card))
    tried_by, parse = run_kinds()[kind].tried_by, run_kinds()[kind].parse
    assert tried_by is not None
    monkeypatch.setenv("STUDIO_LIBRARY", str(library.folder))
    assert tried_by(parse({"data": "d", "name": "my style"}), library) == command
    monkeypatch.delenv("STUDIO_LIBRARY")
    said = tried_by(parse({"data": "d", "name": "my style", "base": "/my bases/x"}), library)
    assert said == f"{command} --base '/my bases/x' --library '{library.folder}'"
