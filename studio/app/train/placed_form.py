"""The form as it is placed for some settings; a choice that leads to other fields places it anew."""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from studio.app.shared.desk import Desk
from studio.app.shared.field_texts import kind_title
from studio.app.shared.locales import text
from studio.app.shared.named_inputs import QUIET, Changes, Fields, named
from studio.app.train.draft import Draft, first_settings
from studio.app.train.form import Form, with_method, with_variant
from studio.app.train.report import Report
from studio.operations.catalogue import catalogue
from studio.resources import example_datasets
from studio.runs.kinds import kind_of, run_kinds
from studio.runs.presets import applied, presets

_QUIET: Mapping[str, Any] = {**QUIET, "show_progress_on": []}
"""What is placed later does not pass `page`, which says so for all other events."""


class PlacedForm:
    """One rendering of the form, with the choices over it and the buttons under it."""

    def __init__(self, desk: Desk, draft: Draft, report: Report, settings: Mapping[str, Any], *, language: str) -> None:
        """Place everything. Build it inside a render."""
        self._desk, self._draft, self._language = desk, draft, language
        self._kind = kind_of(settings)
        self._presets = {one.name: one for one in presets() if one.kind == self._kind.name}
        self._examples = example_datasets(self._kind.examples)
        self._form = form = Form(self._kind, catalogue(), settings, language)
        with gr.Row(elem_classes="studio-fields"):
            kinds, preset, example = self._place_kinds(), self._place_presets(), self._place_examples()
        form.front()
        form.variants()
        form.parts()
        form.folded()
        with gr.Row():
            check = gr.Button(desk.words("train.check"), elem_id="train-check")
            add = gr.Button(desk.words("train.queue"), variant="primary", elem_id="train-add")
        self._keep_draft()
        self._follow_form()
        self._on_choice(kinds, lambda name, values: first_settings(name), {})
        self._on_choice(preset, lambda name, values: applied(self._presets[name], form.settings(values)), form.fields)
        self._follow_base()
        self._follow_example(example)
        report.listen(form, check, add)

    def _place_kinds(self) -> gr.Dropdown:
        kinds = run_kinds()
        return gr.Dropdown(
            [(kind_title(self._language, one), name) for name, one in kinds.items()],
            value=self._kind.name,
            interactive=True,  # without it a form that is placed again has it locked
            label=self._desk.words("train.kind"),
            visible=len(kinds) > 1,
        )

    def _place_presets(self) -> gr.Dropdown:
        shown = {
            name: [text(self._language, f"preset.{name}.{what}", own) for what, own in one.texts.items()]
            for name, one in self._presets.items()
        }
        return gr.Dropdown(
            [(" – ".join(texts), name) for name, texts in shown.items()],
            value=None,
            label=self._desk.words("train.preset"),
            info=self._desk.words("train.preset_help"),
            visible=bool(self._presets),
        )

    def _place_examples(self) -> gr.Dropdown:
        return gr.Dropdown(
            list(self._examples),
            value=None,
            label=self._desk.words("train.example"),
            info=self._desk.words("train.example_help"),
            visible=bool(self._examples),
        )

    def _on_choice(
        self, chooser: gr.Dropdown, leads_to: Callable[[Any, dict[str, Any]], Mapping[str, Any]], fields: Fields
    ) -> None:
        """Place the form anew with the settings that a choice leads to.

        Args:
            leads_to: (choice, values of `fields`) -> settings.
        """
        placed = chooser.value

        def place_anew(choice: Any, values: dict[str, Any]) -> Changes:
            if choice == placed:  # a form that has just been placed tells its values too
                return {}
            return self._draft.placed(leads_to(choice, values))

        # Not `input`: a dropdown tells it twice of a choice, and whenever it is left. A second form in place of
        # the first one takes away the functions that the first one is just calling, and each call is an error.
        inputs = {"choice": chooser, "values": fields}
        chooser.change(**named(place_anew, inputs, self._draft.outputs), **_QUIET)

    def _keep_draft(self) -> None:
        """Keep what stands in the form, on every change but those that place it anew."""
        form = self._form

        def keep(values: dict[str, Any]) -> Changes:
            return {"kept": form.settings(values)}

        choosing = [*form.methods.values(), *form.choosers.values()]
        # Not `input`: a text box tells that of keys alone, not of what is pasted, deleted or composed.
        changes = [component.change for component in form.fields.values() if component not in choosing]
        kept = named(keep, {"values": form.fields}, {"kept": self._draft.kept})
        gr.on(changes, **kept, trigger_mode="always_last", **_QUIET)

    def _follow_form(self) -> None:
        """Place the form anew when a method, a stage, or the like is chosen."""
        form = self._form

        def with_own_method(part: str) -> Callable[[Any, dict[str, Any]], Mapping[str, Any]]:
            return lambda method, values: with_method(form.settings(values), part, method)

        def with_own_variant(setting: str) -> Callable[[Any, dict[str, Any]], Mapping[str, Any]]:
            return lambda value, values: with_variant(self._kind, form.settings(values), setting, value)

        for part, chooser in form.methods.items():
            self._on_choice(chooser, with_own_method(part), form.fields)
        for setting, chooser in form.choosers.items():
            self._on_choice(chooser, with_own_variant(setting), form.fields)

    def _follow_base(self) -> None:
        """Show the parts that a base has, and those that are trained anyway."""
        form, base = self._form, self._form.component("base")
        if base is None or len(form.columns) <= 1:
            return

        def fit(base: str, methods: dict[str, str]) -> Changes:
            offered = self._kind.parts_of(base)
            return {part: gr.Column(visible=part in offered or bool(methods[part])) for part in form.columns}

        base.change(**named(fit, {"base": base, "methods": form.methods}, form.columns), **_QUIET)

    def _follow_example(self, example: gr.Dropdown) -> None:
        """Fill in data and name alone: what is typed while a whole form is placed anew would be lost."""
        form = self._form
        filled = {key: found for key in ("data", "name") if (found := form.component(key)) is not None}

        def use(example: str | None, values: dict[str, Any]) -> Changes:
            if example is None:  # as the form was placed
                return {}
            folder = self._examples[example]
            own = {"data": str(folder), "name": f"my-{folder.name}".replace("_", "-")}
            return {**{key: own[key] for key in filled}, "kept": {**form.settings(values), **own}}

        outputs = {**filled, "kept": self._draft.kept}
        example.change(**named(use, {"example": example, "values": form.fields}, outputs), **_QUIET)
