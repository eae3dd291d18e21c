"""Settings: device and precision, look, the library's folder and what it takes, the inference process, versions."""

import html
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import gradio as gr

from studio.app.settings.disk_use import CLEARABLE, Clearing, clear, disk_use, free_bytes, plan_clearing, size_text
from studio.app.shared.app_settings import PRECISIONS, SETTINGS_NAME, read_settings, write_settings
from studio.app.shared.desk import Desk, told
from studio.app.shared.tab_record import Tab
from studio.devices import devices
from trainers.errors import UserError

_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_SHOWN: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
_PACKAGES = (
    "adapter-studio",
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "accelerate",
    "safetensors",
    "gradio",
    "pillow",
)
_LOG_BYTES = 32_768
_SHOWN_FILES = 200
# The theme is the browser's own matter, and stays there; an address with __theme wins over it.
_PUT_ON = """(choice) => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches;
  document.body.classList.toggle("dark", choice === "dark" || (choice !== "light" && system));
}"""
_RECALL_THEME = f"""() => {{
  const kept = localStorage.getItem("studio-theme") || "system";
  const asked = new URLSearchParams(location.search).get("__theme");
  ({_PUT_ON})(["light", "dark"].includes(asked) ? asked : kept);
  return kept;
}}"""
_CHOOSE_THEME = f"""(choice) => {{
  localStorage.setItem("studio-theme", choice);
  ({_PUT_ON})(choice);
  return [];
}}"""


def _build(desk: Desk) -> None:
    words = desk.words
    tab: Any = gr.context.Context.block
    page = gr.context.Context.root_block
    assert page is not None, "a tab is built inside the page"
    with gr.Row():
        with gr.Column(min_width=320):
            gr.Markdown(words("settings.models"), elem_classes="studio-heading")
            with gr.Row():
                device = gr.Dropdown(devices(), value="auto", label=words("settings.device"),
                                     info=words("settings.device_info"), min_width=200)  # fmt: skip
                precision = gr.Dropdown(list(PRECISIONS), value="auto", label=words("settings.precision"),
                                        info=words("settings.precision_info"), min_width=200)  # fmt: skip
            stored = gr.Markdown()
            gr.Markdown(words("settings.look"), elem_classes="studio-heading")
            themes = [(words(f"settings.{name}"), name) for name in ("system", "light", "dark")]
            theme = gr.Radio(themes, value="system", label=words("settings.theme"), info=words("settings.language"))
            gr.Markdown(words("settings.process"), elem_classes="studio-heading")
            gr.Markdown(words("settings.process_info"))
            with gr.Row():
                restart = gr.Button(words("settings.restart"), size="sm", min_width=120)
                look = gr.Button(words("shared.refresh"), size="sm", min_width=120)
            said = gr.Markdown()
            log = gr.Textbox(label=words("settings.log"), lines=10, max_lines=10, interactive=False,
                             elem_classes="studio-log", autoscroll=True)  # fmt: skip
        with gr.Column(min_width=320):
            gr.Markdown(words("settings.library"), elem_classes="studio-heading")
            gr.Textbox(str(desk.library.folder.resolve()), label=words("settings.folder"),
                       info=words("settings.folder_info"), interactive=False)  # fmt: skip
            use = gr.Dataframe([], label=words("settings.use"), interactive=False, datatype="str")
            total = gr.Markdown()
            _build_clearing(desk, use, total)
            gr.Dataframe(versions(), headers=["package", "version"], label=words("settings.versions"),
                         interactive=False, datatype="str")  # fmt: skip

    def opened(request: gr.Request) -> tuple[Any, ...]:
        with told():
            settings = read_settings(desk.library)
        return settings.device, settings.precision, *_use(desk, request), _log(desk, request)

    def choose(device: str, precision: str, request: gr.Request) -> str:
        with told():
            write_settings(desk.library, {"device": device, "precision": precision})
        return words.say(request, "settings.stored", path=html.escape(str(desk.library.folder / SETTINGS_NAME)))

    def start_again(request: gr.Request) -> tuple[str, str]:
        desk.engine.restart()
        return words.say(request, "settings.restarted"), _log(desk, request)

    def tail(request: gr.Request) -> str:
        return _log(desk, request)

    page.load(None, None, theme, js=_RECALL_THEME, **_QUIET)
    theme.input(None, theme, None, js=_CHOOSE_THEME, **_QUIET)
    tab.select(opened, None, [device, precision, use, total, log], **_QUIET)
    for box in (device, precision):
        box.input(choose, [device, precision], stored, **_QUIET)
    restart.click(start_again, None, [said, log], **_SHOWN)
    look.click(tail, None, log, **_QUIET)


def _build_clearing(desk: Desk, use: Any, total: Any) -> None:
    words = desk.words
    with gr.Accordion(words("settings.clearing"), open=False):
        with gr.Row():
            kinds = [(words(f"settings.{kind}"), kind) for kind in CLEARABLE]
            what = gr.Dropdown(kinds, value="cache", label=words("settings.what"), min_width=150)
            days = gr.Number(7, label=words("settings.days"), minimum=0, min_width=110)
        plan = gr.Button(words("settings.plan"), size="sm")
        said, planned = gr.Markdown(), gr.State()
        files = gr.Textbox(label=words("settings.files_to_delete"), lines=5, max_lines=10, interactive=False,
                           visible=False, elem_classes="studio-log")  # fmt: skip
        go = gr.Button(words("settings.clear"), variant="stop", size="sm", visible=False)

    def show(kind: str, days: float | None, request: gr.Request) -> tuple[Any, ...]:
        with told():
            if days is None:
                raise UserError("How old the files must be is missing. Write a number of days; 0 means all.")
            found = plan_clearing(desk.library, kind, days)
        if not found.files:
            return (
                words.say(request, "settings.none_to_clear"),
                None,
                gr.Textbox(visible=False),
                gr.Button(visible=False),
            )
        lines = [str(path.relative_to(desk.library.folder)) for path in found.files[:_SHOWN_FILES]]
        if len(found.files) > _SHOWN_FILES:
            lines.append(words.say(request, "settings.more", count=len(found.files) - _SHOWN_FILES))
        text = words.say(request, "settings.would", count=len(found.files), size=size_text(found.size_bytes))
        return text, found, gr.Textbox("\n".join(lines), visible=True), gr.Button(visible=True)

    def delete(planned: Clearing | None, request: gr.Request) -> tuple[Any, ...]:
        if planned is None:
            raise gr.Error(words.say(request, "settings.plan_first"), print_exception=False)
        gone = clear(desk.library, planned)
        text = words.say(request, "settings.cleared", count=gone, size=size_text(planned.size_bytes))
        return text, None, gr.Textbox(visible=False), gr.Button(visible=False), *_use(desk, request)

    plan.click(show, [what, days], [said, planned, files, go], **_SHOWN)
    go.click(delete, planned, [said, planned, files, go, use, total], **_SHOWN)


def _use(desk: Desk, request: gr.Request) -> tuple[Any, str]:
    say, found = desk.words.say, disk_use(desk.library)
    rows = [[say(request, f"settings.{item.kind}"), f"{item.files:,}", size_text(item.size_bytes)] for item in found]
    heads = [say(request, f"settings.{key}") for key in ("kind", "files", "size")]
    sums = {"total": size_text(sum(item.size_bytes for item in found)), "free": size_text(free_bytes(desk.library))}
    return gr.Dataframe(rows, headers=heads), say(request, "settings.free", **sums)


def _log(desk: Desk, request: gr.Request) -> str:
    return log_tail(desk.library.folder / "logs" / "inference.txt") or desk.words.say(request, "settings.no_log")


def log_tail(path: Path, most_bytes: int = _LOG_BYTES) -> str:
    """Return the end of a text file, from the beginning of a line; empty when there is none."""
    if not path.exists():
        return ""
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - most_bytes))
        text = stream.read().decode("utf-8", errors="replace")
    return text if size <= most_bytes else text.partition("\n")[2]


def versions() -> list[list[str]]:
    """Return Python's version and those of the packages that matter when something is reported."""
    found = [["python", platform.python_version()]]
    for name in _PACKAGES:
        try:
            found.append([name, importlib.metadata.version(name)])
        except importlib.metadata.PackageNotFoundError:
            found.append([name, "not installed"])
    return found


TAB = Tab("settings", 100, _build)
