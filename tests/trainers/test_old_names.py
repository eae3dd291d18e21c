"""Settings that were written under the names of before: configs, flags and pictures still mean the same."""

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipelines.image_file import OWN_KEY, png_bytes, read_settings
from pipelines.image_settings import read_image_settings
from studio.cli.main import _parser
from studio.runs.kinds import kind_of, run_kinds
from trainers.config import parse_config
from trainers.config_files import read_config
from trainers.errors import UserError
from trainers.old_names import SAMPLING, TRAINING, with_new_names
from trainers.stages import stage_settings
from trainers.text_config import TextConfig

_WRITTEN = {
    "data": "my-pictures",
    "name": "ink",
    "accumulation": 4,
    "maximum_gradient_norm": 0.5,
    "optimiser": "sgd",
    "schedule": "linear",
}


def test_a_config_of_before_is_the_config_of_now(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(_WRITTEN))
    config = parse_config(read_config(path))
    now = (config.gradient_accumulation_steps, config.max_grad_norm, config.optimizer, config.lr_scheduler)
    assert now == (4, 0.5, "sgd", "linear")
    assert parse_config(_WRITTEN) == config
    assert parse_config({**_WRITTEN, "kind": "pictures"}) == config
    assert kind_of({"kind": "pictures"}).name == config.kind == "images"
    assert not TRAINING.keys() & config.model_dump().keys()


@pytest.mark.parametrize("old", TRAINING)
def test_both_names_at_once_are_an_error(old: str, tmp_path: Path) -> None:
    values = {**_WRITTEN, old: 1, TRAINING[old]: 1}
    said = f"{old} is the old name of {TRAINING[old]}; both are given"
    with pytest.raises(UserError, match=said):
        parse_config(values)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=said):
        read_config(path)


def test_stages_and_captioning_take_theirs_too() -> None:
    given = {"data": "rows.jsonl", "name": "ink", "base": "pocket-lm", "stage": "grpo", "sample_tokens": 9}
    config = parse_config({**given, "stage_settings": {"maximum_tokens": 7}}, TextConfig)
    assert config.sample_max_new_tokens == 9
    assert stage_settings(config).max_new_tokens == 7  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="maximum_tokens is the old name of max_new_tokens"):
        stage_settings(config.model_copy(update={"stage_settings": {"maximum_tokens": 7, "max_new_tokens": 7}}))
    kept = run_kinds()["captions"].parse({"kind": "captions", "name": "x", "data": "d", "model": "m", "most_tokens": 8})
    assert kept.max_new_tokens == 8


def test_flags_of_before_are_taken_and_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    read = _parser().parse_args(["generate", "a boat", "--steps", "7", "--guidance", "2.5"])
    assert (read.num_inference_steps, read.guidance_scale) == (7, 2.5)
    assert _parser().parse_args(["text", "chat", "--maximum-tokens", "5"]).max_new_tokens == 5
    assert _parser().parse_args(["generate", "a boat"]).num_inference_steps == 20
    read = _parser().parse_args(["train", "--optimiser", "sgd", "--accumulation", "2", "--maximum-gradient-norm", "3"])
    assert (read.optimizer, read.gradient_accumulation_steps, read.max_grad_norm) == ("sgd", "2", "3")
    with pytest.raises(UserError, match=r"--schedule is the old name of --lr-scheduler\. Give one of them"):
        _parser().parse_args(["train", "--schedule", "linear", "--lr-scheduler=cosine"])
    with pytest.raises(UserError) as refused:
        _parser().parse_args(["train", "--accumulatoin", "2"])
    assert "--accumulation" not in str(refused.value)
    with pytest.raises(SystemExit):
        _parser().parse_args(["train", "--help"])
    offered = capsys.readouterr().out
    assert "--gradient-accumulation-steps" in offered
    assert not [old for old in TRAINING if f"--{old.replace('_', '-')} " in offered]


def test_a_picture_of_before_is_read(tmp_path: Path) -> None:
    written = {"prompt": "a boat", "seed": 3, "steps": 12, "guidance": 7.5, "adapters": {"ink": 0.5}}
    path = tmp_path / "boat.png"
    path.write_bytes(png_bytes(Image.new("RGB", (8, 8)), {OWN_KEY: json.dumps(written)}))
    now = {"prompt": "a boat", "seed": 3, "num_inference_steps": 12, "guidance_scale": 7.5, "adapters": {"ink": 0.5}}
    assert read_settings(path) == now
    assert read_image_settings(path).values == now


def test_no_new_name_is_an_old_one() -> None:
    for table in (TRAINING, SAMPLING):
        assert not set(table) & set(table.values())
        assert len(set(table.values())) == len(table)
    assert with_new_names({"seed": 1}, TRAINING) == ({"seed": 1}, [])
