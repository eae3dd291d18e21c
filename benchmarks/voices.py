"""Measure voices on the pocket language model: learned by each method, kept facts, and blends of two voices.

    python benchmarks/voices.py --json voices.jsonl --table benchmarks/results/voices.md
    python benchmarks/voices.py --methods all --json methods.jsonl --processes 8 --best --table methods.md
    python benchmarks/voices.py --configs sweep.json --json sweep.jsonl --processes 60
    python benchmarks/voices.py --json voices.jsonl --table voices.md --only-table

A cell trains a voice on its shipped examples and answers its held-out questions greedily: how many answers a classifier
of real examples calls that voice, how many hold the right fact, and the perplexity of the held-out answers. Each
finished cell is one line of the JSON file at once; run again, it goes on where it stopped and tries failed cells once
more. Blends are of the voices as trained with the first method and its recommended settings.

--configs takes a JSON list of mappings; each is a cell, or a cell for each of --voices where it names none:
{"voice": "haiku", "method": "lora", "learning_rate": 0.005, "settings": {"rank": 8}, "run": {"steps": 99}, "rows": 320}
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import yaml
from measuring import circumstances
from voice_cells import PART, VOICES, Bench, Cell
from voices_table import as_markdown, methods_as_markdown, read_lines

from trainers.errors import UserError
from trainers.methods import methods

BLENDS = ("exact", "ties", "slerp")
Job = Mapping[str, Any]
"""What is measured: ``kind`` (base, voice or blend), and what else tells it from others."""


def jobs_of(options: argparse.Namespace) -> tuple[list[Job], list[Job]]:
    """Return what the options ask for: first what stands alone, then the blends, which need trained voices."""
    jobs: list[Job] = [{"kind": "base", "voices": list(options.voices), "examples": options.examples}]
    configs = json.loads(options.configs.read_text(encoding="utf-8")) if options.configs else None
    found = configs if configs is not None else [{"method": name} for name in options.methods]
    for values in found:
        for factor in options.learning_rates:
            for voice in [values["voice"]] if "voice" in values else options.voices:
                jobs.append({"kind": "voice", **asdict(_cell(options, values, voice, factor))})
    if configs is not None:
        return jobs, []
    pairs = list(combinations(options.voices, 2))
    run = json.dumps(dict(options.set), sort_keys=True)
    return jobs, [
        {"kind": "blend", "pair": list(pair), "blend": blend, "method": options.methods[0], "run": run,
         "examples": options.examples}
        for pair in pairs for blend in options.blends
    ]  # fmt: skip


def _cell(options: argparse.Namespace, values: Mapping[str, Any], voice: str, factor: float) -> Cell:
    unknown = set(values) - {"voice", "method", "learning_rate", "settings", "run", "rows"}
    if unknown:
        raise UserError(f"{options.configs}: unknown keys {', '.join(sorted(unknown))}; see --help for an example.")
    return Cell(
        voice,
        values.get("method", "lora"),
        values.get("learning_rate"),
        factor,
        json.dumps(values.get("settings", {}), sort_keys=True),
        json.dumps({**dict(options.set), **values.get("run", {})}, sort_keys=True),
        values.get("rows"),
        options.examples,
    )


def line_of(bench: Bench, job: Job) -> dict[str, Any]:
    """Measure a job; return its line: what it is, and what was found or why nothing was."""
    try:
        return {**job, **_figures(bench, job)}
    except Exception as error:  # the other jobs are still to be measured
        text = " ".join(str(error).split())[:400]
        return {**job, "error": text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"}


def _figures(bench: Bench, job: Job) -> dict[str, Any]:
    if job["kind"] == "base":
        return bench.measure_base(job["voices"], job["examples"])
    if job["kind"] == "blend":
        folders = {voice: adapter_name(job["method"], voice, job["run"]) for voice in job["pair"]}
        return bench.measure_blend(folders, dict.fromkeys(job["pair"], 0.5), job["blend"], job["examples"])
    cell = Cell(**{key: value for key, value in job.items() if key != "kind"})
    plain = cell == Cell(cell.voice, cell.method, run=cell.run, examples=cell.examples)
    return bench.measure(cell, keep_as=adapter_name(cell.method, cell.voice, cell.run) if plain else None)


def adapter_name(method: str, voice: str, run: str) -> str:
    """Return the folder of a voice's adapter with recommended settings."""
    return "-".join([method, voice, *(f"{key}_{value}" for key, value in sorted(json.loads(run).items()))])


def measured(jobs: Sequence[Job], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield each job's line as it is ready, from this process or from several."""
    made_with = (str(options.adapters), options.device, options.threads)
    if options.processes <= 1:
        yield from (_measure(job, *made_with) for job in jobs)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(min(options.processes, len(jobs)), context) as pool:
        waiting = [pool.submit(_measure, job, *made_with) for job in jobs]
        yield from (future.result() for future in as_completed(waiting))


def _measure(job: Job, *made_with: Any) -> dict[str, Any]:
    return line_of(_bench(*made_with), job)


@cache
def _bench(adapters: str, device: str, threads: int) -> Bench:
    """Return what measures, made once in every process."""
    torch.set_num_threads(threads)
    return Bench(Path(adapters), device=device)


def main() -> int:
    """Measure what is missing; write the table."""
    options = _options()
    lines: list[dict[str, Any]] = read_lines(options.json) if options.json else []
    facts = circumstances(torch.device(options.device))
    facts["machine"] += f", {options.threads} threads for each of {options.processes} processes"
    for jobs in () if options.only_table else jobs_of(options):
        known = [{key: line.get(key) for key in job} for job in jobs for line in lines if "error" not in line]
        missing = [job for job in jobs if dict(job) not in known]
        for number, found in enumerate(measured(missing, options) if missing else (), 1):
            line = {**found, **facts}
            lines = [*(old for old in lines if any(old.get(key) != found.get(key) for key in _identity(found))), line]
            print(f"{number}/{len(missing)} {_shown(line)}", flush=True)
            if options.json:
                with open(options.json, "a", encoding="utf-8") as stream:  # at once: a time limit may come any moment
                    stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    table = methods_as_markdown(lines) if options.best else as_markdown(lines)
    print(table)
    if options.table:
        options.table.write_text(table, encoding="utf-8")
    return 0


def _identity(line: Mapping[str, Any]) -> tuple[str, ...]:
    if line["kind"] == "voice":
        return ("kind", *Cell.__dataclass_fields__)
    return ("kind", "voices", "pair", "blend", "method", "run", "examples")


def _shown(line: Mapping[str, Any]) -> str:
    what = " ".join(str(line[key]) for key in ("voice", "method", "pair", "blend") if key in line) or "base"
    if line["kind"] == "voice":
        what += f" rate {line['learning_rate']} ×{line['rate_factor']:g} {line['settings']} {line['run']}"
    if "error" in line:
        return f"{what}: {line['error']}"
    shares = ", ".join(f"{voice} {share:.0%}" for voice, share in line["shares"].items())
    seconds = f", {line['seconds']:.0f} s" if "seconds" in line else ""
    return f"{what}: {shares}; facts {line['facts_right']:.0%}{seconds}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voices", type=_words, default=list(VOICES), metavar="A,B", help=f"of {', '.join(VOICES)}")
    parser.add_argument("--methods", type=_words, default=["lora"], metavar="A,B", help="default lora; all: every one")
    parser.add_argument("--configs", type=Path, metavar="FILE.json", help="cells of a sweep, instead of --methods")
    parser.add_argument("--blends", type=_words, default=list(BLENDS), metavar="A,B", help="of every two voices")
    parser.add_argument(
        "--learning-rates",
        type=lambda text: [float(word) for word in text.split(",")],
        default=[1.0],
        metavar="1,3,10",
        help="factors of the rates; each makes cells of its own",
    )
    parser.add_argument("--set", action="append", default=[], type=_setting, metavar="KEY=YAML", help="of every run")
    parser.add_argument("--examples", type=int, default=80, help="held-out questions that are answered, at most")
    parser.add_argument("--adapters", type=Path, default=Path("voice-adapters"), help="folder for what is blended")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add a line per cell, and skip those it has")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write Markdown tables of the JSON file")
    parser.add_argument("--best", action="store_true", help="in the table, each method by its best cell alone")
    parser.add_argument("--only-table", action="store_true", help="measure nothing")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default cpu)")
    parser.add_argument("--processes", type=int, default=1, help="cells at the same time (default 1)")
    parser.add_argument("--threads", type=int, help="of each process; default 1 of several, torch's own of one")
    options = parser.parse_args()
    if options.methods == ["all"]:
        options.methods = [name for name, method in methods().items() if PART in method.recommended]
    wrong = [f"voice {name}" for name in options.voices if name not in VOICES]
    wrong += [f"method {name}" for name in options.methods if name not in methods()]
    if wrong:
        parser.error(f"unknown {', '.join(wrong)}; voices: {', '.join(VOICES)}; methods: {', '.join(methods())}")
    options.threads = options.threads or (torch.get_num_threads() if options.processes <= 1 else 1)
    options.adapters.mkdir(parents=True, exist_ok=True)
    return options


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _setting(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    return key, yaml.safe_load(value)


if __name__ == "__main__":
    sys.exit(main())
