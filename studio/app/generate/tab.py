"""Generate: pictures from a prompt, with any number of weighted adapters, beside the base."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from studio.app.generate import form as generate_form
from studio.app.generate import gallery as generate_gallery
from studio.app.generate.chosen import ChosenImage, TodaysImages
from studio.app.generate.drawing import Drawing
from studio.app.generate.endpoint import place_endpoint
from studio.app.generate.form import FormValues, GenerateForm
from studio.app.generate.recall import Recall
from studio.app.shared.desk import Desk
from studio.app.shared.kept_form import keep_form
from studio.app.shared.tab_record import Tab
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


def _build(desk: Desk) -> None:
    with gr.Row():
        with gr.Column(min_width=320, scale=5):
            form = GenerateForm(desk.library, desk.words)
            recall = Recall(desk, form)
            with gr.Row():
                _send_to(desk, form)
        with gr.Column(min_width=320, scale=6):
            drawing = Drawing(desk, form)
            chosen = ChosenImage(desk, drawing)
            TodaysImages(desk, chosen)
    recall.listen(chosen)
    keep_form("generate", form.fields, {}, form.restored)
    place_endpoint(desk, form)


def _send_to(desk: Desk, form: GenerateForm) -> None:
    """Place a button for every other tab that takes what stands in the form."""
    for tab, content in (("compare", _for_compare), ("blend", _for_blend)):
        if tab in desk.inboxes:
            button = gr.Button(desk.words(f"generate.to_{tab}"), size="sm", min_width=120)
            desk.send(button.click, content, {"form": form.fields}, to=tab)


def _for_compare(form: FormValues) -> Mapping[str, Any]:
    return {"adapters": [name for name, _ in _chosen(form)], "prompt": form.prompt}


def _for_blend(form: FormValues) -> Mapping[str, Any]:
    return {"adapters": [[name, weight] for name, weight in _chosen(form)]}


def _chosen(form: FormValues) -> list[tuple[str, float | None]]:
    found = [(name, weight) for name, weight in form.adapters if name]
    if not found:
        raise UserError("No adapter is chosen. Choose at least one under the prompt first.")
    return found


TAB = Tab("generate", 10, _build, TEXTS)
