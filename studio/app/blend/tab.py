"""Blend: weights by slider and number, drawn as they move; the recipe, the map of conflicts, the proof and the file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api

from studio.app.blend.details import BlendChoice, Details, build_choice, build_details, method_panel
from studio.app.blend.form import command_line, form_of, recipe_of, recipe_text
from studio.app.blend.preview import build_preview, view_key, wire_preview
from studio.app.blend.search import Best, build_search
from studio.app.blend.tools import (
    Bench,
    blends_in,
    build_map,
    build_save,
    build_take_out,
    device_and_precision,
)
from studio.app.shared.adapter_kinds import first_pair
from studio.app.shared.desk import Desk, told
from studio.app.shared.edited import edited
from studio.app.shared.first_opening import first_opening
from studio.app.shared.memory import browser_memory
from studio.app.shared.newest import Newest
from studio.app.shared.progress_line import problem_line
from studio.app.shared.tab_record import Tab
from studio.app.shared.weight_rows import WeightRows, pairs
from trainers.errors import UserError

_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_SAVE_TEXT = """(text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "application/yaml"}));
  link.download = "recipe.yaml";
  link.click();
  URL.revokeObjectURL(link.href);
}"""


@dataclass(frozen=True)
class _Form:
    """Everything that a recipe and its preview are made of."""

    rows: WeightRows
    choice: BlendChoice
    details: Details
    rest: Any
    plain: Mapping[str, Any]
    """seed, dtype and file of the recipe; then base, prompt, picture_seed, steps and guidance of the preview; name."""
    edits: Any
    """State: grows with every edit in what is not in `inputs` as a component."""

    @property
    def _held(self) -> list[Any]:
        return [self.choice.settings, self.details.details, self.rest]

    @property
    def inputs(self) -> list[Any]:
        return [self.rows.box, self.choice.method, *self._held, *self.plain.values()]

    @property
    def outputs(self) -> list[Any]:
        return [*self.inputs, self.choice.panel]

    def collect(self, rows: Any, *values: Any) -> dict[str, Any]:
        """Return the form as plain values, see `studio.app.blend.form`, from those of `inputs`."""
        keys = ("blend", "settings", "details", "rest", *self.plain)
        return {"rows": [list(pair) for pair in pairs(rows)], **dict(zip(keys, values, strict=True))}

    def show(self, form: Mapping[str, Any], catalogue: Mapping[str, Any]) -> list[Any]:
        """Return updates for `outputs`; what a form does not hold stays as it is."""
        method, settings = form.get("blend", "exact"), form.get("settings", {})
        held = [settings, form.get("details", {}), form.get("rest", {})]
        plain = [form.get(key, gr.skip()) for key in self.plain]
        panel = method_panel(method, catalogue, settings)
        return [self.rows.laid_out(form["rows"]), method, *held, *plain, panel]


@dataclass(frozen=True)
class _Saying:
    """Says the recipe of a form, and what the preview should show; `outputs` is where."""

    desk: Desk
    form: _Form
    newest: Newest
    outputs: list[Any]
    """view, text, command line, problem, what the browser keeps, and which adapter's details are shown."""

    def said(self, now: Mapping[str, Any], request: gr.Request, *, fresh: bool = False) -> list[Any]:
        """Return updates for `outputs`.

        Args:
            now: the form, see `studio.app.blend.form`.
            fresh: whether the form was filled anew, so that details on show may be another's.
        """
        which = {"value": None} if fresh else {}
        try:
            recipe = recipe_of(now)
        except UserError as error:  # stands beside the form; a notice at every key would be a nuisance
            self.newest.ask(request.session_hash or "", view_key(None))
            problem = gr.HTML(problem_line(str(error)), visible=True)
            return [None, "", "", problem, now, gr.Dropdown(choices=[], **which)]
        shown = {key: now[key] for key in ("prompt", "picture_seed", "num_inference_steps", "guidance_scale", "base")}
        view = {"recipe": recipe, **shown}
        self.newest.ask(request.session_hash or "", view_key(view))
        names = [item["adapter"] for item in recipe["inputs"]]
        line = command_line(recipe, now["name"] or "mix", self.desk.library, (now["base"] or "").strip())
        quiet = gr.HTML("", visible=False)
        return [view, recipe_text(recipe), line, quiet, now, gr.Dropdown(choices=names, **which)]

    def wire(self, bench: Bench) -> None:
        """Say it after every change by the user. What code sets is said by what sets it, in the same answer."""

        kept = self.outputs[4]

        def describe(request: gr.Request, before: Any, *values: Any) -> list[Any]:
            now = self.form.collect(*values)
            if now == before:  # a text box was only left: whatever is typed elsewhere meanwhile must stay
                return [gr.skip()] * len(self.outputs)
            return self.said(now, request)

        typed = [self.form.rows.box, *self.form.plain.values()]
        changes = [*(event for item in typed for event in edited(item)), self.form.edits.change]
        gr.on(changes, describe, [kept, *self.form.inputs], self.outputs, trigger_mode="always_last", **_QUIET)
        bench.wire(describe, [kept, *self.form.inputs], self.outputs)

    def filling(
        self, event: Any, sources: Sequence[Any], fill: Callable[..., Mapping[str, Any] | None], **how: Any
    ) -> None:
        """After an event fill the form and say its recipe, all in one answer.

        Args:
            sources: the components from whose values the form is made.
            fill: (values) -> the form, see `studio.app.blend.form`; what it leaves out stays, and None changes nothing.
        """
        outputs = [*self.form.outputs, *self.outputs]

        def filled(request: gr.Request, *given: Any) -> list[Any]:
            known, *values = given[len(sources) :]
            with told():
                found = fill(*given[: len(sources)])
            if found is None:
                return [gr.skip()] * len(outputs)
            now = {**self.form.collect(*values), "blend": "exact", "settings": {}, "details": {}, "rest": {}, **found}
            if not known and now["blend"] != "exact":  # it came in before the blends were read
                known = _known_blends(self.desk)
            return [*self.form.show(now, known), *self.said(now, request, fresh=True)]

        event(filled, [*sources, self.form.choice.catalogue, *self.form.inputs], outputs, **how)


def _build(desk: Desk) -> None:
    words, newest = desk.words, Newest()
    tab: Any = gr.context.Context.block
    notice = gr.Markdown()
    with gr.Row():
        with gr.Column(scale=5, min_width=330):
            edits = gr.State(0)
            rows, choice, details, plain = _build_form(desk, edits)
            bench = Bench(desk, gr.State(), gr.HTML(visible=False))
            name = build_save(bench)
        with gr.Column(scale=4, min_width=330):
            preview = build_preview(desk)
    form = _Form(rows, choice, details, gr.State({}), {**plain, **preview.settings, "name": name}, edits)
    with gr.Accordion(words("blend.recipe"), open=False):
        text = gr.Textbox(
            label=words("blend.yaml"), info=words("blend.yaml_info"), lines=8, max_lines=24, elem_classes="studio-log"
        )
        with gr.Row():
            apply = gr.Button(words("blend.apply"), size="sm")
            upload = gr.UploadButton(words("blend.upload"), file_types=[".yaml", ".yml", ".json"], size="sm")
            download = gr.Button(words("blend.download"), size="sm")
        line = gr.Textbox(label=words("blend.command"), interactive=False, lines=2, elem_classes="studio-log")
    with gr.Accordion(words("blend.map"), open=False):
        build_map(bench)
    with gr.Accordion(words("blend.search"), open=False):
        best = build_search(bench)
    with gr.Accordion(words("blend.take_out"), open=False):
        build_take_out(bench)
    kept = browser_memory(None, "studio-blend")
    saying = _Saying(desk, form, newest, [bench.view, text, line, bench.problem, kept, details.which])
    saying.wire(bench)
    _wire_filling(desk, saying, text, apply, upload, kept)
    _wire_best(desk, form, best)
    download.click(None, text, None, js=_SAVE_TEXT, **_QUIET)
    wire_preview(bench, preview, newest, _wire_opening(desk, form, tab, notice))

    def blend(recipe: dict[str, Any], name: str) -> dict[str, Any]:
        """Write a recipe, given as JSON, as an adapter of that name, and return its proof."""
        with told():
            return desk.engine.result("blend_save", {"recipe": recipe, "name": name, **device_and_precision(desk)})

    api(blend, api_name="blend")


def _build_form(desk: Desk, edits: Any) -> tuple[WeightRows, BlendChoice, Details, dict[str, Any]]:
    words = desk.words
    rows = WeightRows(desk.library, none="", least=2, first=0.5)
    choice = build_choice(desk, edits)
    with gr.Accordion(words("blend.details"), open=False):
        details = build_details(desk, edits)
    with gr.Accordion(words("shared.advanced"), open=False):
        with gr.Row():
            seed = gr.Number(0, label=words("blend.random_seed"), precision=0, min_width=120)
            dtype = gr.Dropdown(
                ["float32", "float16", "bfloat16"], value="float32", label=words("blend.dtype"), min_width=120
            )
            file = gr.Dropdown(["auto", "lora", "whole"], value="auto", label=words("blend.file"), min_width=120)
        base = gr.Textbox("", label=words("shared.base"), info=words("blend.base_info"))
    return rows, choice, details, {"seed": seed, "dtype": dtype, "file": file, "base": base}


def _wire_opening(desk: Desk, form: _Form, tab: Any, notice: Any) -> Any:
    """When the tab is opened say what the library lacks, and read once the blends that there are.

    Returns:
        State, whether the tab has been opened.
    """
    words, choice, opened = desk.words, form.choice, gr.State(False)

    def opening(known: dict[str, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        names, nothing = desk.library.names(), gr.skip()
        said = "" if len(names) > 1 else words.say(request, "blend.one" if names else "blend.nothing")
        yield gr.Markdown(said, visible=bool(said)), True, nothing, nothing
        if not known:
            known = _known_blends(desk)
            yield nothing, nothing, known, gr.Dropdown(choices=[(item["title"], name) for name, item in known.items()])

    def panel(known: dict[str, Any], method: str, settings: dict[str, Any], shown: Any) -> Any:
        # a recipe may have come in while the blends were read, and has shown its own
        return gr.skip() if shown and shown["blend"] == method else method_panel(method, known, settings)

    tab.select(opening, choice.catalogue, [notice, opened, choice.catalogue, choice.method], **_QUIET)
    choice.catalogue.change(
        panel, [choice.catalogue, choice.method, choice.settings, choice.panel], choice.panel, **_QUIET
    )
    return opened


def _known_blends(desk: Desk) -> dict[str, Any]:
    """Return name -> what is known of it, of every blend."""
    with told():
        return {item["name"]: item for item in desk.engine.result("blends", {})["blends"]}


def _wire_filling(desk: Desk, saying: _Saying, text: Any, apply: Any, upload: Any, kept: Any) -> None:
    """Fill the form from the browser's memory, the library, a recipe, or another tab."""

    def restored(before: Any, sent: Any) -> Mapping[str, Any] | None:
        if sent:
            return None  # `received` fills it
        usable = isinstance(before, dict) and isinstance(before.get("rows"), list) and any(n for n, _ in before["rows"])
        if usable:
            return dict(before)
        return {"rows": [[name, 0.5] for name in first_pair(desk.library, list(blends_in(desk.library)))]}

    def from_recipe(values: Mapping[str, Any]) -> Mapping[str, Any]:
        return form_of(desk.engine.result("blend_recipe", values)["recipe"])

    def received(sent: dict[str, Any] | None) -> Mapping[str, Any] | None:
        if sent and sent.get("recipe"):
            return from_recipe({"recipe": sent["recipe"]})
        return {"rows": [[str(name), float(weight)] for name, weight in sent.get("adapters", [])]} if sent else None

    def from_file(path: str) -> Mapping[str, Any]:
        try:
            content = Path(path).read_bytes()[: (1 << 20) + 1].decode()
        except ValueError as error:
            raise UserError(f"The recipe {Path(path).name} is no text. Give a YAML or JSON file.") from error
        return from_recipe({"text": content})

    slow: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": text}
    inbox = desk.inbox("blend")
    saying.filling(first_opening(), [kept, inbox], restored, **_QUIET)
    saying.filling(apply.click, [text], lambda given: from_recipe({"text": given}), **slow)
    saying.filling(upload.upload, [upload], from_file, **slow)
    saying.filling(inbox.change, [inbox], received, **_QUIET)


def _wire_best(desk: Desk, form: _Form, best: Best) -> None:
    """Put the weights that a search found into the rows."""

    def found(weights: dict[str, float] | None, rows: Any, edits: int, request: gr.Request) -> tuple[Any, int]:
        if not weights:
            raise gr.Error(desk.words.say(request, "blend.no_best"), print_exception=False)
        return form.rows.laid_out([[name, weights.get(name or "", weight)] for name, weight in pairs(rows)]), edits + 1

    best.use.click(found, [best.weights, form.rows.box, form.edits], [form.rows.box, form.edits], **_QUIET)


TAB = Tab("blend", 60, _build)
