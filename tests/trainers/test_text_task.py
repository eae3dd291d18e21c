"""Learning the next token: the formula, padding, packing, accumulation, and resuming bit for bit."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.families import TextBase
from tests.support import bits
from trainers.checkpoint import newest_checkpoint, write_checkpoint
from trainers.config import parse_config
from trainers.data.chat import Encoded
from trainers.data.texts import TextRow
from trainers.data.token_batches import IGNORED, pack_rows, packs, pad_right
from trainers.errors import UserError
from trainers.loop import ADAPTER, Training, begin, restore, snapshot, train, trained_parts
from trainers.losses.next_token import next_token, token_losses
from trainers.registry import discover
from trainers.stages import make_task, stage_names, stages
from trainers.text_config import TextConfig
from trainers.tuners import peft_bridge as bridge

Start = Callable[..., Training]
ROWS = [
    TextRow(f"line {n}", messages=({"role": "user", "content": f"who {n}"}, {"role": "assistant", "content": answer}))
    for n, answer in enumerate(("a pirate", "no", "the judge of all", "seven syllables fall", "x"))
]


@pytest.fixture
def start(text_base: TextBase) -> Iterator[Start]:
    """Begin a training on the shared toy language model; its adapters are taken off afterwards."""
    begun: list[Training] = []

    def clean() -> None:
        while begun:
            for part in begun.pop().config.parts:
                bridge.detach(text_base.parts[part], ADAPTER)

    def one(rows: list[TextRow] = ROWS, method: str = "lora", settings: Any = None, **values: Any) -> Training:
        clean()
        parts = {"language_model": {"method": method, "learning_rate": 1e-2, "settings": settings or {}}}
        usual = {"data": "d", "name": "n", "steps": 4, "batch_size": 2, "warmup_steps": 0, "parts": parts}
        config = parse_config({**usual, **values}, TextConfig)
        begun.append(begin(config, make_task(config, text_base, rows)))
        return begun[-1]

    yield one
    clean()


def adapter_bits(training: Training) -> dict[str, str]:
    return bits(trained_parts(training)["language_model"].tensors)


def move(training: Training, size: float = 0.3) -> None:
    """Give the adapter an effect."""
    generator = torch.Generator().manual_seed(0)
    for parameter in training.parameters:
        parameter.data += size * torch.randn(parameter.shape, generator=generator)


@given(seed=st.integers(0, 2**31), rows=st.integers(1, 3), length=st.integers(2, 7), words=st.integers(2, 9))
def test_the_loss_is_the_mean_cross_entropy_of_the_learned_tokens(
    seed: int, rows: int, length: int, words: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, length, words, generator=generator)
    labels = torch.randint(words, (rows, length), generator=generator)
    labels[torch.rand(rows, length, generator=generator) < 0.4] = IGNORED
    labels[0, 1] = 0
    x, total, count = logits.double().numpy(), 0.0, 0
    for row, place in itertools.product(range(rows), range(1, length)):
        if labels[row, place] != IGNORED:
            before = x[row, place - 1]
            total += np.log(np.exp(before).sum()) - before[labels[row, place]]
            count += 1
    assert float(next_token(logits, labels)) == pytest.approx(total / count, rel=1e-5, abs=1e-6)
    assert len(token_losses(logits, labels)) == count


def test_it_is_the_loss_of_transformers(text_base: TextBase) -> None:
    batch = pad_right([Encoded((4, 9, 30, 1), (False, False, True, True)), Encoded((4, 8), (False, True))], 2)
    with torch.no_grad():
        found = text_base.model(**batch.arguments(), labels=batch.labels)
    assert float(next_token(found.logits, batch.labels)) == pytest.approx(float(found.loss), rel=1e-6)


@given(lengths=st.lists(st.integers(1, 10), min_size=1, max_size=30), room=st.integers(10, 24))
def test_every_text_is_in_one_pack_that_has_room(lengths: list[int], room: int) -> None:
    found = packs(lengths, room)
    assert sorted(number for pack in found for number in pack) == list(range(len(lengths)))
    assert all(sum(lengths[number] for number in pack) <= room for pack in found)
    assert len(found) <= 2 * sum(lengths) / room + 1


@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "p_tuning_v2", "unipelt", "pfeiffer"])
def test_packed_texts_do_not_see_each_other(start: Start, text_base: TextBase, method: str) -> None:
    training = start(method=method)
    move(training)
    examples = training.task.examples  # type: ignore[attr-defined]
    rows = [[examples[3], examples[0], examples[4]], [examples[2], examples[1]]]
    packed = pack_rows(rows, 2, torch.float32)
    flat = pad_right([one for row in rows for one in row], 2)
    alone = token_losses(text_base.model(**flat.arguments()).logits, flat.labels)
    together = token_losses(text_base.model(**packed.arguments()).logits, packed.labels)
    assert torch.allclose(together, alone, atol=1e-5)
    gradients = []
    for losses in (alone, together):
        found = torch.autograd.grad(losses.mean(), training.parameters, allow_unused=True)
        gradients.append(torch.cat([gradient.flatten() for gradient in found if gradient is not None]))
    assert torch.allclose(*gradients, atol=1e-6)
    assert gradients[0].abs().max() > 1e-4


@pytest.mark.parametrize("packing", [False, True])
def test_accumulated_batches_are_one_large_batch(start: Start, packing: bool) -> None:
    """Also where their numbers of tokens differ, which a mean of means would get wrong."""
    values = {"packing": packing, "max_length": 40, "max_grad_norm": 1e9, "steps": 1}
    found = []
    for shape in (
        {"batch_size": 4},
        {"batch_size": 1, "gradient_accumulation_steps": 4},
        {"batch_size": 2, "gradient_accumulation_steps": 2},
    ):
        training = start(**values, **shape)
        step = next(train(training))
        found.append((step.loss, step.gradient_norm))
    assert found[1] == pytest.approx(found[0], rel=1e-5)
    assert found[2] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize(
    ("method", "settings", "values"),
    [
        ("lora", {"dropout": 0.2}, {"gradient_accumulation_steps": 2}),
        ("lora", {"dropout": 0.2}, {"packing": True, "max_length": 48}),
        ("adalora", {}, {}),
        ("prompt_tuning", {}, {"optimizer": "sgd"}),
    ],
)
def test_a_restored_checkpoint_goes_on_bit_equal(
    start: Start, tmp_path: Path, method: str, settings: Any, values: Any
) -> None:
    values = {**values, "method": method, "settings": settings, "steps": 5}
    whole = start(**values)
    expected_losses = [step.loss for step in train(whole)]
    expected, expected_state = adapter_bits(whole), bits(snapshot(whole).groups["optimizer"])
    half = start(**values)
    steps = train(half)
    losses = [next(steps).loss for _ in range(2)]
    steps.close()  # type: ignore[attr-defined]
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


@pytest.mark.parametrize("method", ["lora", "p_tuning_v2"])
def test_gradient_checkpointing_changes_no_gradient(start: Start, text_base: TextBase, method: str) -> None:
    plain = next(train(start(method=method, steps=1)))
    spared = next(train(start(method=method, steps=1, gradient_checkpointing=True)))
    text_base.model.activation_checkpointing_disable()
    text_base.model.disable_input_require_grads()
    assert spared.loss == pytest.approx(plain.loss, rel=1e-5)
    assert spared.gradient_norm == pytest.approx(plain.gradient_norm, rel=1e-4)


def test_the_loss_falls_on_what_is_trained_and_is_measured_without_dropout(start: Start) -> None:
    training = start(steps=40, batch_size=5)
    task: Any = training.task
    before = task.validation_loss(ROWS)
    assert task.validation_loss(ROWS) == before
    losses = [step.loss for step in train(training)]
    assert losses[0] == pytest.approx(before, rel=1e-4)
    assert task.validation_loss(ROWS) < 0.95 * before


def test_a_model_that_never_learns_to_stop_is_told(start: Start, text_base: TextBase, monkeypatch: Any) -> None:
    assert list(start().task.notes) == []  # type: ignore[attr-defined]
    monkeypatch.setattr(text_base, "stop_numbers", (3,))
    (note,) = start().task.notes  # type: ignore[attr-defined]
    assert "No example ends with a learned '<|system|>'" in note


def test_samples_begin_with_the_questions(start: Start) -> None:
    task: Any = start().task
    assert [row.messages for row in task.prompts(2)] == [ROWS[0].messages[:1], ROWS[1].messages[:1]]
    texts = [TextRow("l", text="Once upon a time there was a boat that could not float, and so it sank.")]
    (row,) = start(texts).task.prompts(4)  # type: ignore[attr-defined]
    assert (row.messages, row.text) == ((), "Once upon a time there was a boat that")


def test_the_names_of_stages_are_those_of_their_files() -> None:
    import trainers.stages

    assert sorted(stage_names()) == sorted(discover(trainers.stages, "STAGE"))
    for name, stage in stages().items():
        assert stage.name == name
        assert stage.forms


def test_settings_that_do_not_fit_are_refused() -> None:
    usual = {"data": "d", "name": "n"}
    with pytest.raises(UserError, match=r"stage = 'dance' is no stage"):
        parse_config({**usual, "stage": "dance"}, TextConfig)
    with pytest.raises(UserError, match=r"the part 'unet' does not fit.*\n.*the part 'nothing' does not fit"):
        parse_config({**usual, "parts": {"unet": {"method": "prompt_tuning"}, "nothing": {}}}, TextConfig)
    config = parse_config({**usual, "quantise": "nf4"}, TextConfig)
    assert config.parts["language_model"].method == "qlora"
    with pytest.raises(UserError, match="works with the method lora alone"):
        parse_config({**usual, "quantise": "nf4", "parts": {"language_model": {"method": "ia3"}}}, TextConfig)
    assert config.length_for(256) == 256
    with pytest.raises(UserError, match=r"max_length 500 is more than the 256 tokens"):
        parse_config({**usual, "max_length": 500}, TextConfig).length_for(256)


def test_qlora_on_a_language_model_learns(start: Start) -> None:
    training = start(method="qlora", steps=20, batch_size=5)
    losses = [step.loss for step in train(training)]
    assert losses[-1] < 0.95 * losses[0]
