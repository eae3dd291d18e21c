"""Search a blend's weights on the loaded base: each trial is told as soon as it is scored, and kept on disk."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from pipelines.recipe import parse_recipe
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.search_weights import PROMPT, Search, best_of, check_searchable, trials_file
from trainers.errors import raise_problems
from trainers.seeds import drawn_seed


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: recipe, name (of the search), trials, prompts, seeds, num_inference_steps,
    guidance_scale, goals (style or ``prompt`` ->
    wanted share), base, judge, device, precision.

    Yields ``{"event": "trial", "number", "weights", "scores", "score"}`` for each, and a result with the best.
    """
    recipe = parse_recipe(arguments["recipe"])
    names = check_searchable(recipe)
    prompts = [str(prompt) for prompt in arguments["prompts"] if str(prompt).strip()]
    seeds = [drawn_seed(int(seed)) for seed in arguments.get("seeds") or [0]]
    count = int(arguments["trials"])
    wanted = {str(name): float(goal) for name, goal in (arguments.get("goals") or {}).items()}
    problems = [] if prompts else ["it has no prompt to draw with"]
    problems += [] if count >= 1 else [f"{count} trials are too few; at least 1 is needed"]
    problems += [f"the goal {goal:g} of {name} must be above 0" for name, goal in wanted.items() if goal <= 0]
    problems += [
        f"there is no {name!r} to have a goal; there are {', '.join(names)} and {PROMPT}"
        for name in wanted
        if name not in (*names, PROMPT)
    ]
    raise_problems("The search cannot begin:", problems)
    goals = {**dict.fromkeys([*names, PROMPT], 1.0), **wanted}
    base = str(arguments.get("base") or workbench.library.card(names[0]).base.name)
    device, precision = str(arguments.get("device") or "auto"), str(arguments.get("precision") or "auto")
    search = Search(
        trials_file(workbench.library, str(arguments["name"])),
        names,
        goals,
        prompts,
        seeds,
        int(arguments.get("num_inference_steps") or 20),
        float(arguments.get("guidance_scale", 5.0)),
        count,
    )
    judge = workbench.judge(str(arguments.get("judge") or "auto"), base, device)
    session = workbench.session(base, names, device=device, precision=precision)
    trials = []
    for trial in search.run(session, judge, workbench):
        trials.append(trial)
        facts = {key: value for key, value in asdict(trial).items() if key != "key"}
        yield {"event": "trial", "number": len(trials), **facts}
    best = best_of(trials)
    yield {"event": "result", "weights": dict(best.weights), "scores": dict(best.scores), "score": best.score}


JOB = Job("blend_search", _run)
