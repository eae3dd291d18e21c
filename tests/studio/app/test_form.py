"""The form comes from the schemas alone: every method goes in and out, and a kind dropped into the folder appears."""

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

import studio.runs.kinds
from pipelines.families import known_parts
from studio.app.shared.run_report import preflight_html, problems_html
from studio.app.train.form import Form, with_method
from studio.operations import catalogue as all_choices
from studio.runs.kinds import kind_of, run_kinds

KIND = """
from typing import Literal
from pydantic import BaseModel, Field
from studio.runs.kinds import Preflight, RunKind


class Poem(BaseModel):
    kind: Literal["poems"] = "poems"
    name: str
    device: str = "cpu"
    verses: int = Field(4, description="How many verses.")
    metre: Literal["iamb", "trochee"] = "iamb"
    rhymes: bool = True
    themes: tuple[str, ...] = ()
    title_of_book: str | None = None


RUN_KIND = RunKind(
    "poems", "Poems", Poem, Poem.model_validate, lambda c, l: c, lambda c, l: Preflight(), lambda r, j, c: None,
    front=("name", "verses"),
)
"""


@pytest.fixture(scope="module")
def catalogue() -> Mapping[str, Any]:
    """What can be chosen."""
    return all_choices.catalogue()


def built(
    settings: Mapping[str, Any], catalogue: Mapping[str, Any], *, language: str = "en", whole: bool = True
) -> Form:
    form = Form(kind_of(settings), catalogue, settings, language)

    async def build() -> None:
        with gr.Blocks(analytics_enabled=False):
            form.parts()
            if whole:
                form.front()
                form.variants()
                form.folded()

    # A page leaves the event loop open that it finds or makes; one of a thread of its own is closed.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, build()).result()
    return form


def read(form: Form, **changes: Any) -> dict[str, Any]:
    """Return the form's settings with some fields of the run changed."""
    values = {name: component.value for name, component in form.fields.items()}
    changed = {f"run.{name}": value for name, value in changes.items()}
    assert changed.keys() <= values.keys()
    return form.settings({**values, **changed})


def test_every_method_on_every_part_goes_in_and_out_unchanged(catalogue: Mapping[str, Any]) -> None:
    kind = run_kinds()["images"]
    fitting = {part: [m["name"] for m in catalogue["methods"] if part in m["parts"]] for part in kind.parts}
    for number in range(max(len(names) for names in fitting.values())):
        parts = {part: {"method": names[number]} for part, names in fitting.items() if number < len(names)}
        form = built({"kind": "images", "parts": parts}, catalogue, language=("en", "zh-TW")[number % 2], whole=False)
        assert read(form) == {"kind": "images", "parts": parts}
        assert all(component.label for component in form.fields.values())


def test_a_whole_config_comes_back_as_what_differs_from_the_defaults(catalogue: Mapping[str, Any]) -> None:
    chosen = {
        "kind": "images",
        "data": "d",
        "name": "n",
        "resolution_px": 128,
        "loss_weighting": "min_snr",
        "loss_weighting_settings": {"gamma": 3},
        "flip": True,
        "sample_prompts": ["a", "b"],
        "parts": {"unet": {"method": "lora", "learning_rate": 0.001, "settings": {"rank": 4, "alpha": 2.5}}},
    }
    kind = kind_of(chosen)
    whole = kind.parse(chosen).model_dump(mode="json")
    assert read(built(whole, catalogue)) == chosen
    changed = read(built(chosen, catalogue), steps=12, resolution_px="", name="")
    assert changed["steps"] == 12
    assert "resolution_px" not in changed
    assert "name" not in changed
    assert with_method(chosen, "unet", "dora")["parts"] == {"unet": {"method": "dora"}}
    assert with_method(chosen, "unet", "")["parts"] == {}


def test_unknown_methods_and_settings_are_kept_for_the_schema_to_tell(catalogue: Mapping[str, Any]) -> None:
    settings = {"kind": "images", "data": "d", "name": "n", "stepz": 3, "parts": {"unet": {"method": "gone"}}}
    assert read(built(settings, catalogue)) == settings


def test_every_method_says_what_it_does(catalogue: Mapping[str, Any]) -> None:
    for method in catalogue["methods"]:
        assert method["summary"].endswith("."), method["name"]
        assert not method["summary"].startswith(method["title"])
    form = built({"kind": "images", "parts": {"unet": {"method": "bitfit"}}}, catalogue, whole=False)
    about = form.methods["unet"].info
    assert about == "Only the biases are trained. Source: Ben Zaken et al. 2021, arXiv 2106.10199."


@pytest.mark.parametrize("language", ["en", "zh-TW"])
def test_stages_have_titles_and_keep_their_names_as_values(catalogue: Mapping[str, Any], language: str) -> None:
    form = built({"kind": "text", "stage": "dpo"}, catalogue, language=language)
    choices = {value: title for title, value in form.component("stage").choices}
    assert choices.keys() == {stage["name"] for stage in catalogue["stages"]}
    assert choices["dpo"] == ("直接偏好最佳化 (dpo)" if language == "zh-TW" else "Direct preference optimisation (dpo)")
    assert read(form)["stage"] == "dpo"


def test_parts_that_a_base_lacks_are_not_offered(catalogue: Mapping[str, Any], tmp_path: Path) -> None:
    for part in ("unet", "text_encoder", "text_encoder_2"):
        (tmp_path / "xl" / part).mkdir(parents=True)

    def offered(base: str, **parts: Any) -> list[str]:
        form = built({"kind": "images", "base": base, "parts": {"unet": {}, **parts}}, catalogue, whole=False)
        return [part for part, column in form.columns.items() if column.visible]

    assert offered("pocket") == ["unet", "text_encoder"]
    assert offered(str(tmp_path / "xl")) == ["unet", "text_encoder", "text_encoder_2"]
    assert offered("owner/model") == list(known_parts("picture"))
    assert "text_encoder_2" in offered("pocket", text_encoder_2={"method": "lora"})  # the mistake can be seen
    assert offered("a\0b") == offered("owner/model")


def test_every_field_of_every_kind_has_a_label_and_help_in_both_languages(catalogue: Mapping[str, Any]) -> None:
    for kind in run_kinds():
        for stage in [stage["name"] for stage in catalogue["stages"]] if kind == "text" else [""]:
            own = {"kind": kind, **({"stage": stage} if stage else {})}
            english, chinese = (built(own, catalogue, language=language) for language in ("en", "zh-TW"))
            assert english.fields.keys() == chinese.fields.keys()
            for address, (part, name, _) in english.addresses.items():
                first, second = english.fields[address], chinese.fields[address]
                assert part or (first.info and second.info), name
                assert part or name == "seed" or first.label != second.label, name


def test_a_method_that_nobody_knows_yet_appears(catalogue: Mapping[str, Any]) -> None:
    shape = {"name": "strength", "kind": "number", "optional": False, "required": False, "default": 3, "choices": []}
    new = {"name": "newest", "title": "Newest", "source": "here", "parts": ["unet"], "recommended": {}}
    more = {**catalogue, "methods": [*catalogue["methods"], {**new, "fields": [{**shape, "description": "How much."}]}]}
    settings = {"kind": "images", "data": "d", "name": "n", "parts": {"unet": {"method": "newest"}}}
    form = built(settings, more)
    assert "UNet: Strength" in [component.label for component in form.fields.values()]
    assert read(form) == settings


@pytest.fixture
def poems(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "poems.py").write_text(KIND)
    studio.runs.kinds.__path__.append(str(tmp_path))
    run_kinds.cache_clear()
    yield
    studio.runs.kinds.__path__.remove(str(tmp_path))
    run_kinds.cache_clear()


@pytest.mark.usefixtures("poems")
def test_a_kind_dropped_into_the_folder_has_a_form(catalogue: Mapping[str, Any]) -> None:
    assert run_kinds()["poems"].title == "Poems"
    form = built({"kind": "poems", "name": "ode"}, catalogue)
    labels = [component.label for component in form.fields.values()]
    assert labels == ["Name", "Verses", "Device", "Metre", "Rhymes", "Themes", "Title of book"]
    assert read(form) == {"kind": "poems", "name": "ode"}
    assert read(form, verses=7, themes="sea\n\n moon ", rhymes=False, title_of_book="Odes") == {
        "kind": "poems",
        "name": "ode",
        "verses": 7,
        "rhymes": False,
        "themes": ["sea", "moon"],
        "title_of_book": "Odes",
    }


def test_what_is_told_is_escaped() -> None:
    assert "<img" not in problems_html("It is wrong:\n  - <img src=x>\n  - two")
    assert problems_html("It is wrong:\n  - a\n  - b").count("<li>") == 2
    preflight = {"facts": {"<b>": "<i>"}, "problems": ["<u>"], "notes": ["<s>"]}
    told = preflight_html(preflight, "ready", "not ready", "notes")
    assert not any(tag in told for tag in ("<b>", "<i>", "<u>", "<s>"))
