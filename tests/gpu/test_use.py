"""Runs from end to end on the device: drawing with two live adapters, answering, and resuming."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.attach import attached
from pipelines.bases import load_image_base
from pipelines.generate import ImageRequest, generate
from pipelines.text_generate import TextRequest, generate_texts
from studio.library.library import Library
from studio.operations.text_session import open_text_session
from studio.report import Quiet
from studio.runs.kinds import run_kinds
from studio.runs.run import create_run, execute
from tests.gpu.conftest import DEVICE, PRECISIONS
from tests.support import bits, random_adapter

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_two_live_adapters_draw_together(narrow_bases: dict[str, Path], family: str, precision: str) -> None:
    base = load_image_base(str(narrow_bases[family]), device=DEVICE, precision=precision)
    adapters = {
        name: random_adapter(base, name, seed=seed, method=method)
        for seed, (name, method) in enumerate({"one": "lora", "two": "loha"}.items())
    }
    drawn = []
    with attached(base, adapters) as attachments:
        for weights in ({}, {"one": 1.0}, {"two": 0.7}, {"one": 1.0, "two": 0.7}):
            ((_, picture),) = generate(attachments, [ImageRequest("a red box", weights=weights, num_inference_steps=4)])
            drawn.append(picture.tobytes())
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_run_on_pictures_stops_and_resumes_bit_equal(
    narrow_bases: dict[str, Path], drawn: Path, tmp_path: Path, precision: str
) -> None:
    values = {"base": str(narrow_bases["sd1"]), "data": str(drawn), "precision": precision, "resolution_px": 64}
    whole, again, resumed = _three_ways("images", tmp_path, values)
    assert whole == again, "two runs that were never stopped differ: the device does not repeat itself"
    assert resumed == whole


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_run_on_texts_resumes_bit_equal_and_answers(
    narrow_bases: dict[str, Path], tmp_path: Path, precision: str
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"text": f"number {number} of the rows"}) + "\n" for number in range(6)))
    values = {"base": str(narrow_bases["causal_lm"]), "data": str(data), "precision": precision}
    whole, again, resumed = _three_ways("text", tmp_path, values)
    assert whole == again, "two runs that were never stopped differ: the device does not repeat itself"
    assert resumed == whole
    options: dict[str, Any] = {"device": DEVICE, "precision": precision}
    with open_text_session(Library(tmp_path / "whole"), values["base"], ["it"], Quiet(), **options) as session:
        request = TextRequest("num", plain=True, weights={"it": 1.0}, max_new_tokens=4)
        ((_, answer),) = generate_texts(session.attachments, [request])
    assert answer.ended in ("end", "length")


def _three_ways(kind: str, folder: Path, values: Mapping[str, Any]) -> list[dict[str, dict[str, str]]]:
    """Return what a run leaves that was never stopped, the same once more, and one that was stopped and resumed."""
    found = []
    for name, stops in {"whole": False, "again": False, "resumed": True}.items():
        library = Library(folder / name)
        config = run_kinds()[kind].parse(
            {"kind": kind, "name": "it", "device": DEVICE, "steps": 6, "batch_size": 2, "sample_every": 3, **values}
        )
        run = create_run(library, config)
        if stops:
            assert execute(run, Quiet(), should_stop=lambda: True) is None
        torch.randn(3)  # whatever else draws must not matter
        assert execute(run, Quiet()) is not None
        found.append({part: bits(content.tensors) for part, content in library.read("it").parts.items()})
    return found
