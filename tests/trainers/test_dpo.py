"""Direct preference optimisation: the formula in float64, the reference, resuming, and that the preference moves."""

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
from trainers.data.texts import TextRow
from trainers.errors import UserError
from trainers.loop import ADAPTER, Training, begin, restore, snapshot, train, trained_parts
from trainers.losses.preference import preference
from trainers.stages import make_task
from trainers.text_config import TextConfig
from trainers.tuners import peft_bridge as bridge

Start = Callable[..., Training]
USER = {"role": "user", "content": "who?"}
ROWS = [
    TextRow(f"line {n}", messages=({**USER, "content": f"who {n}?"},), chosen="ahoy" + "!" * n, rejected="good day")
    for n in range(4)
]


@pytest.fixture
def start(text_base: TextBase) -> Iterator[Start]:
    begun: list[Training] = []

    def clean() -> None:
        while begun:
            begun.pop()
            bridge.detach(text_base.model, ADAPTER)

    def one(rows: list[TextRow] = ROWS, method: str = "lora", **values: Any) -> Training:
        clean()
        parts = {"language_model": {"method": method, "learning_rate": 1e-2}}
        usual = {"data": "d", "name": "n", "steps": 4, "batch_size": 2, "warmup_steps": 0, "stage": "dpo"}
        config = parse_config({**usual, "parts": parts, **values}, TextConfig)
        begun.append(begin(config, make_task(config, text_base, rows)))
        return begun[-1]

    yield one
    clean()


@given(
    logs=st.lists(st.tuples(*[st.floats(-60, 0)] * 4), min_size=1, max_size=6),
    beta=st.floats(0.01, 5),
    e=st.floats(0, 0.4),
)
def test_the_loss_is_that_of_the_paper(logs: list[tuple[float, ...]], beta: float, e: float) -> None:
    w, l, rw, rl = (np.array(column) for column in zip(*logs, strict=True))  # noqa: E741
    margin = beta * (np.log(np.exp(w) / np.exp(rw)) - np.log(np.exp(l) / np.exp(rl)))
    expected = np.mean((1 - e) * np.logaddexp(0, -margin) + e * np.logaddexp(0, margin))
    values = [torch.tensor(column) for column in (w, l, rw, rl)]
    assert float(preference(*values, beta=beta, label_smoothing=e)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def likelihood(base: Any, row: TextRow, answer: str) -> float:
    """log p of an answer with its end, token by token in float64."""
    chat = [*row.messages, {"role": "assistant", "content": answer}]
    options: dict[str, Any] = {"tokenize": True, "return_dict": False}
    numbers = base.tokenizer.apply_chat_template(chat, **options)
    start = len(base.tokenizer.apply_chat_template(list(row.messages), add_generation_prompt=True, **options))
    with torch.no_grad():
        logits = base.model(input_ids=torch.tensor([numbers])).logits[0].double().numpy()
    total = 0.0
    for place in range(start, len(numbers)):
        own = logits[place - 1]
        total += own[numbers[place]] - own.max() - np.log(np.exp(own - own.max()).sum())
    return total


@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "adalora", "dora"])
def test_a_task_measures_against_the_base_with_the_adapter_off(start: Start, text_base: TextBase, method: str) -> None:
    earlier = ({"role": "user", "content": "hm"}, {"role": "assistant", "content": "yes"}, USER)
    rows = [ROWS[2], TextRow("line 9", messages=earlier, chosen="x", rejected="yy")]
    reference = [[likelihood(text_base, row, answer) for answer in (row.chosen, row.rejected)] for row in rows]
    training = start(rows, method, stage_settings={"beta": 0.5})
    generator = torch.Generator().manual_seed(0)
    for parameter in training.parameters:
        assert parameter.requires_grad
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    learned = [[likelihood(text_base, row, answer) for answer in (row.chosen, row.rejected)] for row in rows]
    margins = 0.5 * np.array([(w - rw) - (l - rl) for (w, l), (rw, rl) in zip(learned, reference, strict=True)])  # noqa: E741
    expected = np.logaddexp(0, -margins).mean()
    task: Any = training.task
    assert float(task.loss(0, generator).detach()) == pytest.approx(expected, rel=1e-4)
    assert task.validation_loss(rows) == pytest.approx(expected, rel=1e-4)
    assert abs(margins).min() > 1e-3
    bridge.set_weights(text_base.model, {ADAPTER: 0.5})
    half = [likelihood(text_base, rows[0], "x")]
    task.validation_loss(rows)
    assert [likelihood(text_base, rows[0], "x")] == half, "the reference must leave the weight as it was"


def test_before_the_first_step_the_loss_is_log_2_and_then_it_falls(start: Start) -> None:
    training = start(steps=20, batch_size=4)
    losses = [step.loss for step in train(training)]
    assert losses[0] == pytest.approx(np.log(2), rel=1e-5)
    assert losses[-1] < 0.7 * losses[0]


def test_a_restored_checkpoint_goes_on_bit_equal(start: Start, tmp_path: Path) -> None:
    whole = start(gradient_accumulation_steps=2)
    expected_losses = [step.loss for step in train(whole)]
    expected = bits(trained_parts(whole)["language_model"].tensors)
    half = start(gradient_accumulation_steps=2)
    steps: Any = train(half)
    losses = [next(steps).loss for _ in range(2)]
    steps.close()
    write_checkpoint(tmp_path, snapshot(half), keep=2)
    rest = start(gradient_accumulation_steps=2)
    found = newest_checkpoint(tmp_path)
    assert found is not None
    restore(rest, found)
    losses += [step.loss for step in train(rest)]
    assert losses == expected_losses
    assert bits(trained_parts(rest)["language_model"].tensors) == expected


def test_what_cannot_be_learned_is_refused(start: Start) -> None:
    with pytest.raises(
        UserError, match=r"stage 'dpo' cannot be used:(.|\n)*gamma: setting 'gamma' is unknown(.|\n)*beta"
    ):
        start(stage_settings={"gamma": 1})
    with pytest.raises(UserError, match=r"beta = 0"):
        start(stage_settings={"beta": 0})
    with pytest.raises(UserError, match="packing = True is for single texts"):
        start(packing=True)
    long = TextRow("line 9", messages=({**USER, "content": "x" * 40},), chosen="a", rejected="b")
    with pytest.raises(UserError, match="Cut to 30 tokens, no row has anything left to learn from"):
        start([long], max_length=30, cut_long=True)
    task = start([long, *ROWS], max_length=30, cut_long=True).task
    assert task.notes[1] == "Passed over: rows with nothing left to learn from, once they are cut: 1 (line 9)."  # type: ignore[attr-defined]
    assert "line 9" not in [row.where for row in task.prompts(9)]  # type: ignore[attr-defined]
    assert len(task.examples) == 2 * len(ROWS)  # type: ignore[attr-defined]
