"""Generate: pictures from a prompt, with any number of weighted adapters, beside the base."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.picture_settings import checked_settings
from studio.app.generate import form as generate_form
from studio.app.generate import gallery as generate_gallery
from studio.app.generate.form import GenerateForm
from studio.app.generate.gallery import drawn_chosen, listed_chosen, results
from studio.app.generate.request import Drawn, Wanted, lacking_triggers, pictures_of_today, settings_of
from studio.app.shared.desk import Desk, told
from studio.app.shared.kept_form import keep_form
from studio.app.shared.progress_line import loading_line, problem_line, progress_line
from studio.app.shared.prompt_words import prompt_notes_said
from studio.app.shared.tab_record import Tab
from studio.app.shared.tickets import Tickets
from trainers.errors import UserError

TEXTS = {
    **generate_form.TEXTS,
    **generate_gallery.TEXTS,
    "generate.title": ("Generate", "生成"),
    "generate.draw": ("Draw", "繪製"),
    "generate.drawing": ("Drawing: step {done} of {total}", "繪製中：第 {done} 步，共 {total} 步"),
    "generate.finished": (
        "Done: {count} {count:picture|pictures}, seed {seed}.",
        "完成：{count} 張圖片，種子 {seed}。",
    ),
    "generate.cancelled": (
        "Cancelled; {count} {count:picture was|pictures were} finished.",
        "已取消；已完成 {count} 張圖片。",
    ),
    "generate.nothing_to_cancel": ("Nothing is being drawn.", "目前沒有正在繪製的圖片。"),
    "generate.notes": ("Notes", "注意事項"),
    "generate.lacks_trigger": (
        "The prompt lacks {words}, the trigger of {name}; without it the adapter may do little.",
        "提示詞缺少 {name} 的觸發詞 {words}；少了它，轉接器的效果可能不明顯。",
    ),
    "generate.merging_pays": (
        "Adapters cost time at each step. For {count} pictures, “Merge into the base while drawing” in More settings "
        "is quicker, and the pictures are the same but for rounding.",
        "轉接器在每一步都要花時間。繪製 {count} 張圖片時，勾選更多設定中的「繪製時併入基礎模型」較快，"
        "除了捨入誤差外圖片相同。",
    ),
    "generate.first": (
        "Write a prompt and press Draw. The pictures appear here, and stay in today's pictures below.",
        "輸入提示詞後按「繪製」。圖片會顯示在這裡，並保留在下方的「今日圖片」。",
    ),
    "generate.details": ("Settings of the picture", "圖片設定"),
    "generate.choose_picture": ("Choose a picture above to see its settings.", "點選上方圖片即可查看設定。"),
    "generate.use": ("Use these settings", "套用這些設定"),
    "generate.to_compare": ("Compare these adapters", "比較這些轉接器"),
    "generate.to_blend": ("Blend these adapters", "混合這些轉接器"),
    "generate.from_picture": ("Settings from a picture", "從圖片讀取設定"),
    "generate.recalled": ("Used: {used}.", "已套用：{used}。"),
    "generate.not_used": ("Not used: {what}.", "未套用：{what}。"),
    "generate.recall": ("What was read", "讀取結果"),
    "generate.today": ("Today's pictures", "今日圖片"),
    "generate.none_today": ("None yet today.", "今天還沒有圖片。"),
}
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def _build(desk: Desk) -> None:
    words = desk.words
    with gr.Row():
        with gr.Column(min_width=320, scale=5):
            form = GenerateForm(desk.library, words)
            recall = gr.UploadButton(
                words("generate.from_picture"), file_types=[".png", ".jpg", ".jpeg", ".webp"], size="sm"
            )
            recalled = gr.Textbox(label=words("generate.recall"), interactive=False, visible=False)
            with gr.Row():
                _send_to(desk, form)
        with gr.Column(min_width=320, scale=6):
            with gr.Row():
                draw = gr.Button(words("generate.draw"), variant="primary", min_width=120)
                cancel = gr.Button(words("shared.cancel"), min_width=120)
            status = gr.HTML(elem_id="generate-status")
            notes = gr.Textbox(label=words("generate.notes"), interactive=False, visible=False)
            first = gr.Markdown(words("generate.first"))
            slider = gr.ImageSlider(
                label=words("generate.before_after"), type="filepath", interactive=False, visible=False, max_height=520
            )
            gallery = gr.Gallery(
                label=words("generate.pictures"),
                interactive=False,
                visible=False,
                columns=4,
                height="auto",
                buttons=["download", "fullscreen"],
                elem_id="generate-gallery",
            )
            chosen = gr.State("")
            details = gr.Textbox(
                label=words("generate.details"),
                placeholder=words("generate.choose_picture"),
                interactive=False,
                lines=3,
            )
            use = gr.Button(words("generate.use"), size="sm", interactive=False)
            with gr.Accordion(words("generate.today"), open=False) as today:
                none_today = gr.Markdown(words("generate.none_today"))
                history = gr.Gallery(
                    label=words("generate.today"),
                    interactive=False,
                    visible=False,
                    columns=6,
                    buttons=["download", "fullscreen"],
                )
                refresh = gr.Button(words("shared.refresh"), size="sm")
    drawn, listed, last_seed = gr.State(Drawn()), gr.State([]), gr.State(None)
    tickets = Tickets(desk.engine)

    drawing = [status, notes, first, slider, gallery, drawn, last_seed]
    choosing = [chosen, details, use]
    draw.click(_drawer(desk, tickets), form.inputs, drawing, concurrency_limit=16, **_QUIET)
    cancel.click(_canceller(desk, tickets), None, status, **_QUIET)
    form.same_seed.click(
        lambda seed: (gr.skip() if seed is None else seed, False), last_seed, [form.seed, form.random_seed], **_QUIET
    )
    for event in (today.expand, refresh.click):
        event(lambda: _today(desk), None, [history, none_today, listed], **_QUIET)
    gallery.select(drawn_chosen(desk), drawn, [*choosing, slider], **_QUIET)
    history.select(listed_chosen(desk), listed, choosing, **_QUIET)
    outputs = [*form.inputs, recalled]
    use.click(_user(desk, form), chosen, outputs, **_QUIET)
    recall.upload(
        _recaller(desk, form),
        recall,
        outputs,
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=recalled,
    )
    desk.inbox("generate").change(_receiver(desk, form), desk.inbox("generate"), outputs, **_QUIET)
    keep_form("generate", form.inputs, [], form.restored)
    _api(desk, form)


def _send_to(desk: Desk, form: GenerateForm) -> None:
    """Place a button for every other tab that takes what stands in the form."""
    if "compare" in desk.inboxes:
        compare = gr.Button(desk.words("generate.to_compare"), size="sm", min_width=120)
        desk.send(compare.click, _for_compare, form.inputs, to="compare")
    if "blend" in desk.inboxes:
        blend = gr.Button(desk.words("generate.to_blend"), size="sm", min_width=120)
        desk.send(blend.click, _for_blend, form.inputs, to="blend")


def _for_compare(*values: Any) -> Mapping[str, Any]:
    return {"adapters": [name for name, _ in _chosen(values)], "prompt": GenerateForm.wanted(values).prompt}


def _for_blend(*values: Any) -> Mapping[str, Any]:
    return {"adapters": [[name, weight] for name, weight in _chosen(values)]}


def _chosen(values: Sequence[Any]) -> list[tuple[str, float | None]]:
    found = [(name, weight) for name, weight in GenerateForm.wanted(values).adapters if name]
    if not found:
        raise UserError("No adapter is chosen. Choose at least one under the prompt first.")
    return found


def _drawer(desk: Desk, tickets: Tickets) -> Any:
    words = desk.words

    def draw(request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        drawn = Drawn()

        def shown(line: str) -> list[Any]:
            return [line, *results(drawn, partial(words.say, request)), drawn, gr.skip()]

        try:
            arguments = GenerateForm.wanted(values).arguments()
            drawn.notes += _trigger_notes(desk, request, arguments)
            asked = (arguments["prompt"], arguments["negative_prompt"])
            drawn.notes += prompt_notes_said(partial(words.say, request), asked)
            yield shown(progress_line(words.say(request, "shared.loading")))
            for event in tickets.run(request, "generate", arguments):
                drawn.take(event)
                if event["event"] == "waiting" and event["ahead"]:
                    line = progress_line(words.say(request, "shared.waiting", ahead=event["ahead"]))
                    yield [line, *[gr.skip()] * 6]
                elif event["event"] == "merging_pays":
                    drawn.notes.append(words.say(request, "generate.merging_pays", count=event["count"]))
                elif event["event"] == "progress":
                    said = words.say(request, "generate.drawing", done=event["done"], total=event["total"])
                    yield [progress_line(said, event["done"], event["total"]), *[gr.skip()] * 6]
                elif line := loading_line(event):
                    yield [line, *[gr.skip()] * 6]
                elif event["event"] == "picture":
                    yield [gr.skip(), *results(drawn, partial(words.say, request)), drawn, arguments["seed"]]
                elif event["event"] == "cancelled":
                    said = words.say(request, "generate.cancelled", count=len(drawn.pictures))
                    yield shown(progress_line(said))
                    return
        except UserError as error:
            yield shown(problem_line(str(error)))
            return
        said = words.say(request, "generate.finished", count=len(drawn.pictures), seed=arguments["seed"])
        yield [progress_line(said), *results(drawn, partial(words.say, request)), drawn, arguments["seed"]]

    return draw


def _trigger_notes(desk: Desk, request: gr.Request, arguments: Mapping[str, Any]) -> list[str]:
    lacking = lacking_triggers(desk.library, arguments["weights"], arguments["prompt"])
    return [
        desk.words.say(request, "generate.lacks_trigger", name=name, words=", ".join(words))
        for name, words in lacking.items()
    ]


def _canceller(desk: Desk, tickets: Tickets) -> Any:
    def cancel(request: gr.Request) -> Any:
        if tickets.cancel(request):
            return gr.skip()  # the drawing itself says so, as soon as it has ended
        return progress_line(desk.words.say(request, "generate.nothing_to_cancel"))

    return cancel


def _today(desk: Desk) -> list[Any]:
    paths = pictures_of_today(desk.library)
    return [gr.update(value=paths, visible=bool(paths)), gr.update(visible=not paths), paths]


def _filled(
    desk: Desk, form: GenerateForm, request: gr.Request, values: Mapping[str, Any], unused: Sequence[str]
) -> list[Any]:
    """Return updates of the form, and of the box that says what was used."""
    updates, left = form.filled(values)
    used = ", ".join(key.removesuffix("_px").replace("_", " ") for key in values)
    said = [desk.words.say(request, "generate.recalled", used=used)]
    if left or unused:
        said.append(desk.words.say(request, "generate.not_used", what="; ".join([*left, *unused])))
    return [*updates, gr.update(value="\n".join(said), visible=True)]


def _user(desk: Desk, form: GenerateForm) -> Any:
    def use(path: str, request: gr.Request) -> list[Any]:
        with told():
            if not path:
                raise UserError("No picture is chosen. Choose one in the pictures above or in today's pictures.")
            found = checked_settings(settings_of(desk.library, path))
            return _filled(desk, form, request, found.values, found.unused)

    return use


def _recaller(desk: Desk, form: GenerateForm) -> Any:
    def recall(upload: str, request: gr.Request) -> list[Any]:
        with told():
            found = desk.engine.result("read_picture", {"path": str(upload)})
            return _filled(desk, form, request, found["values"], found["unused"])

    return recall


def _receiver(desk: Desk, form: GenerateForm) -> Any:
    def receive(sent: Mapping[str, Any] | None, request: gr.Request) -> list[Any]:
        values = {key: value for key, value in (sent or {}).items() if key != "number" and value is not None}
        return _filled(desk, form, request, values, ())

    return receive


def _api(desk: Desk, form: GenerateForm) -> None:
    """Add the endpoint ``/generate``, which gives the pictures' files."""

    def generate(
        prompt: str,
        adapters: dict[str, float] | None = None,
        seed: int = 0,
        steps: int = 20,
        guidance: float = 5.0,
        negative_prompt: str = "",
        count: int = 1,
        width_px: int | None = None,
        height_px: int | None = None,
        base: str = "pocket",
        beside_base: bool = False,
        merge: bool = False,
        sampler: str = "auto",
    ) -> list[str]:
        """Draw pictures; `adapters` is name -> weight, and with `beside_base` the base's pictures come last.

        With `merge` the adapters are in the base's weights while it draws: quicker for several pictures.
        """
        more = (width_px, height_px, base, beside_base, merge)
        with told():
            rows = list((adapters or {}).items())
            asked = Wanted(prompt, negative_prompt, seed, False, count, steps, guidance, sampler, *more, rows)
            events = desk.engine.run("generate", asked.arguments())
            return [str(Path(event["path"])) for event in events if event["event"] == "picture"]

    hidden = gr.Button(visible=False)
    files = gr.File(visible=False, file_count="multiple")
    size = [gr.Number(None, visible=False, precision=0) for _ in range(2)]
    flags = [gr.Checkbox(False, visible=False) for _ in range(2)]
    inputs = [form.prompt, gr.JSON(visible=False), form.seed, form.steps, form.guidance, form.negative, form.count]
    hidden.click(
        generate,
        [*inputs, *size, form.base, *flags, gr.Textbox("auto", visible=False)],
        files,
        api_name="generate",
        concurrency_limit=16,
    )


TAB = Tab("generate", 10, _build, TEXTS)
