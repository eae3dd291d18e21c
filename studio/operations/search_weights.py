"""Find a blend's weights: draw with many, score them against stated goals, and keep every trial.

A trial's score is the smallest of its shares of the goals: how much of each adapter's style arrived, and how much of
the subject is left, each divided by what was asked for. Raising the smallest is what keeps one style from drowning the
other. The first trials are spread evenly (Sobol 1967), the others lie around the best so far, ever closer.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from pipelines.compare.grid import plan_grid
from pipelines.compare.scores import LookSummary, render_grid, summarise
from pipelines.generate import ImageRequest
from pipelines.judge import Judge
from pipelines.prompt_notes import note_sentences
from pipelines.recipe import Recipe, content_hash
from studio.library.library import Library, parse_adapters
from studio.operations.number_lists import numbers
from studio.operations.session import Session, find_judge, find_references, open_session
from studio.report import Report
from trainers.data.plain_text import plain_values
from trainers.errors import UserError
from trainers.names import folder_of
from trainers.seeds import seed_from
from trainers.storage import write_text
from trainers.wording import count_of

PROMPT = "prompt"
_LOWEST, _HIGHEST = 0.0, 1.5
_EVEN_SHARE = 0.5
_MEASURE = 3
"""Raised when a trial's scores change their meaning, so that older trials are not compared with new ones."""


@dataclass(frozen=True)
class Trial:
    """One set of weights with what it scored."""

    weights: Mapping[str, float]
    scores: Mapping[str, float]
    """Share of each style, and ``prompt``, see `prompt_share`."""
    score: float
    """The smallest share of its goal."""
    key: str
    """What the trial was drawn with; a trial of another key is not used again."""


def search_weights(library: Library, recipe: Recipe, options: argparse.Namespace, report: Report) -> Recipe:
    """Return the recipe with the best weights found; every trial goes to ``searches/NAME/trials.jsonl``.

    Raises:
        UserError: no prompt, fewer than one trial, a recipe that changes more than weights, or an adapter without
            embeddings of its training pictures.
    """
    if options.negative_prompt:
        raise UserError("--search draws without a negative prompt; leave --negative-prompt away.")
    if not options.prompts or options.search < 1:
        raise UserError("--search needs at least one trial and one --prompt to draw with.")
    names = check_searchable(recipe)
    goals = _goals(options.goal, names)
    seeds = [int(seed) for seed in numbers(options.seeds, seed_from, "--seeds")]
    search = Search(
        trials_file(library, options.name),
        names,
        goals,
        options.prompts,
        seeds,
        options.num_inference_steps,
        options.guidance_scale,
        options.search,
    )
    for sentence in note_sentences({f"prompt {prompt!r}": prompt for prompt in options.prompts}):
        report.say(sentence)
    judge = find_judge(options.judge, options.base, options.device)
    with open_session(
        library, options.base, names, report, device=options.device, precision=options.precision
    ) as session:
        trials = list(search.run(session, judge, report))
    best = best_of(trials)
    report.say(f"Best: {_shown(best.weights)} with {best.score:.3f}. Trials: {search.path}")
    inputs = tuple(item.model_copy(update={"weight": best.weights[item.adapter]}) for item in recipe.inputs)
    return recipe.model_copy(update={"inputs": inputs})


def trials_file(library: Library, name: str) -> Path:
    """Return where a search of that name keeps its trials."""
    return folder_of(library.folder / "searches", name) / "trials.jsonl"


def check_searchable(recipe: Recipe) -> list[str]:
    """Return the adapters whose weights are searched.

    Raises:
        UserError: the recipe changes more than weights.
    """
    if recipe.blend != "exact" or any(i.blocks or i.parts or i.schedule for i in recipe.inputs):
        raise UserError("--search tries weights of the exact sum; leave out --blend, --blocks and --part-weight.")
    return [item.adapter for item in recipe.inputs]


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the trial with the highest score; of equal ones the first."""
    return max(trials, key=lambda trial: trial.score)


@dataclass(frozen=True)
class Search:
    """What is searched, with what it is drawn and scored; trials of the same search are used again."""

    path: Path
    """The file of trials."""
    names: Sequence[str]
    goals: Mapping[str, float]
    prompts: Sequence[str]
    seeds: Sequence[int]
    num_inference_steps: int
    guidance_scale: float
    count: int
    """Trials in all, those of earlier calls included."""

    def run(self, session: Session, judge: Judge, report: Report) -> Iterator[Trial]:
        """Yield every trial, first those that are on disk; each new one is on disk before it is yielded.

        Raises:
            UserError: an adapter has no embeddings of its training pictures.
        """
        references = find_references(session.adapters, judge, report)
        missing = [name for name in self.names if name not in references]
        if missing:
            raise UserError(
                f"{', '.join(missing)} has no embeddings of its training pictures, so no score to search by."
            )
        drawn_with = [
            self.prompts,
            self.seeds,
            self.num_inference_steps,
            self.guidance_scale,
            session.attachments.base.fingerprint,
        ]
        contents = {name: content_hash(session.adapters[name]) for name in self.names}
        key = json.dumps([*drawn_with, contents, self.goals, judge.fingerprint, _MEASURE])
        trials = [trial for trial in _read_trials(self.path) if trial.key == key]
        pictures, said = len(self.prompts) * len(self.seeds), False
        report.say(
            f"{count_of(self.count, 'trial')} of {count_of(pictures, 'picture')}, {len(trials)} of them done; "
            f"judge {judge.name}."
        )
        yield from trials
        while len(trials) < self.count:
            weights = _propose(trials, self.names, self.count)
            template = ImageRequest(
                "", num_inference_steps=self.num_inference_steps, guidance_scale=self.guidance_scale
            )
            cells = plan_grid({"trial": weights}, [0.0, 1.0], self.prompts, self.seeds, template)
            scored = render_grid(
                session.attachments,
                cells,
                judge,
                references,
                on_step=lambda done, total: report.progress(f"trial {len(trials) + 1} of {self.count}", done, total),
            )
            base, summary = summarise(scored, references)
            if math.isnan(summary.value("subject_kept")) and not said:
                said = True
                report.say("The judge sees little of the prompts' subjects in the base's own pictures, so that no "
                           "share can be given; the prompt counts as 1 + CLIP-T - CLIP-T of the base.")  # fmt: skip
            styles = {name: summary.value("style", name) for name in references}
            scores = {**styles, PROMPT: prompt_share(summary, base)}
            trials.append(Trial(weights, scores, _score(scores, self.goals), key))
            _write_trials(self.path, trials)
            report.say(f"{len(trials):>3}  {_shown(weights)}  →  {_shown(scores)}  ·  {trials[-1].score:.3f}")
            yield trials[-1]


def prompt_share(summary: LookSummary, base: LookSummary) -> float:
    """Return how much of the prompts' subjects is left; 1 is what the base shows of them.

    The metric ``subject_kept``; where the base's own pictures give none, 1 plus the change of CLIP-T.
    """
    kept = summary.value("subject_kept")
    if math.isfinite(kept):
        return kept
    return 1 + summary.value("subject_clip_t") - base.value("subject_clip_t")


def _score(scores: Mapping[str, float], goals: Mapping[str, float]) -> float:
    shares = [scores[name] / goal for name, goal in goals.items()]
    return min(share if math.isfinite(share) else -math.inf for share in shares)


def _propose(trials: Sequence[Trial], names: Sequence[str], count: int) -> dict[str, float]:
    """Return the next weights; a function of the trials alone, so that a search goes on where it was killed."""
    number = len(trials)
    even = max(2, math.ceil(count * _EVEN_SHARE))
    points = torch.quasirandom.SobolEngine(len(names), scramble=True, seed=0).draw(max(count, 1)).double()
    if number < even:
        values = _LOWEST + (_HIGHEST - _LOWEST) * points[number]
    else:
        best = max(trials, key=lambda trial: trial.score)
        centre = torch.tensor([best.weights[name] for name in names], dtype=torch.float64)
        reach = (_HIGHEST - _LOWEST) / 4 * 0.5 ** (4 * (number - even) / max(count - even, 1))
        values = (centre + reach * (2 * points[number] - 1)).clamp(_LOWEST, _HIGHEST)
    return {name: round(float(value), 3) or 0.001 for name, value in zip(names, values, strict=True)}


def _goals(text: str, names: Sequence[str]) -> dict[str, float]:
    goals = dict.fromkeys([*names, PROMPT], 1.0)
    for name, goal in parse_adapters(text.split(",") if text else []).items():
        if name not in goals or goal <= 0:
            raise UserError(f"--goal {name}:{goal:g} cannot be used. Goals above 0 of {', '.join(goals)} are possible.")
        goals[name] = goal
    return goals


def _read_trials(path: Path) -> list[Trial]:
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # no other line end: prompts may hold such
        return [Trial(**plain_values(json.loads(line), f"The trials in {path}")) for line in lines if line]
    except (ValueError, TypeError) as error:
        raise UserError(f"The trials in {path} cannot be read: {error}. Remove the file to begin again.") from error


def _write_trials(path: Path, trials: Sequence[Trial]) -> None:
    write_text(path, "".join(json.dumps(asdict(trial)) + "\n" for trial in trials))


def _shown(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in values.items())
