"""A form made from a run kind's settings and its methods': nothing here knows a kind or a method by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from studio.app.shared.field_texts import GROUPS, OTHER, part_title, setting_help, setting_label, stage_title
from studio.app.shared.locales import text
from studio.runs.kinds import RunKind
from studio.settings_schema import Shape, given, plain, shapes_of, shown
from trainers.part_config import PartConfig

Settings = Mapping[str, Any]
_PART_FIELDS = {shape["name"]: shape for shape in shapes_of(PartConfig)}
_OFF = ""
_RUN = "run"
"""Stands for the run itself where the others are its parts."""


@dataclass
class Form:
    """One form on the page, and the way from its fields back to settings.

    Build it inside a render; `fields` and `settings` then belong together.
    """

    kind: RunKind
    catalogue: Mapping[str, Any]
    """As of `studio.operations.catalogue`."""
    initial: Settings
    language: str
    fields: dict[str, Any] = field(default_factory=dict)
    """Name -> component: ``run.steps``, ``unet.method``, ``unet.settings.rank``."""
    addresses: dict[str, tuple[str, str, Shape]] = field(default_factory=dict)
    """Name -> the part it belongs to (empty for the run itself), the setting, and its shape."""
    columns: dict[str, Any] = field(default_factory=dict)
    """Part -> the column in which it stands; not to be seen where the base has no such part."""
    methods: dict[str, Any] = field(default_factory=dict)
    """Part -> the component that chooses its method."""
    nested: dict[str, tuple[str, Sequence[Shape]]] = field(default_factory=dict)
    """A setting that holds settings -> the choice that they were placed for, and their shapes."""

    def front(self) -> None:
        """Place the settings that stand unfolded."""
        shapes = self._own()
        with gr.Row(elem_classes="studio-fields"):
            for name in self.kind.front:
                if name in shapes:
                    self._field("", shapes[name], self.initial.get(name, shapes[name]["default"]))

    def parts(self) -> None:
        """Place the choice of a method for each part, with the method's settings folded."""
        chosen = self._initial_parts()
        default = next((shape["default"] for name, shape in self._own().items() if name == "base"), "")
        offered = self.kind.parts_of(str(self.initial.get("base", default)))
        with gr.Row(elem_classes="studio-fields"):
            for part in self.kind.parts:
                visible = part in offered or part in chosen
                with gr.Column(min_width=280, visible=visible) as self.columns[part], gr.Group():
                    self._part(part, chosen.get(part))

    def variants(self) -> None:
        """Place the settings that only the chosen stage, or the like, asks."""
        for setting, (chooser, listed) in self.kind.variants.items():
            shape = self._own()[chooser]
            name = self.initial.get(chooser, shape["default"])
            found = next((one for one in self.catalogue[listed] if one["name"] == name), None)
            fields = found["fields"] if found else []
            self.nested[setting] = (name, fields)
            if found and fields:
                title = self._title(found)
                with (
                    gr.Accordion(self._say("settings_of", title=title), open=True),
                    gr.Row(elem_classes="studio-fields"),
                ):
                    for own in fields:
                        value = (self.initial.get(setting) or {}).get(own["name"], own["default"])
                        self._field("", own, value, prefix=f"{setting}.")

    @property
    def choosers(self) -> dict[str, Any]:
        """Return the components whose choice says which fields there are, by setting: `with_variant` changes them."""
        found = {chooser: self.component(chooser) for chooser, _ in self.kind.variants.values()}
        return {name: component for name, component in found.items() if component is not None}

    def folded(self) -> None:
        """Place all other settings, in groups."""
        shapes = {name: shape for name, shape in self._own().items() if name not in self.kind.front}
        grouped = {title: [name for name in names if name in shapes] for title, names in GROUPS.items()}
        known = {name for names in grouped.values() for name in names}
        grouped[OTHER] = [name for name in shapes if name not in known]
        for title, names in grouped.items():
            if names:
                with (
                    gr.Accordion(text(self.language, f"group.{title}"), open=False),
                    gr.Row(elem_classes="studio-fields"),
                ):
                    for name in names:
                        self._field("", shapes[name], self.initial.get(name, shapes[name]["default"]))

    def component(self, name: str) -> Any:
        """Return the component of one of the run's own settings, None when it has none."""
        return self.fields.get(f"{_RUN}.{name}")

    def settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that the values of `fields` stand for, without what is a default anyway."""
        run: dict[str, Any] = {}
        parts: dict[str, dict[str, Any]] = {}
        for address, (part, name, shape) in self.addresses.items():
            (parts.setdefault(part, {}) if part else run)[name] = plain(shape, values[address])
        apart = (*self._own(), *self.nested, "kind", "parts")
        short = {shape["name"] for shape in shapes_of(self.kind.settings) if shape["shorthand"]}
        hidden = {key: value for key, value in self.initial.items() if key not in apart}
        hidden = {key: value for key, value in hidden.items() if key not in short or value is not None}
        found = {"kind": self.kind.name, **hidden, **given(self._own().values(), run), **self._nested(run)}
        plans = {part: plan for part in self.kind.parts if (plan := self._plan(part, parts.get(part, {}))) is not None}
        return {**found, "parts": plans} if self.kind.parts else found

    def _nested(self, run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the settings that hold settings, without what was placed for another choice than the present one."""
        found: dict[str, dict[str, Any]] = {}
        for setting, (name, fields) in self.nested.items():
            own = {key.partition(".")[2]: value for key, value in run.items() if key.startswith(f"{setting}.")}
            chooser = self.kind.variants[setting][0]
            settings = given(fields, own) if run.get(chooser, name) == name else {}
            found |= {setting: settings} if settings else {}
        return found

    def _plan(self, part: str, values: Mapping[str, Any]) -> dict[str, Any] | None:
        if not values.get("method"):
            return None
        plan: dict[str, Any] = {"method": values["method"]}
        method = self._method(values["method"])
        if method is None:
            return plan  # the schema tells that there is no such method
        if values.get("learning_rate") is not None:
            plan["learning_rate"] = values["learning_rate"]
        own = {key.partition(".")[2]: value for key, value in values.items() if key.startswith("settings.")}
        recommended = method["recommended"].get(part, {}).get("settings", {})
        settings = given(method["fields"], own, recommended)
        return {**plan, **({"settings": settings} if settings else {})}

    def _part(self, part: str, plan: Settings | None) -> None:
        fitting = [method for method in self.catalogue["methods"] if part in method["parts"]]
        choices = [(self._say("not_trained"), _OFF)]
        choices += [(f"{method['title']} ({method['name']})", method["name"]) for method in fitting]
        title = part_title(self.language, part)
        name = str(plan["method"]) if plan else _OFF
        method = self._method(name)
        if name not in [value for _, value in choices]:
            choices.append((name, name))  # told as a problem, not dropped
        chooser = gr.Dropdown(
            choices,
            value=name,
            label=f"{title}: {self._label('method').lower()}",
            info=self._about(method) if method else None,
            interactive=True,
        )
        self.methods[part] = chooser
        self._keep(chooser, part, "method", {**_PART_FIELDS["method"], "kind": "text", "optional": True})
        if method is None or plan is None:
            return
        recommended = method["recommended"].get(part, {"learning_rate": None, "settings": {}})
        self._learning_rate(part, plan, recommended["learning_rate"], title)
        if method["fields"]:
            caption = self._say("settings_of", title=method["title"])
            with gr.Accordion(caption, open=False), gr.Row(elem_classes="studio-fields"):
                for shape in method["fields"]:
                    name = shape["name"]
                    default = recommended["settings"].get(name, shape["default"])
                    value = (plan.get("settings") or {}).get(name, default)
                    self._field(part, shape, value, prefix="settings.", title=f"{title}: ")

    def _learning_rate(self, part: str, plan: Settings, recommended: float | None, title: str) -> None:
        advice = None
        if recommended is not None:
            advice = self._say("recommended_rate", rate=recommended)
        shape = _PART_FIELDS["learning_rate"]
        box = gr.Textbox(
            shown(shape, plan.get("learning_rate")),
            label=f"{title}: {self._label('learning_rate').lower()}",
            info=advice,
            interactive=True,
            elem_id=f"field-{part}-learning_rate",
        )
        self._keep(box, part, "learning_rate", shape)

    def _field(self, part: str, shape: Shape, value: Any, *, prefix: str = "", title: str = "") -> None:
        label = title + self._label(shape["name"])
        common = {"label": label, "info": self._help(shape), "min_width": 250, "interactive": True}
        common["elem_id"] = f"field-{part or 'run'}-{shape['name']}"
        value = shown(shape, value)
        if shape["kind"] == "yes_no":
            component: Any = gr.Checkbox(bool(value), **common)
        elif shape["kind"] == "choice":
            titles = self._titles(part, shape["name"])
            choices = [*([_OFF] if shape["optional"] else []), *((titles.get(c, c), c) for c in shape["choices"])]
            component = gr.Dropdown(choices, value=value, **common)
        elif shape["kind"] == "number" and not shape["optional"]:
            component = gr.Number(value, **common)
        else:  # also a number that may be empty: Gradio shows an empty one as 0
            lines = 3 if shape["kind"] == "lines" else 1
            component = gr.Textbox(value, lines=lines, max_lines=max(lines, 8) if lines > 1 else 1, **common)
        self._keep(component, part, prefix + shape["name"], shape)

    def _keep(self, component: Any, part: str, name: str, shape: Shape) -> None:
        address = f"{part or _RUN}.{name}"
        self.fields[address], self.addresses[address] = component, (part, name, shape)

    def _own(self) -> dict[str, Shape]:
        """Return the run's own settings that have a field: not its kind and parts, nor what is itself a table."""
        shapes = shapes_of(self.kind.settings)
        own = [s for s in shapes if s["name"] not in ("kind", "parts") and s["kind"] != "nested"]
        return {s["name"]: s for s in own if not s["shorthand"]}

    def _initial_parts(self) -> Mapping[str, Settings]:
        parts = self.initial.get("parts")
        if parts is None:
            default = next((shape["default"] for name, shape in self._own().items() if name == "base"), "")
            parts = {part: {} for part in self.kind.default_parts(str(self.initial.get("base", default)))}
        method = _PART_FIELDS["method"]["default"]
        return {part: {**plan, "method": plan.get("method", method)} for part, plan in parts.items()}

    def _titles(self, part: str, setting: str) -> dict[str, str]:
        """Return what the values of a setting are called, where they have titles."""
        listed = [lst for chooser, lst in self.kind.variants.values() if chooser == setting and not part]
        known = self.catalogue[listed[0]] if listed else ()
        return {one["name"]: f"{self._title(one)} ({one['name']})" for one in known}

    def _title(self, stage: Mapping[str, Any]) -> str:
        return stage_title(self.language, stage["name"], stage["title"])

    def _method(self, name: str | None) -> Mapping[str, Any] | None:
        methods = self.catalogue["methods"]
        return next((method for method in methods if method["name"] == name), None)

    def _about(self, method: Mapping[str, Any]) -> str:
        """Return what a method does, and its source."""
        source = self._say("source")
        return f"{method['summary']} {source}: {method['source']}." if method.get("summary") else method["source"]

    def _label(self, name: str) -> str:
        return setting_label(self.language, name, self.kind.name)

    def _help(self, shape: Shape) -> str | None:
        own = setting_help(self.language, shape["name"], self.kind.name)
        more = self._say("one_a_line") if shape["kind"] == "lines" and not own else ""
        named = ", ".join(shape.get("named", ()))
        named = self._say("there_are", names=named) if named else ""
        return f"{own or shape['description']} {more} {named}".strip() or None

    def _say(self, key: str, **values: object) -> str:
        return text(self.language, f"train.{key}", None, **values)


def with_method(settings: Settings, part: str, method: str) -> dict[str, Any]:
    """Return settings with another method on a part; what was set for the old one goes with it."""
    parts = {name: plan for name, plan in settings.get("parts", {}).items() if name != part}
    if method:
        parts[part] = {"method": method}
    return {**settings, "parts": parts}


def with_variant(kind: RunKind, settings: Settings, chooser: str, value: str) -> dict[str, Any]:
    """Return settings with another stage or the like; what was set for the old one goes with it."""
    gone = [setting for setting, (own, _) in kind.variants.items() if own == chooser]
    return {**{key: old for key, old in settings.items() if key not in gone}, chooser: value}
