"""Parts of the tab Runs change only when what they depend on has changed: the page looks each second."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from studio.app.runs.curves import Curves
from studio.app.runs.head import Head, Log
from studio.app.runs.parts import Choice, Part, changes_of, look_at_runs
from studio.app.runs.run_list import RunList
from studio.app.runs.samples import Samples, look_back
from studio.app.shared.desk import Desk
from studio.app.shared.words import Words
from studio.engine.client import Engine
from studio.library.library import Library
from studio.runs.metrics import MetricsShelf
from studio.runs.queue import RunQueue

_FIRST = Choice(None, "", None, 0.9, False, 0.0, False, "", {})


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    library = Library(tmp_path)
    (tmp_path / "runs" / "unreadable").mkdir(parents=True)
    return Desk(library, RunQueue(library), Engine(tmp_path), Words())


@pytest.fixture
def parts(desk: Desk) -> Mapping[str, Part]:
    async def build() -> Mapping[str, Part]:
        with gr.Blocks(analytics_enabled=False):
            around = {"none": gr.Markdown(), "details": gr.Column()}
            runs, head, log = RunList(desk, around), Head(), Log(desk)
            return {"runs": runs, "head": head, "curves": Curves(desk), "samples": Samples(desk), "log": log}

    # A page leaves the event loop open that it finds or makes; one of a thread of its own is closed.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, build()).result()


def shown(desk: Desk, parts: Mapping[str, Part], choice: Choice) -> Mapping[str, Any]:
    request = gr.Request(headers={})
    return changes_of(parts, look_at_runs(desk, MetricsShelf(), choice, request))


def test_the_first_look_fills_everything_and_the_next_one_changes_nothing(
    desk: Desk, parts: Mapping[str, Part]
) -> None:
    first = shown(desk, parts, _FIRST)
    assert set(first) == {"seen", *(name for part in parts.values() for name in part.outputs)}
    assert shown(desk, parts, replace(_FIRST, seen=first["seen"])) == {}


def test_another_choice_changes_only_the_part_that_depends_on_it(desk: Desk, parts: Mapping[str, Part]) -> None:
    before = replace(_FIRST, seen=shown(desk, parts, _FIRST)["seen"])
    assert set(shown(desk, parts, replace(before, logarithmic=True))) == {"seen", *parts["curves"].outputs}
    assert set(shown(desk, parts, replace(before, every=True))) == {"seen", *parts["samples"].outputs}


def test_no_output_stands_in_two_parts(parts: Mapping[str, Part]) -> None:
    names = [name for part in parts.values() for name in part.outputs]
    assert len(names) == len(set(names))


def test_looking_back_ends_at_the_newest_samples() -> None:
    seen = {"steps": [0, 50, 100]}
    assert look_back(60, "ink", seen) == {"looked_back": "ink"}
    assert look_back(99, "ink", seen) == {"looked_back": ""}
