"""The training loop. `train` yields a step at a time and has no hooks; stopping is closing the iterator.

Everything random in step k is drawn from generators seeded by (seed, k), so a run that resumes after step k continues
bit for bit as if it had never stopped, whatever killed it.
"""

import dataclasses
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from trainers.adapter import AdapterPart, config_as_json
from trainers.checkpoint import Checkpoint, optimizer_tensors, restore_optimizer
from trainers.config import TrainingConfig
from trainers.data.order import mixed_seed
from trainers.errors import UserError
from trainers.gradient_checkpointing import gradient_checkpointing
from trainers.methods import Course, Fresh, Learner, find_method
from trainers.optimization import build_optimizer, learning_rate_factor
from trainers.precision import LossScale, arithmetic_of, is_unrepeatable, repeatable
from trainers.processes import ALONE, Processes
from trainers.protocols import Learnable, Task
from trainers.tuners import peft_bridge as bridge

ADAPTER = "trained"
"""The adapter's name on the modules while it is trained."""
_LIMIT_SKIPPED = 10
_UNREPEATABLE = (
    "Note: this GPU has no repeatable form of an operation in a step. A run that is resumed may end a little elsewhere "
    "than one that was never stopped."
)


@dataclass(frozen=True)
class Step:
    """What one step did."""

    step: int
    """Steps done, from 1."""
    loss: float
    """The task's loss, a mean over the step's batches; not finite when the step was skipped for it."""
    gradient_norm: float
    """Length of the gradient before it was shortened."""
    learning_rates: Mapping[str, float]
    """By part."""
    skipped: bool
    """Whether the step was left out because its loss or gradient was not finite."""
    noted: Mapping[str, float] = field(default_factory=dict)
    """What the task measured on the way."""
    note: str = ""
    """A sentence that whoever runs the training should read; empty in nearly every step."""


@dataclass
class Training:
    """One run in memory: the task with the adapters attached to its base, and the optimizer."""

    config: TrainingConfig
    task: Task
    processes: Processes
    attached: Mapping[str, bridge.Attached]
    part_configs: Mapping[str, Any]
    optimizer: torch.optim.Optimizer
    courses: Mapping[str, Course]
    """What each part's method does beside its forward."""
    loss_scale: LossScale = field(default_factory=LossScale)
    step: int = 0
    skipped: int = 0
    repeats: bool = True
    """Whether a step gives the same bits each time; False from the first step on that had to do without."""

    @property
    def role(self) -> Learnable:
        """The base."""
        return self.task.role

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Every parameter that is trained."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]


def begin(config: TrainingConfig, task: Task, processes: Processes = ALONE) -> Training:
    """Attach fresh adapters, build the optimizer, and let the task get ready.

    Raises:
        UserError: the base lacks a part, no layer matches the targets, or the task cannot be learned.
    """
    role = task.role
    config = config.on(role.parts)
    torch.manual_seed(mixed_seed(config.seed, "initial weights"))  # PEFT draws from the global generator
    attached: dict[str, bridge.Attached] = {}
    part_configs: dict[str, Any] = {}
    for part, plan in config.parts.items():
        attached[part], part_configs[part] = attach_part(role, part, plan.method, plan.settings)
    courses = {part: _course(config, role, part) for part in config.parts}
    rated = {part: _rated(config, role, part) for part in config.parts}
    for part, head in task.heads.items():
        # A head has a step size of its own, which does not follow the method's.
        factor = head.learning_rate / config.learning_rate_of(part)
        rated[part] = {**rated[part], factor: [*rated[part].get(factor, []), *head.parameters()]}
    optimizer = build_optimizer(config, rated)
    task.prepare()
    training = Training(config, task, processes, attached, part_configs, optimizer, courses, LossScale.of(role))
    with torch.no_grad():
        processes.take_from_main(training.parameters)
    return training


def attach_part(
    role: Learnable, part: str, method_name: str, settings: Mapping[str, Any]
) -> tuple[bridge.Attached, Any]:
    """Attach a fresh adapter of a method to one part; return what matched, and the PEFT config."""
    if part not in role.parts:
        raise UserError(f"The base has no part {part!r}. It has: {', '.join(role.parts)}.")
    method = find_method(method_name)
    checked = method.settings.model_validate(settings)

    def resolve(wanted: Sequence[str]) -> tuple[str, ...]:
        return role.targets(part, wanted)

    peft_config = method.peft_config(checked, resolve)
    attached = bridge.attach(role.parts[part], peft_config, ADAPTER, what=part)
    if method.prepare is not None:
        numbers = partial(role.token_ids, part)
        method.prepare(Fresh(role.parts[part], ADAPTER, checked, resolve, numbers))
    return attached, peft_config


def train(training: Training) -> Generator[Step, None, None]:
    """Run the remaining steps; yield after each one.

    Raises:
        UserError: many steps in a row had a loss or gradient that is not finite. The weights are still sound.
    """
    spared = training.config.parts if training.config.gradient_checkpointing else ()
    with gradient_checkpointing([training.role.parts[part] for part in spared]):
        try:
            yield from _steps(training)
        finally:
            _set_mode(training, learning=False)  # after an error too: others may share the base


def _steps(training: Training) -> Generator[Step, None, None]:
    config, in_a_row = training.config, 0
    while training.step < config.steps:
        _set_mode(training, learning=True)
        rates = _set_rates(training)
        for part, course in training.courses.items():
            seed = mixed_seed(config.seed, f"course of {part}", training.step)
            course.before_step(training.step, torch.Generator().manual_seed(seed))
        repeated = training.repeats
        loss, norm = _repeatable_gradients(training)
        usable = math.isfinite(loss) and math.isfinite(norm)
        if usable:
            training.optimizer.step()
        training.loss_scale.after_step(usable=usable)
        for course in training.courses.values():
            course.after_step(training.step, skipped=not usable)
        training.optimizer.zero_grad(set_to_none=True)
        training.step += 1
        training.skipped += not usable
        in_a_row = 0 if usable else in_a_row + 1
        _set_mode(training, learning=False)
        noted = training.processes.mean_values(training.task.noted())
        note = _UNREPEATABLE if repeated and not training.repeats else ""
        yield Step(training.step, loss, norm, rates, skipped=not usable, noted=noted, note=note)
        if in_a_row >= _LIMIT_SKIPPED:
            raise UserError(
                f"The loss was not finite in {in_a_row} steps in a row, the last being step {training.step}. The "
                "weights were kept as they were before. Lower the learning rate, or use --precision fp32, and resume."
            )


def snapshot(training: Training) -> Checkpoint:
    """Return copies of everything that the remaining steps depend on."""
    groups = {part: bridge.read_state(training.role.parts[part], ADAPTER) for part in training.config.parts}
    groups |= {f"{part}-course": course.state() for part, course in training.courses.items() if course.state()}
    groups |= {f"{part}-head": head.tensors() for part, head in training.task.heads.items()}
    groups |= {"task": dict(own)} if (own := training.task.state()) else {}
    groups["optimizer"] = optimizer_tensors(training.optimizer)
    state = {
        "skipped": training.skipped,
        "loss_scale": dataclasses.asdict(training.loss_scale),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    return Checkpoint(training.step, groups, state)


def restore(training: Training, checkpoint: Checkpoint) -> None:
    """Put a run that has begun back into the state of a snapshot."""
    for part in training.config.parts:
        bridge.load_state(training.role.parts[part], ADAPTER, checkpoint.groups[part], what=part)
        training.courses[part].restore(checkpoint.groups.get(f"{part}-course", {}))
    for part, head in training.task.heads.items():
        head.load(checkpoint.groups[f"{part}-head"])
    training.task.restore(checkpoint.groups.get("task", {}))
    restore_optimizer(training.optimizer, checkpoint.groups["optimizer"])
    training.step = checkpoint.step
    training.skipped = int(checkpoint.state["skipped"])
    if "loss_scale" in checkpoint.state:
        training.loss_scale = LossScale(**checkpoint.state["loss_scale"])


def trained_parts(training: Training) -> dict[str, AdapterPart]:
    """Return the adapter as it stands, ready to be written: without what only training needs."""
    parts: dict[str, AdapterPart] = {}
    for part, plan in training.config.parts.items():
        config = config_as_json(training.part_configs[part])
        tensors = bridge.read_state(training.role.parts[part], ADAPTER)
        fold = find_method(plan.method).fold
        parts[part] = AdapterPart(*(fold(config, tensors) if fold is not None else (config, tensors)))
    return parts


def _repeatable_gradients(training: Training) -> tuple[float, float]:
    """Compute the step's gradients in kernels that repeat themselves; freely, if an operation has none."""
    if training.repeats:
        try:
            with repeatable(training.role.device):
                return _gradients(training)
        except RuntimeError as error:
            if not is_unrepeatable(error):
                raise
        training.repeats = False
        training.optimizer.zero_grad(set_to_none=True)
    return _gradients(training)


def _gradients(training: Training) -> tuple[float, float]:
    """Compute the step's gradients, averaged over processes and shortened; return loss and gradient norm."""
    config, processes = training.config, training.processes
    first, total = training.step * config.gradient_accumulation_steps * processes.count, 0.0
    # Over all processes, so that a token counts the same wherever it is; each process's share of it is the divisor.
    weights = [
        training.task.weight(first + number) for number in range(config.gradient_accumulation_steps * processes.count)
    ]
    divisor = sum(weights) / processes.count
    for part_of_step in range(config.gradient_accumulation_steps):
        number = part_of_step * processes.count + processes.rank
        # By the batch alone: as many processes as there may be, and in whichever order, a batch meets the same dropout.
        torch.manual_seed(mixed_seed(config.seed, "dropout", first + number))
        generator = torch.Generator().manual_seed(mixed_seed(config.seed, "batch", first + number))
        with arithmetic_of(training.role):
            loss = training.task.loss(first + number, generator)
            penalties = [course.penalty() for course in training.courses.values()]
            total += float(loss.detach()) * weights[number] / divisor
            loss = sum((penalty for penalty in penalties if penalty is not None), start=loss)
        (loss * weights[number] / divisor * training.loss_scale.scale).backward()
    total = processes.mean_gradients(training.parameters, total)
    training.loss_scale.divide(training.parameters)
    norm = torch.nn.utils.clip_grad_norm_(training.parameters, config.max_grad_norm)
    return total, float(norm)


def _learner(config: TrainingConfig, role: Learnable, part: str) -> Learner:
    method = find_method(config.parts[part].method)
    settings = method.settings.model_validate(config.parts[part].settings)
    return Learner(role.parts[part], ADAPTER, settings, config.steps)


def _course(config: TrainingConfig, role: Learnable, part: str) -> Course:
    return find_method(config.parts[part].method).course(_learner(config, role, part))


def _rated(config: TrainingConfig, role: Learnable, part: str) -> dict[float, list[nn.Parameter]]:
    """Return a part's trained parameters by the factor on its learning rate."""
    learner, factor = _learner(config, role, part), find_method(config.parts[part].method).rate_factor
    rated: dict[float, list[nn.Parameter]] = {}
    for path, parameter in bridge.adapter_parameters(learner.module, ADAPTER).items():
        if parameter.requires_grad:
            rated.setdefault(1.0 if factor is None else factor(path, learner.settings), []).append(parameter)
    return rated


def _set_rates(training: Training) -> dict[str, float]:
    factor = learning_rate_factor(training.config, training.step)
    for group in training.optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor
    return {group["name"]: group["lr"] for group in training.optimizer.param_groups if group["main"]}


def _set_mode(training: Training, *, learning: bool) -> None:
    for part in training.config.parts:
        training.role.parts[part].train(learning)
