"""The Blend tab's search: many weights are drawn and scored, and the best can be put on the sliders."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.app.blend.tools import Bench, proof_table, recipe_in
from studio.app.shared.desk import Desk
from studio.app.shared.progress_line import problem_line, progress_line
from studio.library.library import parse_adapters
from trainers.errors import UserError
from trainers.seeds import seed_from

_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True)
class Best:
    """What a search found, and the button that takes it over."""

    weights: Any
    use: Any


def build_search(bench: Bench) -> Best:
    """Place the search with its table of trials."""
    words = bench.desk.words
    gr.Markdown(words("blend.search_info"))
    with gr.Row():
        name = gr.Textbox("search", label=words("blend.search_name"), min_width=120)
        trials = gr.Number(12, label=words("blend.trials"), precision=0, minimum=1, min_width=90)
        steps = gr.Number(20, label=words("shared.num_inference_steps"), precision=0, minimum=1, min_width=90)
        seeds = gr.Textbox("0", label=words("blend.search_seeds"), min_width=120)
    with gr.Row():
        prompts = gr.Textbox("a red boat, sea", label=words("blend.search_prompts"), lines=2, min_width=200)
        goals = gr.Textbox("", label=words("blend.goals"), lines=2, min_width=200)
    with gr.Row():
        start = gr.Button(words("blend.start_search"), size="md", min_width=110)
        cancel = gr.Button(words("shared.cancel"), size="md", min_width=110)
        use = gr.Button(words("blend.use_best"), size="md", min_width=160)
    status, best = gr.HTML(elem_id="blend-search-status"), gr.State()
    table = proof_table(words("blend.trial_table"), visible=False)

    def search(
        view: dict[str, Any] | None, name: str, trials: int, steps: int, seeds: str, prompts: str, goals: str,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        nothing, found = gr.skip(), []
        yield progress_line(words.say(request, "shared.loading")), nothing, nothing
        try:
            wanted = {"recipe": recipe_in(view), **search_arguments(name, trials, steps, seeds, prompts, goals)}
            for event in bench.run("blend_search", {**wanted, "base": (view or {}).get("base", "")}):
                if event["event"] == "trial":
                    found.append(event)
                    top = max(found, key=lambda trial: trial["score"])
                    said = {"number": event["number"], "count": trials, "score": event["score"], "best": top["score"]}
                    yield (
                        progress_line(words.say(request, "blend.trial", **said), event["number"], trials),
                        trial_table(bench.desk, found, request),
                        top["weights"],
                    )
                elif event["event"] == "result":
                    formula = " + ".join(f"{weight:g}·{name}" for name, weight in event["weights"].items())
                    said = {"count": len(found), "formula": formula, "score": event["score"]}
                    yield progress_line(words.say(request, "blend.found", **said)), nothing, event["weights"]
                elif line := bench.said(event, request):
                    yield line, nothing, nothing
        except UserError as error:
            yield problem_line(str(error)), nothing, nothing

    def cancelled(request: gr.Request) -> str:
        return progress_line(words.say(request, "shared.cancelled"))

    working = start.click(
        search, [bench.view, name, trials, steps, seeds, prompts, goals], [status, table, best], **_QUIET
    )
    cancel.click(cancelled, None, status, cancels=[working], **_QUIET)
    return Best(best, use)


def search_arguments(name: str, trials: int, steps: int, seeds: str, prompts: str, goals: str) -> dict[str, Any]:
    """Return what the job `blend_search` needs, from what was typed.

    Raises:
        UserError: seeds or goals cannot be read.
    """
    try:
        numbers = [seed_from(seed) for seed in seeds.split(",")]
    except ValueError as error:
        raise UserError(
            f"The seeds {seeds!r} cannot be read. Write whole numbers with commas, such as 0,1,2."
        ) from error
    return {
        "name": name.strip(),
        "trials": trials,
        "num_inference_steps": steps,
        "seeds": list(dict.fromkeys(numbers)),
        "prompts": [line.strip() for line in prompts.splitlines() if line.strip()],
        "goals": parse_adapters([goal.strip() for goal in goals.split(",")]) if goals.strip() else {},
    }


def trial_table(desk: Desk, trials: Sequence[Mapping[str, Any]], request: gr.Request | None) -> Any:
    """Return all trials, the best first."""
    say = desk.words.say
    names, shares = list(trials[0]["weights"]), list(trials[0]["scores"])
    heads = [say(request, "blend.trial_number"), say(request, "blend.score")]
    heads += [say(request, "blend.weight_of", name=name) for name in names]
    heads += [say(request, "blend.share_of", name=name) for name in shares]
    rows = [
        [
            str(trial["number"]),
            *(f"{value:.3f}" for value in (trial["score"], *trial["weights"].values(), *trial["scores"].values())),
        ]
        for trial in sorted(trials, key=lambda trial: -trial["score"])
    ]
    return gr.Dataframe(rows, headers=heads, visible=True)
