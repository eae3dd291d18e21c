"""Compare: grids over thirteen axes with scores under the cells, cost before the start, and blind votes."""

import gradio as gr
from gradio.context import Context

from studio.app.compare import form as compare_form
from studio.app.compare import voting
from studio.app.compare.drawn import DrawnGrids
from studio.app.compare.endpoint import place_endpoint
from studio.app.compare.form import CompareForm
from studio.app.compare.tables import HEADS
from studio.app.compare.work import Work
from studio.app.shared.desk import Desk
from studio.app.shared.kept_form import keep_form
from studio.app.shared.named_inputs import QUIET, named
from studio.app.shared.tab_record import Tab

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


def _build(desk: Desk) -> None:
    tab = Context.block
    form = CompareForm(desk.library, desk.words)
    work = Work(desk)
    work.listen(form, DrawnGrids(desk))
    inbox, adapters = desk.inbox("compare"), {"adapters": form.fields["adapters"]}
    received = {**adapters, "prompts": form.fields["prompts"]}
    inbox.change(**named(form.received, {"sent": inbox}, received), **QUIET)
    if isinstance(tab, gr.Tab):
        tab.select(**named(form.refreshed, {}, adapters), **QUIET)
    keep_form("compare", form.kept, adapters, form.restored)
    place_endpoint(desk)


TAB = Tab("compare", 20, _build, TEXTS)
