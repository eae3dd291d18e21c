"""Measure what preference training and classification reach on the pocket language model, on unseen prompts and texts.

    python benchmarks/stages.py --json stages.jsonl --table benchmarks/results/stages.md
    python benchmarks/stages.py --only dpo,classify-lora --json stages.jsonl --processes 2
    python benchmarks/stages.py --json stages.jsonl --table stages.md --only-table

Each finished row is one line of the JSON file; run again, it goes on where it stopped. Preferences: the share of
answers to held-out prompts, sampled at temperature 1, that meet what was preferred, with the base and with the adapter.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from measuring import circumstances, footnote

from pipelines.text_generate import TextRequest, generate_texts
from studio.library.library import Library
from studio.operations.text_label import judge_by_reward, label_pairs, write_pairs
from studio.operations.text_session import open_text_session
from studio.report import Quiet
from studio.runs.kinds import kind_of
from studio.runs.run import create_run, execute
from trainers.adapter import read_adapter
from trainers.data.prompts import prompts_of
from trainers.data.texts import HELD_OUT, TextRow, read_texts
from trainers.rewards import build_rewards, parse_rewards

TEXTS = Path(__file__).resolve().parents[1] / "examples" / "texts"
_WORDS = 3
# Method -> learning rate and settings for the moods in the steps below; of three to five rates each, the best.
CLASSIFIERS: Mapping[str, tuple[float, dict[str, Any]]] = {
    "lora": (2e-3, {}),
    "prefix_tuning": (3e-3, {}),
    "p_tuning": (1e-2, {}),
    "prompt_tuning": (1e-1, {}),
    "full": (1e-4, {}),
    "partial": (5e-4, {"last_blocks": 2}),
}


class Bench:
    """Trains in a library of its own, and measures."""

    def __init__(self, folder: Path, device: str, scale: float, prompts: int) -> None:
        self.library, self.folder, self.device = Library(folder / "library"), folder, device
        self.scale, self.prompts = scale, prompts

    def train(self, name: str, data: Path, stage: str, steps: int, rate: float, **values: Any) -> Mapping[str, Any]:
        """Train an adapter; return its seconds, trainable share and scores."""
        plan = {"method": values.pop("method", "lora"), "learning_rate": rate, "settings": values.pop("settings", {})}
        settings = {"kind": "text", "data": str(data), "name": name, "stage": stage, "device": self.device}
        settings |= {"steps": max(1, round(steps * self.scale)), "parts": {"language_model": plan}, **values}
        kind, lines = kind_of(settings), _Lines()
        started = time.monotonic()
        adapter = execute(create_run(self.library, kind.parse(settings)), lines)
        assert adapter is not None
        share = next(line.split("(")[1].split("%")[0] for line in lines.said if "trainable parameters" in line)
        seconds = time.monotonic() - started
        return {"seconds": seconds, "share": float(share) / 100, "scores": read_adapter(adapter).card.scores}

    def met(self, adapter: str | None, meets: Callable[[str], bool]) -> float:
        """Return the share of held-out prompts whose sampled answer meets what is preferred."""
        rows = prompts_of(read_texts(TEXTS / "preferences", HELD_OUT).rows)[: self.prompts]
        weights = {adapter: 1.0} if adapter else {}
        requests = [
            TextRequest(messages=row.messages, seed=number, weights=weights, temperature=1.0, max_new_tokens=48)
            for number, row in enumerate(rows)
        ]
        with open_text_session(self.library, "pocket-lm", list(weights), Quiet(), device=self.device) as session:
            answers = [answer.text for _, answer in generate_texts(session.attachments, requests, batch_size=40)]
        return sum(map(meets, answers)) / len(answers)


class _Lines(Quiet):
    """Keeps what a run says."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def short(answer: str) -> bool:
    """Whether an answer is short enough for the preference of the group-relative row."""
    return 0 < len(answer.split()) <= _WORDS


def dpo(bench: Bench) -> dict[str, Any]:
    """Train on pairs of the base's own answers, the shorter one chosen."""
    started = time.monotonic()
    _label(bench, "pairs", prompts_of(read_texts(TEXTS / "preferences").rows), f"short_answer={_WORDS}")
    bench.train("dpo", bench.folder / "pairs.jsonl", "dpo", 100, 5e-4, batch_size=8)
    return _moved(bench, "dpo", f"at most {_WORDS} words", short, time.monotonic() - started)


def grpo(bench: Bench) -> dict[str, Any]:
    """Train on rewards of the model's own answers: short and right."""
    settings = {"rewards": [f"short_answer={_WORDS}", "facts"], "group_size": 8, "max_new_tokens": 24, "beta": 0.01}
    found = bench.train(
        "grpo", TEXTS / "preferences", "grpo", 60, 1e-3, batch_size=6, stage_settings=settings, sample_max_new_tokens=24
    )
    return _moved(bench, "grpo", f"at most {_WORDS} words", short, found["seconds"])


def judged(bench: Bench) -> dict[str, Any]:
    """Train a reward model on pairs of half the prompts; let it label the other half, and train on its labels."""
    rows = prompts_of(read_texts(TEXTS / "preferences").rows)
    half, started = len(rows) // 2, time.monotonic()
    _label(bench, "judge", rows[:half], f"short_answer={_WORDS}")
    bench.train("judge", bench.folder / "judge.jsonl", "reward", 60, 1e-3, batch_size=8)
    count = _label(bench, "labelled", rows[half:], f"adapter={bench.library.find('judge')}")
    bench.train("judged", bench.folder / "labelled.jsonl", "dpo", 100, 5e-4, batch_size=8)
    line = _moved(bench, "judged", f"at most {_WORDS} words", short, time.monotonic() - started)
    return {**line, "pairs": count}


def classify(bench: Bench, method: str) -> dict[str, Any]:
    """Train a classifier of moods by one method."""
    rate, settings = CLASSIFIERS[method]
    found = bench.train(
        f"classify-{method}",
        *(TEXTS / "mood", "classify", 150, rate),
        method=method,
        settings=settings,
        batch_size=16,
        stage_settings={"head_learning_rate": 1e-2},
    )
    return {
        "accuracy": found["scores"]["validation_accuracy"],
        "share": found["share"],
        "seconds": found["seconds"],
    }


ROWS: Mapping[str, Callable[[Bench], dict[str, Any]]] = {
    "dpo": dpo,
    "grpo": grpo,
    "judged": judged,
    **{f"classify-{name}": (lambda bench, name=name: classify(bench, name)) for name in CLASSIFIERS},  # type: ignore[misc]
}
_TITLES = {"dpo": "DPO on labelled pairs", "grpo": "GRPO on rewards", "judged": "DPO on a reward model's labels"}


def _moved(bench: Bench, name: str, what: str, meets: Callable[[str], bool], seconds: float) -> dict[str, Any]:
    return {"what": what, "before": bench.met(None, meets), "after": bench.met(name, meets), "seconds": seconds}


def _label(bench: Bench, name: str, rows: Sequence[TextRow], reward: str) -> int:
    """Let a reward choose between the base's own answers; return the number of pairs."""
    with open_text_session(bench.library, "pocket-lm", [], Quiet(), device=bench.device) as session:
        judge = judge_by_reward(build_rewards(parse_rewards([reward]), session.attachments.base))  # type: ignore[arg-type]
        found = label_pairs(session, rows, judge, weights={}, answers=4, max_new_tokens=32)
    write_pairs(bench.folder / f"{name}.jsonl", found)
    return len(found.pairs)


def as_markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return one table of all rows, in the order of `ROWS`."""
    by_name = {line["row"]: line for line in lines}
    found = [
        "| training | measured on unseen data | base | adapter | trainable | seconds |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name in ROWS:
        line = by_name.get(name)
        if line is None:
            continue
        if "before" in line:
            title, what = _TITLES[name], f"answers: {line['what']}"
            cells = (f"{line['before']:.0%}", f"{line['after']:.0%}", "")
        else:
            title, what = f"classification, {name.partition('-')[2]}", "accuracy on moods (5 classes)"
            cells = ("20%", f"{line['accuracy']:.1%}", f"{line['share']:.2%}")
        found.append(f"| {title} | {what} | {' | '.join(cells)} | {line['seconds']:.0f} |")
    return "\n".join([*found, "", footnote("stages.py", lines[-1]) if lines else ""]) + "\n"


def read_lines(path: Path | None) -> list[dict[str, Any]]:
    """Return the rows that are measured already."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _in_parallel(names: Sequence[str], options: argparse.Namespace) -> int:
    """Measure in several processes, which share the file of lines."""
    common = ["--json", str(options.json), "--device", options.device, "--scale", str(options.scale)]
    shares = [names[number :: options.processes] for number in range(options.processes)]
    script = [sys.executable, __file__, *common, "--prompts", str(options.prompts)]
    running = [subprocess.Popen([*script, "--only", ",".join(share)]) for share in shares if share]  # noqa: S603
    return max((process.wait() for process in running), default=0)


def main() -> int:
    """Measure what is missing; write the table."""
    options = _options()
    measured = {line["row"] for line in read_lines(options.json)}
    names = [name for name in options.only or ROWS if name not in measured]
    lines: list[dict[str, Any]] = []
    if options.only_table:
        names = []
    if options.processes > 1 and names:
        code = _in_parallel(names, options)
        if code:
            return code
        names = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found = ROWS[name](Bench(Path(folder), options.device, options.scale, options.prompts))
        line = {"row": name, **found, **circumstances(torch.device(options.device))}
        print(json.dumps(line), flush=True)
        lines.append(line)
        if options.json:
            with open(options.json, "a", encoding="utf-8") as stream:  # one write per line: processes may share it
                stream.write(json.dumps(line) + "\n")
    table = as_markdown(read_lines(options.json) if options.json else lines)
    if options.table:
        options.table.write_text(table, encoding="utf-8")
    print(table)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="A,B", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default cpu)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the steps (default 1)")
    parser.add_argument("--prompts", type=int, default=80, help="held-out prompts answered (default 80)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add a line per row, and skip those it has")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write a Markdown table")
    parser.add_argument("--only-table", action="store_true", help="measure nothing")
    parser.add_argument("--processes", type=int, default=1, help="rows measured at once (default 1); needs --json")
    options = parser.parse_args()
    wrong = [name for name in options.only or () if name not in ROWS]
    if wrong:
        parser.error(f"unknown rows {', '.join(wrong)}; known: {', '.join(ROWS)}")
    if options.processes > 1 and not options.json:
        parser.error("--processes needs --json")
    return options


if __name__ == "__main__":
    sys.exit(main())
