"""Prompts to pictures: noise, batches, weights, and files that carry their settings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.attach import Attachments, attached
from pipelines.families import LoadedBase
from pipelines.generate import ImageRequest, generate, image_noise
from pipelines.image_file import OWN_KEY, read_settings, webui_parameters, write_image
from tests.support import bits, random_adapter
from trainers.errors import UserError

FACTS = {"name": "toy", "family": "sd1", "fingerprint": "0123456789abcdef", "sampler": "DDIM"}


def array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def draw(attachments: Attachments, *requests: ImageRequest, **options: Any) -> list[np.ndarray]:
    pictures = dict(generate(attachments, list(requests), **options))
    return [array(pictures[number]) for number in range(len(requests))]


def test_a_seed_is_its_noise_whatever_else_is_drawn() -> None:
    torch.manual_seed(1)
    first = image_noise(7, (4, 8, 8))
    torch.rand(3)
    assert torch.equal(image_noise(7, (4, 8, 8)), first)
    assert not torch.equal(image_noise(8, (4, 8, 8)), first)
    assert abs(float(first.mean())) < 0.3
    assert first.shape == (4, 8, 8)


def test_a_picture_is_the_same_alone_and_in_a_batch(base: LoadedBase) -> None:
    requests = [
        ImageRequest(prompt, seed=seed, num_inference_steps=3) for prompt in ("a boat", "a house") for seed in (1, 2)
    ]
    attachments = Attachments(base)
    together = draw(attachments, *requests)
    alone = [draw(attachments, request)[0] for request in requests]
    for one, other in zip(together, alone, strict=True):
        assert np.abs(one - other).max() <= 1
    assert len({one.tobytes() for one in alone}) == 4
    assert (draw(attachments, requests[0])[0] == alone[0]).all()


def test_requests_of_several_settings_come_back_under_their_own_number(base: LoadedBase) -> None:
    with attached(base, {"a": random_adapter(base, size=0.3)}) as attachments:
        requests = [
            ImageRequest("a boat", seed=1, num_inference_steps=2),
            ImageRequest("a boat", seed=1, num_inference_steps=2, weights={"a": 1.0}),
            ImageRequest("a boat", seed=1, num_inference_steps=3),
            ImageRequest("a boat", seed=1, num_inference_steps=2, weights={"a": 0.0}),
            ImageRequest("a boat", seed=1, num_inference_steps=2, width_px=64),
            ImageRequest("a boat", seed=1, num_inference_steps=2, guidance_scale=1.0),
        ]
        told: list[tuple[int, int]] = []
        found = draw(attachments, *requests, on_step=lambda done, total: told.append((done, total)))
        plain = draw(attachments, requests[0])[0]
    assert np.abs(found[0] - plain).max() <= 1
    assert np.abs(found[3] - plain).max() <= 1
    assert all(np.abs(found[n] - plain).max() > 2 for n in (1, 2, 5))
    assert found[4].shape == (32, 64, 3)
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))
    assert len({total for _, total in told}) == 1


def test_after_drawing_the_weights_are_off_also_when_stopped(base: LoadedBase) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with attached(base, {"a": random_adapter(base, size=0.3)}) as attachments:
        plain = draw(attachments, ImageRequest("x", num_inference_steps=2))[0]
        with pytest.raises(KeyboardInterrupt):
            draw(attachments, ImageRequest("x", num_inference_steps=2, weights={"a": 1.0}), on_step=stop)
        assert (draw(attachments, ImageRequest("x", num_inference_steps=2))[0] == plain).all()


def base_bits(base: LoadedBase) -> dict[str, str]:
    found = {}
    for part, module in base.parts.items():
        found |= bits({f"{part}.{name}": value for name, value in module.state_dict().items()})
    return found


def test_merged_adapters_draw_the_same_and_leave_the_base_bit_for_bit(base: LoadedBase) -> None:
    weights = [{"a": 0.7}, {"a": 0.7, "b": -0.4}, {}]
    requests = [
        ImageRequest("a boat", seed=seed, num_inference_steps=2, weights=own) for own in weights for seed in (1, 2, 3)
    ]
    made = {"a": random_adapter(base, size=0.3), "b": random_adapter(base, method="loha", seed=1, size=0.3)}
    before = base_bits(base)
    with attached(base, made) as attachments:
        held = base_bits(base)
        assert attachments.can_merge(weights[1])
        live, merged = draw(attachments, *requests), draw(attachments, *requests, merged=True)
        assert base_bits(base) == held
        for one, other in zip(live, merged, strict=True):
            assert np.abs(one - other).max() <= 1
        assert np.abs(live[0] - live[6]).max() > 5, "the adapters have an effect"
        assert not attachments.merged
    assert base_bits(base) == before


def test_a_merged_drawing_that_is_stopped_leaves_the_base(base: LoadedBase) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with attached(base, {"a": random_adapter(base, size=0.3)}) as attachments:
        held = base_bits(base)
        requests = [ImageRequest("x", seed=seed, num_inference_steps=2, weights={"a": 1.0}) for seed in range(3)]
        with pytest.raises(KeyboardInterrupt):
            draw(attachments, *requests, merged=True, on_step=stop)
        assert base_bits(base) == held
        pictures = generate(attachments, requests, merged=True, batch_size=1)
        next(pictures)
        pictures.close()  # type: ignore[attr-defined]
        assert base_bits(base) == held


def test_what_cannot_be_merged_is_said(base: LoadedBase) -> None:
    with attached(base, {"a": random_adapter(base, method="pfeiffer", parts=("unet",))}) as attachments:
        assert not attachments.can_merge({"a": 1.0})
        assert attachments.can_merge({"a": 0.0})
        with pytest.raises(UserError, match="cannot be merged into the base"):
            draw(attachments, ImageRequest("x", num_inference_steps=1, weights={"a": 1.0}), merged=True)
        assert not attachments.merged


def test_negative_prompts_and_guidance_change_the_picture(base: LoadedBase) -> None:
    attachments = Attachments(base)
    plain = draw(attachments, ImageRequest("a boat", num_inference_steps=3))[0]
    assert (draw(attachments, ImageRequest("a boat", num_inference_steps=3, negative_prompt="fog"))[0] != plain).any()
    off = [
        ImageRequest("a boat", num_inference_steps=3, guidance_scale=1.0, negative_prompt=text) for text in ("", "fog")
    ]
    first, second = draw(attachments, *off)
    assert (first == second).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"num_inference_steps": 0}, "steps 0"),
        ({"num_inference_steps": 10**6}, "steps 1000000"),
        ({"guidance_scale": float("nan")}, "guidance_scale nan"),
        ({"guidance_scale": -1}, "guidance_scale -1"),
        ({"seed": -2}, "seed -2"),
        ({"seed": 2**64}, "seed 18446744073709551616"),
        ({"weights": {"a": float("nan")}}, "weight nan of 'a'"),
        ({"weights": {"a": 1e9}}, "weight 1000000000.0 of 'a'"),
        ({"width_px": -8}, "-8"),
        ({"width_px": 0}, "width_px 0"),
        ({"height_px": 10**9}, "height_px 1000000000"),
    ],
)
def test_values_that_no_sampler_can_use_are_refused(base: LoadedBase, values: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected.replace(".", r"\.")):
        draw(Attachments(base), ImageRequest("x", **values))


def test_a_picture_file_carries_its_settings(tmp_path: Path) -> None:
    request = ImageRequest(
        "a grün boat 🚤",
        seed=5,
        num_inference_steps=7,
        guidance_scale=2.5,
        negative_prompt="fog",
        weights={"one": 0.8, "two": -0.5, "no": 0},
    )
    picture = Image.new("RGB", (16, 8), (1, 2, 3))
    write_image(tmp_path / "a.png", picture, request, FACTS)
    with Image.open(tmp_path / "a.png") as found:
        assert found.convert("RGB").getpixel((3, 3)) == (1, 2, 3)
        text = found.text  # type: ignore[attr-defined]
    assert text["parameters"] == (
        "a grün boat 🚤 <lora:one:0.8> <lora:two:-0.5>\n"
        "Negative prompt: fog\n"
        "Steps: 7, Sampler: DDIM, CFG scale: 2.5, Seed: 5, Size: 16x8, Model hash: 0123456789, Model: toy"
    )
    own = read_settings(tmp_path / "a.png")
    assert own == json.loads(text[OWN_KEY])
    assert own is not None
    assert own["adapters"] == {"one": 0.8, "two": -0.5, "no": 0}
    assert (own["prompt"], own["seed"], own["width_px"], own["base"]) == (request.prompt, 5, 16, FACTS)
    assert webui_parameters(picture, ImageRequest("x"), FACTS).splitlines()[0] == "x"


def test_a_picture_without_our_settings_has_none(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert read_settings(tmp_path / "a.png") is None
