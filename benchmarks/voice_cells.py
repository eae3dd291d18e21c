"""One cell of the voices benchmark: teach a voice, write it, read it back, answer unseen questions, score that."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools" / "pocket"))  # the text world knows which answers are right

from text_world.facts import answers_right  # noqa: E402

from pipelines.attach import Attachments, attached  # noqa: E402
from pipelines.base_card import base_card  # noqa: E402
from pipelines.bases import load_text_base  # noqa: E402
from pipelines.families import TextBase  # noqa: E402
from pipelines.live import LiveRecipes  # noqa: E402
from pipelines.perplexity import perplexity  # noqa: E402
from pipelines.recipe import Recipe, plain_recipe  # noqa: E402
from pipelines.text_generate import TextRequest, generate_texts  # noqa: E402
from trainers.adapter import Adapter, read_adapter, write_adapter  # noqa: E402
from trainers.card import AdapterCard, PartCard  # noqa: E402
from trainers.config import parse_config  # noqa: E402
from trainers.data.texts import HELD_OUT, read_texts  # noqa: E402
from trainers.loop import ADAPTER, Training, begin, train, trained_parts  # noqa: E402
from trainers.methods import find_method  # noqa: E402
from trainers.stages import make_task  # noqa: E402
from trainers.text_config import PART, TextConfig  # noqa: E402
from trainers.tuners import peft_bridge as bridge  # noqa: E402
from trainers.voice_judge import VoiceJudge, voice_texts  # noqa: E402

TEXTS = ROOT / "examples" / "texts"
VOICES = ("pirate", "haiku", "courtroom")
PLAIN = "plain"
"""The base's own register, as the judge calls it."""
FUSED = "pfeiffer"
"""Adapters of this method on the other voices are what a method that builds on adapters gets."""
_ANSWER_TOKENS = 72
_JUDGED_BY = 320
"""Real examples of each voice that the judge learns from."""


@dataclass(frozen=True)
class Cell:
    """What is trained and measured."""

    voice: str
    method: str = "lora"
    learning_rate: float | None = None
    """None takes the recommendation."""
    rate_factor: float = 1.0
    """The learning rate is multiplied by it."""
    settings: str = "{}"
    """The method's own settings, as JSON."""
    run: str = "{}"
    """Other settings of the run, as JSON."""
    rows: int | None = None
    """Training examples, the first of the file; None takes all."""
    examples: int = 80
    """Held-out questions that are answered, at most."""


@dataclass(frozen=True)
class Scores:
    """What answers to unseen questions are like."""

    shares: Mapping[str, float]
    """Voice -> share of the answers that the judge calls so."""
    facts_right: float
    perplexities: Mapping[str, float]
    """Voice -> perplexity of its held-out answers."""
    answers: Sequence[str]
    """The first few."""


@dataclass(frozen=True)
class Figures:
    """What training gave, beside the scores."""

    last_loss: float
    """Mean of the last tenth of the steps."""
    trainable: int
    share: float
    """Of the model's parameters."""
    file_bytes: int
    seconds: float
    """Of the training steps alone."""
    cpu_seconds: float
    """The same of the processors together, which a busy machine stretches less."""
    steps: int
    batch_size: int
    rate: float
    """The learning rate in the end."""


class Bench:
    """The base, the judge and the questions, made once for many cells."""

    def __init__(self, adapters: Path, *, device: str = "cpu", base: str = "pocket-lm", texts: Path = TEXTS) -> None:
        """Read the questions and train the judge; the base waits for the first cell.

        Args:
            adapters: folder that every trained adapter is written to.
            texts: folder of the datasets, one folder for each voice.
        """
        self._adapters, self._device, self._base_name, self._texts = adapters, device, base, texts
        self._judge = VoiceJudge(
            {voice: voice_texts(texts / voice / "train.jsonl")[:_JUDGED_BY] for voice in (*VOICES, PLAIN)}
        )
        self._held_out = {voice: read_texts(texts / voice, HELD_OUT).rows for voice in VOICES}
        self._lines = {voice: _lines(texts / voice / "held_out.jsonl") for voice in VOICES}
        self._base: TextBase | None = None

    def measure(self, cell: Cell, *, keep_as: str | None = None) -> dict[str, Any]:
        """Train and score a cell; return `Figures` and `Scores` as one mapping.

        Args:
            keep_as: name of the adapter's folder, for blends; None removes the adapter in the end.

        Raises:
            Exception: whatever the method raised; the base is then loaded anew for the next cell.
        """
        base = self._loaded()
        try:
            with tempfile.TemporaryDirectory() as folder:
                target = self._adapters / keep_as if keep_as else Path(folder) / "it"
                figures = self._train(cell, base, target, Path(folder))
                adapter = read_adapter(target)  # scored as it is read back, like every user's
            with attached(base, {"it": adapter}) as attachments:
                scores = self._score(attachments, [cell.voice], {"it": 1.0}, None, cell.examples)
        except BaseException:
            self._base = None  # a failed method may have left layers behind
            raise
        return {**vars(figures), **vars(scores)}

    def measure_base(self, voices: Sequence[str], examples: int) -> dict[str, Any]:
        """Score the base alone on the voices' questions."""
        return vars(self._score(Attachments(self._loaded()), voices, {}, None, examples))

    def measure_blend(self, folders: Mapping[str, str], weights: Mapping[str, float], blend: str, examples: int) -> Any:
        """Score a blend of kept adapters on the questions of its voices.

        Args:
            folders: voice -> the name under which its adapter was kept.
            blend: its name, with settings such as ``ties density=0.5``.
        """
        base = self._loaded()
        adapters = {voice: read_adapter(self._adapters / name) for voice, name in folders.items()}
        name, *settings = blend.split()
        recipe = plain_recipe(weights, name, **{key: json.loads(value) for key, value in map(_pair, settings)})
        scores = self._score(
            Attachments(base),
            list(weights),
            {},
            (recipe, LiveRecipes(base, adapters)),
            examples,
            examples // len(weights),
        )
        return vars(scores)

    def _score(
        self,
        attachments: Attachments,
        voices: Sequence[str],
        weights: Mapping[str, float],
        live: tuple[Recipe, LiveRecipes] | None,
        measured_rows: int,
        questions: int | None = None,
    ) -> Scores:
        """Answer the first questions of each voice and judge the answers; as many as are measured, if not said."""
        lines = [line for voice in voices for line in self._lines[voice][: questions or measured_rows]]
        recipe, recipes = live or (None, None)
        asked = [
            TextRequest(line["messages"][0]["content"], weights=weights, recipe=recipe, max_new_tokens=_ANSWER_TOKENS)
            for line in lines
        ]
        found = dict(generate_texts(attachments, asked, recipes=recipes, batch_size=len(asked)))
        answers = [found[number].text for number in range(len(asked))]
        right = [answers_right(line, answer) for line, answer in zip(lines, answers, strict=True)]
        wrong = [answer for answer, good in zip(answers, right, strict=True) if not good]
        called = [verdict.label for verdict in self._judge.label(answers)]
        values: dict[str, float] = {}
        for voice in voices:
            if recipe is None:
                values[voice] = perplexity(attachments, self._held_out[voice][:measured_rows], weights).value
            else:
                assert recipes is not None
                with recipes.acting(recipe, 1):
                    values[voice] = perplexity(attachments, self._held_out[voice][:measured_rows], {}).value
        shares = {voice: called.count(voice) / len(called) for voice in (*VOICES, PLAIN)}
        return Scores(shares, sum(right) / len(right), values, [*answers[:3], *wrong[:3]])

    def _train(self, cell: Cell, base: TextBase, target: Path, folder: Path) -> Figures:
        """Train, write the adapter and take it off the base."""
        config = self._config(cell, self._built_on(cell, base, folder))
        task = make_task(config, base, read_texts(Path(config.data)).rows[: cell.rows])
        training = begin(config, task)
        started, worked = time.monotonic(), time.process_time()
        losses = [step.loss for step in train(training)]
        if base.device.type == "cuda":
            torch.cuda.synchronize(base.device)
        seconds = (time.monotonic() - started, time.process_time() - worked)
        write_adapter(target, Adapter(_card(config, base), trained_parts(training), {}))
        figures = _figures(training, losses, seconds, target)
        bridge.detach(base.model, ADAPTER)
        bridge.set_weights(base.model, {})
        return figures

    def _config(self, cell: Cell, built_on: Sequence[str]) -> TextConfig:
        naming = {key: list(built_on) for key in find_method(cell.method).settings.naming_adapters()}
        plan = {"method": cell.method, "settings": {**naming, **json.loads(cell.settings)}}
        if cell.learning_rate is not None:
            plan["learning_rate"] = cell.learning_rate
        values = {
            "data": str(self._texts / cell.voice),
            "name": "cell",
            "base": self._base_name,
            "parts": {PART: plan},
            "device": self._device,
            **json.loads(cell.run),
        }
        config = parse_config(values, TextConfig)
        own = config.parts[PART]
        scaled = own.model_copy(update={"learning_rate": config.learning_rate_of(PART) * cell.rate_factor})
        return config.model_copy(update={"parts": {PART: scaled}}).checked()

    def _built_on(self, cell: Cell, base: TextBase, folder: Path) -> list[str]:
        """Return folders of trained adapters for a method that builds on some, else none."""
        if not find_method(cell.method).settings.naming_adapters():
            return []
        others = [voice for voice in VOICES if voice != cell.voice]
        for voice in others:
            other = replace(cell, voice=voice, method=FUSED, learning_rate=None, rate_factor=1.0, settings="{}")
            self._train(other, base, folder / voice, folder)
        return [str(folder / voice) for voice in others]

    def _loaded(self) -> TextBase:
        if self._base is None:
            self._base = load_text_base(self._base_name, device=self._device)
        return self._base


def _figures(training: Training, losses: Sequence[float], seconds: tuple[float, float], target: Path) -> Figures:
    config, found = training.config, training.attached[PART]
    tail = losses[-max(1, len(losses) // 10) :]
    return Figures(
        last_loss=sum(tail) / len(tail),
        trainable=found.trainable,
        share=found.trainable / found.total,
        file_bytes=sum(path.stat().st_size for path in target.glob("*/*")),
        seconds=seconds[0],
        cpu_seconds=seconds[1],
        steps=config.steps,
        batch_size=config.batch_size,
        rate=config.learning_rate_of(PART),
    )


def _card(config: TextConfig, base: TextBase) -> AdapterCard:
    return AdapterCard(
        name=config.name,
        base=base_card(base),
        parts={part: PartCard(method=plan.method, settings=plan.settings) for part, plan in config.parts.items()},
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value
