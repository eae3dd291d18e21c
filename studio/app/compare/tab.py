"""Compare: grids over thirteen axes with scores under the cells, cost before the start, and blind votes."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import gradio as gr
from gradio.context import Context

from studio.app.compare import form as compare_form
from studio.app.compare import voting
from studio.app.compare.form import CompareForm
from studio.app.compare.tables import HEADS, descriptions, readable, table_html
from studio.app.compare.voting import place_voting
from studio.app.shared.desk import Desk, told
from studio.app.shared.first_opening import first_opening
from studio.app.shared.kept_form import keep_form
from studio.app.shared.progress_line import loading_line, problem_line, progress_line
from studio.app.shared.prompt_words import prompt_notes_said
from studio.app.shared.tab import Tab
from studio.app.shared.tickets import Tickets
from studio.app.shared.words import reader_language
from studio.operations.stored_comparisons import drawn_comparisons, find_comparison, span
from trainers.errors import UserError

TEXTS = {
    **compare_form.TEXTS,
    **HEADS,
    **voting.TEXTS,
    "compare.title": ("Compare", "比較"),
    "compare.cost": ("Work out the cost", "估算成本"),
    "compare.start": ("Start", "開始"),
    "compare.cost_is": (
        "{pictures} {pictures:picture|pictures}, {drawn} of them drawn already; {left} to draw: {evaluations} "
        "evaluations, at most {time} by a step just measured. Press Start to draw them.",
        "共 {pictures} 張圖片，其中 {drawn} 張已完成；尚需繪製 {left} 張：{evaluations} 次模型運算，"
        "依剛測得的一步估計最多 {time}。按「開始」進行繪製。",
    ),
    "compare.changed": (
        "The settings have changed since; this is the new cost.",
        "設定已變更；以下是新的成本。",
    ),
    "compare.working": ("Drawing: step {done} of {total}", "繪製中：第 {done} 步，共 {total} 步"),
    "compare.measuring": ("Measuring …", "測量中……"),
    "compare.cancelled": (
        "Cancelled. What was drawn is kept; Start goes on with it.",
        "已取消。已完成的圖片會保留，按「開始」可接續。",
    ),
    "compare.nothing_to_cancel": ("Nothing is being drawn.", "目前沒有正在繪製的圖片。"),
    "compare.notes": ("Notes", "注意事項"),
    "compare.drawn": ("Drawn comparisons", "已完成的比較"),
    "compare.none": (
        "No comparison yet: choose adapters and prompts, work out the cost, and press Start. It appears here.",
        "還沒有任何比較：選擇轉接器與提示詞，估算成本後按「開始」，結果會顯示在這裡。",
    ),
    "compare.sheets": ("Grid", "網格"),
    "compare.means": ("Means over prompts and seeds", "各提示詞與種子的平均"),
    "compare.means_help": (
        "Judge: `{judge}`. ± is the half-width of the 95 % interval over seeds. {metrics}",
        "評審模型：`{judge}`。± 為跨種子 95 % 信賴區間的半寬。{metrics}",
    ),
    "compare.cells": ("All cells", "所有格子"),
    "compare.files": ("Files: sheets, tables, and a page to keep", "檔案：網格圖、表格，以及可保存的網頁"),
}
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def _build(desk: Desk) -> None:
    tab, words, tickets = Context.block, desk.words, Tickets(desk.engine)
    form = CompareForm(desk.library, words)
    with gr.Row():
        cost = gr.Button(words("compare.cost"), variant="primary", min_width=120)
        start = gr.Button(words("compare.start"), variant="primary", min_width=120, interactive=False)
        cancel = gr.Button(words("shared.cancel"), min_width=120)
    status = gr.HTML(elem_id="compare-status")
    notes = gr.Textbox(label=words("compare.notes"), interactive=False, visible=False)
    none = gr.Markdown(words("compare.none"))
    chosen = gr.Dropdown([], value=None, label=words("compare.drawn"), visible=False, interactive=True)
    with gr.Column(visible=False) as result:
        sheets = gr.Gallery(
            label=words("compare.sheets"),
            interactive=False,
            columns=1,
            object_fit="contain",
            preview=True,
            height=720,
            buttons=["download", "fullscreen"],
        )
        judge = gr.Markdown()
        means = gr.HTML(elem_id="compare-means")
        with gr.Accordion(words("compare.cells"), open=False):
            cells = gr.Dataframe(label=words("compare.cells"), interactive=False, datatype="str", wrap=True)
        files = gr.File(label=words("compare.files"), file_count="multiple", interactive=False)
        place_voting(desk, chosen)
    costed = gr.State(None)

    handlers = _Handlers(desk, tickets)
    working = [status, notes, costed, start, chosen, none]
    cost.click(handlers.cost, form.inputs, working, concurrency_limit=16, **_QUIET)
    start.click(handlers.start, [costed, *form.inputs], working, concurrency_limit=16, **_QUIET)
    cancel.click(handlers.cancel, None, status, **_QUIET)
    shown = [result, sheets, judge, means, cells, files]
    chosen.change(handlers.show, chosen, shown, api_visibility="private", show_progress="minimal")
    first_opening()(handlers.newest, None, [chosen, none], **_QUIET)
    inbox = desk.inbox("compare")
    inbox.change(form.received, inbox, [form.adapters, form.prompts], **_QUIET)
    if isinstance(tab, gr.Tab):
        tab.select(form.refreshed, None, form.adapters, **_QUIET)
    keep_form("compare", form.inputs, [form.adapters], form.restored)
    _api(desk)


class _Handlers:
    """What the buttons do; the outputs of `cost` and `start` are those of `_answer`."""

    def __init__(self, desk: Desk, tickets: Tickets) -> None:
        self._desk, self._tickets = desk, tickets
        self._say = desk.words.say

    def cost(self, request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        """Say what the grid would cost; then it can be started."""
        yield from self._work(request, values, cost_only=True)

    def start(self, request: gr.Request, costed: Mapping[str, Any] | None, *values: Any) -> Iterator[list[Any]]:
        """Draw what the cost was worked out for; changed settings get their cost first."""
        with told():
            same = CompareForm.arguments(values) == costed
        yield from self._work(request, values, cost_only=not same, said="" if same else "compare.changed")

    def cancel(self, request: gr.Request) -> Any:
        """Take back what this page waits for."""
        if self._tickets.cancel(request):
            return gr.skip()  # the work itself says so, as soon as it has ended
        return progress_line(self._say(request, "compare.nothing_to_cancel"))

    def show(self, name: str | None, request: gr.Request) -> list[Any]:
        """Show a finished comparison."""
        if not name:
            return [gr.update(visible=False), *[gr.skip()] * 5]
        with told():
            found = find_comparison(self._desk.library, name)
            say = partial(self._say, request)
            language = ("en", "zh-Hant")[reader_language(request)]
            table = found.means()
            means, (heads, rows) = readable(table, say, language), readable(found.cells(), say, language)
            judge = "".join(mark for mark in found.judge if mark.isalnum() or mark in "-_:./ ")
            return [
                gr.update(visible=True),
                [str(path) for path in found.sheets],
                say("compare.means_help", judge=judge, metrics=descriptions(table, language)),
                table_html(say("compare.means"), *means),
                {"headers": heads, "data": rows},
                [str(path) for path in found.downloads],
            ]

    def newest(self) -> list[Any]:
        """Choose the newest comparison, when the page is opened."""
        choices = self._choices()
        value = choices[0][1] if choices else None
        return [gr.update(choices=choices, value=value, visible=bool(choices)), gr.update(visible=not choices)]

    def _work(
        self, request: gr.Request, values: tuple[Any, ...], *, cost_only: bool, said: str = ""
    ) -> Iterator[list[Any]]:
        notes: list[str] = [self._say(request, said)] if said else []
        try:
            arguments = CompareForm.arguments(values)
            asked = (*str(arguments["prompts"]).splitlines(), arguments["negative_prompt"])
            notes += prompt_notes_said(partial(self._say, request), asked)
            yield self._answer(progress_line(self._say(request, "shared.loading")), notes)
            for event in self._tickets.run(request, "compare", {**arguments, "cost_only": cost_only}):
                if line := loading_line(event):
                    yield self._answer(line)
                elif event["event"] == "said":
                    notes.append(event["text"])
                    yield self._answer(gr.skip(), notes)
                elif event["event"] == "cost":
                    line = progress_line(self._cost_sentence(request, event))
                    yield self._answer(line, notes, costed=arguments, start=gr.update(interactive=True))
                elif event["event"] == "result":
                    yield self._finished(request, notes, event["name"])
                elif line := self._line(request, event, cost_only=cost_only):
                    yield self._answer(line)
        except UserError as error:
            yield self._answer(problem_line(str(error)), notes)

    def _line(self, request: gr.Request, event: Mapping[str, Any], *, cost_only: bool) -> str:
        """Return how it goes, for an event that says so."""
        if event["event"] == "waiting" and event["ahead"]:
            return progress_line(self._say(request, "shared.waiting", ahead=event["ahead"]))
        if event["event"] == "progress":
            done, total = event["done"], event["total"]
            return progress_line(self._say(request, "compare.working", done=done, total=total), done, total)
        if event["event"] == "started" and cost_only:
            return progress_line(self._say(request, "compare.measuring"))
        return progress_line(self._say(request, "compare.cancelled")) if event["event"] == "cancelled" else ""

    def _cost_sentence(self, request: gr.Request, cost: Mapping[str, Any]) -> str:
        counts = {key: cost[key] for key in ("pictures", "drawn", "evaluations")}
        left = cost["pictures"] - cost["drawn"]
        return self._say(request, "compare.cost_is", **counts, left=left, time=span(cost["seconds"]))

    def _finished(self, request: gr.Request, notes: list[str], name: str) -> list[Any]:
        line = progress_line(self._say(request, "shared.done"))
        chosen = gr.update(choices=self._choices(), value=name, visible=True)
        return [*self._answer(line, notes)[:4], chosen, gr.update(visible=False)]

    @staticmethod
    def _answer(line: Any, notes: list[str] | None = None, *, costed: Any = None, start: Any = None) -> list[Any]:
        said = gr.skip() if notes is None else gr.update(value="\n".join(notes), visible=bool(notes))
        return [line, said, costed or gr.skip(), start or gr.skip(), gr.skip(), gr.skip()]

    def _choices(self) -> list[tuple[str, str]]:
        return [
            (f"{found.title[:80]} · {found.finished[:16].replace('T', ' ')}", found.name)
            for found in drawn_comparisons(self._desk.library)
        ]


def _api(desk: Desk) -> None:
    """Add the endpoint ``/compare``, which gives the files and the table of means."""

    def compare(
        prompts: list[str],
        adapters: list[str],
        weights: list[float] | None = None,
        seeds: list[int] | None = None,
        rows: list[str] | None = None,
        columns: list[str] | None = None,
        pages: list[str] | None = None,
        more: dict[str, list[Any]] | None = None,
        mixtures: list[str] | None = None,
        steps: int = 20,
        guidance: float = 5.0,
        negative_prompt: str = "",
        with_base: bool = True,
        base: str = "pocket",
        judge: str = "auto",
        subjects: list[str] | None = None,
    ) -> tuple[list[str], Any]:
        """Draw and score a grid; `more` is axis -> values, `subjects` what to keep of each prompt.

        Returns the files, and the means with their heads first.
        """
        given: dict[str, Any] = {
            "weights": weights,
            "seeds": seeds,
            "rows": rows,
            "columns": columns,
            "pages": pages,
            "more": more,
            "mixtures": mixtures,
            "subjects": subjects,
        }
        with told():
            arguments: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
            arguments |= {"prompts": prompts, "adapters": adapters, "steps": int(steps), "guidance": guidance}
            arguments |= {"negative_prompt": negative_prompt, "with_base": with_base, "base": base, "judge": judge}
            found = desk.engine.result("compare", arguments)
            return found["files"], find_comparison(desk.library, found["name"]).means()

    listed = [gr.JSON(visible=False) for _ in range(9)]
    plain = [
        *(gr.Number(20, precision=0, visible=False), gr.Number(5, visible=False), gr.Textbox("", visible=False)),
        *(gr.Checkbox(True, visible=False), gr.Textbox("pocket", visible=False), gr.Textbox("auto", visible=False)),
    ]
    outputs = [gr.File(visible=False, file_count="multiple"), gr.JSON(visible=False)]
    hidden = gr.Button(visible=False)
    inputs = [*listed, *plain, gr.JSON(visible=False)]
    hidden.click(compare, inputs, outputs, api_name="compare", concurrency_limit=16)


TAB = Tab("compare", 20, _build, TEXTS)
