"""The contract of every family, and the formulas of noise, target and weight in float64."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.bases import load_base, load_image_base, load_text_base
from pipelines.families import ImageBase, LoadedBase, TextBase, families
from trainers.errors import UserError
from trainers.loss_weightings import find_loss_weighting, loss_weightings

ABSENT_AT_TOY_SIZE = ("conv_shortcut", "upsamplers.0.conv", "downsamplers.0.conv", "DenseReluDense.wi")


def of_role(role: str) -> list[str]:
    return [name for name, family in families().items() if family.role == role]


@pytest.fixture(scope="module", params=list(families()))
def any_base(request: pytest.FixtureRequest, tiny_bases: dict[str, Path]) -> LoadedBase:
    return load_base(str(tiny_bases[request.param]), device="cpu")


@pytest.fixture(scope="module", params=of_role("picture"))
def image_base(request: pytest.FixtureRequest, tiny_bases: dict[str, Path]) -> ImageBase:
    return load_image_base(str(tiny_bases[request.param]), device="cpu")


@pytest.fixture(scope="module", params=of_role("text"))
def text_base(request: pytest.FixtureRequest, tiny_bases: dict[str, Path]) -> TextBase:
    return load_text_base(str(tiny_bases[request.param]), device="cpu")


def noise_for(base: LoadedBase, count: int, seed: int = 0) -> Tensor:
    shape = base.noise_shape(base.resolution_px, base.resolution_px)
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(seed))


class TestEveryFamily:
    def test_every_kind_of_target_matches_modules_of_its_part(self, any_base: LoadedBase) -> None:
        words = {part.name: part.words for part in families()[any_base.family].parts}
        for part, module in any_base.parts.items():
            own = words[part]
            for kind in own.layers if own is not None else ("attention", "feed_forward", "norm", "all-linear"):
                names = any_base.targets(part, [kind])
                assert names
                for name in names:
                    if name not in ABSENT_AT_TOY_SIZE:
                        found = [path for path, _ in module.named_modules() if f".{path}".endswith(f".{name}")]
                        assert found, f"{part}: {name}"
            assert any_base.targets(part, ["my_layer", "attention"])[0] == "my_layer"

    def test_the_base_is_frozen_and_in_evaluation_mode(self, any_base: LoadedBase) -> None:
        for module in any_base.parts.values():
            assert not module.training
            assert not any(parameter.requires_grad for parameter in module.parameters())

    def test_its_record_says_what_the_base_says(self, any_base: LoadedBase) -> None:
        record = families()[any_base.family]
        assert [part.name for part in record.parts] == list(any_base.parts)
        assert record.default_parts
        kinds = [part.kind for part in record.parts]
        assert kinds[0] == ("denoiser" if record.role == "picture" else "language_model")
        assert set(kinds[1:]) <= {"text_encoder"}
        assert all(part.title for part in record.parts)
        assert record.title
        assert len(any_base.fingerprint) == 64

    def test_it_is_not_taken_for_one_of_the_other_role(self, any_base: LoadedBase, tiny_bases: dict[str, Path]) -> None:
        role = families()[any_base.family].role
        wrong, needed = (load_text_base, "a language model") if role == "picture" else (load_image_base, "a diffusion")
        with pytest.raises(UserError, match=f"{needed}.* is needed here"):
            wrong(str(tiny_bases[any_base.family]), device="cpu")


class TestEveryPictureFamily:
    def test_shapes_from_pictures_to_pictures(self, image_base: ImageBase) -> None:
        size = image_base.resolution_px
        pixels = torch.rand(2, 3, size, size) * 2 - 1
        with torch.no_grad():
            mean, deviation = image_base.encode_images(pixels)
            assert mean.shape == deviation.shape == noise_for(image_base, 2).shape
            assert (deviation > 0).all()
            timesteps = torch.tensor([3, image_base.timesteps - 1])
            text = image_base.encode_text(["a red boat", ""])
            assert all(len(rows) == 2 for rows in text.values())
            noise = torch.randn_like(mean)
            noisy = image_base.add_noise(mean, noise, timesteps)
            predicted = image_base.predict(noisy, timesteps, text)
            assert predicted.shape == image_base.target(mean, noise, timesteps).shape == mean.shape
            told: list[int] = []
            pictures = image_base.sample(
                text,
                image_base.encode_text(["", ""]),
                noise_for(image_base, 2),
                num_inference_steps=3,
                guidance_scale=4.0,
                on_step=told.append,
            )
        assert [(picture.size, picture.mode) for picture in pictures] == [((size, size), "RGB")] * 2
        assert told == [1, 2, 3]

    def test_text_that_the_encoder_does_not_see_is_told(self, image_base: ImageBase) -> None:
        assert image_base.cut_text("a red boat") == ""
        long = "boat " * 200 + "the end"
        cut = image_base.cut_text(long)
        assert cut.replace(" ", "").endswith("theend")
        assert len(cut) < len(long)

    def test_every_loss_weighting_suits_or_says_why_not(self, image_base: ImageBase) -> None:
        snr = image_base.snr(torch.arange(0, image_base.timesteps, 97))
        assert snr.dtype == torch.float64
        assert (snr >= 0).all()
        for weighting in loss_weightings().values():
            if image_base.prediction in weighting.lacks:
                with pytest.raises(UserError, match="does not suit a base that predicts"):
                    weighting.check(image_base.prediction)
                continue
            weighting.check(image_base.prediction)
            weights = weighting.with_settings({})(snr, image_base.prediction)
            assert weights.shape == snr.shape
            assert ((weights >= 0) & weights.isfinite()).all()
            assert weighting.name != "none" or torch.equal(weights, torch.ones_like(snr))

    def test_sizes_that_cannot_be_drawn_are_refused(self, image_base: ImageBase) -> None:
        for width, height in ((image_base.resolution_px + 1, image_base.resolution_px), (0, 64), (-64, 64)):
            with pytest.raises(UserError, match=f"{width} x {height} px cannot be drawn"):
                image_base.noise_shape(width, height)
        channels, rows, columns = image_base.noise_shape(2 * image_base.resolution_px, image_base.resolution_px)
        assert columns == 2 * rows
        assert channels == noise_for(image_base, 1).shape[1]


class TestEveryTextFamily:
    def test_numbers_go_in_and_a_guess_for_every_token_comes_out(self, text_base: TextBase) -> None:
        numbers = text_base.tokenizer("a red boat", return_tensors="pt").input_ids
        with torch.no_grad():
            logits = text_base.model(input_ids=numbers).logits
        assert logits.shape == (*numbers.shape, text_base.widths["vocabulary"])
        assert text_base.tokenizer.decode(text_base.token_ids("language_model", "a red boat")) == "a red boat"

    def test_all_linear_is_every_matrix_but_the_head(self, text_base: TextBase) -> None:
        found = set(text_base.targets("language_model", ["all-linear"]))
        linear = {path for path, module in text_base.model.named_modules() if isinstance(module, torch.nn.Linear)}
        assert found == linear - {"lm_head"}
        assert len(found) == 7 * text_base.widths["language_layers"]

    def test_chats_can_be_rendered_and_answers_can_end(self, text_base: TextBase) -> None:
        chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
        numbers = text_base.tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False)
        assert text_base.tokenizer.pad_token_id is not None
        assert numbers[-1] in text_base.stop_numbers
        assert text_base.context_tokens >= 16


def alphas_bar(base: LoadedBase, *, zero_terminal: bool) -> np.ndarray:
    """The noise schedule from its definition, in float64: scaled-linear or linear betas, rescaled to end at zero."""
    config = base.process.schedule.config  # type: ignore[attr-defined]
    assert config.beta_schedule == "linear"
    betas = np.linspace(config.beta_start, config.beta_end, config.num_train_timesteps)
    bar = np.cumprod(1 - betas)
    if zero_terminal:  # Lin et al. 2023, algorithm 1
        root = np.sqrt(bar)
        root = (root - root[-1]) * root[0] / (root[0] - root[-1])
        bar = root**2
    return bar


@pytest.fixture(scope="module")
def epsilon_base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedBase:
    """The toy base with another scheduler config: it predicts the noise, and does not end at zero signal."""
    import json
    import shutil

    folder = tmp_path_factory.mktemp("epsilon") / "base"
    shutil.copytree(tiny_base, folder)
    path = folder / "scheduler" / "scheduler_config.json"
    changes = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return load_base(str(folder), device="cpu")


TIMESTEPS = torch.tensor([0, 1, 250, 500, 998, 999])


@pytest.mark.parametrize("velocity", [True, False])
def test_noise_target_and_weight_follow_the_formulas(
    shared_base: LoadedBase, epsilon_base: LoadedBase, velocity: bool
) -> None:
    base = shared_base if velocity else epsilon_base
    bar = alphas_bar(base, zero_terminal=velocity)[TIMESTEPS.numpy()]
    latents, noise = noise_for(base, len(TIMESTEPS), 1), noise_for(base, len(TIMESTEPS), 2)
    signal = np.sqrt(bar)[:, None, None, None]
    spread = np.sqrt(1 - bar)[:, None, None, None]
    x, e = latents.double().numpy(), noise.double().numpy()

    noisy = base.add_noise(latents, noise, TIMESTEPS).double().numpy()
    assert np.allclose(noisy, signal * x + spread * e, atol=1e-4)
    target = base.target(latents, noise, TIMESTEPS).double().numpy()
    assert np.allclose(target, signal * e - spread * x if velocity else e, atol=1e-4)

    snr = bar / (1 - bar)
    for gamma in (1.0, 5.0, 20.0):
        capped = np.minimum(snr, gamma)
        expected = capped / (snr + 1) if velocity else capped / snr
        weights, floored = (
            find_loss_weighting("min_snr").with_settings({"gamma": gamma, "floor": floor})(
                base.snr(TIMESTEPS), base.prediction
            )
            for floor in (None, 0.1)
        )
        assert np.allclose(weights.numpy(), expected, rtol=2e-3, atol=1e-6)
        assert np.allclose(floored.numpy(), np.maximum(expected, 0.1), rtol=2e-3, atol=1e-6)


def test_zero_terminal_noise_is_pure_noise(shared_base: LoadedBase) -> None:
    latents, noise = noise_for(shared_base, 1, 1), noise_for(shared_base, 1, 2)
    last = torch.tensor([shared_base.timesteps - 1])
    assert torch.allclose(shared_base.add_noise(latents, noise, last), noise, atol=1e-6)
    assert torch.allclose(shared_base.target(latents, noise, last), -latents, atol=1e-6)


def test_latents_are_scaled_as_the_autoencoder_says(shared_base: LoadedBase) -> None:
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    autoencoder = shared_base.autoencoder  # type: ignore[attr-defined]
    with torch.no_grad():
        posterior = autoencoder.encode(pixels).latent_dist
        mean, deviation = shared_base.encode_images(pixels)
    scale = autoencoder.config.scaling_factor
    assert scale != 1
    assert torch.allclose(mean, posterior.mean * scale)
    assert torch.allclose(deviation, posterior.std * scale)


def test_gradients_reach_the_text_encoders_output(shared_base: LoadedBase) -> None:
    from tests.support import random_adapter
    from trainers.tuners import peft_bridge as bridge

    module = shared_base.parts["text_encoder"]
    adapter = random_adapter(shared_base, parts=("text_encoder",))
    config = bridge.config_from_json(adapter.parts["text_encoder"].config, what="te")
    bridge.attach(module, config, "a", what="te")
    assert next(iter(shared_base.encode_text(["x"]).values())).requires_grad
    bridge.detach(module, "a")
