"""The folded parts of the Blend tab: a blend's own settings, and an adapter's weights by part, block and time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
import yaml

from pipelines.blocks import LISTS
from studio.app.blend.form import block_names, blocks_of, kind_of_blocks
from studio.app.shared.desk import Desk, told
from studio.app.shared.edited import edited
from trainers.errors import UserError

_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "show_progress_on": []}


@dataclass(frozen=True)
class BlendChoice:
    """The way to combine, with its own settings."""

    method: Any
    settings: Any
    """State: what differs from the blend's defaults."""
    panel: Any
    """State: which form is shown; what `method_panel` returns."""
    catalogue: Any
    """State: what the job `blends` returned, by name."""


@dataclass(frozen=True)
class Details:
    """An adapter's weights by part, block and time."""

    which: Any
    kind: Any
    details: Any
    """State: by adapter, see `studio.app.blend.form`."""
    panel: Any
    """State: which sliders are shown."""


def build_choice(desk: Desk, edits: Any) -> BlendChoice:
    """Place the list of blends and the form of the chosen one's settings.

    Args:
        edits: State, a number that grows with every edit in the form.
    """
    words = desk.words
    method = gr.Dropdown([("Exact weighted sum", "exact")], value="exact", label=words("blend.method"))
    facts = gr.Markdown()
    choice = BlendChoice(method, gr.State({}), gr.State(), gr.State({}))

    @gr.render(inputs=[choice.panel], triggers=[choice.panel.change], show_progress="hidden", queue=False)
    def form(panel: dict[str, Any] | None) -> None:
        fields = dict((panel or {}).get("fields", {}))
        if not fields:
            return
        given = (panel or {}).get("values", {})
        with gr.Row():
            boxes = [_box(name, schema, given.get(name, schema.get("default"))) for name, schema in fields.items()]

        def changed(edits: int, *values: Any) -> tuple[dict[str, Any], int]:
            with told():
                return settings_of(fields, values), edits + 1

        gr.on([event for box in boxes for event in edited(box)], changed, [edits, *boxes], [choice.settings, edits],
              trigger_mode="always_last", **_QUIET)  # fmt: skip

    def tell(panel: dict[str, Any] | None, request: gr.Request) -> str:
        kinds = {"exact": "blend.exact", "with loss": "blend.lossy", "live only": "blend.live"}
        return f"{words.say(request, kinds[panel['kind']])} `{panel['source']}`" if panel else ""

    choice.panel.change(tell, choice.panel, facts, **_QUIET)

    def other(name: str, known: Mapping[str, Any], panel: Mapping[str, Any] | None, edits: int) -> tuple[Any, Any, Any]:
        if panel and panel["blend"] == name:  # a dropdown tells `input` when it is left, too
            return gr.skip(), gr.skip(), gr.skip()
        return method_panel(name, known, {}), {}, edits + 1

    method.input(other, [method, choice.catalogue, choice.panel, edits], [choice.panel, choice.settings, edits],
                 **_QUIET)  # fmt: skip
    return choice


def method_panel(name: str, catalogue: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the form of a blend's settings shows; None while the blends are not known yet."""
    known = catalogue.get(name)
    if known is None:
        return None
    return {
        "blend": name,
        "fields": known["settings"],
        "values": dict(values),
        "kind": known["kind"],
        "source": known["source"],
    }


def settings_of(fields: Mapping[str, Any], values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the settings that differ from their defaults.

    Raises:
        UserError: a list or a mapping cannot be read.
    """
    found = {}
    for (name, schema), value in zip(fields.items(), values, strict=True):
        given = value
        if _kind(schema) in ("yaml", "optional"):
            try:
                given = yaml.safe_load(value) if value and value.strip() else schema.get("default")
            except yaml.YAMLError as error:
                raise UserError(f"{name} cannot be read: {' '.join(str(error).split())[:200]}.") from error
        if given != schema.get("default"):
            found[name] = given
    return found


def _kind(schema: Mapping[str, Any]) -> str:
    types = [schema.get("type"), *(item.get("type") for item in schema.get("anyOf", []))]
    if "enum" in schema:
        return "choice"
    if "null" in types:
        return "optional"
    found = next((kind for kind in ("boolean", "integer", "number", "string") if kind in types), "")
    return {"boolean": "switch", "integer": "integer", "number": "number", "string": "text"}.get(found, "yaml")


def _box(name: str, schema: Mapping[str, Any], value: Any) -> Any:
    label, info = name.replace("_", " "), schema.get("description", "")
    # without `interactive` what is placed anew by a rendering is locked
    common: dict[str, Any] = {"label": label, "info": info, "min_width": 180, "interactive": True}
    match _kind(schema):
        case "choice":
            return gr.Dropdown(schema["enum"], value=value, **common)
        case "switch":
            return gr.Checkbox(value, **common)
        case "integer":
            return gr.Number(value, **common, precision=0)
        case "number":
            return gr.Number(value, **common, step=0.05)
        case "text":
            return gr.Textbox(value, **common)
        case "optional":
            return gr.Textbox("" if value is None else str(value), placeholder="–", **common)
        case _:
            shown = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True).strip() if value else ""
            return gr.Textbox(shown, **common)


def build_details(desk: Desk, edits: Any) -> Details:
    """Place the choice of an adapter, and sliders for its parts, blocks and steps; `edits` as in `build_choice`."""
    words = desk.words
    gr.Markdown(words("blend.details_info"))
    kinds = [
        (words("blend.blocks_none"), "none"),
        (words("blend.blocks_own"), "own"),
        *((f"{size}: {names[0]}, {names[1]} … {names[-1]}", str(size)) for size, names in LISTS.items()),
    ]
    with gr.Row():
        which = gr.Dropdown([], label=words("blend.details_of"), min_width=170)
        kind = gr.Dropdown(kinds, value="none", label=words("blend.blocks"), min_width=170)
    shown = Details(which, kind, gr.State({}), gr.State())

    def panel_of(name: str | None, kind: str) -> dict[str, Any] | None:
        if not name:
            return None
        own = desk.engine.result("adapter_blocks", {"adapter": name})["blocks"] if kind == "own" else []
        return {
            "adapter": name,
            "kind": kind,
            "own": own,
            "parts": list(desk.library.card(name.partition("@")[0]).parts),
        }

    def chosen(name: str | None, details: dict[str, Any]) -> tuple[Any, Any]:
        with told():
            kind = kind_of_blocks(details.get(name, {}).get("blocks")) if name else "none"
            return kind, panel_of(name, kind)

    def other_blocks(
        name: str | None, kind: str, panel: Mapping[str, Any] | None, details: dict[str, Any], edits: int
    ) -> tuple[Any, Any, Any]:
        if panel and (panel["adapter"], panel["kind"]) == (name, kind):  # as above
            return gr.skip(), gr.skip(), gr.skip()
        with told():
            own = {key: value for key, value in details.get(name or "", {}).items() if key != "blocks"}
            return panel_of(name, kind), {**details, name: own} if name else details, edits + 1

    which.change(chosen, [which, shown.details], [kind, shown.panel], **_QUIET)
    kind.input(other_blocks, [which, kind, shown.panel, shown.details, edits], [shown.panel, shown.details, edits],
               api_visibility="private", show_progress="minimal")  # fmt: skip

    @gr.render(inputs=[shown.panel, shown.details], triggers=[shown.panel.change], show_progress="hidden", queue=False)
    def sliders(panel: dict[str, Any] | None, details: dict[str, Any]) -> None:
        if not panel:
            gr.Markdown(words("blend.details_none"))
            return
        _sliders(desk, shown.details, edits, panel, details.get(panel["adapter"], {}))

    return shown


def _sliders(desk: Desk, state: Any, edits: Any, panel: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    parts = {part: own.get("parts", {}).get(part, 1.0) for part in panel["parts"]}
    blocks = block_names(own.get("blocks"), panel["own"], panel["kind"])
    schedule = own.get("schedule") or {}
    with gr.Row():
        boxes = [
            gr.Slider(-2, 2, value, step=0.05, label=part, min_width=180, buttons=[], interactive=True)
            for part, value in parts.items()
        ]
    with gr.Row():
        boxes += [
            gr.Slider(-2, 2, value, step=0.05, label=name, min_width=130, buttons=[], interactive=True)
            for name, value in blocks.items()
        ]
    with gr.Row():
        for key, default in (("start", 0.0), ("stop", 1.0)):
            value = schedule.get(key, default)
            boxes.append(
                gr.Slider(
                    0,
                    1,
                    value,
                    step=0.05,
                    label=desk.words(f"blend.{key}"),
                    min_width=180,
                    buttons=[],
                    interactive=True,
                )
            )

    def changed(details: dict[str, Any], edits: int, *values: float) -> tuple[dict[str, Any], int]:
        new = details_of(own, list(parts), list(blocks), panel["kind"], values)
        return {**details, panel["adapter"]: new}, edits + 1

    gr.on([box.input for box in boxes], changed, [state, edits, *boxes], [state, edits],
          trigger_mode="always_last", **_QUIET)  # fmt: skip


def details_of(
    before: Mapping[str, Any], parts: list[str], blocks: list[str], kind: str, values: tuple[float, ...]
) -> dict[str, Any]:
    """Return an adapter's details as a recipe holds them, without what changes nothing.

    Args:
        before: the details until now; what has no slider stays.
        values: one for each part, then one for each block, then where the schedule starts and stops.
    """
    found = {key: value for key, value in before.items() if key not in ("parts", "blocks", "schedule")}
    by_part = {part: value for part, value in zip(parts, values, strict=False) if value != 1.0}
    by_block = blocks_of(dict(zip(blocks, values[len(parts) :], strict=False)), kind)
    start, stop = values[-2:]
    others = {key: value for key, value in (before.get("schedule") or {}).items() if key not in ("start", "stop")}
    schedule = {**others, **({"start": start} if start else {}), **({"stop": stop} if stop != 1 else {})}
    new = {"parts": by_part, "blocks": by_block, "schedule": schedule}
    return {**found, **{key: value for key, value in new.items() if value}}
