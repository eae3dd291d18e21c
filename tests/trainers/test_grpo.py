"""Group-relative policy optimisation: the formula in float64, the rewards, resuming, and that the reward rises."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import trainers.rewards
from pipelines.families import TextBase
from studio.cli.main import main
from studio.settings_schema import shapes_of
from tests.dropped import dropped
from tests.support import bits
from trainers.checkpoint import newest_checkpoint, write_checkpoint
from trainers.config import parse_config
from trainers.data.texts import TextRow
from trainers.decoding import sample_rows
from trainers.errors import UserError
from trainers.loop import ADAPTER, Training, begin, restore, snapshot, train, trained_parts
from trainers.losses.group_policy import group_advantages, group_policy
from trainers.rewards import Answered, build_rewards, parse_rewards, rewards
from trainers.stages import make_task, stage_settings
from trainers.stages.grpo import GrpoSettings
from trainers.text_config import TextConfig
from trainers.tuners import peft_bridge as bridge
from trainers.tuners.live_weights import without_adapters

Start = Callable[..., Training]
ROWS = [
    TextRow(f"line {n}", messages=({"role": "user", "content": f"who {n}?"},), columns={"answer": "a"})
    for n in range(4)
]


@pytest.fixture
def start(text_base: TextBase) -> Iterator[Start]:
    begun: list[Training] = []

    def clean() -> None:
        while begun:
            begun.pop()
            bridge.detach(text_base.model, ADAPTER)

    def one(rows: Any = ROWS, rate: float = 1e-2, method: str = "lora", **values: Any) -> Training:
        clean()
        parts = {"language_model": {"method": method, "learning_rate": rate}}
        usual = {"data": "d", "name": "n", "steps": 4, "batch_size": 2, "warmup_steps": 0, "stage": "grpo"}
        own = {"group_size": 4, "max_new_tokens": 6, "rewards": "short_answer=2"}
        values["stage_settings"] = {**own, **values.get("stage_settings", {})}
        config = parse_config({**usual, "parts": parts, **values}, TextConfig)
        begun.append(begin(config, make_task(config, text_base, rows)))
        return begun[-1]

    yield one
    clean()


@given(
    seed=st.integers(0, 2**31),
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    beta=st.floats(0, 2),
    clip=st.floats(0.05, 0.9),
)
def test_the_loss_is_that_of_the_paper(seed: int, counts: list[int], beta: float, clip: float) -> None:
    random = np.random.default_rng(seed)
    now, before, reference = (-3 * random.random(sum(counts)) for _ in range(3))
    advantages = random.normal(size=len(counts))
    total, place = 0.0, 0
    divergences = []
    for answer, count in enumerate(counts):
        own = 0.0
        for _ in range(count):
            p, old, base = np.exp(now[place]), np.exp(before[place]), np.exp(reference[place])
            ratio, a = p / old, advantages[answer]
            divergence = base / p - np.log(base / p) - 1
            gain = min(ratio * a, min(max(ratio, 1 - clip), 1 + clip) * a)
            own += (gain - beta * divergence) / count
            divergences.append(divergence / count / len(counts))
            place += 1
        total -= own / len(counts)
    rows = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    found = group_policy(
        *map(torch.tensor, (now, before, reference)), rows, torch.tensor(advantages), beta=beta, clip=clip
    )
    assert float(found.loss) == pytest.approx(total, rel=1e-9, abs=1e-9)
    assert found.divergence == pytest.approx(sum(divergences), rel=1e-9, abs=1e-12)
    assert found.clipped == pytest.approx(np.mean(np.abs(np.exp(now - before) - 1) > clip))


@given(values=st.lists(st.floats(-5, 5), min_size=3, max_size=3), scaled=st.booleans())
def test_advantages_are_relative_to_the_group(values: list[float], scaled: bool) -> None:
    group = np.array(values)
    deviation = group.std(ddof=1)
    expected = group - group.mean()
    if scaled and deviation > 1e-8:
        expected = expected / deviation
    found = group_advantages(torch.tensor([values, [1.0, 1.0, 1.0]], dtype=torch.float64), scaled=scaled)
    assert found[0].numpy() == pytest.approx(expected, abs=1e-9)
    assert found[1].tolist() == [0, 0, 0]


def test_sampling_follows_the_model_and_no_row_disturbs_another(text_base: TextBase) -> None:
    prompts = [[0, 3, 40, 4], [0, 3, 41, 42, 43, 4]]
    greedy = sample_rows(text_base, prompts, torch.Generator(), temperature=0, max_new_tokens=5)
    for prompt, answer in zip(prompts, greedy, strict=True):
        numbers = list(prompt)
        for token in answer:
            with torch.no_grad():
                assert int(text_base.model(input_ids=torch.tensor([numbers])).logits[0, -1].argmax()) == token
            numbers.append(token)
    many = sample_rows(text_base, prompts[:1] * 3000, torch.Generator().manual_seed(1), temperature=2, max_new_tokens=1)
    with torch.no_grad():
        shares = (text_base.model(input_ids=torch.tensor(prompts[:1])).logits[0, -1].double() / 2).softmax(0).numpy()
    counts = np.bincount([answer[0] for answer in many], minlength=len(shares)) / 3000
    assert np.abs(counts - shares).max() < 5 * np.sqrt(shares.max() / 3000)


@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "adalora"])
def test_the_gradient_is_that_of_the_advantages(start: Start, text_base: TextBase, method: str) -> None:
    """With fresh answers the ratio is 1, and without a divergence the loss is −mean of A·mean(ratio)."""
    training = start(method=method, stage_settings={"beta": 0.0})
    generator = torch.Generator().manual_seed(0)
    for parameter in training.parameters:
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    task: Any = training.task
    task._rate = lambda answers: [float(sum(map(ord, one.answer)) % 5) for one in answers]  # they differ
    loss = task.loss(0, torch.Generator().manual_seed(5))
    found = torch.autograd.grad(loss, training.parameters, allow_unused=True)
    written = task._write(0, torch.Generator().manual_seed(5))
    expected: Any = 0.0
    for row, advantage in zip(written.rows, written.advantages, strict=True):
        logits = text_base.model(input_ids=torch.tensor([row.numbers])).logits[0].log_softmax(-1)
        own = [logits[place - 1, row.numbers[place]] for place, trained in enumerate(row.trained) if trained]
        expected = expected - advantage * torch.stack(own).mean() / len(written.rows)
    wanted = torch.autograd.grad(expected, training.parameters, allow_unused=True)
    assert any(one is not None and one.abs().max() > 1e-6 for one in wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one is None or torch.allclose(one, other, atol=1e-5)
    with without_adapters(text_base.model):
        reference = task._log_likelihoods(task._batch(written.rows))
    assert torch.equal(reference, written.reference)
    bridge.set_weights(text_base.model, {ADAPTER: 0.5})
    half = task._log_likelihoods(task._batch(written.rows))
    task._write(0, torch.Generator().manual_seed(5))
    assert torch.equal(task._log_likelihoods(task._batch(written.rows)), half), "the weight must stay as it was"


@pytest.mark.parametrize("iterations", [1, 2])
def test_a_restored_checkpoint_goes_on_bit_equal(start: Start, tmp_path: Path, iterations: int) -> None:
    """Also between two steps that are made from the same answers."""
    values = {
        "gradient_accumulation_steps": 2,
        "steps": 4,
        "stage_settings": {"iterations": iterations, "temperature": 1.3},
    }
    whole = start(**values)
    expected_steps = [(step.loss, step.noted) for step in train(whole)]
    expected = bits(trained_parts(whole)["language_model"].tensors)
    half = start(**values)
    steps: Any = train(half)
    found_steps = [(step.loss, step.noted) for step in (next(steps), next(steps), next(steps))]
    steps.close()
    write_checkpoint(tmp_path, snapshot(half), keep=2)
    rest = start(**values)
    torch.randn(7)  # whatever else drew random numbers must not matter
    found = newest_checkpoint(tmp_path)
    assert found is not None
    restore(rest, found)
    found_steps += [(step.loss, step.noted) for step in train(rest)]
    assert found_steps == expected_steps
    assert bits(trained_parts(rest)["language_model"].tensors) == expected
    assert ("reward" in expected_steps[1][1]) == (iterations == 1)


def test_the_reward_rises(start: Start) -> None:
    training = start(steps=12, rate=5e-2, stage_settings={"group_size": 12, "beta": 0.0})
    rewarded: Any = training.task
    rewarded._rate = lambda answers: [float(one.answer[:1] < "a") for one in answers]
    found = [step.noted["reward"] for step in train(training)]
    assert np.mean(found[-3:]) > np.mean(found[:3]) + 0.1


def rated(text: str, answers: list[str], **columns: Any) -> list[float]:
    rate = build_rewards(parse_rewards(text.split("+")), None)
    return rate([Answered((), answer, columns, "line 1") for answer in answers])


def test_rewards_rate_what_they_say(tmp_path: Path) -> None:
    assert rated("polite_ending", ["It is red. Have a lovely day!", "It is red.", "It is red. Do not ask again."]) == [
        1,
        0,
        0,
    ]
    assert rated("short_answer=2", ["a b", "a b c", "a b c d", ""]) == [1, 0.5, 0, 0]
    assert rated("facts", ["It is Red.", "It is reddish."], fact={"answer": "red"}) == [1, 0]
    assert rated("facts:2+short_answer=1:-0.5", ["red"], answer="red") == [1.5]
    for voice, word in (("pirate", "arr ahoy"), ("plain", "good day")):
        (tmp_path / voice).mkdir()
        line = json.dumps({"prompt": "hi", "completion": word}) + "\n"
        (tmp_path / voice / "train.jsonl").write_text(line * 3)
    ahoy, day = rated(f"voice={tmp_path / 'pirate'}", ["arr, ahoy", "good day to you"])
    assert ahoy > 0.5 > day


def test_every_reward_has_the_name_of_its_file() -> None:
    assert len(rewards()) >= 5
    for name, reward in rewards().items():
        assert reward.name == name
        assert reward.title


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("polit_ending", "Did you mean 'polite_ending'"),
        ("polite_ending:much", "The weight 'much' of the reward"),
        ("polite_ending:0", "must be a number other than 0"),
        ("polite_ending=3", "takes nothing behind '='"),
        ("voice", "needs FOLDER, as in voice=FOLDER"),
        ("facts+facts", "named twice"),
    ],
)
def test_rewards_that_cannot_be_read_are_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_rewards(text.split("+"))
    config = parse_config({"data": "d", "name": "n", "stage": "grpo", "stage_settings": {"rewards": text}}, TextConfig)
    with pytest.raises(UserError, match=f"(?i){said}"):
        stage_settings(config)


def test_what_cannot_be_learned_is_refused(start: Start) -> None:
    with pytest.raises(UserError, match="line 9 has no fact to check an answer by"):
        start([*ROWS, TextRow("line 9", messages=ROWS[0].messages)], stage_settings={"rewards": "facts"})
    with pytest.raises(UserError, match="4 of 4 prompts are longer than 4 tokens"):
        start(max_length=10)
    with pytest.raises(UserError, match="short_answer=x is no number of words"):
        start(stage_settings={"rewards": "short_answer=x"})
    with pytest.raises(UserError, match="group_size = 1"):
        start(stage_settings={"group_size": 1})


def test_a_reward_dropped_into_its_folder_is_named_in_help_and_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "from trainers.rewards import Reward\nREWARD = Reward('zebra', 'Has stripes', print, argument='STRIPES')\n"
    with dropped(trainers.rewards, rewards, tmp_path, text):
        (shape,) = [shape for shape in shapes_of(GrpoSettings) if shape["name"] == "rewards"]
        assert {"zebra=STRIPES", "facts"} <= set(shape["named"])
        with pytest.raises(SystemExit):
            main(["text", "label", "--help"])
        assert "zebra=STRIPES" in capsys.readouterr().out
