"""Settings read back from pictures: ours, AUTOMATIC1111's, and files that lie."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipelines.generate import ImageRequest
from pipelines.image_file import OWN_KEY, write_image
from pipelines.image_settings import (
    checked_settings,
    parse_webui_parameters,
    read_image_settings,
    settings_from_texts,
)
from trainers.errors import UserError

_BASE = {"name": "pocket", "family": "sd1", "fingerprint": "ab" * 32, "sampler": "DDIM"}


def test_what_we_write_is_read_back(tmp_path: Path) -> None:
    request = ImageRequest("a boat", 7, {"ink": -0.5}, None, "fog", 3, 2.5)
    write_image(tmp_path / "own.png", Image.new("RGB", (16, 24)), request, _BASE)
    assert read_image_settings(tmp_path / "own.png").values == {
        "prompt": "a boat",
        "negative_prompt": "fog",
        "seed": 7,
        "num_inference_steps": 3,
        "guidance_scale": 2.5,
        "width_px": 16,
        "height_px": 24,
        "adapters": {"ink": -0.5},
        "base": "pocket",
    }


def test_the_text_for_other_tools_says_the_same(tmp_path: Path) -> None:
    request = ImageRequest("a boat,\nsea", 7, {"ink": -0.5, "wash": 1.0}, None, "fog", 3, 2.5)
    write_image(tmp_path / "own.png", Image.new("RGB", (16, 24)), request, _BASE)
    with Image.open(tmp_path / "own.png") as picture:
        texts = dict(picture.text)  # type: ignore[attr-defined]
    both = settings_from_texts(texts), settings_from_texts({"parameters": texts["parameters"]})
    assert both[0].values == both[1].values
    assert both[1].unused == ("Sampler: DDIM", "Model hash: ababababab")


def test_foreign_facts_are_named_and_wrong_values_left_out() -> None:
    found = parse_webui_parameters(
        "a cat <lora:ink:0.8:1> <lora:wash:much>\nNegative prompt: fog\nand rain\n"
        'Steps: 9999999, Sampler: "DPM++, 2M", CFG scale: 7, Seed: -1, Size: 512x768, Model: v1-5'
    )
    assert found.values == {
        "prompt": "a cat",
        "negative_prompt": "fog\nand rain",
        "guidance_scale": 7.0,
        "width_px": 512,
        "height_px": 768,
        "adapters": {"ink": 0.8},
        "base": "v1-5",
    }
    assert set(found.unused) == {
        *("Sampler: DPM++, 2M", "seed: -1", "num_inference_steps: 9999999", "adapter wash: weight much"),
        "adapter ink: 1 behind its weight",
    }


def test_a_recipe_is_said_to_belong_elsewhere() -> None:
    assert "Blend" in checked_settings({"prompt": "a", "recipe": {"inputs": []}}).unused[0]


@pytest.mark.parametrize("texts", [{}, {OWN_KEY: "[1]"}, {OWN_KEY: "{"}, {OWN_KEY: "[" * 100_000}])
def test_no_settings_is_an_error(texts: dict[str, str]) -> None:
    with pytest.raises(UserError, match="carries no settings"):
        settings_from_texts(texts)


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"\x89PNG\r\n\x1a\n" + b"\0" * 64, b"GIF89a"])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.png").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be read as a picture .* Give a PNG, JPEG or WebP"):
        read_image_settings(tmp_path / "file.png")


def test_a_picture_too_big_is_not_decoded(tmp_path: Path) -> None:
    Image.new("1", (9_000, 9_000)).save(tmp_path / "big.png")
    with pytest.raises(UserError, match="9000 x 9000"):
        read_image_settings(tmp_path / "big.png")


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_KEYS = st.sampled_from(
    ["prompt", "seed", "num_inference_steps", "guidance_scale", "width_px", "adapters", "base", "recipe", "else"]
)


@given(st.dictionaries(_KEYS, _JSON))
def test_no_lie_gets_into_the_form(found: dict[str, object]) -> None:
    values = settings_from_texts({OWN_KEY: json.dumps(found)}).values
    kinds = {
        "prompt": str,
        "base": str,
        "seed": int,
        "num_inference_steps": int,
        "width_px": int,
        "guidance_scale": float,
    }
    assert all(isinstance(values[key], kind) for key, kind in kinds.items() if key in values)
    assert 1 <= values.get("num_inference_steps", 1) <= 1000
    assert 0 <= values.get("guidance_scale", 0) <= 100
    assert all(abs(weight) <= 100 for weight in values.get("adapters", {}).values())


@given(st.text(max_size=300))
def test_any_text_is_at_least_a_prompt(text: str) -> None:
    found = parse_webui_parameters(text)
    if "\0" in text:  # which no field can hold, and which is said
        assert isinstance(found.values.get("prompt", ""), str)
    else:
        assert isinstance(found.values["prompt"], str)
