"""What is known of a training on texts before its first step: the data, the layers, the cost."""

import torch

from pipelines.bases import choose_device
from studio.library.library import Library
from studio.runs.kinds._run_kind import Preflight
from studio.runs.kinds.images.preflight import OUT_OF_MEMORY, part_fact
from studio.runs.kinds.text.work import TrainingTexts, held_out_notes, load_base_of, read_training_texts
from studio.runs.step_cost import MemoryMeter, cost_of, size
from trainers.adapter import parts_size_bytes
from trainers.errors import UserError
from trainers.loop import begin, trained_parts
from trainers.preflight import check_parts
from trainers.stages import make_task
from trainers.text_config import TextConfig


def preflight_text(config: TextConfig, library: Library) -> Preflight:
    """Return what training with these settings would find; nothing is written.

    Problems are gathered: those of the data and those of the base and its layers are told together.
    """
    facts: dict[str, str] = {}
    problems: list[str] = []
    notes: list[str] = []
    texts: TrainingTexts | None = None
    try:
        library.new_adapter_folder(config.name)
        texts = read_training_texts(config)
        facts |= texts.facts()
        notes += texts.notes()
    except UserError as error:
        problems.append(str(error))
    try:
        meter = MemoryMeter(choose_device(config.device))
        base = load_base_of(config)
        check_parts(config, base)
        if texts is not None:
            task = make_task(config, base, texts.training.rows)
            facts |= task.facts()
            notes += [*task.notes, *held_out_notes(task, texts)]
            training = begin(config, task)
            facts |= {part: part_fact(config, training, part) for part in config.parts}
            size_bytes = parts_size_bytes(trained_parts(training))
            facts["adapter file"] = size(size_bytes)
            seen = config.steps * config.batch_size * config.gradient_accumulation_steps
            facts["passes"] = f"{seen * len(task.marks) / len(task.examples):.1f} per row"
            cost = cost_of(training, meter, size_bytes, library.folder)
            facts |= cost.facts()
            problems += cost.problems()
    except UserError as error:
        problems.append(str(error))
    except (MemoryError, torch.OutOfMemoryError):
        problems.append(OUT_OF_MEMORY)
    return Preflight(facts, problems, notes)
