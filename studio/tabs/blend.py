"""Blend: weights by slider and number, drawn as they move; the recipe, the map of conflicts, the proof and the file."""

import html
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api

from studio.tabs._tab import Tab
from studio.web.app_settings import read_settings
from studio.web.blend_details import BlendChoice, Details, build_choice, build_details, method_panel
from studio.web.blend_form import MOST_ROWS, command_line, form_of, recipe_of, recipe_text
from studio.web.blend_rows import Rows, build_rows, filled, pairs
from studio.web.blend_texts import TEXTS
from studio.web.blend_tools import Bench, build_map, build_save, build_search, build_take_out
from studio.web.desk import Desk, told
from studio.web.newest import Newest
from trainers.errors import UserError

_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_PAUSE_SECONDS = 0.15
"""A slider that is still moving asks again within this time, and only then is drawn."""
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
    tab = gr.context.Context.block
    notice = gr.Markdown()
    with gr.Row():
        with gr.Column(scale=5, min_width=330):
            rows, choice, details, plain = _build_form(desk)
        with gr.Column(scale=4, min_width=330):
            preview = _build_preview(desk)
            bench = Bench(desk, gr.State(), gr.Markdown(elem_classes="studio-problem"))
            name = build_save(bench)
    form = _Form(rows, choice, details, gr.State({}), {**plain, **preview["settings"], "name": name})
    with gr.Accordion(words("blend.recipe"), open=False):
        text = gr.Textbox(label=words("blend.yaml"), info=words("blend.yaml_info"), lines=8, max_lines=24,
                          elem_classes="studio-log", buttons=["copy"])  # fmt: skip
        with gr.Row():
            apply = gr.Button(words("blend.apply"), size="sm")
            upload = gr.UploadButton(words("blend.upload"), file_types=[".yaml", ".yml", ".json"], size="sm")
            download = gr.Button(words("blend.download"), size="sm")
        line = gr.Textbox(label=words("blend.command"), interactive=False, lines=2, elem_classes="studio-log",
                          buttons=["copy"])  # fmt: skip
    with gr.Accordion(words("blend.map"), open=False):
        build_map(bench)
    with gr.Accordion(words("blend.search"), open=False):
        best = build_search(bench)
    with gr.Accordion(words("blend.take_out"), open=False):
        build_take_out(bench)
    kept = gr.BrowserState(None, storage_key="studio-blend", secret="studio")  # noqa: S106 - no secret is in it
    _wire_recipe(desk, form, newest, bench, text, line, kept)
    _wire_filling(desk, form, tab, notice, text, apply, upload, best, kept)
    download.click(None, text, None, js=_SAVE_TEXT, **_QUIET)
    _wire_preview(desk, preview, bench.view, newest, tab)

    def blend(recipe: dict[str, Any], name: str) -> dict[str, Any]:
        """Write a recipe, given as JSON, as an adapter of that name, and return its proof."""
        with told():
            return desk.engine.result("blend_save", {"recipe": recipe, "name": name, **where(desk)})

    api(blend, api_name="blend")


def where(desk: Desk) -> dict[str, str]:
    """Return device and precision as the user chose them in the settings."""
    return read_settings(desk.library).model_dump(include={"device", "precision"})


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


def _build_preview(desk: Desk) -> dict[str, Any]:
    words = desk.words
    prompt = gr.Textbox("a red boat, sea", label=words("shared.prompt"), lines=2)
    with gr.Row():
        seed = gr.Number(0, label=words("shared.seed"), precision=0, minimum=0, min_width=90)
        steps = gr.Number(8, label=words("shared.steps"), precision=0, minimum=1, maximum=1000, min_width=90)
        guidance = gr.Number(5.0, label=words("shared.guidance"), step=0.5, min_width=90)
    with gr.Row():
        live = gr.Checkbox(True, label=words("blend.live_preview"), min_width=160)
        again = gr.Button(words("blend.again"), size="sm", variant="primary", min_width=110)
        parents = gr.Button(words("blend.parents"), size="sm", min_width=160)
    status = gr.Markdown(elem_classes="studio-status")
    with gr.Row():
        picture = gr.Image(label=words("blend.preview"), interactive=False, height=300, min_width=200, type="filepath")
        beside = gr.Gallery(label=words("blend.beside"), height=300, columns=2, min_width=200, object_fit="contain")
    settings = {"prompt": prompt, "picture_seed": seed, "steps": steps, "guidance": guidance}
    shown = {"live": live, "again": again, "parents": parents, "status": status, "picture": picture, "beside": beside}
    return {"settings": settings, **shown}


def _key(view: Mapping[str, Any] | None) -> str:
    return json.dumps(view, sort_keys=True)


def _wire_recipe(desk: Desk, form: _Form, newest: Newest, bench: Bench, text: Any, line: Any, kept: Any) -> None:
    """With every change say the recipe, and what the preview should show now."""

    def describe(*values: Any, request: gr.Request) -> tuple[Any, ...]:
        now = form.collect(*values)
        try:
            recipe = recipe_of(now)
        except UserError as error:  # stands beside the form; a notice at every key would be a nuisance
            newest.ask(request.session_hash or "", _key(None))
            return None, "", "", html.escape(str(error)), now, gr.skip()
        shown = {key: now[key] for key in ("prompt", "picture_seed", "steps", "guidance", "base")}
        view = {"recipe": recipe, **shown}
        newest.ask(request.session_hash or "", _key(view))
        names = [item["adapter"] for item in recipe["inputs"]]
        return (
            view,
            recipe_text(recipe),
            command_line(recipe, now["name"] or "mix"),
            "",
            now,
            gr.Dropdown(choices=names),
        )

    watched = [item for item in form.inputs if not isinstance(item, gr.State)]
    watched += [form.rows.count, form.choice.settings, form.details.details, form.rest]
    gr.on([item.change for item in watched], describe, form.inputs,
          [bench.view, text, line, bench.problem, kept, form.details.which],
          trigger_mode="always_last", **_QUIET)  # fmt: skip


def _wire_filling(
    desk: Desk, form: _Form, tab: Any, notice: Any, text: Any, apply: Any, upload: Any, best: Any, kept: Any
) -> None:
    """Fill the form from the browser's memory, the library, a recipe, another tab, or a search."""
    words, catalogue, page = desk.words, form.choice.catalogue, gr.context.Context.root_block

    def restore(before: dict[str, Any] | None) -> list[Any]:
        names = desk.library.names()
        first = {"rows": [[name, 0.5] for name in names[:2]]}
        usable = isinstance(before, dict) and isinstance(before.get("rows"), list) and any(n for n, _ in before["rows"])
        return form.show(before if usable and before is not None else first, {}, names)

    def opened(known: dict[str, Any], method: str, settings: dict[str, Any], request: gr.Request) -> list[Any]:
        names = desk.library.names()
        said = "" if len(names) > 1 else words.say(request, "blend.one" if names else "blend.nothing")
        if not known:
            with told():
                found = desk.engine.result("blends", {})["blends"]
            known = {item["name"]: item for item in found}
        choices = [(item["title"], name) for name, item in known.items()]
        panel = method_panel(method, known, settings)
        lists = [gr.Dropdown(choices=names) for _ in form.rows.adapters]
        return [said, known, gr.Dropdown(choices=choices), panel, *lists]

    def from_recipe(values: Mapping[str, Any], known: dict[str, Any]) -> list[Any]:
        with told():
            checked = desk.engine.result("blend_recipe", values)["recipe"]
            return form.show(form_of(checked), known, None)

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
    page.load(restore, kept, form.outputs, **_QUIET)
    tab.select(opened, [catalogue, form.choice.method, form.choice.settings],
               [notice, catalogue, form.choice.method, form.choice.panel, *form.rows.adapters], **_QUIET)  # fmt: skip
    apply.click(lambda given, known: from_recipe({"text": given}, known), [text, catalogue], form.outputs,
                api_visibility="private", show_progress="minimal")  # fmt: skip
    upload.upload(from_file, [upload, catalogue], form.outputs, api_visibility="private", show_progress="minimal")
    desk.inbox("blend").change(received, [desk.inbox("blend"), catalogue], form.outputs, **_QUIET)
    best.use.click(found, [best.weights, *form.inputs], form.rows.outputs, **_QUIET)


def _wire_preview(desk: Desk, preview: Mapping[str, Any], view: Any, newest: Newest, tab: Any) -> None:
    """Draw what the form says; a newer wish ends an older drawing between two steps."""
    words = desk.words
    open_now = gr.State(False)

    def arguments(view: Mapping[str, Any]) -> dict[str, Any]:
        return {**view, "seed": view["picture_seed"], **where(desk)}

    def draw(view: dict[str, Any] | None, live: bool, seen: bool, request: gr.Request) -> Iterator[Any]:
        page, key = request.session_hash or "", _key(view)
        yield gr.skip(), gr.skip()
        time.sleep(_PAUSE_SECONDS)
        if not view or not (live and seen) or newest.is_stale(page, key):
            return
        yield from drawing(view, page, key, request)

    def drawing(view: dict[str, Any], page: str, key: str, request: gr.Request) -> Iterator[Any]:
        with told():
            for event in desk.engine.run("blend_preview", arguments(view)):
                if newest.is_stale(page, key):
                    return
                if event["event"] == "picture":
                    formula = " + ".join(f"{i.get('weight', 1):g}·{i['adapter']}" for i in view["recipe"]["inputs"])
                    yield event["path"], words.say(request, "blend.drawn", formula=html.escape(formula))
                elif event["event"] in ("progress", "waiting"):
                    yield gr.skip(), _said(words, request, event)

    def draw_now(view: dict[str, Any] | None, request: gr.Request) -> Iterator[Any]:
        page, key = request.session_hash or "", _key(view)
        yield gr.skip(), gr.skip()
        if view and not newest.is_stale(page, key):
            yield from drawing(view, page, key, request)

    def draw_parents(view: dict[str, Any] | None, request: gr.Request) -> Iterator[Any]:
        pictures: list[tuple[str, str]] = []
        yield gr.skip(), gr.skip()
        with told():
            for event in desk.engine.run("blend_preview", {**arguments(view), "parents": True}) if view else ():
                if event["event"] == "picture":
                    base = event["label"] == "base"
                    title = words.say(request, "blend.base_picture") if base else event["label"]
                    pictures.append((event["path"], title))
                    yield list(pictures), ""
                elif event["event"] in ("progress", "waiting"):
                    yield gr.skip(), _said(words, request, event)

    shown = [preview["picture"], preview["status"]]
    tab.select(lambda: True, None, open_now, **_QUIET)
    gr.on([view.change, preview["live"].change, open_now.change], draw, [view, preview["live"], open_now], shown,
          trigger_mode="always_last", concurrency_limit=16, **_QUIET)  # fmt: skip
    preview["again"].click(draw_now, view, shown, **_QUIET)
    preview["parents"].click(draw_parents, view, [preview["beside"], preview["status"]],
                             api_visibility="private", show_progress="minimal")  # fmt: skip


def _said(words: Any, request: gr.Request, event: Mapping[str, Any]) -> str:
    if event["event"] == "waiting":
        key = "shared.waiting" if event["ahead"] else "shared.loading"
        return str(words.say(request, key, ahead=event["ahead"]))
    return str(words.say(request, "blend.drawing", done=event["done"], total=event["total"]))


TAB = Tab("blend", 60, _build, TEXTS)
