"""Training: what moves, what stays, what is learned, and what a loss that is not finite can do."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from pipelines.families import LoadedBase
from tests.support import bits
from trainers.checkpoint import newest_checkpoint, write_checkpoint
from trainers.config import parse_config
from trainers.data.latents import Latents
from trainers.errors import UserError
from trainers.image_task import ImageTask
from trainers.loop import ADAPTER, Training, begin, restore, snapshot, train, trained_parts
from trainers.loss_weightings import find_loss_weighting
from trainers.losses.denoise import denoise
from trainers.optimizers import optimizers
from trainers.tuners import peft_bridge as bridge

Start = Callable[..., Training]
MIN_SNR = find_loss_weighting("min_snr").with_settings({"gamma": 5.0})


def latents(count: int = 4) -> Latents:
    mean = torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    return Latents(mean, torch.full_like(mean, 0.01), tuple(f"picture {n}" for n in range(count)))


@pytest.fixture
def start(base: LoadedBase) -> Iterator[Start]:
    """Begin a training on the shared base; its adapters are taken off afterwards."""
    begun: list[Training] = []

    def clean() -> None:
        while begun:
            for part in begun.pop().config.parts:
                bridge.detach(base.parts[part], ADAPTER)

    def one(data: Latents | None = None, **values: Any) -> Training:
        clean()
        usual = {"data": "d", "name": "n", "steps": 6, "batch_size": 2, "warmup_steps": 0}
        config = parse_config({**usual, **values})
        begun.append(begin(config, ImageTask(config, base, data or latents())))
        return begun[-1]

    yield one
    clean()


def task_of(training: Training) -> ImageTask:
    assert isinstance(training.task, ImageTask)
    return training.task


def adapter_bits(training: Training) -> dict[str, dict[str, str]]:
    return {part: bits(content.tensors) for part, content in trained_parts(training).items()}


def test_gradients_reach_adapter_parameters_of_both_parts_and_nothing_else(start: Start, base: LoadedBase) -> None:
    training = start()
    training.optimizer.zero_grad(set_to_none=True)
    captions = list(task_of(training).latents.captions[:2])
    text = base.encode_text(captions)
    denoise(base, task_of(training).latents.mean[:2], text, torch.Generator().manual_seed(0), MIN_SNR).backward()
    for part, module in base.parts.items():
        own = set(bridge.adapter_parameters(module, ADAPTER))
        with_gradient = {name for name, p in module.named_parameters() if p.grad is not None}
        assert with_gradient == own, part
        ups = [p for name, p in module.named_parameters() if name in own and "lora_B" in name]
        assert all(float(p.grad.abs().sum()) > 0 for p in ups if p.grad is not None)
    assert all(p.grad is None for p in base.autoencoder.parameters())  # type: ignore[attr-defined]
    training.optimizer.zero_grad(set_to_none=True)


def test_after_training_both_parts_changed_and_the_base_did_not(start: Start, base: LoadedBase) -> None:
    # The `base` fixture compares every bit of the base after the adapters are off.
    training = start()
    steps = list(train(training))
    assert [step.step for step in steps] == list(range(1, 7))
    for part, content in trained_parts(training).items():
        for path in {key.partition(".lora_")[0] for key in content.tensors}:
            up, down = content.tensors[path + ".lora_B.weight"], content.tensors[path + ".lora_A.weight"]
            assert float((up.flatten(1) @ down.flatten(1)).norm()) > 0, f"{part}: {path}"


def test_the_loss_falls(start: Start, base: LoadedBase) -> None:
    training = start(
        latents(2),
        steps=36,
        batch_size=2,
        parts={"unet": {"learning_rate": 5e-3}, "text_encoder": {}},
        caption_dropout=0,
    )

    def fixed_loss() -> float:
        with torch.no_grad():
            text = base.encode_text(list(task_of(training).latents.captions))
            generators = [torch.Generator().manual_seed(seed) for seed in range(8)]
            losses = [denoise(base, task_of(training).latents.mean, text, g, MIN_SNR) for g in generators]
        return float(torch.stack(losses).mean())

    before = fixed_loss()
    assert len(list(train(training))) == 36
    assert fixed_loss() < 0.95 * before


def test_a_part_that_is_not_trained_stays_bare_and_its_text_is_cached(start: Start, base: LoadedBase) -> None:
    training = start(parts={"unet": {}})
    assert not list(bridge.tuner_layers(base.parts["text_encoder"]))
    assert task_of(training).cached_text is not None
    assert set(task_of(training).cached_text) == {*task_of(training).latents.captions, ""}
    for caption, cached in task_of(training).cached_text.items():
        with torch.no_grad():
            fresh = base.encode_text([caption])
        assert all(torch.equal(cached[key], fresh[key]) for key in fresh)
    assert task_of(start(parts={"text_encoder": {}})).cached_text is None


def test_equal_seeds_end_bit_equal_and_others_do_not(start: Start) -> None:
    results = []
    for seed in (3, 3, 4):
        training = start(seed=seed, steps=3)
        losses = [step.loss for step in train(training)]
        results.append((losses, adapter_bits(training)))
    assert results[0] == results[1]
    assert results[0][1] != results[2][1]


def test_accumulation_is_the_mean_over_its_batches(start: Start) -> None:
    large = next(train(start(batch_size=1, gradient_accumulation_steps=4, caption_dropout=0, max_grad_norm=1e6)))
    parts = []
    for n in range(4):
        training = start(batch_size=1, caption_dropout=0)
        training.step = n
        parts.append(next(train(training)).loss)
    assert large.loss == pytest.approx(sum(parts) / 4, rel=1e-4)


def test_long_gradients_are_shortened_to_the_asked_norm(start: Start) -> None:
    training = start(max_grad_norm=1e-4, optimizer="sgd", weight_decay=0, steps=1, lr_scheduler="constant")
    before = [p.detach().clone() for p in training.parameters]
    step = next(train(training))
    assert step.gradient_norm > 1e-4
    rates = [step.learning_rates[g["name"]] for g in training.optimizer.param_groups for _ in g["params"]]
    moves = [
        float(((after.detach() - old) / rate).square().sum())
        for after, old, rate in zip(training.parameters, before, rates, strict=True)
    ]
    assert math.sqrt(sum(moves)) == pytest.approx(1e-4, rel=1e-2)


@pytest.mark.parametrize("text_too", [True, False])
@pytest.mark.parametrize("gradient_accumulation_steps", [1, 3])
@pytest.mark.parametrize("optimizer", optimizers())
def test_a_restored_checkpoint_goes_on_bit_equal(
    start: Start, tmp_path: Any, text_too: bool, gradient_accumulation_steps: int, optimizer: str
) -> None:
    parts = {"unet": {"settings": {"dropout": 0.2}}, **({"text_encoder": {}} if text_too else {})}
    values = {
        "parts": parts,
        "gradient_accumulation_steps": gradient_accumulation_steps,
        "optimizer": optimizer,
        "steps": 5,
    }
    whole = start(**values)
    expected_losses = [step.loss for step in train(whole)]
    expected, expected_state = adapter_bits(whole), bits(snapshot(whole).groups["optimizer"])

    half = start(**values)
    steps = train(half)
    losses = [next(steps).loss for _ in range(2)]
    steps.close()
    write_checkpoint(tmp_path, snapshot(half), keep=2)
    rest = start(**values)
    torch.randn(7)  # whatever else drew random numbers must not matter
    found = newest_checkpoint(tmp_path)
    assert found is not None
    restore(rest, found)
    losses += [step.loss for step in train(rest)]
    assert losses == expected_losses
    assert adapter_bits(rest) == expected
    assert bits(snapshot(rest).groups["optimizer"]) == expected_state


def test_a_loss_that_is_not_finite_never_reaches_the_weights(start: Start) -> None:
    data = latents(4)
    data.mean[2, 0, 0, 0] = float("nan")
    training = start(data, batch_size=1, steps=8)
    before = adapter_bits(training)
    skipped = 0
    for step in train(training):
        after = adapter_bits(training)
        if step.skipped:
            assert not (math.isfinite(step.loss) and math.isfinite(step.gradient_norm))
            assert after == before
            skipped += 1
        else:
            assert after != before
        before = after
    assert skipped == training.skipped == 2  # one picture of four, twice
    assert all(torch.isfinite(p).all() for p in training.parameters)
    assert all(torch.isfinite(t).all() for t in snapshot(training).groups["optimizer"].values())


def test_many_steps_in_a_row_without_a_finite_loss_end_with_a_sentence(start: Start) -> None:
    data = latents(2)
    data.mean[:] = float("inf")
    training = start(data, steps=100)
    before = adapter_bits(training)
    steps = []
    with pytest.raises(UserError, match=r"not finite in 10 steps in a row, the last being step 10"):
        steps.extend(train(training))
    assert adapter_bits(training) == before


def test_a_skipped_first_step_can_be_saved_and_resumed(start: Start, tmp_path: Any) -> None:
    data = latents(2)
    data.mean[:] = float("nan")
    training = start(data)
    next(train(training))
    write_checkpoint(tmp_path, snapshot(training), keep=2)
    rest = start(latents(2))
    found = newest_checkpoint(tmp_path)
    assert found is not None
    restore(rest, found)
    assert (rest.step, rest.skipped) == (1, 1)
    assert not next(train(rest)).skipped


def test_gradient_checkpointing_changes_no_gradient(start: Start, base: LoadedBase) -> None:
    plain = next(train(start(steps=1)))
    spared = next(train(start(steps=1, gradient_checkpointing=True)))
    assert spared.loss == pytest.approx(plain.loss, rel=1e-5)
    assert spared.gradient_norm == pytest.approx(plain.gradient_norm, rel=1e-4)
    for part in ("unet", "text_encoder"):
        modules = list(base.parts[part].modules())
        assert not any(getattr(module, "gradient_checkpointing", False) for module in modules)
        assert not any(getattr(module, "_require_grads_hooks", ()) for module in modules), "others share the base"


def test_a_step_without_a_repeatable_kernel_is_computed_freely_and_said_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [(step.loss, step.gradient_norm) for step in train(start(steps=3))]
    training = start(steps=3)

    @contextlib.contextmanager
    def refusing(device: torch.device) -> Iterator[None]:
        yield
        raise RuntimeError("histc does not have a deterministic implementation, but you set deterministic algorithms")

    monkeypatch.setattr("trainers.loop.repeatable", refusing)
    steps = list(train(training))
    assert [(step.loss, step.gradient_norm) for step in steps] == plain
    assert ["repeatable" in step.note for step in steps] == [True, False, False]


def test_any_other_error_of_a_step_is_not_taken_for_that(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def failing(device: torch.device) -> Iterator[None]:
        yield
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("trainers.loop.repeatable", failing)
    training = start(steps=1)
    with pytest.raises(RuntimeError, match="illegal"):
        next(train(training))
    assert not any(module.training for module in training.role.parts["unet"].modules()), "others share the base"


def test_a_part_or_layer_that_the_base_lacks_is_refused(start: Start, base: LoadedBase) -> None:
    with pytest.raises(UserError, match="nowhere"):
        start(parts={"unet": {"settings": {"targets": ["nowhere"]}}})
    bridge.detach(base.parts["unet"], ADAPTER)
