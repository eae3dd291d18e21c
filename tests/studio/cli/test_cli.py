"""The command line from training to removal on the toy base, and what each command writes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.families import LoadedBase
from pipelines.image_file import read_settings
from studio.cli.commands.train import _TRAINING
from studio.cli.main import main
from studio.cli.training_flags import config_from_options
from studio.library.library import Library
from tests.support import content_of, random_adapter
from trainers.adapter import read_adapter, write_adapter
from trainers.config import RunConfig

CAPTURE = pytest.CaptureFixture[str]


def parsed(*arguments: str) -> RunConfig:
    from studio.cli.main import _parser

    return config_from_options(_parser().parse_args(["train", *arguments]), _TRAINING)


def test_train_list_show_generate_compare_blend_remove(
    tiny_base: Path, tiny_judge: Path, pictures: Path, tmp_path: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "library"
    monkeypatch.setenv("STUDIO_LIBRARY", str(library))
    base = ["--base", str(tiny_base), "--device", "cpu"]
    for name, seed in (("one", "1"), ("two", "2")):
        train = ["train", *base, "--data", str(pictures), "--name", name, "--seed", seed, "--steps", "3"]
        more = ["--batch-size", "2", "--judge", str(tiny_judge), "--trigger", "zqx", "--sample-prompt", "a red boat"]
        assert main([*train, *more, "--rank", "unet=3,text_encoder=2", "--learning-rate", "0.05"]) == 0
    said = capsys.readouterr().out
    assert "5 pictures, captions: 5 from .txt." in said
    assert "unet: lora on" in said
    assert "text_encoder: lora on" in said
    adapter = read_adapter(library / "adapters/one")
    assert adapter.card.triggers == ("zqx",)
    assert adapter.card.data == {"pictures": 5, "captions": {".txt": 5}}
    assert adapter.card.training["steps"] == 3
    assert adapter.parts["unet"].config["r"] == 3
    assert next(iter(adapter.references.values())).shape == (5, 16)
    assert str(tmp_path) not in (library / "adapters/one/adapter.json").read_text()
    run = library / "runs/one"
    assert [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3]
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["step-00000000-0.png", "step-00000003-0.png"]
    assert len(list((library / "adapters/one/previews").iterdir())) == 1

    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["one", "two"]
    assert main(["show", "one"]) == 0
    shown = capsys.readouterr().out
    for text in ("one", "zqx", "rank 3", "5 pictures", "seed 1"):
        assert text in shown

    out = tmp_path / "boat.png"
    draw = ["generate", "a red boat", *base, "--steps", "2", "--seed", "5", "--out", str(out)]
    assert main([*draw, "--adapter", "one:0.8", "--adapter", "two:-0.5"]) == 0
    settings = read_settings(out)
    assert settings is not None
    assert settings["adapters"] == {"one": 0.8, "two": -0.5}
    assert settings["base"]["name"] == tiny_base.name
    with Image.open(out) as picture:
        both = np.asarray(picture).astype(int)
        assert "<lora:one:0.8> <lora:two:-0.5>" in picture.text["parameters"]  # type: ignore[attr-defined]
    assert main(["generate", "x", *base, "--steps", "1", "--count", "3", "--out", str(tmp_path / "many.png")]) == 0
    assert sorted(path.name for path in tmp_path.glob("many*")) == ["many-1.png", "many-2.png", "many-3.png"]

    capsys.readouterr()
    assert main(["blend", "one:0.8", "two:-0.5", "--name", "mix"]) == 0
    assert "layers read back and compared" in capsys.readouterr().out
    assert main([*draw, "--adapter", "mix"]) == 0
    with Image.open(out) as picture:
        assert np.abs(np.asarray(picture).astype(int) - both).max() <= 1
    assert main([*draw]) == 0
    with Image.open(out) as picture:
        assert np.abs(np.asarray(picture).astype(int) - both).max() > 1
    assert main(["list"]) == 0
    assert "0.8·one + -0.5·two" in capsys.readouterr().out
    assert main(["show", "mix"]) == 0
    assert "exact: 0.8·one + -0.5·two" in capsys.readouterr().out

    grid = tmp_path / "grid.png"
    compare = [
        "compare",
        *base,
        "--prompt",
        "a boat",
        "--prompt",
        "a house",
        "--adapter",
        "one",
        "--mix",
        "one:1,two:1",
    ]
    assert main([*compare, "--weights", "0,1", "--steps", "2", "--judge", str(tiny_judge), "--out", str(grid)]) == 0
    rows = list(csv.DictReader(grid.with_suffix(".csv").read_text().splitlines()))
    assert [(row["prompt"], row["adapters"]) for row in rows] == [
        (prompt, adapters) for prompt in ("a boat", "a house") for adapters in ("", "one:1", "one:1 two:1")
    ]
    assert all(-1 <= float(row["clip_i:one"]) <= 1 for row in rows)
    with Image.open(grid) as sheet:
        assert sheet.width > 3 * 224
        assert sheet.height > 2 * 224

    assert main(["remove", "mix"]) == 0
    assert main(["remove", "two"]) == 0
    assert "Removed the run two." in capsys.readouterr().out
    assert sorted(path.name for path in (library / "adapters").iterdir()) == ["one"]
    assert sorted(path.name for path in (library / "runs").iterdir()) == ["one"]
    assert main(["methods", "--settings"]) == 0
    assert "LoRA" in capsys.readouterr().out


def test_every_setting_of_a_run_has_a_flag(capsys: CAPTURE) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for name, field in RunConfig.model_fields.items():
        if name == "kind":
            continue  # the command says it
        repeated = name in ("sample_prompts", "loss_weighting_settings")  # each is given one at a time
        flag = "--" + (name.removesuffix("s") if repeated else name).replace("_", "-")
        assert flag in shown, name
        assert name in ("parts", "sample_prompts") or (field.description or "").split()[0].rstrip(".") in shown, name


@pytest.mark.parametrize(
    ("flags", "name", "expected"),
    [
        (["--steps", "7"], "steps", 7),
        (["--batch-size", "2"], "batch_size", 2),
        (["--resolution-px", "128"], "resolution_px", 128),
        (["--snr-gamma", "none"], "loss_weighting", "none"),
        (["--snr-gamma", "3.5"], "loss_weighting", "min_snr"),
        (["--snr-gamma", "3.5"], "loss_weighting_settings", {"gamma": 3.5, "floor": None}),
        (["--loss-weighting", "min_snr"], "loss_weighting_settings", {"gamma": 5.0, "floor": None}),
        (
            ["--loss-weighting", "min_snr", "--loss-weighting-setting", "floor=0.1"],
            "loss_weighting_settings",
            {"gamma": 5.0, "floor": 0.1},
        ),
        (["--prompt", "none"], "prompt", "none"),
        (["--flip"], "flip", True),
        (["--no-skip-bad"], "skip_bad", False),
        (["--weight-decay", "0"], "weight_decay", 0.0),
        (["--optimizer", "sgd"], "optimizer", "sgd"),
        (["--sample-prompt", "a", "--sample-prompt", "b"], "sample_prompts", ("a", "b")),
        (["--seed", "9"], "seed", 9),
    ],
)
def test_flags_become_settings(flags: list[str], name: str, expected: object) -> None:
    assert getattr(parsed("--data", "d", "--name", "n", *flags), name) == expected


def test_part_flags_speak_for_all_parts_or_one() -> None:
    every = parsed("--data", "d", "--name", "n", "--rank", "5", "--alpha", "2.5")
    assert {part: plan.settings["rank"] for part, plan in every.parts.items()} == {"unet": 5, "text_encoder": 5}
    one = parsed("--data", "d", "--name", "n", "--rank", "unet=5", "--learning-rate", "unet=0.1,text_encoder=0.2")
    assert (one.parts["unet"].settings["rank"], one.parts["text_encoder"].settings["rank"]) == (5, 8)
    assert (one.parts["unet"].learning_rate, one.parts["text_encoder"].learning_rate) == (0.1, 0.2)
    only = parsed("--data", "d", "--name", "n", "--parts", "unet", "--targets", "attention+convolution")
    assert list(only.parts) == ["unet"]
    assert only.parts["unet"].settings["targets"] == ["attention", "convolution"]


def test_flags_win_over_the_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "data: from-file\nname: n\nsteps: 50\nbatch_size: 3\nskip_bad: true\nsnr_gamma: 2\n"
        "parts: {unet: {learning_rate: 0.5, settings: {rank: 7, alpha: 3}}}\n"
    )
    config = parsed("--config", str(path), "--steps", "60", "--no-skip-bad", "--rank", "9")
    assert (config.data, config.steps, config.batch_size, config.skip_bad) == ("from-file", 60, 3, False)
    assert list(config.parts) == ["unet"]
    assert config.parts["unet"].learning_rate == 0.5
    assert (config.parts["unet"].settings["rank"], config.parts["unet"].settings["alpha"]) == (9, 3)
    assert parsed("--config", str(path)).skip_bad is True


def test_a_run_can_be_resumed_from_another_place(
    tiny_base: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.library.library import Library
    from studio.runs.run import Run, create_run

    monkeypatch.chdir(tiny_base.parent)
    config = parsed("--data", str(pictures), "--name", "n", "--base", tiny_base.name)
    create_run(Library(tmp_path / "library"), config)
    monkeypatch.chdir(tmp_path)
    saved = Run(tmp_path / "library/runs/n", Library(tmp_path / "library")).config()
    assert saved.base == str(tiny_base.resolve())
    assert (saved.judge, parsed("--data", "d", "--name", "n").base) == ("auto", "pocket")


def test_looking_changes_nothing(tmp_path: Path, capsys: CAPTURE) -> None:
    library = tmp_path / "library"
    assert main(["list", "--library", str(library)]) == 0
    assert "No adapters" in capsys.readouterr().out
    assert content_of(library) == {}
    assert not library.exists()


def test_generate_drops_adapters_from_first_blocks(library: Library, base: LoadedBase, tiny_base: Path) -> None:
    write_adapter(library.adapters_folder / "narrow", random_adapter(base, "narrow", method="pfeiffer", size=0.5))
    draw = ["generate", "a red boat", "--base", str(tiny_base), "--device", "cpu", "--steps", "1"]
    assert main([*draw, "--adapter", "narrow", "--out", "whole.png"]) == 0
    assert main([*draw, "--adapter", "narrow", "--drop-blocks", "unet=1", "--out", "dropped.png"]) == 0
    whole, dropped = (read_settings(Path(name)) for name in ("whole.png", "dropped.png"))
    assert whole is not None
    assert dropped is not None
    assert "dropped_blocks" not in whole["base"]
    assert dropped["base"]["dropped_blocks"] == {"unet": 1}
    with Image.open("whole.png") as one, Image.open("dropped.png") as other:
        assert one.tobytes() != other.tobytes()
    assert main([*draw, "--adapter", "one", "--drop-blocks", "unet=1", "--out", "none.png"]) == 2
    assert not Path("none.png").exists()
