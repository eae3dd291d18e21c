"""What is known of a training on pictures before its first step: the data, the layers, the cost."""

from pathlib import Path

import torch

from pipelines.bases import choose_device, load_image_base
from pipelines.families import ImageBase
from studio.library.library import Library
from studio.resources import free_disk_bytes
from studio.runs.kinds._run_kind import Preflight
from studio.runs.kinds.images.long_captions import long_caption_notes
from studio.runs.kinds.images.prompts import prompt_sentences
from studio.runs.step_cost import MemoryMeter, cost_of, size
from trainers.adapter import parts_size_bytes
from trainers.config import RunConfig, TrainingConfig
from trainers.data.images import ImageFolder, read_folder
from trainers.data.latents import encode_latents
from trainers.errors import UserError
from trainers.image_task import ImageTask
from trainers.loop import Training, begin, trained_parts
from trainers.methods import find_method
from trainers.part_config import learned_word
from trainers.preflight import check_parts
from trainers.wording import count_of

OUT_OF_MEMORY = (
    "Memory ran out in the first step. Lower batch_size, or the size of the pictures or texts, turn on "
    "gradient_checkpointing, or take a method that trains less."
)


def preflight_images(config: RunConfig, library: Library) -> Preflight:
    """Return what training with these settings would find; nothing is written.

    Problems are gathered: those of the data and those of the base and its layers are told together.
    """
    facts: dict[str, str] = {}
    problems: list[str] = []
    notes: list[str] = []
    pictures = None
    facts["disk"] = f"{size(free_disk_bytes(library.folder))} free"
    try:
        library.new_adapter_folder(config.name)
        pictures = read_folder(
            Path(config.data), prompt=config.prompt, trigger=config.trigger, skip_bad=config.skip_bad
        )
        facts |= pictures.facts()
        notes += [*(f"Left out: {sentence}" for sentence in pictures.bad), *pictures.notes]
        notes += prompt_sentences(config, pictures)
    except UserError as error:
        problems.append(str(error))
    try:
        meter = MemoryMeter(choose_device(config.device))
        base = load_image_base(config.base, device=config.device, precision=config.precision)
        config = config.on(base.parts)
        check_parts(config, base)
        if pictures is not None:
            training = _begun(config, base, pictures)
            notes += long_caption_notes(base, pictures.pictures)
            facts |= _training_facts(config, training, pictures)
            cost = cost_of(training, meter, parts_size_bytes(trained_parts(training)), library.folder)
            facts |= cost.facts()
            problems += cost.problems()
    except UserError as error:
        problems.append(str(error))
    except (MemoryError, torch.OutOfMemoryError):
        problems.append(OUT_OF_MEMORY)
    return Preflight(facts, problems, notes)


def _begun(config: RunConfig, base: ImageBase, folder: ImageFolder) -> Training:
    """Attach for real, on one picture; on one whose caption holds the word that is learned, if there is one."""
    size_px = config.resolution_px or base.resolution_px
    words = [word.lower() for part, plan in config.parts.items() if (word := learned_word(part, plan))]
    picture = max(folder.pictures, key=lambda one: sum(word in one.caption.lower() for word in words))
    latents = [found for _, found in encode_latents(base, [picture], size_px=size_px, flip=False)][-1]
    assert latents is not None  # the last item always carries them
    one = config.model_copy(update={"trigger": None, "prompt": None})
    return begin(one, ImageTask(one, base, latents))


def _training_facts(config: RunConfig, training: Training, folder: ImageFolder) -> dict[str, str]:
    facts = {part: part_fact(config, training, part) for part in config.parts}
    size_bytes = parts_size_bytes(trained_parts(training))
    facts["adapter file"] = size(size_bytes)
    facts["passes"] = _passes(config.steps * config.batch_size * config.gradient_accumulation_steps, folder)
    return facts


def _passes(seen: int, folder: ImageFolder) -> str:
    """Say how often each picture is seen, of folders with repeats by folder."""
    each = seen / sum(picture.repeats for picture in folder.pictures)
    if not folder.repeated:
        return f"{each:.0f} per picture"
    return ", ".join(f"{each * times:.0f} per picture of {name}" for name, times in folder.repeated)


def part_fact(config: TrainingConfig, training: Training, part: str) -> str:
    """Return what is told of one part that has been attached."""
    found, method = training.attached[part], find_method(config.parts[part].method)
    share = found.trainable / found.total
    return (
        f"{method.title} on {count_of(len(found.matched), 'layer')}, {count_of(found.trainable, 'trainable parameter')}"
        f" ({share:.2%} of {found.total:,}), learning rate {config.learning_rate_of(part):g}"
    )
