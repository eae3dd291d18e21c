"""What all training runs share: going on from a checkpoint, the loop under control, and the adapter that they leave."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines.base_card import base_card
from pipelines.families import LoadedBase
from studio.proposals import proposed
from studio.runs.control import Control
from studio.runs.run import Journal, Run
from studio.runs.step_cost import size
from trainers.adapter import Adapter, AdapterPart, parts_size_bytes, write_adapter
from trainers.card import AdapterCard, HeadCard, PartCard
from trainers.checkpoint import newest_checkpoint, write_checkpoint
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.loop import Step, Training, restore, snapshot, train, trained_parts
from trainers.methods import find_method
from trainers.names import name_of
from trainers.part_config import PartConfig
from trainers.stages import VALIDATION
from trainers.storage import write_bytes
from trainers.wording import count_of

# Settings that may change between a stop and a resume; every other decides what the steps do.
_FREE_SETTINGS = (
    *("base", "data", "name", "device"),
    *("checkpoint_every", "keep_checkpoints", "sample_every", "sample_prompts"),
)


@dataclass(frozen=True)
class Evaluation:
    """What is looked at on the way; training goes on as if nothing had happened."""

    run: Callable[[], Mapping[str, bytes]]
    """Make the samples of the step that has been reached: endings of file names, such as ``-0.png``, with contents."""
    measure: Callable[[], Mapping[str, float]] | None = None
    """Measure what goes into the metrics beside the losses, under names of its own."""


def go_on(run: Run, journal: Journal, training: Training) -> None:
    """Put a training that has begun where its run's newest checkpoint left it, if there is one."""
    checkpoint = newest_checkpoint(run.checkpoints)
    if checkpoint is not None:
        restore(training, checkpoint)
        run.update(step=training.step, skipped=training.skipped)  # a kill may have come between the two
        journal.say(f"Resuming after step {training.step} of {training.config.steps}.")
        if checkpoint.state["threads"] != torch.get_num_threads():
            journal.say(
                f"Note: the run began with {checkpoint.state['threads']} threads and goes on with "
                f"{torch.get_num_threads()}; the result will differ in the last bits."
            )
    if training.processes.is_main:
        journal.forget_after(training.step)


def run_steps(run: Run, journal: Journal, training: Training, control: Control, evaluation: Evaluation) -> bool:
    """Run the loop; return whether it came to its end. The main process alone writes, and decides for all."""
    config, main, team = training.config, training.processes.is_main, control.team
    # A kill may have come between a checkpoint and what is made of it.
    if main and _is_due(config, training.step) and not _is_evaluated(run, journal, training.step, evaluation):
        _evaluate(run, journal, training, evaluation)
    team.share(True)
    smoothed = math.nan
    for step in train(training):
        if not main:
            if team.share(None):
                return False
            continue
        smoothed = step.loss if math.isnan(smoothed) else 0.95 * smoothed + 0.05 * step.loss
        _record(journal, step)
        journal.report.progress("training", step.step, config.steps, f"loss {smoothed:.4f}")
        last = step.step == config.steps
        stopping = control.stops() and not last
        if last or stopping or control.takes("save") or step.step % config.checkpoint_every == 0:
            write_checkpoint(run.checkpoints, snapshot(training), keep=config.keep_checkpoints)
            run.update(step=step.step, skipped=training.skipped)
        if control.takes("sample") or _is_due(config, step.step):
            _evaluate(run, journal, training, evaluation)
        team.share(stopping)
        if stopping:
            journal.say(
                f"Stopped after step {step.step} of {config.steps}; the work is kept. Continue with "
                f"{proposed([*run.kind().command.split(), '--resume', run.name], run.library)}"
            )
            return False
    return True


def _is_due(config: TrainingConfig, step: int) -> bool:
    return step in (0, config.steps) or bool(config.sample_every and step % config.sample_every == 0)


def _is_evaluated(run: Run, journal: Journal, step: int, evaluation: Evaluation) -> bool:
    return bool(samples_of(run, step)) and (evaluation.measure is None or journal.has_measured(step, VALIDATION))


def samples_of(run: Run, step: int) -> list[Path]:
    """Return the samples of a step."""
    return sorted((run.folder / "samples").glob(f"step-{step:08d}[-.]*"))


def check_unchanged(run: Run, base: LoadedBase, data: Mapping[str, str], free: tuple[str, ...]) -> None:
    """Refuse to resume on other data or another base: the result would be neither the old run's nor a new one's.

    Args:
        data: what a user calls each piece of data, with its digest.
        free: settings of the kind that may change, beside those that may in every training.
    """
    settings = run.config().model_dump(mode="json", exclude={*_FREE_SETTINGS, *free})
    now = {
        **data,
        "base": base.fingerprint,
        "settings": hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
    }
    before = run.state().get("inputs", now)
    changed = [what for what, value in now.items() if before.get(what, value) != value]
    if changed:
        raise UserError(
            f"The run {run.name!r} cannot be resumed: its {' and '.join(changed)} changed since it began. "
            "Put them back, or start a new run under another --name."
        )
    run.update(inputs=now)


def write_trained(
    run: Run,
    journal: Journal,
    training: Training,
    base: LoadedBase,
    *,
    data: Mapping[str, Any],
    triggers: tuple[str, ...] = (),
    references: Mapping[str, Tensor] | None = None,
    head: HeadCard | None = None,
    scores: Mapping[str, float] | None = None,
) -> Path:
    """Write the adapter into the library; return its folder."""
    config = training.config
    card = AdapterCard(
        name=config.name,
        base=base_card(base),
        parts={part: _part_card(plan) for part, plan in config.parts.items()},
        triggers=triggers,
        data=dict(data),
        training=_training_facts(training),
        head=head,
        scores=dict(scores or {}),
        versions={name: version(name) for name in ("torch", "diffusers", "transformers", "peft")},
    )
    parts = trained_parts(training)
    tensors = training.task.heads[head.part].tensors() if head is not None else {}
    if not _is_written(run, config.name, parts):
        target = run.library.new_adapter_folder(config.name)
        previews = {path.name: path.read_bytes() for path in samples_of(run, config.steps)}
        write_adapter(target, Adapter(card, parts, references or {}, tensors), previews)
    target = run.library.find(config.name)
    journal.say(f"The adapter {config.name!r} is ready: {target}")
    return target


def _part_card(plan: PartConfig) -> PartCard:
    """Return what the card says of a part; adapters that it was built on lose their folders' paths."""
    names = {
        name: [name_of(Path(folder).name) for folder in plan.settings[name]]
        for name in find_method(plan.method).settings.naming_adapters()
    }
    return PartCard(method=plan.method, settings={**plan.settings, **names})


def _is_written(run: Run, name: str, parts: Mapping[str, AdapterPart]) -> bool:
    """Whether the library has this very adapter, because the run was killed just after writing it."""
    if name not in run.library.names():
        return False
    found = run.library.read(name).parts
    return found.keys() == parts.keys() and all(
        found[part].tensors.keys() == content.tensors.keys()
        and all(torch.equal(found[part].tensors[key], value) for key, value in content.tensors.items())
        for part, content in parts.items()
    )


def _training_facts(training: Training) -> dict[str, object]:
    """Return the config as the card keeps it: no paths, nothing of this machine."""
    kept = training.config.model_dump(mode="json", exclude={"parts", *type(training.config).not_in_the_card})
    rates = {part: plan.learning_rate for part, plan in training.config.parts.items()}
    return {**kept, **training.config.for_the_card(), "learning_rates": rates, "skipped_steps": training.skipped}


def _evaluate(run: Run, journal: Journal, training: Training, evaluation: Evaluation) -> None:
    for ending, content in evaluation.run().items():
        write_bytes(run.folder / "samples" / f"step-{training.step:08d}{ending}", content)
    if evaluation.measure is not None:
        journal.measure({"step": training.step, **evaluation.measure()})


def say_parts(journal: Journal, training: Training) -> None:
    """Tell what is trained, and how large the adapter will be."""
    config, shrinking = training.config, []
    for part, found in training.attached.items():
        method = find_method(config.parts[part].method)
        head = training.task.heads.get(part)
        beside = f", and a head of {sum(p.numel() for p in head.parameters()):,}" if head is not None else ""
        shrinking += [method.title] if method.shrinks else []
        journal.say(
            f"{part}: {method.name} on {count_of(len(found.matched), 'layer')}, "
            f"{count_of(found.trainable, 'trainable parameter')} ({found.trainable / found.total:.2%} of "
            f"{found.total:,}){beside}, learning rate {config.learning_rate_of(part):g}"
        )
    size_bytes = parts_size_bytes(trained_parts(training))
    most = f"at most (its {' and '.join(dict.fromkeys(shrinking))} may end smaller) " if shrinking else ""
    steps = count_of(config.steps, "step")
    journal.say(f"The adapter's tensors will take {most}{size(size_bytes)}. {steps}, seed {config.seed}.")


def _record(journal: Journal, step: Step) -> None:
    journal.measure(
        {
            "step": step.step,
            "loss": step.loss if math.isfinite(step.loss) else None,
            "gradient_norm": step.gradient_norm if math.isfinite(step.gradient_norm) else None,
            "learning_rates": dict(step.learning_rates),
            "skipped": step.skipped,
            **{name: value for name, value in step.noted.items() if math.isfinite(value)},
        }
    )
    if step.note:
        journal.say(step.note)
    if step.skipped:
        journal.say(f"Step {step.step} was skipped: its loss or gradient was not finite. The weights are unchanged.")
