"""The run's settings: every problem at once, the nearest names, and a round trip through YAML that loses nothing."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from trainers.config import RunConfig, parse_config
from trainers.config_files import config_as_yaml, read_config
from trainers.errors import UserError
from trainers.lr_schedulers import lr_schedulers
from trainers.methods import methods
from trainers.part_config import PartConfig
from trainers.text_config import TextConfig

NEEDED = {"data": "pictures", "name": "style"}


def problems(values: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        parse_config(values, known_parts=("unet", "text_encoder", "text_encoder_2"))
    return str(caught.value)


def test_recommendations_are_written_out() -> None:
    config = parse_config(NEEDED)
    assert config.parts["denoiser"].learning_rate == 2e-3
    assert config.parts["denoiser"].settings["targets"] == ["attention", "feed_forward"]
    assert config.parts["text_encoder"].settings["rank"] == 8
    own = parse_config({**NEEDED, "parts": {"unet": {"learning_rate": 0.5, "settings": {"rank": 3}}}})
    assert own.learning_rate_of("unet") == 0.5
    assert own.parts["unet"].settings["rank"] == 3
    assert set(own.parts) == {"unet"}


def test_a_full_sized_base_takes_smaller_steps_unless_told_otherwise() -> None:
    config = parse_config({**NEEDED, "base": "somewhere/stable-diffusion-v1-5"})
    assert config.parts["denoiser"].learning_rate == pytest.approx(2e-4)
    assert config.parts["text_encoder"].learning_rate == pytest.approx(1e-4)
    own = parse_config({**NEEDED, "base": "elsewhere", "parts": {"unet": {"learning_rate": 2e-3}}})
    assert own.parts["unet"].learning_rate == 2e-3


def test_the_pocket_language_model_takes_larger_steps_unless_told_otherwise() -> None:
    chats = {"data": "chats", "name": "voice"}
    recommended = methods()["lora"].recommended["language_model"]
    pocket, other = parse_config(chats, TextConfig), parse_config({**chats, "base": "somewhere/llama"}, TextConfig)
    assert pocket.parts["language_model"].learning_rate == recommended.pocket_rate
    assert other.parts["language_model"].learning_rate == recommended.learning_rate == 2e-4
    own = parse_config({**chats, "parts": {"language_model": {"learning_rate": 0.5}}}, TextConfig)
    assert own.learning_rate_of("language_model") == 0.5
    without = methods()["bitfit"].recommended["denoiser"]
    assert without.rate_on_pocket() == without.learning_rate


def test_the_denoiser_is_called_as_the_base_calls_it() -> None:
    plain = parse_config(NEEDED)
    for name in ("unet", "transformer"):
        own = plain.on([name, "text_encoder", "text_encoder_2"])
        assert list(own.parts) == [name, "text_encoder"]
        assert own.parts[name] == plain.parts["denoiser"]
        assert own.on([name, "text_encoder"]) == own
    both = parse_config({**NEEDED, "parts": {"denoiser": {}, "unet": {}}})
    with pytest.raises(UserError, match="'denoiser' and 'unet' are the same part"):
        both.on(["unet", "text_encoder"])


def test_a_part_that_no_base_has_is_named_beside_other_problems() -> None:
    message = problems({**NEEDED, "parts": {"unett": {}, "text_encoder": {"method": "lorra"}}})
    assert "Part 'unett' is unknown. Did you mean 'unet'" in message
    assert "'lorra'" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stesp": 10}, "Did you mean 'steps'"),
        ({"parts": {"unet": {"setings": {}}}}, "Did you mean 'settings'"),
        ({"parts": {"unet": {"settings": {"rnak": 3}}}}, "Did you mean 'rank'"),
        ({"parts": {"unet": {"method": "lorra"}}}, "Did you mean 'lora'"),
        ({"parts": {"unett": {}}}, "'unett'"),
        ({"parts": {}}, "parts"),
        ({"parts": "unet"}, "parts = 'unet'"),
        ({"parts": {"unet": 3}}, "parts = {'unet': 3} cannot be read; write parts: {denoiser: {method: lora"),
        ({"parts": {}}, "parts = {} cannot be read"),
        ({"rank": 4}, "rank: that belongs to a part; write parts: {denoiser"),
        ({"steps": 0}, "steps = 0"),
        ({"steps": "many"}, "steps = 'many'"),
        ({"steps": 2.5}, "steps = 2.5"),
        ({"batch_size": -1}, "batch_size = -1"),
        ({"resolution_px": 63}, "resolution_px = 63"),
        ({"resolution_px": 4096}, "resolution_px = 4096"),
        ({"caption_dropout": 1.5}, "caption_dropout = 1.5"),
        ({"snr_gamma": float("nan")}, "snr_gamma = nan"),
        ({"weight_decay": float("inf")}, "weight_decay = inf"),
        ({"seed": -2}, "seed = -2"),
        ({"seed": 2**31}, "seed = 2147483648"),
        ({"keep_checkpoints": 1}, "keep_checkpoints = 1"),
        ({"optimizer": "lion"}, "optimizer = 'lion'"),
        ({"lr_scheduler": None}, "lr_scheduler = None"),
        ({"precision": "fp64"}, "precision = 'fp64'"),
        ({"warmup_steps": 300, "steps": 250}, "warmup_steps 300"),
        ({"name": "../evil"}, "'../evil'"),
        ({"name": ""}, "The name ''"),
        ({"name": 7}, "name = 7"),
        ({"flip": "perhaps"}, "flip = 'perhaps'"),
        ({"sample_prompts": ["x"] * 17}, "sample_prompts"),
        ({"parts": {"unet": {"learning_rate": 0}}}, "parts.unet.learning_rate = 0"),
        ({"parts": {"unet": {"settings": {"rank": 0}}}}, "parts.unet.settings.rank = 0"),
        ({"parts": {"unet": {"settings": {"targets": []}}}}, "parts.unet.settings.targets = []"),
        ({1: 2}, "1"),
    ],
)
def test_a_wrong_value_or_key_is_named_with_its_value(changes: dict[Any, Any], expected: str) -> None:
    message = problems({**NEEDED, **changes})
    assert expected in message
    assert message.count("\n") == message.count("\n  - ")


def test_missing_settings_are_named() -> None:
    message = problems({})
    assert "data is missing" in message
    assert "name is missing" in message


def test_all_problems_come_at_once_those_of_the_parts_too() -> None:
    message = problems(
        {
            "name": "-bad-",
            "stesp": 1,
            "batch_size": 0,
            "parts": {
                "unet": {"settings": {"rank": 0, "rnak": 1}},
                "text_encoder": {"method": "lorra"},
                "vae": {},
                "text_encoder_2": {"learning_rate": -1},
            },
        }
    )
    for text in ("data is missing", "stesp", "batch_size = 0", "rank = 0", "rnak", "'lorra'", "'vae'", "learning_rate"):
        assert text in message, text
    assert "'-bad-'" in message
    assert message.count("\n  - ") == 9


def test_a_hostile_value_is_shown_short() -> None:
    nested: Any = "x" * 50
    for _ in range(40):  # as YAML's anchors can build: 2**40 words in few lines
        nested = [nested, nested]
    assert len(problems({**NEEDED, "steps": nested})) < 1000


PLAIN = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
"""What settings may hold; the others are refused, which other tests show."""
NAMES = st.text("abcXYZ019_-.", min_size=1, max_size=12).map(lambda text: "n" + text)
CONFIGS = st.fixed_dictionaries(
    {"data": st.text(PLAIN, min_size=1, max_size=20), "name": NAMES},
    optional={
        "base": st.text(PLAIN, min_size=1, max_size=20),
        "prompt": st.none() | st.text(PLAIN, max_size=30),
        "trigger": st.none() | st.text(PLAIN, max_size=8),
        "skip_bad": st.booleans(),
        "resolution_px": st.none() | st.integers(8, 256).map(lambda n: 8 * n),
        "steps": st.integers(20, 10**6),
        "caption_dropout": st.floats(0, 1),
        "snr_gamma": st.none() | st.floats(1e-3, 100),
        "max_grad_norm": st.floats(1e-6, 1e6),
        "weight_decay": st.floats(0, 1),
        "lr_scheduler": st.sampled_from(sorted(lr_schedulers())),
        "seed": st.integers(0, 2**31 - 1),
        "sample_prompts": st.lists(st.text(PLAIN, max_size=20), max_size=4),
        "parts": st.dictionaries(
            st.sampled_from(["unet", "text_encoder"]),
            st.fixed_dictionaries(
                {},
                optional={
                    "learning_rate": st.none() | st.floats(1e-9, 1),
                    "settings": st.fixed_dictionaries(
                        {},
                        optional={
                            "rank": st.integers(1, 64),
                            "alpha": st.none() | st.floats(0.1, 99),
                            "targets": st.lists(st.text("abc.", min_size=1), min_size=1, max_size=3),
                        },
                    ),
                },
            ),
            min_size=1,
        ),
    },
)


@given(values=CONFIGS)
@hypothesis_settings(max_examples=80)
def test_a_config_survives_the_round_trip_through_yaml(values: dict[str, Any], tmp_path: Path) -> None:
    config = parse_config(values)
    path = tmp_path / "config.yaml"
    path.write_bytes(config_as_yaml(config).encode())
    assert parse_config(read_config(path)) == config


@pytest.mark.parametrize(
    "content",
    [
        b"steps: [",
        b"\xff\xfe",
        b"- a\n- b\n",
        b"just words",
        b"",
        b"steps: !!python/object/apply:os.system ['true']",
        b"created: 2024-13-45",
        b"[" * 1200,
        b"a: &a [*a]\nb: \x00",
    ],
)
def test_a_broken_yaml_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"run\.yaml") as caught:
        read_config(path)
    assert "\n" not in str(caught.value)


def test_a_missing_yaml_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run\.yaml cannot be read"):
        read_config(tmp_path / "run.yaml")


def test_configs_are_frozen_and_every_setting_is_described() -> None:
    config = parse_config(NEEDED)
    with pytest.raises(ValueError, match="frozen"):
        config.steps = 3  # type: ignore[misc]
    for model in (RunConfig, PartConfig):
        for name, field in model.model_fields.items():
            assert field.description, name
