"""What the Blend tab does with a recipe: save it with its proof, map where its adapters fight, take a parent out."""

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from studio.app.shared.app_settings import read_settings
from studio.app.shared.desk import Desk
from studio.app.shared.progress_line import problem_line, progress_line
from studio.library.library import Library
from trainers.errors import UserError

_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True)
class Bench:
    """What the tools work on."""

    desk: Desk
    view: Any
    """State: the recipe with prompt, seed, steps, guidance and base; None while there is no recipe."""
    problem: Any
    """Says why there is no recipe."""
    waiting: list[tuple[Any, ...]] = field(default_factory=list)
    """What `after` was told, until `wire` connects it."""

    def after(self, event: Any, work: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """After an event such as ``button.click`` do work on the view as the form stands at that moment.

        The view follows the form by an event of its own, and a click may come before its answer: what is saved would
        not be what the sliders show.
        """
        self.waiting.append((event, work, inputs, outputs))

    def wire(self, describe: Callable[..., Any], form: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Connect what waited; called once, when the form is there.

        Args:
            describe: (values of `form`) -> values of `outputs`, of which the view is one.
        """
        for event, work, inputs, shown in self.waiting:
            event(describe, list(form), list(outputs), **_QUIET).then(work, list(inputs), list(shown), **_QUIET)

    def run(self, job: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Run a job on the device and in the precision that the settings name.

        Raises:
            UserError: the job's own sentence.
        """
        yield from self.desk.engine.run(job, {**arguments, **device_and_precision(self.desk)})

    def said(self, event: Mapping[str, Any], request: gr.Request) -> str:
        """Return an event of a working job as HTML for its status, or nothing."""
        say = self.desk.words.say
        if event["event"] == "waiting":
            text = say(request, "shared.waiting" if event["ahead"] else "shared.loading", ahead=event["ahead"])
            return progress_line(text)
        if event["event"] == "progress":
            done, total = event["done"], event["total"]
            what = event["what"]
            text = say(request, "blend.working" if done else "blend.begun", what=what, done=done, total=total)
            return progress_line(text, done, total)
        return progress_line(event["text"]) if event["event"] == "said" else ""


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
    status, saved, failed = gr.HTML(elem_id="blend-save-status"), gr.State(), gr.State(False)
    with gr.Column(visible=False) as proof:
        parts = proof_table(words("blend.proof_parts"), column_widths=["22%", "15%", "21%", "21%", "21%"])
        with gr.Accordion(words("blend.proof_layers"), open=False):
            layers = proof_table(words("blend.proof_layers"))
        with gr.Row():
            for to in onward:
                if to in desk.inboxes:
                    button = gr.Button(words(f"blend.to_{to}"), size="sm", min_width=110)
                    desk.send(button.click, _sender(to), [saved, bench.view], to=to)

    def keep(view: dict[str, Any] | None, name: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        nothing = [gr.skip()] * 5
        yield progress_line(words.say(request, "shared.loading")), *nothing[1:], False
        try:
            values = {"recipe": recipe_in(view), "name": name.strip(), "base": (view or {}).get("base", "")}
            for event in bench.run("blend_save", values):
                if event["event"] == "result":
                    shown = (gr.Column(visible=True), *proof_tables(desk, event, request))
                    yield progress_line(proof_sentence(desk, event, request)), event["name"], *shown, False
                elif line := bench.said(event, request):
                    yield line, *nothing
        except UserError as error:
            yield problem_line(str(error)), *nothing[1:], True

    def forget(failed: bool) -> tuple[Any, bool]:
        return "" if failed else gr.skip(), False

    bench.after(save.click, keep, [bench.view, name], [status, saved, proof, parts, layers, failed])
    # an error is about the recipe or the name as it was; what was saved stays saved, and its proof says so
    gr.on([bench.view.change, name.change], forget, failed, [status, failed], **_QUIET)
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
    text = say(request, "blend.saved", name=proof["name"], layers=len(proof["layers"]), matched=matched, **sums)
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


def proof_table(label: Any, **options: Any) -> Any:
    """Return an empty table of text; `options` are what else `gr.Dataframe` takes."""
    return gr.Dataframe([], label=label, interactive=False, datatype="str", wrap=True, max_height=360, **options)


def build_map(bench: Bench) -> None:
    """Place the choice of adapters and the map with its tables."""
    desk, words = bench.desk, bench.desk.words
    gr.Markdown(words("blend.map_info"))
    with gr.Row(elem_classes="studio-centred"):
        names = gr.Dropdown(
            [], label=words("blend.map_adapters"), multiselect=True, max_choices=2, scale=3, min_width=200
        )
        measure = gr.Button(words("blend.measure"), size="md", scale=1, min_width=120)
    status = gr.HTML(elem_id="blend-map-status")
    with gr.Column(visible=False) as shown:
        picture = gr.Image(
            label=words("blend.map_picture"),
            alt_text=words.both("blend.map_picture"),
            show_label=False,
            interactive=False,
            type="filepath",
            buttons=["download", "fullscreen"],
        )
        table = proof_table(words("blend.map_table"))
        with gr.Accordion(words("blend.map_layers"), open=False):
            lines = gr.Textbox(label=words("blend.map_layers"), lines=12, max_lines=24, elem_classes="studio-log",
                               interactive=False)  # fmt: skip

    def look(names: list[str], view: dict[str, Any] | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        nothing = [gr.skip()] * 4
        yield progress_line(words.say(request, "shared.loading")), *nothing
        try:
            wanted = names or [item["adapter"] for item in recipe_in(view)["inputs"]][:2]
            for event in bench.run("inspect", {"adapters": wanted, "base": (view or {}).get("base", "")}):
                if event["event"] == "result":
                    notes = "".join(f"<li>{html.escape(note)}</li>" for note in event["notes"])
                    heads = [words.say(request, "blend.block"), *event["heads"]]
                    found = gr.Dataframe(event["rows"], headers=heads)
                    yield f"<ul>{notes}</ul>", gr.Column(visible=True), event["path"], found, "\n".join(event["lines"])
                elif line := bench.said(event, request):
                    yield line, *nothing
        except UserError as error:
            yield problem_line(str(error)), *nothing

    names.focus(lambda: gr.Dropdown(choices=desk.library.names()), None, names, **_QUIET)
    bench.after(measure.click, look, [names, bench.view], [status, shown, picture, table, lines])


def build_take_out(bench: Bench) -> None:
    """Place what cuts a parent out of a saved blend."""
    desk, words = bench.desk, bench.desk.words
    gr.Markdown(words("blend.take_out_info"))
    with gr.Row(elem_classes="studio-centred"):
        blend = gr.Dropdown([], label=words("blend.which_blend"), min_width=160)
        parent = gr.Dropdown([], label=words("blend.which_parent"), min_width=160)
        name = gr.Textbox("rest", label=words("shared.name"), min_width=120)
        take = gr.Button(words("blend.take"), size="md", min_width=120)
    status = gr.HTML(elem_id="blend-taken-status")

    def there(request: gr.Request) -> tuple[Any, Any]:
        found = blends_in(desk.library)
        none = "" if found else progress_line(words.say(request, "blend.no_blends"))
        return gr.Dropdown(choices=list(found)), none

    def parents(blend: str | None) -> Any:
        found = blends_in(desk.library).get(blend or "", [])
        return gr.Dropdown(choices=found, value=found[0] if found else None)

    def cut(blend: str | None, parent: str | None, name: str, request: gr.Request) -> Iterator[str]:
        yield progress_line(words.say(request, "shared.loading"))
        try:
            if not blend or not parent:
                raise UserError("Choose a saved blend and the parent that is to leave it first.")
            found = desk.engine.result("blend_take_out", {"blend": blend, "parent": parent, "name": name.strip()})
        except UserError as error:
            yield problem_line(str(error))
        else:
            yield progress_line(words.say(request, "blend.taken", name=found["name"], formula=found["formula"]))

    blend.focus(there, None, [blend, status], **_QUIET)
    blend.change(parents, blend, parent, **_QUIET)
    take.click(cut, [blend, parent, name], status, **_QUIET)


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
