"""Every place beside the loop that runs a base, through the commands and runs that reach it, on any device and format.

Used on the CPU by the ordinary tests and on a GPU by tests/gpu, so that no place takes an arithmetic of its own.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studio.cli.main import main
from studio.library.library import Library
from studio.report import Quiet
from studio.runs.kinds import run_kinds
from studio.runs.run import create_run, execute
from tests.support import draw_pictures

STAGES: Mapping[str, Mapping[str, Any]] = {
    "sft": {},
    "dpo": {},
    "reward": {},
    "classify": {},
    "grpo": {"rewards": ["short_answer=3"], "group_size": 2, "max_new_tokens": 4},
}


def preflight_problems(kind: str, folder: Path, **values: Any) -> Sequence[str]:
    """Preflight a run of four steps; return the problems that were found, after looking at what was measured."""
    config = run_kinds()[kind].parse({"kind": kind, "name": "foreseen", "steps": 4, "batch_size": 2, **values})
    found = run_kinds()[kind].preflight(config, Library(folder / "library"))
    assert found.problems or "for 4 steps" in found.facts["time"]
    return found.problems


def train(kind: str, folder: Path, name: str, **values: Any) -> None:
    """Do a run of two steps, with samples before, between and behind them."""
    values = {"kind": kind, "name": name, "steps": 2, "batch_size": 2, "sample_every": 1, **values}
    run = create_run(Library(folder / "library"), run_kinds()[kind].parse(values))
    assert execute(run, Quiet()) is not None


def rows_for(stage: str, folder: Path) -> str:
    """Write data that a stage learns from."""
    rows: dict[str, list[dict[str, str]]] = {
        "sft": [{"text": f"number {n} of the rows"} for n in range(6)],
        "classify": [{"text": f"number {n}", "label": "ab"[n % 2]} for n in range(6)],
        "grpo": [{"prompt": f"number {n}"} for n in range(6)],
    }
    pairs = [{"prompt": f"number {n}", "chosen": f"yes, {n}", "rejected": "no"} for n in range(6)]
    path = folder / f"{stage}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows.get(stage, pairs)))
    return str(path)


def picture_story(base: Path, judge: Path, folder: Path, *, device: str, precision: str) -> None:
    """Train two adapters, learn ZipLoRA's columns, search weights, and compare."""
    data = draw_pictures(folder / "pictures", 3)
    given = {"base": str(base), "data": str(data), "device": device, "precision": precision, "judge": str(judge)}
    for seed, name in enumerate(("one", "two")):
        train("images", folder, name, **given, parts={"unet": {}}, resolution_px=64, seed=seed)
    options = ["--library", str(folder / "library"), "--base", str(base), "--device", device, "--precision", precision]
    small = [f"--setting={setting}" for setting in ("steps=2", "pictures=1", "sampling_steps=2")]
    assert main(["blend", "one", "two", "--name", "zip", "--blend", "ziplora", *small, *options]) == 0
    draw = ["--prompt", "a boat", "--steps", "1", "--judge", str(judge)]
    assert main(["blend", "one", "two", "--name", "best", "--search", "1", *draw, *options]) == 0
    adapters = ["--adapter", "one", "--adapter", "two"]
    assert main(["compare", *adapters, *draw, "--seeds", "0", "--out", str(folder / "sheet.png"), *options]) == 0


def text_story(base: Path, folder: Path, *, device: str, precision: str) -> None:
    """Train at every stage, with what is measured on the way, and ask every kind of result."""
    given = {"base": str(base), "device": device, "precision": precision}
    for stage, settings in STAGES.items():
        data = rows_for(stage, folder)
        problems = preflight_problems("text", folder, **given, data=data, stage=stage, stage_settings=settings)
        assert not problems, f"{stage}: {problems}"
        train("text", folder, stage, **given, data=data, validation=data, stage=stage, stage_settings=settings)
    options = ["--library", str(folder / "library"), "--base", str(base), "--device", device, "--precision", precision]
    assert main(["text", "compare", "--adapter", "sft", "--data", str(folder / "sft.jsonl"), *options]) == 0
    assert main(["text", "chat", "--adapter", "dpo", "--prompt", "a", "--max-new-tokens", "3", *options]) == 0
    assert main(["text", "score", "--adapter", "reward", "--prompt", "a", "--answer", "b", *options]) == 0
    assert main(["text", "classify", "--adapter", "classify", "number 1", *options]) == 0
