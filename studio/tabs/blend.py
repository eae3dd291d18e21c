"""Blend: weights by slider and number, drawn as they move; the recipe, the map of conflicts, the proof and the file."""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api

from studio.tabs._tab import Tab
from studio.web.blend_details import BlendChoice, Details, build_choice, build_details, method_panel
from studio.web.blend_form import MOST_ROWS, command_line, form_of, recipe_of, recipe_text
from studio.web.blend_preview import build_preview, view_key, wire_preview
from studio.web.blend_rows import Rows, build_rows, filled, pairs
from studio.web.blend_texts import TEXTS
from studio.web.blend_tools import (
    Bench,
    blends_in,
    build_map,
    build_save,
    build_search,
    build_take_out,
    device_and_precision,
)
from studio.web.desk import Desk, told
from studio.web.memory import browser_memory
from studio.web.newest import Newest
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

    rows: Rows
    choice: BlendChoice
    details: Details
    rest: Any
    plain: Mapping[str, Any]
    """seed, dtype and file of the recipe; then base, prompt, picture_seed, steps and guidance of the preview; name."""

    @property
    def inputs(self) -> list[Any]:
        fixed = [self.choice.method, self.choice.settings, self.details.details, self.rest]
        return [self.rows.count, *self.rows.values, *fixed, *self.plain.values()]

    @property
    def outputs(self) -> list[Any]:
        fixed = [self.choice.method, self.choice.settings, self.choice.panel, self.details.details, self.rest]
        return [*self.rows.outputs, *fixed, *self.plain.values(), self.details.which]

    def collect(self, count: int, *values: Any) -> dict[str, Any]:
        """Return the form as plain values, see `studio.web.blend_form`, from those of `inputs`."""
        after = 2 * MOST_ROWS
        method, settings, details, rest, *plain = values[after:]
        fixed = {"blend": method, "settings": settings, "details": details, "rest": rest}
        return {"rows": pairs(count, values[:after]), **fixed, **dict(zip(self.plain, plain, strict=True))}

    def show(self, form: Mapping[str, Any], catalogue: Mapping[str, Any], choices: list[str] | None) -> list[Any]:
        """Return updates for `outputs`; what a form does not hold stays as it is."""
        method, settings = form.get("blend", "exact"), form.get("settings", {})
        fixed = [method, settings, method_panel(method, catalogue, settings)]
        plain = [form.get(key, gr.skip()) for key in self.plain]
        names = [name for name, _ in form["rows"] if name]
        which = gr.Dropdown(choices=names, value=None)
        return [*filled(form["rows"], choices), *fixed, form.get("details", {}), form.get("rest", {}), *plain, which]


def _build(desk: Desk) -> None:
    words, newest = desk.words, Newest()
    tab: Any = gr.context.Context.block
    notice = gr.Markdown()
    with gr.Row():
        with gr.Column(scale=5, min_width=330):
            rows, choice, details, plain = _build_form(desk)
            bench = Bench(desk, gr.State(), gr.Markdown(visible=False))
            name = build_save(bench)
        with gr.Column(scale=4, min_width=330):
            preview = build_preview(desk)
    form = _Form(rows, choice, details, gr.State({}), {**plain, **preview.settings, "name": name})
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
    describe_after = _wire_recipe(form, newest, bench, text, line, kept)
    for filled_by in _wire_filling(desk, form, tab, text, apply, upload, best, kept):
        describe_after(filled_by)
    describe_after(_wire_opening(desk, form, tab, notice))
    download.click(None, text, None, js=_SAVE_TEXT, **_QUIET)
    wire_preview(bench, preview, newest, tab)

    def blend(recipe: dict[str, Any], name: str) -> dict[str, Any]:
        """Write a recipe, given as JSON, as an adapter of that name, and return its proof."""
        with told():
            return desk.engine.result("blend_save", {"recipe": recipe, "name": name, **device_and_precision(desk)})

    api(blend, api_name="blend")


def _build_form(desk: Desk) -> tuple[Rows, BlendChoice, Details, dict[str, Any]]:
    words = desk.words
    rows = build_rows(desk)
    with gr.Row():
        add = gr.Button(words("blend.add"), size="sm")
        refresh = gr.Button(words("shared.refresh"), size="sm")
    choice = build_choice(desk)
    with gr.Accordion(words("blend.details"), open=False):
        details = build_details(desk)
    with gr.Accordion(words("shared.advanced"), open=False):
        with gr.Row():
            seed = gr.Number(0, label=words("blend.random_seed"), precision=0, min_width=120)
            dtype = gr.Dropdown(
                ["float32", "float16", "bfloat16"], value="float32", label=words("blend.dtype"), min_width=120
            )
            file = gr.Dropdown(["auto", "lora", "whole"], value="auto", label=words("blend.file"), min_width=120)
        base = gr.Textbox("", label=words("shared.base"), info=words("blend.base_info"))

    def one_more(count: int) -> list[Any]:
        count = min(MOST_ROWS, count + 1)
        return [count, *(gr.Row(visible=number < count) for number in range(MOST_ROWS))]

    def fresh_lists() -> list[Any]:
        return [gr.Dropdown(choices=desk.library.names()) for _ in rows.adapters]

    add.click(one_more, rows.count, [rows.count, *rows.groups], **_QUIET)
    refresh.click(fresh_lists, None, list(rows.adapters), **_QUIET)
    return rows, choice, details, {"seed": seed, "dtype": dtype, "file": file, "base": base}


def _wire_recipe(form: _Form, newest: Newest, bench: Bench, text: Any, line: Any, kept: Any) -> Callable[[Any], None]:
    """With every change say the recipe, and what the preview should show now; return what does so after an event."""

    def describe(request: gr.Request, *values: Any) -> tuple[Any, ...]:
        now = form.collect(*values)
        try:
            recipe = recipe_of(now)
        except UserError as error:  # stands beside the form; a notice at every key would be a nuisance
            newest.ask(request.session_hash or "", view_key(None))
            problem = gr.Markdown(html.escape(str(error)), visible=True)
            return None, "", "", problem, now, gr.skip()
        shown = {key: now[key] for key in ("prompt", "picture_seed", "steps", "guidance", "base")}
        view = {"recipe": recipe, **shown}
        newest.ask(request.session_hash or "", view_key(view))
        names = [item["adapter"] for item in recipe["inputs"]]
        return (
            view,
            recipe_text(recipe),
            command_line(recipe, now["name"] or "mix"),
            gr.Markdown("", visible=False),
            now,
            gr.Dropdown(choices=names),
        )

    shown = [bench.view, text, line, bench.problem, kept, form.details.which]
    watched = [item for item in form.inputs if not isinstance(item, gr.State)]
    watched += [form.rows.count, form.choice.settings, form.details.details, form.rest]
    gr.on([item.change for item in watched], describe, form.inputs, shown, trigger_mode="always_last", **_QUIET)

    def describe_after(event: Any) -> None:
        event.then(describe, form.inputs, shown, **_QUIET)

    return describe_after


def _wire_opening(desk: Desk, form: _Form, tab: Any, notice: Any) -> Any:
    """When the tab is opened read the library again, and once the blends that there are."""
    words, catalogue = desk.words, form.choice.catalogue

    def lists(request: gr.Request) -> list[Any]:
        names = desk.library.names()
        said = "" if len(names) > 1 else words.say(request, "blend.one" if names else "blend.nothing")
        return [gr.Markdown(said, visible=bool(said)), *(gr.Dropdown(choices=names) for _ in form.rows.adapters)]

    def blends(known: dict[str, Any], method: str, settings: dict[str, Any]) -> tuple[Any, Any, Any]:
        if known:
            return gr.skip(), gr.skip(), gr.skip()
        with told():
            known = {item["name"]: item for item in desk.engine.result("blends", {})["blends"]}
        choices = [(item["title"], name) for name, item in known.items()]
        return known, gr.Dropdown(choices=choices), method_panel(method, known, settings)

    tab.select(blends, [catalogue, form.choice.method, form.choice.settings],
               [catalogue, form.choice.method, form.choice.panel], **_QUIET)  # fmt: skip
    return tab.select(lists, None, [notice, *form.rows.adapters], **_QUIET)


def _wire_filling(
    desk: Desk, form: _Form, tab: Any, text: Any, apply: Any, upload: Any, best: Any, kept: Any
) -> list[Any]:
    """Fill the form from the browser's memory, the library, a recipe, another tab, or a search; return these events."""
    words, catalogue, page = desk.words, form.choice.catalogue, gr.context.Context.root_block

    def restore(before: dict[str, Any] | None) -> list[Any]:
        names = desk.library.names()
        mixed = blends_in(desk.library)
        first = {"rows": [[name, 0.5] for name in [name for name in names if name not in mixed][:2]]}
        usable = isinstance(before, dict) and isinstance(before.get("rows"), list) and any(n for n, _ in before["rows"])
        return form.show(before if usable and before is not None else first, {}, names)

    def from_recipe(values: Mapping[str, Any], known: dict[str, Any]) -> list[Any]:
        with told():
            checked = desk.engine.result("blend_recipe", values)["recipe"]
            return form.show(form_of(checked), known, None)

    def from_text(given: str, known: dict[str, Any]) -> list[Any]:
        return from_recipe({"text": given}, known)

    def received(sent: dict[str, Any] | None, known: dict[str, Any]) -> list[Any]:
        if not sent:
            return [gr.skip()] * len(form.outputs)
        if sent.get("recipe"):
            return from_recipe({"recipe": sent["recipe"]}, known)
        rows = [[str(name), float(weight)] for name, weight in sent.get("adapters", [])]
        return form.show({"rows": rows[:MOST_ROWS]}, known, None)

    def from_file(path: str, known: dict[str, Any]) -> list[Any]:
        with told():
            try:
                content = Path(path).read_bytes()[: (1 << 20) + 1].decode()
            except ValueError as error:
                raise UserError(f"The recipe {Path(path).name} is no text. Give a YAML or JSON file.") from error
        return from_recipe({"text": content}, known)

    def found(weights: dict[str, float] | None, request: gr.Request, *values: Any) -> list[Any]:
        if not weights:
            raise gr.Error(words.say(request, "blend.no_best"), print_exception=False)
        now = form.collect(*values)
        return filled([[name, weights.get(name, weight)] for name, weight in now["rows"]])

    assert page is not None, "a tab is built inside the page"
    slow: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    inbox = desk.inbox("blend")
    return [
        page.load(restore, kept, form.outputs, **_QUIET),
        apply.click(from_text, [text, catalogue], form.outputs, **slow),
        upload.upload(from_file, [upload, catalogue], form.outputs, **slow),
        inbox.change(received, [inbox, catalogue], form.outputs, **_QUIET),
        best.use.click(found, [best.weights, *form.inputs], form.rows.outputs, **_QUIET),
    ]


TAB = Tab("blend", 60, _build, TEXTS)
