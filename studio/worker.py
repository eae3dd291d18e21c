"""The work of a training run: data, base, loop, samples, checkpoints, adapter."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from pipelines.attach import Attachments
from pipelines.bases import POCKET, choose_device, load_base
from pipelines.families import LoadedBase
from pipelines.generate import PictureRequest, generate
from pipelines.judge import POCKET_JUDGE, Judge
from pipelines.picture_file import png_bytes
from studio.run_control import Control
from studio.runs import Journal, Run
from trainers.adapter import Adapter, AdapterPart, parts_size_bytes, write_adapter
from trainers.card import AdapterCard, BaseCard, PartCard
from trainers.checkpoint import newest_checkpoint, write_checkpoint
from trainers.config import PartConfig, RunConfig
from trainers.data.latents import Latents, encode_latents
from trainers.data.pictures import Picture, PictureFolder, open_picture, read_folder
from trainers.errors import UserError
from trainers.loop import ADAPTER, Step, Training, begin, restore, snapshot, train, trained_parts
from trainers.methods import find_method
from trainers.preflight import check_parts
from trainers.storage import write_bytes
from trainers.wording import count_of

_SAMPLES = 4
# Settings that may change between a stop and a resume; every other decides what the steps do.
_FREE_SETTINGS = (
    *("base", "data", "name", "device", "judge", "skip_bad"),
    *("checkpoint_every", "keep_checkpoints", "sample_every", "sample_prompts"),
)


def work(run: Run, journal: Journal, control: Control) -> Path | None:
    """Do what is left of a run; see `studio.runs.execute`."""
    config = run.config()
    device = choose_device(config.device)
    pictures = read_folder(Path(config.data), prompt=config.prompt, trigger=config.trigger, skip_bad=config.skip_bad)
    _say_pictures(journal, pictures)
    base = load_base(config.base, device=config.device, precision=config.precision)
    check_parts(config, base)
    _check_unchanged(run, pictures.pictures, base)
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="bf16" if base.parts["unet"].dtype == torch.bfloat16 else "no",
    )
    references = _references(config, pictures.pictures)
    training = begin(config, base, _encode(journal, config, base, pictures.pictures), accelerator)
    _say_parts(journal, training)
    checkpoint = newest_checkpoint(run.checkpoints)
    if checkpoint is not None:
        restore(training, checkpoint)
        run.update(step=training.step, skipped=training.skipped)  # a kill may have come between the two
        journal.say(f"Resuming after step {training.step} of {config.steps}.")
        if checkpoint.state["threads"] != torch.get_num_threads():
            journal.say(
                f"Note: the run began with {checkpoint.state['threads']} threads and goes on with "
                f"{torch.get_num_threads()}; the result will differ in the last bits."
            )
    if accelerator.is_main_process:
        journal.forget_after(training.step)
    finished = _train(run, journal, training, base, control, main=accelerator.is_main_process)
    if not finished or not accelerator.is_main_process:
        return None
    return _write(run, journal, training, base, pictures.pictures, references)


def _train(
    run: Run,
    journal: Journal,
    training: Training,
    base: LoadedBase,
    control: Control,
    *,
    main: bool,
) -> bool:
    """Run the loop; return whether it came to its end."""
    config = training.config
    if training.step == 0 and main:
        _sample(run, journal, training, base)
    smoothed = math.nan
    for step in train(training):
        if not main:
            continue
        smoothed = step.loss if math.isnan(smoothed) else 0.95 * smoothed + 0.05 * step.loss
        _record(journal, step)
        journal.report.progress("training", step.step, config.steps, f"loss {smoothed:.4f}")
        last = step.step == config.steps
        stopping = control.stops() and not last
        if last or stopping or control.takes("save") or step.step % config.checkpoint_every == 0:
            write_checkpoint(run.checkpoints, snapshot(training), keep=config.keep_checkpoints)
            run.update(step=step.step, skipped=training.skipped)
        if last or control.takes("sample") or (config.sample_every and step.step % config.sample_every == 0):
            _sample(run, journal, training, base)
        if stopping:
            journal.say(
                f"Stopped after step {step.step} of {config.steps}; the work is kept. Continue with "
                f"'studio train --resume {run.folder.name}'."
            )
            return False
    if main and not _final_samples(run, config):  # killed between the last checkpoint and the samples
        _sample(run, journal, training, base)
    return True


def _final_samples(run: Run, config: RunConfig) -> list[Path]:
    return sorted((run.folder / "samples").glob(f"step-{config.steps:08d}-*.png"))


def _references(config: RunConfig, pictures: Sequence[Picture]) -> dict[str, Tensor]:
    """Embed the pictures with the judge, for later scores; before training, so that a wrong judge is told at once."""
    name = _judge_name(config)
    if name is None:
        return {}
    judge = Judge(name, device=config.device)
    return {judge.fingerprint: judge.embed_pictures([open_picture(picture.path) for picture in pictures])}


def _write(
    run: Run,
    journal: Journal,
    training: Training,
    base: LoadedBase,
    pictures: Sequence[Picture],
    references: Mapping[str, Tensor],
) -> Path:
    """Write the adapter into the library."""
    config = training.config
    card = AdapterCard(
        name=config.name,
        base=BaseCard(
            name=base.name,
            family=base.family,
            fingerprint=base.fingerprint,
            widths=dict(base.widths),
        ),
        parts={part: _part_card(plan) for part, plan in config.parts.items()},
        triggers=(config.trigger,) if config.trigger else (),
        data={"pictures": len(pictures), "captions": _caption_sources(pictures)},
        training=_training_facts(training),
        versions={name: version(name) for name in ("torch", "diffusers", "transformers", "peft")},
    )
    parts = trained_parts(training)
    if not _is_written(run, config.name, parts):
        target = run.library.new_adapter_folder(config.name)
        previews = {path.name: path.read_bytes() for path in _final_samples(run, config)}
        write_adapter(target, Adapter(card, parts, references), previews)
    target = run.library.find(config.name)
    journal.say(f"The adapter {config.name!r} is ready: {target}")
    return target


def _part_card(plan: PartConfig) -> PartCard:
    """Return what the card says of a part; adapters that it was built on lose their folders' paths."""
    names = {
        name: [Path(folder).name for folder in plan.settings[name]]
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
    kept = training.config.model_dump(mode="json", exclude={"base", "data", "name", "parts", "device", "judge"})
    rates = {part: plan.learning_rate for part, plan in training.config.parts.items()}
    return {**kept, "learning_rates": rates, "skipped_steps": training.skipped}


def _sample(run: Run, journal: Journal, training: Training, base: LoadedBase) -> None:
    """Draw the fixed prompts with the adapter as it stands; training goes on as if nothing had happened."""
    config = training.config
    prompts = config.sample_prompts or tuple(dict.fromkeys(training.latents.captions))[:_SAMPLES]
    live = Attachments(base, slots={config.name: ADAPTER}, parts={config.name: tuple(config.parts)})
    requests = [
        PictureRequest(prompt, seed=number, weights={config.name: 1.0}) for number, prompt in enumerate(prompts)
    ]

    def told(done: int, total: int) -> None:
        journal.report.progress(f"samples at step {training.step}", done, total)

    for number, picture in generate(live, requests, on_step=told):
        path = run.folder / "samples" / f"step-{training.step:08d}-{number}.png"
        write_bytes(path, png_bytes(picture, {"prompt": prompts[number]}))
    live.set_weights({config.name: 1.0})


def _encode(journal: Journal, config: RunConfig, base: LoadedBase, pictures: Sequence[Picture]) -> Latents:
    total = len(pictures) * (2 if config.flip else 1)
    size_px = config.resolution_px or base.resolution_px
    latents = None
    for done, latents in encode_latents(base, pictures, size_px=size_px, flip=config.flip):
        if latents is None:
            journal.report.progress("encoding pictures", done, total)
    assert latents is not None  # the last item always carries them
    return latents


def _check_unchanged(run: Run, pictures: Sequence[Picture], base: LoadedBase) -> None:
    """Refuse to resume on other pictures or another base: the result would be neither the old run's nor a new one's."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(picture.path.name.encode() + b"\0" + picture.caption.encode() + b"\0")
        digest.update(picture.path.read_bytes())
    settings = run.config().model_dump(mode="json", exclude=set(_FREE_SETTINGS))
    now = {
        "pictures": digest.hexdigest(),
        "base": base.fingerprint,
        "settings": hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
    }
    before = run.state().get("inputs", now)
    changed = [what for what, value in now.items() if before.get(what, value) != value]
    if changed:
        raise UserError(
            f"The run {run.folder.name!r} cannot be resumed: its {' and '.join(changed)} changed since it began. "
            "Put them back, or start a new run under another --name."
        )
    run.update(inputs=now)


def _say_pictures(journal: Journal, folder: PictureFolder) -> None:
    sources = ", ".join(f"{count} from {source}" for source, count in folder.caption_sources.items())
    journal.say(f"{len(folder.pictures)} pictures, captions: {sources}.")
    for sentence in folder.bad:
        journal.say(f"Left out: {sentence}")


def _say_parts(journal: Journal, training: Training) -> None:
    config, shrinking = training.config, []
    for part, found in training.attached.items():
        method = find_method(config.parts[part].method)
        shrinking += [method.title] if method.shrinks else []
        journal.say(
            f"{part}: {method.name} on {len(found.matched)} layers, {found.trainable:,} trainable parameters "
            f"({found.trainable / found.total:.2%} of {found.total:,}), learning rate {config.step_size(part):g}"
        )
    size_bytes = parts_size_bytes(trained_parts(training))
    most = f"at most (its {' and '.join(dict.fromkeys(shrinking))} may end smaller) " if shrinking else ""
    shown = f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"
    journal.say(f"The adapter's tensors will take {most}{shown}. {count_of(config.steps, 'step')}.")


def _record(journal: Journal, step: Step) -> None:
    journal.measure(
        {
            "step": step.step,
            "loss": step.loss if math.isfinite(step.loss) else None,
            "gradient_norm": step.gradient_norm if math.isfinite(step.gradient_norm) else None,
            "learning_rates": dict(step.learning_rates),
            "skipped": step.skipped,
        }
    )
    if step.skipped:
        journal.say(f"Step {step.step} was skipped: its loss or gradient was not finite. The weights are unchanged.")


def _judge_name(config: RunConfig) -> str | None:
    if config.judge == "auto":
        return POCKET_JUDGE if config.base == POCKET else None
    return None if config.judge == "none" else config.judge


def _caption_sources(pictures: Sequence[Picture]) -> dict[str, int]:
    return PictureFolder(tuple(pictures), ()).caption_sources
