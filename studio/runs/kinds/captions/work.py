"""The work of a captioning run: one picture after another, each caption on disk before the next is begun."""

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from pipelines.captioners import LoadedCaptioner, load_captioner
from studio.runs.control import Control
from studio.runs.kinds.captions import CaptionConfig
from studio.runs.run import METRICS_NAME, Journal, Run
from trainers.data.captions import read_captions, write_captions
from trainers.data.images import open_image
from trainers.data.listing import list_folder
from trainers.errors import UserError
from trainers.wording import count_of


def work(run: Run, journal: Journal, control: Control) -> Path | None:
    """Caption what is left; see `studio.runs.run.execute`. Returns the folder of pictures.

    What this run has done already is told by its metrics, a line for each picture. A picture that has a caption is
    left alone unless the settings say otherwise; one that cannot be read is named and passed over.

    Raises:
        UserError: there are no pictures, the model cannot be loaded, or not one picture could be captioned.
    """
    config: CaptionConfig = run.config()
    folder = Path(config.data)
    told = read_captions(list_folder(folder))
    found = told.by_name
    done = _pictures_done(run)
    left = [
        name for name, caption in found.items() if name not in done and (config.overwrite or not caption.is_written)
    ]
    kept = len(found) - len(left) - len(done & found.keys())
    total = len(done) + len(left)
    run.update(step=len(done), total=total)
    journal.say(
        f"{count_of(len(found), 'picture')}: {len(left)} to caption, {len(done)} done by this run, "
        f"{kept} left as they are."
    )
    for note in told.notes:
        journal.say(f"Note: {note}")
    if not left:
        return folder
    captioner = load_captioner(config.model, config.captioner, device=config.device)
    step, good = len(done), 0
    for start in range(0, len(left), config.batch_size):
        if control.stops():
            journal.say(f"Stopped after {step} of {count_of(total, 'picture')}.")
            return None
        names = left[start : start + config.batch_size]
        for name, caption, problem in _describe(captioner, folder, names, config):
            step += 1
            if not problem:
                good += 1
                write_captions(folder, {name: caption})
                journal.say(f"{name}: {caption}")
            else:
                journal.say(f"Not captioned: {problem}")
            journal.measure(
                {"step": step, "picture": name, **({"problem": problem} if problem else {"caption": caption})}
            )
            run.update(step=step, total=total)
            journal.report.progress("captions", step, total)
    if not good and not done:
        raise UserError(
            f"None of {count_of(len(left), 'picture')} in {folder} could be captioned; the log names each reason."
        )
    journal.say(f"{good} captions were written; {len(left) - good} pictures could not be captioned.")
    return folder


def _describe(
    captioner: LoadedCaptioner, folder: Path, names: Sequence[str], config: CaptionConfig
) -> list[tuple[str, str, str]]:
    """Return (name, caption, problem) for each picture; one of the last two is empty."""
    pictures: dict[str, Image.Image] = {}
    problems: dict[str, str] = {}
    for name in names:
        try:
            pictures[name] = open_image(folder / name)
        except UserError as error:
            problems[name] = str(error)
    said = (
        captioner.describe(list(pictures.values()), beginning=config.beginning, max_new_tokens=config.max_new_tokens)
        if pictures
        else []
    )
    captions = dict(zip(pictures, said, strict=True))
    for name, text in captions.items():
        if not text:
            problems[name] = f"{name}: the model said nothing about it"
    return [
        (name, "", problems[name]) if name in problems else (name, _whole(captions[name], config), "") for name in names
    ]


def _whole(text: str, config: CaptionConfig) -> str:
    return " ".join(f"{config.prefix}{text}{config.suffix}".split())


def _pictures_done(run: Run) -> set[str]:
    path = run.folder / METRICS_NAME
    if not path.exists():
        return set()
    done = set()
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            done.add(str(json.loads(line)["picture"]))
        except (ValueError, KeyError, TypeError):
            continue  # a torn last line: the picture is done again
    return done
