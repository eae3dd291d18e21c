"""Train: a run from its settings, told and measured before it is queued."""

from typing import Any

import gradio as gr
from gradio.context import Context

from studio.app.shared.desk import Desk
from studio.app.shared.tab_record import Tab
from studio.app.train.draft import Draft, known
from studio.app.train.placed_form import PlacedForm
from studio.app.train.report import Report
from studio.app.train.run_api import place_endpoints
from studio.app.train.same_run import SameRun

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
    page = Context.root_block
    assert page is not None, "the tab stands on a page"
    draft = Draft(desk)

    # One at a time: Gradio counts renderings for all pages together, and two at once lose each other's components.
    @gr.render([draft.shown, draft.kept], [page.load, draft.shown.change], show_progress="hidden", concurrency_limit=1)
    def place(shown: dict[str, Any], kept: Any, request: gr.Request) -> None:
        settings = shown["settings"] if shown["number"] else known(kept)  # 0: the page opens
        PlacedForm(desk, draft, report, settings, chinese=desk.words.say(request, "train.language") == "zh")

    report = Report(desk)
    SameRun(desk, draft)
    place_endpoints(desk)


TAB = Tab("train", 1, _build, TEXTS)
