"""The Library tab's way in: first what a file is and what of it the base has, then taking it under a name."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr

from studio.app.shared.desk import Desk
from studio.app.shared.field_names import on_page
from studio.app.shared.progress_line import problem_line, progress_line
from studio.app.shared.tables import filled, text_table
from studio.operations.import_export import DORA_NORMS
from trainers.errors import UserError

_QUIET: Mapping[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_SHOWN_NAMES = 200
_METADATA = ("library.key", "library.value")


def build_import(desk: Desk, selected: gr.State, again: Callable[[Any], Any]) -> None:
    """Place the fields.

    Args:
        selected: gets the imported adapter's name.
        again: makes the list and the details follow an event.
    """
    words = desk.words
    with gr.Accordion(words("library.import"), open=True):
        with gr.Row():
            upload = gr.File(
                label=words("library.upload"), file_types=[".safetensors"], height=150, min_width=260,
                elem_id="library-upload",
            )  # fmt: skip
            with gr.Column(min_width=260):
                path = gr.Textbox(label=words("library.path"), max_lines=1)
                base = gr.Textbox("pocket", label=words("library.base"), info=words("library.base_help"), max_lines=1)
        look = gr.Button(words("library.examine"), variant="primary")
        with gr.Column(visible=False, elem_id="library-examined") as result:
            facts = gr.Textbox(label=words("library.is"), interactive=False, lines=6, max_lines=20)
            unmatched = gr.Textbox(label=words("library.unmatched"), interactive=False, lines=3, max_lines=8)
            metadata = text_table(words, "library.metadata", *_METADATA, column_widths=["30%", "70%"])
            allow = gr.Checkbox(label=words("library.allow"), visible=False)
            norm = gr.Dropdown(
                [
                    (words("library.dora_as_said"), ""),
                    *((words(f"library.dora_{meaning}"), meaning) for meaning in DORA_NORMS),
                ],
                value="",
                label=words("library.dora_norm"),
                info=words("library.dora_norm_help"),
                visible=False,
            )
            with gr.Row():
                name = gr.Textbox(label=words("library.import_name"), max_lines=1, min_width=220)
                take = gr.Button(words("library.take"), variant="primary")
        outcome = gr.HTML(elem_id="library-imported")

    def examine(upload: str | None, path: str, base: str, request: gr.Request) -> Iterator[dict[Any, Any]]:
        yield {outcome: progress_line(words.say(request, "library.examining")), result: gr.Column(visible=False)}
        try:
            found = desk.engine.result("examine_file", {"path": _given(upload, path), "base": base.strip()})
            yield {
                outcome: "",
                result: gr.Column(visible=True),
                facts: "\n".join(examined_lines(found)),
                unmatched: gr.Textbox(
                    value="\n".join(found["unmatched"][:_SHOWN_NAMES]), visible=bool(found["unmatched"])
                ),
                metadata: gr.Dataframe(
                    value=filled(words, request, found["metadata"].items(), *_METADATA), visible=bool(found["metadata"])
                ),
                allow: gr.Checkbox(value=False, visible=bool(found["unmatched"])),
                norm: gr.Dropdown(value="", visible=any("DoRA" in kind for kind in found["kinds"])),
                name: found["suggested_name"],
            }
        except UserError as error:
            yield {outcome: problem_line(str(error))}

    def bring(
        upload: str | None, path: str, base: str, name: str, allow: bool, norm: str, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        nothing = [gr.skip()] * 4
        yield progress_line(words.say(request, "library.importing")), *nothing
        asked = {"base": base.strip(), "name": name.strip(), "allow_unmatched": allow, "dora_norm": norm}
        try:
            found = desk.engine.result("import_adapter", {"path": _given(upload, path), **asked})
        except UserError as error:
            yield problem_line(str(error)), *nothing
            return
        said = "\n".join(
            [words.say(request, "library.imported", names=", ".join(found["names"])), *map(on_page, found["notes"])]
        )
        yield progress_line(said), found["names"][0], gr.Column(visible=False), None, ""

    look.click(
        examine, [upload, path, base], [outcome, result, facts, unmatched, metadata, allow, norm, name], **_QUIET
    )
    again(
        take.click(bring, [upload, path, base, name, allow, norm], [outcome, selected, result, upload, path], **_QUIET)
    )


def _given(upload: str | None, path: str) -> str:
    found = upload or path.strip()
    if not found:
        raise UserError("No file is given. Drop a .safetensors file, or give the path of a file or folder.")
    return found


def examined_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what an examination found, a line each; plain text, as the file's own words are in it."""
    matched = ", ".join(f"{count} in {part}" for part, count in found["matched"].items()) or "none"
    kinds = ", ".join(f"{kind} ({count})" for kind, count in found["kinds"].items())
    lines = [
        f"Format: {found['title']}",
        f"Kinds: {kinds}" if kinds else "",
        f"Ranks: {', '.join(map(str, found['ranks']))}" if found["ranks"] else "",
        f"Modules that the base has: {matched}; names that it has not: {len(found['unmatched'])}",
        found["says"],
    ]
    if found["hashes"]:
        lines.append(f"SHA-256: {found['hashes']['file']}; of the tensors (AutoV3): {found['hashes']['content'][:12]}")
    lines += [f"Note: {note}" for note in found["notes"]]
    lines += [f"Problem: {problem}" for problem in found["problems"]]
    return [line for line in lines if line]
