"""What the Blend tab does with a recipe: save it with its proof, map where its adapters fight, search its weights."""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.library import Library, parse_adapters
from studio.web.app_settings import read_settings
from studio.web.desk import Desk, told
from trainers.errors import UserError

_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_SHOWN: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}


@dataclass(frozen=True)
class Bench:
    """What the tools work on."""

    desk: Desk
    view: Any
    """State: the recipe with prompt, seed, steps, guidance and base; None while there is no recipe."""
    problem: Any
    """Says why there is no recipe."""

    def run(self, job: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Run a job on the device and in the precision that the settings name.

        Raises:
            UserError: the job's own sentence.
        """
        yield from self.desk.engine.run(job, {**arguments, **device_and_precision(self.desk)})

    def said(self, event: Mapping[str, Any], request: gr.Request) -> str:
        """Return an event of a working job as a line for its status, or nothing."""
        say = self.desk.words.say
        if event["event"] == "waiting":
            return say(request, "shared.waiting" if event["ahead"] else "shared.loading", ahead=event["ahead"])
        if event["event"] == "progress":
            return say(request, "blend.working", what=event["what"], done=event["done"], total=event["total"])
        return html.escape(event["text"]) if event["event"] == "said" else ""


def device_and_precision(desk: Desk) -> dict[str, str]:
    """Return what the settings name, as arguments of a job."""
    return read_settings(desk.library).model_dump(include={"device", "precision"})


def recipe_in(view: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the recipe that the page shows.

    Raises:
        UserError: it shows none.
    """
    if not view:
        raise UserError("There is no recipe yet. Choose at least one adapter with a weight first.")
    return dict(view["recipe"])


def build_save(bench: Bench, onward: Sequence[str] = ("generate", "compare", "library")) -> Any:
    """Place name, button and proof; return the name's box.

    Args:
        onward: the tabs to which the saved blend can be sent.
    """
    desk, words = bench.desk, bench.desk.words
    with gr.Row(elem_classes="studio-centred"):
        name = gr.Textbox("mix", label=words("blend.name"), scale=3, min_width=140)
        save = gr.Button(words("blend.save"), variant="primary", scale=2, min_width=140)
    status, saved = gr.Markdown(), gr.State()
    with gr.Column(visible=False) as proof:
        parts = _table(words("blend.proof_parts"))
        with gr.Accordion(words("blend.proof_layers"), open=False):
            layers = _table(words("blend.proof_layers"))
        with gr.Row():
            for to in onward:
                if to in desk.inboxes:
                    button = gr.Button(words(f"blend.to_{to}"), size="sm", min_width=110)
                    desk.send(button.click, _sender(to), [saved, bench.view], to=to)

    def keep(view: dict[str, Any] | None, name: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        nothing = gr.skip()
        with told():
            values = {"recipe": recipe_in(view), "name": name.strip(), "base": (view or {}).get("base", "")}
            for event in bench.run("blend_save", values):
                if event["event"] == "result":
                    shown = (gr.Column(visible=True), *proof_tables(desk, event, request))
                    yield (proof_sentence(desk, event, request), event["name"], *shown)
                elif line := bench.said(event, request):
                    yield line, nothing, nothing, nothing, nothing

    save.click(keep, [bench.view, name], [status, saved, proof, parts, layers], **_SHOWN)
    return name


def _sender(to: str) -> Any:
    def content(saved: str | None, view: Mapping[str, Any] | None) -> dict[str, Any]:
        if not saved:
            raise UserError("Nothing is saved yet. Save the blend first.")
        shown = view or {}
        if to == "generate":
            return {"adapters": [[saved, 1.0]], "prompt": shown.get("prompt", ""), "seed": shown.get("picture_seed", 0)}
        if to == "compare":
            names = [item["adapter"] for item in shown.get("recipe", {}).get("inputs", [])]
            return {"adapters": [*names, saved], "prompt": shown.get("prompt", "")}
        return {"name": saved}

    return content


def proof_sentence(desk: Desk, proof: Mapping[str, Any], request: gr.Request | None) -> str:
    """Return a proof's sum over all layers in words."""
    say = desk.words.say
    matched = say(request, "blend.not_matched")
    if proof["matched"] is not None:
        matched = say(request, "blend.matched", matched=proof["matched"], unmatched=len(proof["unmatched"]))
    sums = {key: proof[key] for key in ("error", "energy", "tolerance")}
    text = say(
        request, "blend.saved", name=html.escape(proof["name"]), layers=len(proof["layers"]), matched=matched, **sums
    )
    if proof["from_sum"] > 10 * proof["tolerance"]:
        text += say(request, "blend.from_sum", share=proof["from_sum"])
    for key in ("one_sided", "emptied"):
        if proof[key]:
            text += say(request, f"blend.{key}", count=proof[key])
    return text


def proof_tables(desk: Desk, proof: Mapping[str, Any], request: gr.Request | None) -> tuple[Any, Any]:
    """Return the tables of parts and of layers."""
    by_part = [
        [
            part,
            str(own["layers"]),
            f"{own['worst_error']:.1e}",
            f"{own['worst_rounding']:.1e}",
            f"{own['least_energy']:.2%}",
        ]
        for part, own in proof["parts"].items()
    ]
    by_layer = [
        [part, layer, str(rank), f"{error:.1e}", f"{rounding:.1e}", f"{energy:.2%}"]
        for part, layer, rank, error, rounding, energy in proof["layers"]
    ]
    heads = ("part", "layers", "worst_error", "worst_rounding", "least_energy")
    layer_heads = ("part", "layer", "rank", "error", "rounding", "energy")
    return _rows(desk, heads, by_part, request), _rows(desk, layer_heads, by_layer, request)


def _rows(desk: Desk, heads: Sequence[str], rows: list[list[str]], request: gr.Request | None) -> Any:
    return gr.Dataframe(rows, headers=[desk.words.say(request, f"blend.{head}") for head in heads])


def _table(label: Any, *, visible: bool = True) -> Any:
    return gr.Dataframe([], label=label, interactive=False, datatype="str", wrap=True, max_height=360, visible=visible)


def build_map(bench: Bench) -> None:
    """Place the choice of adapters and the map with its tables."""
    desk, words = bench.desk, bench.desk.words
    gr.Markdown(words("blend.map_info"))
    with gr.Row(elem_classes="studio-centred"):
        names = gr.Dropdown(
            [], label=words("blend.map_adapters"), multiselect=True, max_choices=2, scale=3, min_width=200
        )
        measure = gr.Button(words("blend.measure"), size="md", scale=1, min_width=120)
    status = gr.Markdown()
    with gr.Column(visible=False) as shown:
        picture = gr.Image(
            label=words("blend.map_picture"),
            alt_text=words.both("blend.map_picture"),
            show_label=False,
            interactive=False,
            type="filepath",
            buttons=["download", "fullscreen"],
        )
        table = _table(words("blend.map_table"))
        with gr.Accordion(words("blend.map_layers"), open=False):
            lines = gr.Textbox(label=words("blend.map_layers"), lines=12, max_lines=24, elem_classes="studio-log",
                               interactive=False)  # fmt: skip

    def look(names: list[str], view: dict[str, Any] | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        nothing = gr.skip()
        with told():
            wanted = names or [item["adapter"] for item in recipe_in(view)["inputs"]][:2]
            for event in bench.run("inspect", {"adapters": wanted, "base": (view or {}).get("base", "")}):
                if event["event"] == "result":
                    notes = "\n".join(f"- {html.escape(note)}" for note in event["notes"])
                    heads = [words.say(request, "blend.block"), *event["heads"]]
                    found = gr.Dataframe(event["rows"], headers=heads)
                    yield notes, gr.Column(visible=True), event["path"], found, "\n".join(event["lines"])
                elif line := bench.said(event, request):
                    yield line, nothing, nothing, nothing, nothing

    names.focus(lambda: gr.Dropdown(choices=desk.library.names()), None, names, **_QUIET)
    measure.click(look, [names, bench.view], [status, shown, picture, table, lines], **_SHOWN)


def build_take_out(bench: Bench) -> None:
    """Place what cuts a parent out of a saved blend."""
    desk, words = bench.desk, bench.desk.words
    gr.Markdown(words("blend.take_out_info"))
    with gr.Row(elem_classes="studio-centred"):
        blend = gr.Dropdown([], label=words("blend.which_blend"), min_width=160)
        parent = gr.Dropdown([], label=words("blend.which_parent"), min_width=160)
        name = gr.Textbox("rest", label=words("shared.name"), min_width=120)
        take = gr.Button(words("blend.take"), size="md", min_width=120)
    status = gr.Markdown()

    def there(request: gr.Request) -> tuple[Any, Any]:
        found = blends_in(desk.library)
        return gr.Dropdown(choices=list(found)), "" if found else words.say(request, "blend.no_blends")

    def parents(blend: str | None) -> Any:
        found = blends_in(desk.library).get(blend or "", [])
        return gr.Dropdown(choices=found, value=found[0] if found else None)

    def cut(blend: str | None, parent: str | None, name: str, request: gr.Request) -> str:
        with told():
            if not blend or not parent:
                raise UserError("Choose a saved blend and the parent that is to leave it first.")
            found = desk.engine.result("blend_take_out", {"blend": blend, "parent": parent, "name": name.strip()})
        shown = {key: html.escape(found[key]) for key in ("name", "formula")}
        return words.say(request, "blend.taken", **shown)

    blend.focus(there, None, [blend, status], **_QUIET)
    blend.change(parents, blend, parent, **_QUIET)
    take.click(cut, [blend, parent, name], status, **_SHOWN)


def blends_in(library: Library) -> dict[str, list[str]]:
    """Return the parents of every blend in a library, by its name; cards that cannot be read are left to others."""
    found = {}
    for name in library.names():
        try:
            recipe = library.card(name).recipe
        except UserError:
            continue
        if recipe is not None:
            found[name] = [parent.name for parent in recipe.parents]
    return found


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
        steps = gr.Number(20, label=words("shared.steps"), precision=0, minimum=1, min_width=90)
        seeds = gr.Textbox("0", label=words("blend.search_seeds"), min_width=120)
    with gr.Row():
        prompts = gr.Textbox("a red boat, sea", label=words("blend.search_prompts"), lines=2, min_width=200)
        goals = gr.Textbox("", label=words("blend.goals"), lines=2, min_width=200)
    with gr.Row():
        start = gr.Button(words("blend.start_search"), size="md", min_width=110)
        cancel = gr.Button(words("shared.cancel"), size="md", min_width=110)
        use = gr.Button(words("blend.use_best"), size="md", min_width=160)
    status, best = gr.Markdown(), gr.State()
    table = _table(words("blend.trial_table"), visible=False)

    def search(
        view: dict[str, Any] | None, name: str, trials: int, steps: int, seeds: str, prompts: str, goals: str,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        nothing, found = gr.skip(), []
        with told():
            wanted = {"recipe": recipe_in(view), **search_arguments(name, trials, steps, seeds, prompts, goals)}
            for event in bench.run("blend_search", {**wanted, "base": (view or {}).get("base", "")}):
                if event["event"] == "trial":
                    found.append(event)
                    top = max(found, key=lambda trial: trial["score"])
                    said = {"number": event["number"], "count": trials, "score": event["score"], "best": top["score"]}
                    yield (
                        words.say(request, "blend.trial", **said),
                        trial_table(bench.desk, found, request),
                        top["weights"],
                    )
                elif event["event"] == "result":
                    formula = " + ".join(f"{weight:g}·{html.escape(name)}" for name, weight in event["weights"].items())
                    said = {"count": len(found), "formula": formula, "score": event["score"]}
                    yield words.say(request, "blend.found", **said), nothing, event["weights"]
                elif line := bench.said(event, request):
                    yield line, nothing, nothing

    def cancelled(request: gr.Request) -> str:
        return words.say(request, "shared.cancelled")

    working = start.click(
        search, [bench.view, name, trials, steps, seeds, prompts, goals], [status, table, best], **_SHOWN
    )
    cancel.click(cancelled, None, status, cancels=[working], **_QUIET)
    return Best(best, use)


def search_arguments(name: str, trials: int, steps: int, seeds: str, prompts: str, goals: str) -> dict[str, Any]:
    """Return what the job `blend_search` needs, from what was typed.

    Raises:
        UserError: seeds or goals cannot be read.
    """
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError as error:
        raise UserError(
            f"The seeds {seeds!r} cannot be read. Write whole numbers with commas, such as 0,1,2."
        ) from error
    return {
        "name": name.strip(),
        "trials": trials,
        "steps": steps,
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
