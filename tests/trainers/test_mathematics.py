"""Loss, schedule, order of pictures and random draws, each against its formula."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipelines.families import LoadedBase
from tests.support import draw_pictures
from trainers.config import RunConfig, parse_config
from trainers.data.images import image_pixels, open_image, read_folder
from trainers.data.latents import Latents, encode_latents
from trainers.data.order import data_order, mixed_seed
from trainers.errors import UserError
from trainers.loss_weightings import Weigh, find_loss_weighting
from trainers.losses.denoise import denoise
from trainers.optimization import build_optimizer, learning_rate_factor


def config(**values: object) -> RunConfig:
    return RunConfig.model_validate({"data": "d", "name": "n", **values})


def weighed_by(gamma: float | None, floor: float | None = None) -> Weigh:
    if gamma is None:
        return find_loss_weighting("none").with_settings({})
    return find_loss_weighting("min_snr").with_settings({"gamma": gamma, "floor": floor})


def min_snr_weights(signal: torch.Tensor, gamma: float, *, velocity: bool, floor: float | None = None) -> torch.Tensor:
    snr = signal.double() / (1 - signal.double())
    return weighed_by(gamma, floor)(snr, "v_prediction" if velocity else "epsilon")


@pytest.mark.parametrize("gamma", [None, 5.0])
def test_the_loss_is_the_weighted_mean_squared_error(shared_base: LoadedBase, gamma: float | None) -> None:
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        text = shared_base.encode_text(["one", "two", "three"])
        weigh = weighed_by(gamma)
        loss = denoise(shared_base, latents, text, torch.Generator().manual_seed(7), weigh)
        again = torch.Generator().manual_seed(7)
        noise = torch.randn(latents.shape, generator=again)
        timesteps = torch.randint(1000, (3,), generator=again)
        weights = weigh(shared_base.snr(timesteps), shared_base.prediction)
        errors = []
        for n in range(3):
            one = slice(n, n + 1)
            rows = {key: value[one] for key, value in text.items()}
            noisy = shared_base.add_noise(latents[one], noise[one], timesteps[one])
            predicted = shared_base.predict(noisy, timesteps[one], rows).double()
            error = predicted - shared_base.target(latents[one], noise[one], timesteps[one]).double()
            errors.append(float((error**2).mean()) * float(weights[n]))
    assert float(loss) == pytest.approx(np.mean(errors), rel=1e-4)


signals = st.lists(st.floats(0, 1), min_size=1, max_size=20) | st.lists(
    st.floats(1e-9, 0.1) | st.floats(0.9, 1 - 1e-9), min_size=1, max_size=20
)


@given(signals=signals, gamma=st.floats(1e-3, 100), floor=st.none() | st.floats(1e-3, 1))
def test_min_snr_weighs_as_in_the_paper(signals: list[float], gamma: float, floor: float | None) -> None:
    """With exact fractions: min(SNR, γ) / SNR for noise, min(SNR, γ) / (SNR + 1) for velocity, and the limits."""
    given_signal = torch.tensor(signals, dtype=torch.float64)
    for velocity in (False, True):
        found = min_snr_weights(given_signal, gamma, velocity=velocity, floor=floor)
        for signal, weight in zip(signals, found.tolist(), strict=True):
            share, cap = Fraction(signal), Fraction(gamma)
            if share == 1:  # no noise: SNR is infinite, and both weights vanish
                exact = Fraction(0)
            elif velocity:
                snr = share / (1 - share)
                exact = min(snr, cap) / (snr + 1)
            else:
                snr = share / (1 - share)
                exact = min(snr, cap) / snr if snr else Fraction(1)
            exact = exact if floor is None else max(exact, Fraction(floor))
            assert weight == pytest.approx(float(exact), rel=1e-6, abs=1e-12)


def test_pure_noise_weighs_nothing_for_velocity_and_everything_for_noise() -> None:
    pure = torch.zeros(1)
    assert min_snr_weights(pure, 5.0, velocity=True).item() == 0
    assert min_snr_weights(pure, 5.0, velocity=False).item() == 1
    assert min_snr_weights(pure, 5.0, velocity=True, floor=0.1).item() == 0.1


def test_a_floor_needs_the_weights_that_it_lies_under() -> None:
    with pytest.raises(UserError, match="is a floor under the weights of snr_gamma"):
        parse_config({"data": "d", "name": "n", "snr_floor": 0.1})
    both = parse_config({"data": "d", "name": "n", "snr_floor": 0.1, "snr_gamma": 5})
    assert (both.loss_weighting, both.loss_weighting_settings) == ("min_snr", {"gamma": 5, "floor": 0.1})


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_learning_rate_follows_its_formula(schedule: str) -> None:
    chosen = config(lr_scheduler=schedule, warmup_steps=10, steps=110)
    for step in range(110):
        share = (step - 10) / 100
        falling = {"cosine": (1 + math.cos(math.pi * share)) / 2, "linear": 1 - share, "constant": 1.0}[schedule]
        assert learning_rate_factor(chosen, step) == pytest.approx((step + 1) / 10 if step < 10 else falling)
    assert all(0 < learning_rate_factor(config(warmup_steps=0, steps=1), step) <= 1 for step in range(1))


def test_each_part_has_its_own_learning_rate() -> None:
    chosen = config(parts={"unet": {"learning_rate": 0.5}, "text_encoder": {}}, optimizer="sgd")
    parameters = {part: {1.0: [nn.Parameter(torch.ones(2))]} for part in chosen.parts}
    groups = build_optimizer(chosen, parameters).param_groups
    assert {group["name"]: group["base_rate"] for group in groups} == {"unet": 0.5, "text_encoder": 5e-3}


def test_every_pass_shows_every_picture_once_in_its_own_order() -> None:
    seen = [data_order(5, first, 4, seed=3) for first in range(0, 40, 4)]
    stream = [index for batch in seen for index in batch]
    passes = [tuple(stream[n : n + 5]) for n in range(0, 40, 5)]
    assert all(sorted(one) == list(range(5)) for one in passes)
    assert len(set(passes)) > 3
    assert stream == data_order(5, 0, 40, seed=3)
    assert stream[13:20] == data_order(5, 13, 7, seed=3)
    assert stream != data_order(5, 0, 40, seed=4)
    assert data_order(1, 0, 6, seed=0) == [0] * 6


def test_seeds_for_different_uses_differ_and_never_change() -> None:
    seeds = [
        mixed_seed(seed, what, n) for seed in range(5) for what in ("batch", "dropout", "order") for n in range(50)
    ]
    assert len(set(seeds)) == len(seeds)
    assert mixed_seed(1, "batch", 23) != mixed_seed(12, "batch", 3)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_drawn_latents_have_the_posteriors_mean_and_spread() -> None:
    mean = torch.tensor([[[[2.0]]], [[[-1.0]]]])
    latents = Latents(mean, torch.full_like(mean, 0.5), ("a", "b"))
    drawn = latents.draw([0, 1] * 4000, torch.Generator().manual_seed(0)).reshape(-1, 2)
    assert drawn.mean(0).tolist() == pytest.approx([2.0, -1.0], abs=0.05)
    assert drawn.std(0).tolist() == pytest.approx([0.5, 0.5], abs=0.05)


def test_latents_are_those_of_the_pictures_and_mirrored_ones_follow(shared_base: LoadedBase, tmp_path: object) -> None:
    pictures = read_folder(draw_pictures(tmp_path, 3)).pictures  # type: ignore[arg-type]
    told = list(encode_latents(shared_base, pictures, size_px=32, flip=True, batch_size=2))
    assert [done for done, _ in told] == [2, 3, 5, 6, 6]
    latents = told[-1][1]
    assert latents is not None
    assert latents.captions == tuple(p.caption for p in pictures) * 2
    pixels = torch.stack([image_pixels(open_image(p.path), 32) for p in pictures])
    with torch.no_grad():
        expected = [shared_base.encode_images(batch)[0] for batch in (pixels, pixels.flip(3))]
    assert torch.allclose(latents.mean, torch.cat(expected), atol=1e-5)
    assert not torch.allclose(latents.mean[:3], latents.mean[3:], atol=1e-2)


def test_the_share_of_dropped_captions_is_the_asked_one() -> None:
    from trainers.image_task import _drop_captions

    captions = ["caption"] * 4000
    dropped = _drop_captions(captions, config(caption_dropout=0.25), torch.Generator().manual_seed(0))
    assert Counter(dropped)[""] / 4000 == pytest.approx(0.25, abs=0.03)
    assert "" not in _drop_captions(captions, config(caption_dropout=0), torch.Generator().manual_seed(0))
    assert set(_drop_captions(captions, config(caption_dropout=1), torch.Generator().manual_seed(0))) == {""}
