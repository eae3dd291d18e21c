"""Rewards and classes: the formulas in float64, where the head looks, resuming, folds, and what is refused."""

from collections import Counter
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
from trainers.adapter import Adapter, AdapterPart, config_as_json, read_adapter, write_adapter
from trainers.card import AdapterCard, BaseCard, PartCard
from trainers.checkpoint import newest_checkpoint, write_checkpoint
from trainers.config import parse_config
from trainers.data.chat import Encoded
from trainers.data.texts import TextRow
from trainers.data.token_batches import pad_right
from trainers.errors import UserError
from trainers.heads import HEAD_NAME, Head, head_from, head_outputs, last_states
from trainers.loop import ADAPTER, Training, begin, restore, snapshot, train, trained_parts
from trainers.losses.classes import class_losses
from trainers.losses.reward import bradley_terry
from trainers.stages import make_task
from trainers.stages.classify import class_table
from trainers.tensor_files import write_tensors
from trainers.text_config import TextConfig
from trainers.tuners import peft_bridge as bridge

Start = Callable[..., Training]
PAIRS = [
    TextRow(
        f"line {n}", messages=({"role": "user", "content": f"who {n}?"},), chosen="ahoy" + "!" * n, rejected="good day"
    )
    for n in range(4)
]
TEXTS = [TextRow(f"line {n}", text=("sun " if n % 2 else "rain ") * (1 + n % 3), label="ab"[n % 2]) for n in range(8)]
ROWS = {"reward": PAIRS, "classify": TEXTS}


@pytest.fixture
def start(text_base: TextBase) -> Iterator[Start]:
    begun: list[Training] = []

    def clean() -> None:
        while begun:
            begun.pop()
            bridge.detach(text_base.model, ADAPTER)

    def one(stage: str, method: str = "lora", rows: Any = None, **values: Any) -> Training:
        clean()
        parts = {"language_model": {"method": method, "learning_rate": 1e-2}}
        usual = {"data": "d", "name": "n", "steps": 4, "batch_size": 2, "warmup_steps": 0, "stage": stage}
        config = parse_config({**usual, "parts": parts, **values}, TextConfig)
        begun.append(begin(config, make_task(config, text_base, rows or ROWS[stage])))
        return begun[-1]

    yield one
    clean()


@given(pairs=st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=1, max_size=6))
def test_the_reward_loss_is_that_of_the_paper(pairs: list[tuple[float, float]]) -> None:
    chosen, rejected = np.array(pairs).T
    expected = np.mean(np.log1p(np.exp(-(chosen - rejected))))
    assert float(bradley_terry(torch.tensor(chosen), torch.tensor(rejected))) == pytest.approx(expected, rel=1e-9)


@given(seed=st.integers(0, 2**31), classes=st.integers(2, 5), texts=st.integers(1, 6), weighed=st.booleans())
def test_the_class_loss_is_the_cross_entropy(seed: int, classes: int, texts: int, weighed: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = 3 * torch.randn(texts, classes, generator=generator)
    labels = torch.randint(classes, (texts,), generator=generator)
    weights = torch.rand(classes, generator=generator) if weighed else None
    x = scores.double().numpy()
    shares = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    factor = weights.double().numpy()[labels] if weights is not None else 1
    expected = -factor * np.log(shares[np.arange(texts), labels])
    assert class_losses(scores, labels, weights).numpy() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_table_of_classes_counts_by_hand() -> None:
    lines = class_table(("cat", "dog"), [0, 0, 1, 1, 1], [0, 1, 1, 1, 0])
    assert lines[1].split() == ["cat", "50.0%", "50.0%", "0.50", "2"]
    assert lines[2].split() == ["dog", "66.7%", "66.7%", "0.67", "3"]


@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "prefix_tuning", "full"])
def test_the_head_sees_the_last_token_whatever_is_padded_behind_it(
    start: Start, text_base: TextBase, method: str
) -> None:
    training = start("classify", method)
    generator = torch.Generator().manual_seed(0)
    for parameter in training.parameters:
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    rows = [Encoded((4, 9, 30), (True,) * 3), Encoded((4, 8, 7, 6, 5), (True,) * 5)]
    together = last_states(text_base.model, pad_right(rows, 2))
    for number, row in enumerate(rows):
        with torch.no_grad():
            whole = text_base.model(input_ids=torch.tensor([row.numbers]), output_hidden_states=True)
        assert torch.allclose(together[number], whole.hidden_states[-1][0, -1], atol=1e-5)
    head = training.task.heads["language_model"]
    expected = together.detach().double().numpy() @ head.weight.detach().double().numpy().T
    expected = expected + head.bias.detach().double().numpy()  # type: ignore[union-attr]
    found = head_outputs(text_base, head, rows, batch_size=1)
    assert found.numpy() == pytest.approx(expected, abs=1e-4)
    with bridge_off(text_base):
        assert not torch.allclose(last_states(text_base.model, pad_right(rows, 2)), together, atol=1e-3)


def bridge_off(base: TextBase) -> Any:
    from trainers.tuners.live_weights import without_adapters

    return without_adapters(base.model)


@pytest.mark.parametrize("stage", ["reward", "classify"])
def test_a_restored_checkpoint_goes_on_bit_equal(start: Start, tmp_path: Path, stage: str) -> None:
    def outcome(training: Training) -> Any:
        head = training.task.heads["language_model"].tensors()
        return bits(trained_parts(training)["language_model"].tensors), bits(head)

    whole = start(stage, gradient_accumulation_steps=2)
    expected_steps = [(step.loss, step.noted) for step in train(whole)]
    expected = outcome(whole)
    half = start(stage, gradient_accumulation_steps=2)
    before = outcome(half)
    steps: Any = train(half)
    found_steps = [(step.loss, step.noted) for step in (next(steps), next(steps))]
    steps.close()
    write_checkpoint(tmp_path, snapshot(half), keep=2)
    rest = start(stage, gradient_accumulation_steps=2)
    found = newest_checkpoint(tmp_path)
    assert found is not None
    restore(rest, found)
    found_steps += [(step.loss, step.noted) for step in train(rest)]
    assert found_steps == expected_steps
    assert outcome(rest) == expected
    assert before[1] != expected[1]


@pytest.mark.parametrize("stage", ["reward", "classify"])
def test_what_is_trained_on_is_learned(start: Start, stage: str) -> None:
    training = start(stage, steps=30, batch_size=4, stage_settings={"head_learning_rate": 2e-2})
    task: Any = training.task
    before = task.validate(ROWS[stage])
    list(train(training))
    after = task.validate(ROWS[stage])
    assert after["validation_loss"] < 0.5 * before["validation_loss"]
    assert after["validation_accuracy"] == 1.0
    assert len(task.show(task.prompts(2))) == 2


def test_folds_divide_each_class_evenly(start: Start) -> None:
    task: Any = start("classify", stage_settings={"folds": 4}).task
    folds = task.folds()
    assert len(folds) == 4
    assert Counter(row.where for fold in folds for row in fold.held_out) == Counter(row.where for row in TEXTS)
    for fold in folds:
        assert Counter(row.label for row in fold.held_out) == {"a": 1, "b": 1}
        assert not {row.where for row in fold.held_out} & {row.where for row in fold.training}
        assert len(fold.training) + len(fold.held_out) == len(TEXTS)
        assert fold.config.stage_settings["folds"] == 0


def test_an_adapter_with_a_head_is_checked_on_load(start: Start, text_base: TextBase, tmp_path: Path) -> None:
    training = start("classify")
    task: Any = training.task
    parts = {
        part: AdapterPart(config_as_json(training.part_configs[part]), own.tensors)
        for part, own in trained_parts(training).items()
    }
    card = AdapterCard(
        name="x",
        base=BaseCard(name="b", family="causal_lm", fingerprint="f", widths={}),
        parts={part: PartCard(method="lora") for part in parts},
        head=task.head_card(),
    )
    folder = tmp_path / "x"
    write_adapter(folder, Adapter(card, parts, {}, task.head.tensors()))
    read = read_adapter(folder)
    assert read.card.head is not None
    assert read.card.head.labels == ("a", "b")
    assert bits(read.head) == bits(task.head.tensors())
    rows = task.examples[:3]
    assert torch.equal(
        head_outputs(text_base, head_from(read.head, 32, 2), rows), head_outputs(text_base, task.head, rows)
    )
    weight = read.head["weight"]
    for tensors, said in (
        ({"weight": weight[:1]}, "the card speaks of 2 outputs"),
        ({"weight": weight, "code": weight + 1}, "a weight, and perhaps a bias, is wanted"),
        ({"weight": weight * float("nan")}, "weight holds values that are not finite"),
    ):
        write_tensors(folder / HEAD_NAME, tensors)
        with pytest.raises(UserError, match=said):
            read_adapter(folder)
    (folder / HEAD_NAME).unlink()
    with pytest.raises(UserError, match="does not exist"):
        read_adapter(folder)
    with pytest.raises(UserError, match=r"The head does not fit: it holds bias \[2\], weight \[2, 32\]"):
        Head(16, 2, seed=0).load(read.head)


def test_what_cannot_be_learned_is_refused(start: Start) -> None:
    with pytest.raises(UserError, match=r"The texts have 1 different labels \(a\)"):
        start("classify", rows=TEXTS[::2])
    with pytest.raises(UserError, match=r"folds = 1: one fold leaves nothing to train on"):
        start("classify", stage_settings={"folds": 1})
    with pytest.raises(UserError, match="packing = True is for single texts"):
        start("classify", packing=True)
    odd = [*TEXTS, TextRow("line 9", text="x", label="c")]
    task: Any = start("classify", rows=odd, stage_settings={"folds": 2}).task
    with pytest.raises(UserError, match="9 texts cannot be divided into 2 folds: of c there is only one"):
        task.folds()
    measured: Any = start("classify").task
    with pytest.raises(UserError, match="The label 'c' stands on texts that are measured"):
        measured.validate(odd)
