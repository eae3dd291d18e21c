"""The work of a training run on texts: data, base, loop, answers to the same prompts, adapter."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.attach import Attachments
from pipelines.bases import load_text_base
from pipelines.families import TextBase
from pipelines.text_generate import TextRequest, generate_texts
from studio.runs.control import Control
from studio.runs.run import Journal, Run
from studio.runs.start import telling_seconds
from studio.runs.text_folds import run_folds
from studio.runs.training import (
    Evaluation,
    check_unchanged,
    go_on,
    run_steps,
    say_parts,
    write_trained,
)
from trainers.data.texts import ENDINGS, FORMS, HELD_OUT, TextData, TextRow, held_out_file, read_texts
from trainers.errors import UserError
from trainers.loop import ADAPTER, Training, begin
from trainers.preflight import check_parts
from trainers.stages import TextTask, find_stage, make_task
from trainers.storage import sha256_of_file
from trainers.text_config import TextConfig
from trainers.wording import count_and_name, count_of, listed

_SAMPLES = 4


@dataclass(frozen=True)
class TrainingTexts:
    """What a run learns from, and what it is measured on."""

    training: TextData
    held_out: TextData | None
    passed_over: Sequence[str] = ()
    """Other files of texts in the folder that was given, by name."""

    def facts(self) -> dict[str, str]:
        """Return what is told of the files."""
        data = self.training
        found = {"data": f"{count_of(len(data.rows), 'row')} of {data.form.title} in {data.path.name}"}
        held = self.held_out
        found["validation"] = f"{count_of(len(held.rows), 'row')} in {held.path.name}" if held is not None else "none"
        return found

    def notes(self) -> list[str]:
        """Return sentences on what in the files, and which files beside them, is passed over."""
        notes = [note for data in (self.training, self.held_out) if data is not None for note in data.notes()]
        why = "of texts is not read", "of texts are not read"
        return notes + ([count_and_name(self.passed_over, "other file", *why)] if self.passed_over else [])


def read_training_texts(config: TextConfig) -> TrainingTexts:
    """Read a run's data.

    Raises:
        UserError: a file is missing or broken, or its form is none that the stage learns from.
    """
    stage = find_stage(config.stage)
    data = read_texts(Path(config.data), wanted=stage.forms)
    place = Path(config.validation) if config.validation is not None else held_out_file(Path(config.data))
    if config.validation is None and place is not None and place.resolve() == data.path.resolve():
        place = None  # the held-out file itself is trained on, on purpose
    held = read_texts(place, HELD_OUT, stage.forms) if place is not None else None
    for found in (data, held):
        if found is not None and found.form.name not in stage.forms:
            wanted = ", ".join(FORMS[name].title for name in stage.forms)
            raise UserError(
                f"{found.path} holds {found.form.title}, and the stage {stage.name!r} learns from {wanted}. Take other "
                "data, or another --stage."
            )
    read = [found.path.name for found in (data, held) if found is not None]
    there = sorted(Path(config.data).iterdir()) if Path(config.data).is_dir() else []
    others = [path.name for path in there if path.suffix.lower() in ENDINGS and path.name not in read]
    return TrainingTexts(data, held, others)


def held_out_notes(task: TextTask, texts: TrainingTexts) -> list[str]:
    """Return sentences on what of the held-out texts is not measured.

    Raises:
        UserError: none of them can be.
    """
    held = texts.held_out
    return [f"{held.path.name}: {note}" for note in task.about_held_out(held.rows)] if held is not None else []


def load_base_of(config: TextConfig) -> TextBase:
    """Load the base that a run trains on."""
    return load_text_base(
        config.base,
        device=config.device,
        precision=config.precision,
        trust_remote_code=config.trust_remote_code,
    )


def work(run: Run, journal: Journal, control: Control) -> Path | None:
    """Do what is left of a run; see `studio.runs.run.execute`."""
    config: TextConfig = control.team.placed(run.config())
    texts = read_training_texts(config)
    with telling_seconds(journal.say, "Base"):
        base = load_base_of(config)  # before anything is said, so that a base that is not there is told alone
    for what, found in texts.facts().items():
        journal.say(f"{what}: {found}")
    check_parts(config, base)
    task = make_task(config, base, texts.training.rows)
    for what, found in task.facts().items():
        journal.say(f"{what}: {found}")
    for note in (*texts.notes(), *task.notes, *held_out_notes(task, texts)):
        journal.say(f"Note: {note}")
    check_unchanged(run, base, _digests(texts), ("validation", "sample_max_new_tokens", "trust_remote_code"))
    scores: dict[str, float] = {}
    if (folds := task.folds()) and control.processes.count > 1:
        raise UserError("Folds are trained on one device. Start the run with one process, or leave folds at 0.")
    if folds:
        summary = run_folds(run, journal, control, base, folds)
        if summary is None:
            return None
        scores |= {f"folds_{name}": value for name, value in summary.items()}
    training = begin(config, task, control.processes)
    say_parts(journal, training)
    _say_layers(journal, training)
    go_on(run, journal, training)
    evaluation = _evaluation(journal, config, training, task, base, texts.held_out)
    if not run_steps(run, journal, training, control, evaluation) or not training.processes.is_main:
        return None
    if texts.held_out is not None:
        scores |= task.validate(texts.held_out.rows) if task.heads else {}
        for line in task.report(texts.held_out.rows):
            journal.say(line)
    data = {"rows": len(texts.training.rows), "form": texts.training.form.name, "stage": config.stage}
    return write_trained(run, journal, training, base, data=data, head=task.head_card(), scores=scores)


def _evaluation(
    journal: Journal,
    config: TextConfig,
    training: Training,
    task: TextTask,
    base: TextBase,
    held_out: TextData | None,
) -> Evaluation:
    live = Attachments(base, slots={config.name: ADAPTER}, parts={config.name: tuple(config.parts)})
    if config.sample_prompts:
        prompts = [TextRow("prompt", messages=({"role": "user", "content": text},)) for text in config.sample_prompts]
    else:
        prompts = task.prompts(_SAMPLES)
        if prompts:
            journal.say(f"sample prompts: {listed(row.where for row in prompts)}")

    def sample() -> dict[str, bytes]:
        lines = task.show(prompts) or _answers(journal, config, training, live, prompts)
        live.set_weights({config.name: 1.0})
        return {".jsonl": "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()}

    def measure() -> dict[str, float]:
        assert held_out is not None
        found = task.validate(held_out.rows)
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in found.items())
        journal.say(f"Step {training.step}: {shown}")
        return {name: value for name, value in found.items() if math.isfinite(value)}

    return Evaluation(sample, measure if held_out is not None else None)


def _answers(
    journal: Journal, config: TextConfig, training: Training, live: Attachments, prompts: Sequence[TextRow]
) -> list[Mapping[str, str]]:
    """Answer the prompts greedily with the adapter as it stands."""
    requests = [
        TextRequest(
            prompt=row.text,
            messages=row.messages,
            tools=row.tools,
            plain=not row.messages,
            weights={config.name: 1.0},
            max_new_tokens=config.sample_max_new_tokens,
        )
        for row in prompts
    ]
    lines: dict[int, Mapping[str, str]] = {}
    for done, (number, answer) in enumerate(generate_texts(live, requests), 1):
        shown = requests[number].prompt or requests[number].messages[-1]["content"]
        lines[number] = {"prompt": shown, "answer": answer.text}
        journal.report.progress(f"samples at step {training.step}", done, len(requests))
    return [lines[number] for number in range(len(requests))]


def _say_layers(journal: Journal, training: Training) -> None:
    for part, found in training.attached.items():
        ends: dict[str, int] = {}
        for path in found.matched:
            name = ".".join(step for step in path.split(".")[-2:] if not step.isdigit())
            ends[name] = ends.get(name, 0) + 1
        journal.say(f"{part}: attached to {', '.join(f'{count} × {name}' for name, count in ends.items())}")


def _digests(texts: TrainingTexts) -> dict[str, str]:
    return {"texts": sha256_of_file(texts.training.path)}
