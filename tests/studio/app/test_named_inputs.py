"""Handlers get their inputs by name, as records where several belong together, and answer by name."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
import pytest

from studio.app.shared.named_inputs import Changes, named
from tests.apart import apart


@dataclass(frozen=True)
class Boat:
    colour: str
    masts: int


class Desk:
    def told(self, boat: Boat, place: str, request: gr.Request) -> Changes:
        return {"said": f"{boat.colour} {boat.masts} {place} {request.username}"}

    def counted(self, boat: Boat) -> Iterator[Changes]:
        yield {"status": "first"}
        yield {"said": boat.colour}
        yield {}


async def built(handler: Any, names: Mapping[str, str], answers: Sequence[str] = ("said", "status")) -> Any:
    """Return a page and what Gradio has made of its event; `names`: the handler's parameter -> one of the fields."""
    with gr.Blocks(analytics_enabled=False) as page:
        masts, colour, place = gr.Number(2, precision=0), gr.Textbox("red"), gr.Textbox("sea")
        fields = {"boat": {"colour": colour, "masts": masts}, "place": place}
        outputs = {"said": gr.Textbox(), "status": gr.Textbox()}
        inputs = {name: fields[own] for name, own in names.items()}
        gr.Button().click(**named(handler, inputs, {name: outputs[name] for name in answers}))
    return page, next(iter(page.fns.values()))


def answers_of(
    handler: Any,
    names: Mapping[str, str],
    values: Sequence[Any],
    answers: Sequence[str] = ("said", "status"),
    **more: Any,
) -> list[Any]:
    """Return what Gradio gets for an event, all of it where the handler yields."""
    found = []

    async def call() -> None:
        page, event = await built(handler, names, answers)
        answer = await page.call_function(event, list(values), **more)
        found.append(answer["prediction"])
        while answer["iterator"] is not None:
            answer = await page.call_function(event, list(values), iterator=answer["iterator"], **more)
            if answer["iterator"] is not None:
                found.append(answer["prediction"])

    apart(asyncio.run, call())
    return found


def test_a_record_and_the_request_reach_a_method_by_name() -> None:
    request = gr.Request(username="ada", headers={})
    found = answers_of(Desk().told, {"place": "place", "boat": "boat"}, ["sea", "red", 2], requests=request)
    assert found == [["red 2 sea ada", gr.skip()]]


def test_a_generator_changes_what_it_names_and_nothing_else() -> None:
    found = answers_of(Desk().counted, {"boat": "boat"}, ["red", 2])
    assert found == [[gr.skip(), "first"], ["red", gr.skip()], [gr.skip(), gr.skip()]]


def test_the_event_that_happened_reaches_the_handler() -> None:
    def picked(place: str, event: gr.SelectData) -> Changes:
        return {"said": f"{place} {event.index}"}

    chosen = gr.SelectData(None, {"index": 3, "value": "b"})
    assert answers_of(picked, {"place": "place"}, ["sea"], event_data=chosen) == [["sea 3", gr.skip()]]


def test_progress_reaches_the_handler_and_gradio_knows_of_it() -> None:
    def worked(place: str, progress: Any = gr.Progress()) -> Changes:  # noqa: B008  Gradio's way to ask for it
        return {"said": f"{place} {isinstance(progress, gr.Progress)}"}

    _, event = apart(asyncio.run, built(worked, {"place": "place"}))
    assert event.tracks_progress
    assert answers_of(worked, {"place": "place"}, ["sea"]) == [["sea True", gr.skip()]]


def test_fields_without_a_record_come_as_a_dict_and_one_output_stands_alone() -> None:
    def noted(boat: dict[str, Any]) -> Changes:
        return {"said": f"{sorted(boat)}"}

    assert answers_of(noted, {"boat": "boat"}, ["red", 2], ("said",)) == ["['colour', 'masts']"]


def test_what_a_partial_holds_is_asked_of_no_component() -> None:
    def said(place: str, answer: str) -> Changes:
        return {"said": f"{answer} {place}"}

    assert answers_of(partial(said, answer="left"), {"place": "place"}, ["sea"]) == [["left sea", gr.skip()]]


def test_a_handler_may_change_nothing() -> None:
    def silent() -> None:
        return None

    assert answers_of(silent, {}, []) == [[gr.skip(), gr.skip()]]


@dataclass(frozen=True)
class Raft:
    planks: int


def _takes_a_raft(boat: Raft) -> Changes:
    return {"said": str(boat.planks)}


@pytest.mark.parametrize(
    ("handler", "names", "problem"),
    [
        (_takes_a_raft, {"place": "place"}, "_takes_a_raft has no parameter place"),
        (_takes_a_raft, {}, "_takes_a_raft gets no value for boat"),
        (_takes_a_raft, {"boat": "boat"}, "_takes_a_raft takes a Raft: colour, masts, planks do not match"),
    ],
)
def test_names_that_do_not_fit_are_found_when_the_page_is_built(
    handler: Any, names: dict[str, str], problem: str
) -> None:
    with pytest.raises(RuntimeError, match=problem):
        apart(asyncio.run, built(handler, names))


def test_an_answer_under_another_name_is_an_error() -> None:
    def lost(place: str) -> Changes:
        return {"sad": place}

    with pytest.raises(RuntimeError, match="there is no output sad; there are said, status"):
        answers_of(lost, {"place": "place"}, ["sea"])
