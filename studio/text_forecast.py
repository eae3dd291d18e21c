"""What is known of a training on texts before its first step: the data, the layers, the cost."""

from accelerate import Accelerator

from studio.forecast import free_bytes, part_fact
from studio.library import Library
from studio.run_kinds._run_kind import Forecast
from studio.text_worker import TrainingTexts, load_base_of, read_training_texts
from trainers.adapter import parts_size_bytes
from trainers.errors import UserError
from trainers.loop import begin, trained_parts
from trainers.preflight import check_parts
from trainers.stages import make_task
from trainers.text_config import TextConfig


def forecast_text(config: TextConfig, library: Library) -> Forecast:
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
        base = load_base_of(config)
        check_parts(config, base)
        if texts is not None:
            task = make_task(config, base, texts.training.rows)
            facts |= task.facts()
            notes += task.notes
            training = begin(config, task, Accelerator(cpu=base.device.type == "cpu"))
            facts |= {part: part_fact(config, training, part) for part in config.parts}
            facts["adapter file"] = f"{parts_size_bytes(trained_parts(training)) / 1e6:.2f} MB"
            seen = config.steps * config.batch_size * config.accumulation
            facts["passes"] = f"{seen / len(texts.training.rows):.1f} per row"
    except UserError as error:
        problems.append(str(error))
    facts["disk"] = f"{free_bytes(library.folder) / 1e9:,.1f} GB free"
    return Forecast(facts, problems, notes)
