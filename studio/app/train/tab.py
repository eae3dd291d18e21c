"""Train: a run from its settings, told and measured before it is queued."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gradio as gr

from studio.app.shared.desk import Desk, told
from studio.app.shared.field_texts import kind_title
from studio.app.shared.memory import browser_memory
from studio.app.shared.progress_line import progress_line
from studio.app.shared.run_report import forecast_html, problems_html
from studio.app.shared.tab_record import Tab
from studio.app.train.form import Form, with_method, with_variant
from studio.app.train.run_api import place_endpoints, queue_run
from studio.operations.catalogue import cached_catalogue
from studio.resources import example_datasets
from studio.runs.kinds import kind_of, run_kinds
from studio.runs.presets import applied, presets
from trainers.errors import UserError

TEXTS = {
    "train.title": ("Train", "訓練"),
    "train.language": ("en", "zh"),
    "train.kind": ("What to learn from", "從什麼學習"),
    "train.preset": ("Preset", "預設組合"),
    "train.preset_help": (
        "Sets everything but base, data, name and trigger.",
        "設定基礎模型、資料、名稱與觸發詞以外的一切。",
    ),
    "train.example": ("Example data", "範例資料"),
    "train.example_help": ("Fills in data and name.", "填入資料與名稱。"),
    "train.check": ("Preflight", "行前檢查"),
    "train.queue": ("Add to queue", "加入佇列"),
    "train.watch": ("Watch it in Runs", "到「訓練紀錄」查看"),
    "train.reading": (
        "Reading the list of methods. This happens once after each installation; the rest can be filled in already.",
        "正在讀取方法清單。每次安裝後只需一次；其餘欄位可以先填。",
    ),
    "train.same_run": ("The same run as YAML, command line and Python", "同一次訓練的 YAML、命令列與 Python"),
    "train.yaml": ("YAML", "YAML"),
    "train.command": ("Command line", "命令列"),
    "train.python": ("Python", "Python"),
    "train.checking": ("Checking the settings …", "正在檢查設定……"),
    "train.preflight": (
        "Preflight: looking at the data, loading the base and doing one real step …",
        "行前檢查：查看資料、載入基礎模型並實際執行一步……",
    ),
    "train.ready": ("Ready to start.", "可以開始。"),
    "train.not_ready": ("It cannot start yet:", "還不能開始："),
    "train.notes": ("Worth knowing:", "值得留意："),
    "train.queued": ("{name} is in the queue.", "{name} 已加入佇列。"),
    "train.cloned": (
        "The settings of {name} are in the form. Give the new run a name.",
        "{name} 的設定已填入表單。請替新的訓練取名。",
    ),
}


def _build(desk: Desk) -> None:
    words = desk.words
    numbers = itertools.count(1)
    page = gr.context.Context.root_block
    assert page is not None
    draft = browser_memory(None, "studio-train")
    shown = gr.State({"settings": _first_settings(), "number": 0})
    methods_read = gr.State(0)
    passed = gr.State(None)
    queued = gr.State("")
    read_before = cached_catalogue(desk.library) is not None
    reading = gr.Markdown(words("train.reading"), visible=not read_before)

    def show(settings: Mapping[str, Any]) -> dict[str, Any]:
        return {"settings": dict(settings), "number": next(numbers)}

    # One at a time: Gradio counts renderings for all pages together, and two at once lose each other's components.
    @gr.render([shown, draft], [page.load, shown.change], show_progress="hidden", concurrency_limit=1)
    def place(state: dict[str, Any], kept: Any, request: gr.Request) -> None:
        if state["number"] == 0:  # the page opens
            state = {**state, "settings": _known(kept)}
        chinese = words.say(request, "train.language") == "zh"
        kind = kind_of(state["settings"])
        form = Form(kind, cached_catalogue(desk.library), state["settings"], chinese)
        with gr.Row(elem_classes="studio-fields"):
            kinds = gr.Dropdown(
                [(kind_title(one, chinese), name) for name, one in run_kinds().items()],
                value=kind.name,
                interactive=True,  # without it a form that is placed again has it locked
                label=words("train.kind"),
                visible=len(run_kinds()) > 1,
            )
            ready_made = [preset for preset in presets() if preset.kind == kind.name]
            preset = gr.Dropdown(
                [(f"{one.title[chinese]} – {one.description[chinese]}", one.name) for one in ready_made],
                value=None,
                label=words("train.preset"),
                info=words("train.preset_help"),
                visible=bool(ready_made),
            )
            examples = example_datasets(kind.examples)
            example = gr.Dropdown(
                list(examples),
                value=None,
                label=words("train.example"),
                info=words("train.example_help"),
                visible=bool(examples),
            )
        form.front()
        form.variants()
        form.parts()
        form.folded()
        with gr.Row():
            check = gr.Button(words("train.check"), elem_id="train-check")
            add = gr.Button(words("train.queue"), variant="primary", elem_id="train-add")

        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "show_progress_on": []}
        fields = form.components

        def on_choice(chooser: gr.Dropdown, inputs: Sequence[Any], leads_to: Callable[..., dict[str, Any]]) -> None:
            """Place the form anew with the settings that a choice leads to."""
            placed = chooser.value

            def place_anew(choice: Any, *values: Any) -> tuple[Any, Any]:
                if choice == placed:  # a form that has just been placed tells its values too
                    return gr.skip(), gr.skip()
                settings = leads_to(choice, *values)
                return show(settings), settings

            # Not `input`: a dropdown tells it twice of a choice, and whenever it is left. A second form in place of
            # the first one takes away the functions that the first one is just calling, and each call is an error.
            chooser.change(place_anew, [chooser, *inputs], [shown, draft], **quiet)

        choosing = [*form.methods.values(), *form.choosers.values()]
        # Not `input`: a text box tells that of keys alone, not of what is pasted, deleted or composed.
        changes = [component.change for component in fields if component not in choosing]
        gr.on(changes, lambda *values: form.settings(values), fields, [draft], trigger_mode="always_last", **quiet)
        for part, chooser in form.methods.items():

            def changed(method: str, *values: Any, part: str = part) -> dict[str, Any]:
                return with_method(form.settings(values), part, method)

            on_choice(chooser, fields, changed)
        for setting, chooser in form.choosers.items():

            def chosen(value: str, *values: Any, setting: str = setting) -> dict[str, Any]:
                return with_variant(kind, form.settings(values), setting, value)

            on_choice(chooser, fields, chosen)
        on_choice(kinds, [], _first_settings)

        def use_preset(name: str, *values: Any) -> dict[str, Any]:
            return applied(next(one for one in ready_made if one.name == name), form.settings(values))

        on_choice(preset, fields, use_preset)
        base = form.component("base")
        if base is not None and len(form.columns) > 1:

            def fitting(name: str, *methods: str) -> list[Any]:
                offered = kind.parts_of(name)
                return [
                    gr.Column(visible=part in offered or bool(method))
                    for part, method in zip(form.columns, methods, strict=True)
                ]

            base.change(fitting, [base, *form.methods.values()], [*form.columns.values()], **quiet)

        filled = {key: found for key in ("data", "name") if (found := form.component(key)) is not None}

        def use_example(name: str | None, *values: Any) -> list[Any]:
            if name is None:  # as the form was placed
                return [gr.skip()] * (len(filled) + 1)
            own = {"data": str(examples[name]), "name": f"my-{examples[name].name}".replace("_", "-")}
            return [*(own[key] for key in filled), {**form.settings(values), **own}]

        # Two fields alone: what is typed while a whole form is placed anew would be lost.
        example.change(use_example, [example, *fields], [*filled.values(), draft], **quiet)

        def preflight(request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
            yield from _preflight(desk, form.settings(values), request)

        check.click(preflight, fields, [report, passed], api_visibility="private", show_progress="minimal")

        def enqueue(before: Any, request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
            settings = form.settings(values)
            if before != settings:
                for text, before in _preflight(desk, settings, request):
                    yield text, before, gr.skip(), gr.skip()
            if before == settings:
                name = queue_run(desk, settings)
                said = progress_line(words.say(request, "train.queued", name=name))
                yield said, None, name, gr.Button(visible=True)

        add.click(
            enqueue,
            [passed, *fields],
            [report, passed, queued, watch],
            api_visibility="private",
            show_progress="minimal",
        )

    report = gr.HTML(elem_id="train-report", padding=True)
    watch = gr.Button(words("train.watch"), visible=False, elem_id="train-watch")
    with gr.Accordion(words("train.same_run"), open=False) as same_run:
        problems = gr.HTML(elem_id="train-problems", padding=True)
        codes = []
        with gr.Tabs():
            for name, language in (("yaml", "yaml"), ("command", "shell"), ("python", "python")):
                with gr.Tab(words(f"train.{name}")):
                    look: dict[str, Any] = {"interactive": False, "wrap_lines": True, "max_lines": 40}
                    codes.append(gr.Code(label=words(f"train.{name}"), language=language, **look))

    def views(settings: Mapping[str, Any] | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        same = gr.skip()
        try:
            for event in desk.engine.run("check_run", {"settings": dict(settings or _first_settings())}):
                if event["event"] == "result":
                    yield "", event["yaml"], event["command"], event["python"]
                elif event["event"] == "waiting":
                    yield words.say(request, "train.checking"), same, same, same
        except UserError as error:
            yield problems_html(str(error)), "", "", ""

    gr.on(
        [draft.change, same_run.expand],
        views,
        [draft],
        [problems, *codes],
        trigger_mode="always_last",
        api_visibility="private",
        show_progress="hidden",
    )

    def read_methods() -> Iterator[tuple[Any, Any]]:
        if cached_catalogue(desk.library) is None:
            yield gr.skip(), gr.Markdown(visible=True)
            with told():
                desk.engine.result("catalogue", {})
            yield next(numbers), gr.Markdown(visible=False)
        else:
            yield gr.skip(), gr.Markdown(visible=False)

    def clone(sent: Mapping[str, Any] | None) -> tuple[Any, ...]:
        if not sent:
            return gr.skip(), gr.skip()
        return show(sent["config"]), sent["config"]

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    if not read_before:
        page.load(read_methods, None, [methods_read, reading], **quiet)
        methods_read.change(lambda kept: show(_known(kept)), [draft], [shown], **quiet)
    desk.inbox("train").change(clone, [desk.inbox("train")], [shown, draft], **quiet)
    if "runs" in desk.inboxes:
        desk.send(watch.click, lambda name: {"name": name}, [queued], to="runs")
    place_endpoints(desk)


def _preflight(desk: Desk, settings: Mapping[str, Any], request: gr.Request) -> Iterator[tuple[Any, Any]]:
    """Yield (what to show, the settings once they have passed, else None)."""
    say = desk.words.say
    yield f'<p role="status">{say(request, "train.preflight")}</p>', None
    with told():
        for event in desk.engine.run("forecast", {"settings": dict(settings)}):
            if event["event"] == "waiting" and event["ahead"]:
                yield f'<p role="status">{say(request, "shared.waiting", ahead=event["ahead"])}</p>', None
            elif event["event"] == "result":
                texts = [say(request, f"train.{key}") for key in ("ready", "not_ready", "notes")]
                yield forecast_html(event, *texts), None if event["problems"] else settings


def _first_settings(kind: str | None = None) -> dict[str, Any]:
    """Return the settings that a form begins with: example data, so that the first run is one click away."""
    chosen = run_kinds()[kind] if kind else next(iter(run_kinds().values()))
    first = next(iter(example_datasets(chosen.examples).values()), None)
    data = {"data": str(first), "name": f"my-{first.name}".replace("_", "-")} if first is not None else {}
    return {"kind": chosen.name, **data}


def _known(kept: Any) -> Mapping[str, Any]:
    """Return the settings that a browser kept, or the first ones where it kept none that can be shown."""
    usable = isinstance(kept, dict) and kept.get("kind") in run_kinds()
    return kept if usable and isinstance(kept.get("parts", {}), dict) else _first_settings()


TAB = Tab("train", 1, _build, TEXTS)
