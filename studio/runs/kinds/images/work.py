"""The work of a training run on pictures: data, base, loop, samples, adapter."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from pipelines.attach import Attachments
from pipelines.bases import POCKET, load_image_base
from pipelines.families import ImageBase
from pipelines.generate import ImageRequest, generate
from pipelines.image_file import png_bytes
from pipelines.judge import POCKET_JUDGE, Judge
from studio.runs.control import Control
from studio.runs.kinds.images.long_captions import long_caption_notes
from studio.runs.kinds.images.prompts import prompt_sentences
from studio.runs.run import Journal, Run
from studio.runs.start import telling_seconds
from studio.runs.training import (
    Evaluation,
    check_unchanged,
    go_on,
    run_steps,
    say_parts,
    write_trained,
)
from trainers.config import RunConfig
from trainers.data.images import ImageFolder, Picture, open_image, read_folder
from trainers.data.latents import Latents, encode_latents
from trainers.image_task import ImageTask
from trainers.loop import ADAPTER, Training, begin
from trainers.loss_weightings import find_loss_weighting
from trainers.preflight import check_parts
from trainers.wording import count_of

_SAMPLES = 4
_FREE_SETTINGS = ("judge", "skip_bad")


def work(run: Run, journal: Journal, control: Control) -> Path | None:
    """Do what is left of a run; see `studio.runs.run.execute`."""
    config = control.team.placed(run.config())
    pictures = read_folder(Path(config.data), prompt=config.prompt, trigger=config.trigger, skip_bad=config.skip_bad)
    _say_pictures(journal, pictures)
    for sentence in prompt_sentences(config, pictures):
        journal.say(sentence)
    with telling_seconds(journal.say, "Base"):
        base = load_image_base(config.base, device=config.device, precision=config.precision)
    config = config.on(base.parts)
    check_parts(config, base)
    find_loss_weighting(config.loss_weighting).check(base.prediction)
    check_unchanged(run, base, {"pictures": _digest(pictures.pictures)}, _FREE_SETTINGS)
    references = _references(config, pictures.pictures) if control.processes.is_main else {}
    task = ImageTask(config, base, _encode(journal, config, base, pictures.pictures))
    training = begin(config, task, control.processes)
    say_parts(journal, training)
    for note in long_caption_notes(base, pictures.pictures):
        journal.say(f"Note: {note}")
    go_on(run, journal, training)
    samples = Evaluation(lambda: _sample(journal, config, training, task, base))
    if not run_steps(run, journal, training, control, samples) or not training.processes.is_main:
        return None
    data = {"pictures": len(pictures.pictures), "captions": pictures.caption_sources}
    triggers = (config.trigger,) if config.trigger else ()
    return write_trained(run, journal, training, base, data=data, triggers=triggers, references=references)


def _references(config: RunConfig, pictures: Sequence[Picture]) -> dict[str, Tensor]:
    """Embed the pictures with the judge, for later scores; before training, so that a wrong judge is told at once."""
    name = _judge_name(config)
    if name is None:
        return {}
    judge = Judge(name, device=config.device)
    return {judge.fingerprint: judge.embed_images([open_image(picture.path) for picture in pictures])}


def _sample(
    journal: Journal, config: RunConfig, training: Training, task: ImageTask, base: ImageBase
) -> dict[str, bytes]:
    """Draw the fixed prompts with the adapter as it stands."""
    prompts = config.sample_prompts or tuple(dict.fromkeys(task.latents.captions))[:_SAMPLES]
    live = Attachments(base, slots={config.name: ADAPTER}, parts={config.name: tuple(config.parts)})
    requests = [ImageRequest(prompt, seed=number, weights={config.name: 1.0}) for number, prompt in enumerate(prompts)]

    def told(done: int, total: int) -> None:
        journal.report.progress(f"samples at step {training.step}", done, total)

    pictures = {
        f"-{number}.png": png_bytes(picture, {"prompt": prompts[number]})
        for number, picture in generate(live, requests, on_step=told)
    }
    live.set_weights({config.name: 1.0})
    return pictures


def _encode(journal: Journal, config: RunConfig, base: ImageBase, pictures: Sequence[Picture]) -> Latents:
    total = len(pictures) * (2 if config.flip else 1)
    size_px = config.resolution_px or base.resolution_px
    latents = None
    for done, latents in encode_latents(base, pictures, size_px=size_px, flip=config.flip):
        if latents is None:
            journal.report.progress("encoding pictures", done, total)
    assert latents is not None  # the last item always carries them
    return latents


def _digest(pictures: Sequence[Picture]) -> str:
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(picture.name.encode() + b"\0" + picture.caption.encode() + b"\0")
        digest.update(picture.path.read_bytes())
    return digest.hexdigest()


def _say_pictures(journal: Journal, folder: ImageFolder) -> None:
    facts = folder.facts()
    journal.say(f"{count_of(len(folder.pictures), 'picture')}, captions: {facts['captions']}.")
    if "repeats" in facts:
        journal.say(f"In a pass over the data: {facts['repeats']}.")
    for sentence in folder.bad:
        journal.say(f"Left out: {sentence}")
    for note in folder.notes:
        journal.say(f"Note: {note}")


def _judge_name(config: RunConfig) -> str | None:
    if config.judge == "auto":
        return POCKET_JUDGE if config.base == POCKET else None
    return None if config.judge == "none" else config.judge
