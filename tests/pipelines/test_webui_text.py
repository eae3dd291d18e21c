"""Texts of AUTOMATIC1111 and its relatives, odd but legal, and the files that they stand in."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipelines.generate import ImageRequest
from pipelines.image_file import OWN_KEY, png_bytes, webui_parameters
from pipelines.image_settings import parse_webui_parameters, read_image_settings, settings_from_texts
from pipelines.webui_text import quoted_fact, read_webui_text
from trainers.errors import UserError

_FACTS = "Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 512x512, Model: foo"
_READ = {"seed": 1, "num_inference_steps": 20, "guidance_scale": 7.0, "width_px": 512, "height_px": 512, "base": "foo"}


def of(prompt: str, negative: str = "") -> dict[str, Any]:
    return {"prompt": prompt, "negative_prompt": negative, **_READ}


@pytest.mark.parametrize(
    ("text", "values", "unused"),
    [
        (
            f'a cat\nNegative prompt: ugly\n{_FACTS}, Wildcard prompt: "line one\nline two", Version: v1.5',
            of("a cat", "ugly"),
            {"Wildcard prompt: line one\nline two", "Version: v1.5"},
        ),
        (
            f"a cat\nNegative prompt: ugly\n{_FACTS}\nTemplate: a {{cat|dog}}\nNegative Template: ugly",
            of("a cat", "ugly"),
            {"Template: a {cat|dog}", "Negative Template: ugly"},
        ),
        (f"a cat\r\nNegative prompt: ugly\r\nand wet\r\n{_FACTS}\r\n", of("a cat", "ugly\nand wet"), set()),
        (f"{_FACTS}", of(""), set()),
        (f"Negative prompt: ugly\n{_FACTS}", of("", "ugly"), set()),
        (f"a sign: Steps: 3\nSteps: up, Seed: no\n{_FACTS}", of("a sign: Steps: 3\nSteps: up, Seed: no"), set()),
        (f"how to say Negative prompt: x\n{_FACTS}", of("how to say Negative prompt: x"), set()),
        (
            f'a\n{_FACTS}, Lora hashes: "ink: abc, wash: def", TI: "he said \\"no\\", twice"',
            of("a"),
            {"Lora hashes: ink: abc, wash: def", 'TI: he said "no", twice'},
        ),
        (
            f'a\n{_FACTS}, Civitai resources: [{{"type":"lora","Name, x":"b","weight":1}}], Civitai metadata: {{}}',
            of("a"),
            {'Civitai resources: [{"type":"lora","Name, x":"b","weight":1}]', "Civitai metadata: {}"},
        ),
        (f'a\n{_FACTS}, Path: "C:\\models\\x", Odd: "open', of("a"), {"Path: C:\\models\\x", 'Odd: "open'}),
        (f"a\n{_FACTS}, Note: this, that, Clip skip: 2", of("a"), {"Note: this, that", "Clip skip: 2"}),
        (
            "prompt\nNegative prompt: wet\nVersion: aa6, Pipeline: Original,\n"
            "Steps: 20 | Seed: 1 | Sampler: Euler a | CFG scale: 7 | Size: 512x512 | Model: foo | Operations: | X: 1",
            of("prompt", "wet"),
            {"Version: aa6", "Pipeline: Original", "Sampler: Euler a", "Operations: ", "X: 1"},
        ),
        (
            "a\nSeed: 1, Steps: 20, CFG scale: 7.000000, Size: 512x512, Model: foo, RNG: cuda",
            of("a"),
            {"RNG: cuda"},
        ),
        (f"a cat\nSteps: 20\nNegative prompt: x\n{_FACTS}", of("a cat\nSteps: 20", "x"), set()),
        (
            "a\nSteps: 20, Sampler: k_euler, CFG scale: 7, Seed: 1,Size: 512x512, Model: foo, model: other",
            of("a"),
            {"Sampler: k_euler", "model: other"},
        ),
        (
            f'a\n{_FACTS}, ADetailer prompt: "blue eyes, detailed face, ", X: 1',
            of("a"),
            {"ADetailer prompt: blue eyes, detailed face, ", "X: 1"},
        ),
    ],
)
def test_every_legal_text_is_read(text: str, values: dict[str, Any], unused: set[str]) -> None:
    found = parse_webui_parameters(text)
    assert found.values == values
    assert set(found.unused) - {"Sampler: Euler"} == unused


def test_facts_are_found_behind_a_very_long_prompt() -> None:
    """The prompt is too long for the form, and says so; nothing else is lost with it."""
    found = parse_webui_parameters("word, " * 5_000 + "\n" + _FACTS)
    assert found.values == {key: value for key, value in of("").items() if key != "prompt"}
    assert found.unused[0].startswith("prompt: word")


def test_tags_of_adapters_in_every_spelling() -> None:
    found = parse_webui_parameters(
        f"a <lora:ink> b <lyco:wash:0.5> <lora:ink:0.7> <lora:thin:0.3:0.9:lbw=OUTALL> <hypernet:h:1>\n{_FACTS}"
    )
    assert found.values["prompt"] == "a b"
    assert found.values["adapters"] == {"ink": 0.7, "wash": 0.5, "thin": 0.3}
    assert {
        "adapter ink: named twice, weight 1",
        "adapter thin: 0.9:lbw=OUTALL behind its weight",
        "hypernetwork h",
    } <= set(found.unused)


def test_broken_surrogates_do_not_reach_the_page() -> None:
    own = settings_from_texts({OWN_KEY: json.dumps({"prompt": "a \ud83d boat", "base": {"name": "b\udc00"}})})
    assert own.values == {}
    assert own.unused == tuple(f"{key}: not plain text (a broken character)" for key in ("prompt", "base"))
    foreign = parse_webui_parameters(f'a\n{_FACTS}, X: "\\ud83d, y"')
    for text in (*foreign.unused, *own.unused):
        assert text.encode()


def _exif(code: bytes, text: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0131] = "webui"  # Pillow writes no EXIF into a PNG that has nothing but the UserComment
    exif.get_ifd(0x8769)[0x9286] = code + text
    return exif


_LINES = f"a 船 <lora:ink:0.5>\nNegative prompt: wet\n{_FACTS}"


@pytest.mark.parametrize("ending", [".jpg", ".webp", ".png"])
@pytest.mark.parametrize(
    ("code", "text"),
    [
        (b"UNICODE\0", _LINES.encode("utf-16-be")),
        (b"UNICODE\0", _LINES.encode("utf-16-le")),
        (b"UNICODE\0", _LINES.encode("utf-16")),
        (b"ASCII\0\0\0", _LINES.encode()),
        (b"UNICODE\0", _LINES.encode()),
        (b"\0" * 8, _LINES.encode()),
        (b"", _LINES.encode()),
    ],
)
def test_jpeg_and_webp_carry_the_text_in_exif(tmp_path: Path, ending: str, code: bytes, text: bytes) -> None:
    file = tmp_path / f"a{ending}"
    Image.new("RGB", (8, 8)).save(file, exif=_exif(code, text))
    assert read_image_settings(file).values == {**of("a 船", "wet"), "adapters": {"ink": 0.5}}


def test_a_comment_outside_its_own_folder_of_exif_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x9286] = b"UNICODE\0" + _LINES.encode("utf-16-be")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image_settings(tmp_path / "a.jpg").values["seed"] == 1


def test_json_in_a_comment_is_named(tmp_path: Path) -> None:
    exif = _exif(b"UNICODE\0", '{"sui_image_params": {"prompt": "a"}}'.encode("utf-16-be"))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp", exif=exif)
    with pytest.raises(UserError, match="SwarmUI's settings"):
        read_image_settings(tmp_path / "a.webp")


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        ({"prompt": '{"3": {"class_type": "KSampler"}}', "workflow": "{}"}, "ComfyUI's workflow, which"),
        ({"invokeai_metadata": "{}"}, "InvokeAI's settings"),
        ({"Software": "NovelAI", "Comment": '{"num_inference_steps": 28}'}, "NovelAI's settings"),
        ({"parameters": '{"sui_image_params": {"prompt": "a"}}'}, "SwarmUI's settings"),
        ({"parameters": ' {"prompt": "a"}'}, "another program's settings as JSON"),
        ({"Comment": "Created with GIMP"}, "carries no settings"),
        ({"parameters": " "}, "carries no settings"),
    ],
)
def test_other_programs_are_named(tmp_path: Path, texts: dict[str, str], named: str) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes(Image.new("RGB", (8, 8)), texts))
    with pytest.raises(UserError, match=named):
        read_image_settings(tmp_path / "a.png")


def test_the_webuis_text_is_read_beside_a_workflow() -> None:
    assert settings_from_texts({"prompt": "{}", "workflow": "{}", "parameters": f"a\n{_FACTS}"}).values == of("a")


_PROMPTS = st.text(st.characters(exclude_characters="<\r\0", exclude_categories=["Cs"]), max_size=80).filter(
    lambda text: "Negative prompt:" not in text and text == text.strip()
)
_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(
    prompt=_PROMPTS | st.sampled_from(["Steps: 3", "a\nSteps: 3, Seed: 4, Size: 8x8, Model: b", "x: y,", "A: b,"]),
    negative=_PROMPTS.filter(lambda text: not text.endswith(",")),
    name=_NAMES,
    weights=st.dictionaries(st.sampled_from(["ink", "wash.v2", "a-b"]), st.sampled_from([-1.5, 0.25, 1.0]), max_size=3),
    numbers=st.tuples(st.integers(0, 2**53), st.integers(1, 1000)),
)
def test_what_we_write_is_read(
    prompt: str, negative: str, name: str, weights: dict[str, float], numbers: tuple[int, int]
) -> None:
    request = ImageRequest(prompt, numbers[0], weights, None, negative, numbers[1], 2.5)
    base = {"name": name, "sampler": "DDIM", "fingerprint": "ab" * 32}
    found = parse_webui_parameters(webui_parameters(Image.new("1", (16, 24)), request, base)).values
    wanted = {
        "prompt": prompt,
        "negative_prompt": negative,
        "seed": numbers[0],
        "num_inference_steps": numbers[1],
        "base": name,
    }
    assert {key: found[key] for key in wanted} == wanted
    assert found.get("adapters", {}) == weights
    assert (found["guidance_scale"], found["width_px"], found["height_px"]) == (2.5, 16, 24)


@given(_NAMES)
def test_any_value_ends_where_it_does(value: str) -> None:
    text = f"a\nSteps: 1, Model: {quoted_fact(value)}, Seed: 2, Size: 8x8"
    assert read_webui_text(text).facts == {"Steps": "1", "Model": value, "Seed": "2", "Size": "8x8"}


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    assert isinstance(read_webui_text(text + "\n" + _FACTS).facts, dict)
