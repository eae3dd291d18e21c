"""What the Text tab stands on, without a browser: jobs on a language model, columns, votes, and forms of texts."""

import argparse
import json
import math
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.attach import attached
from pipelines.bases import load_text_base
from pipelines.families import LoadedBase, TextBase
from pipelines.perplexity import perplexity
from pipelines.text_generate import TextRequest, stream_text
from studio.app.runs.answers import answers_html
from studio.app.runs.chart import loss_lines, measure_lines
from studio.app.shared.adapter_kinds import text_adapters
from studio.app.shared.words import Words
from studio.app.text.columns import (
    SHOWN,
    chat_html,
    columns_of,
    formula,
    kept_turns,
    messages_for,
    new_turn,
    stopped,
    take_piece,
)
from studio.app.text.measure import measured_rows, note_on
from studio.app.text.rows import histogram_html, rows_html
from studio.app.text.votes import count_votes, keep_vote, pair_of, votes_file, votes_to_train_on
from studio.app.train.form import with_variant
from studio.cli.training_flags import Training, add_training, config_from_options
from studio.engine.job import Cancelled
from studio.engine.jobs import engine_jobs
from studio.engine.workbench import Workbench
from studio.library.library import Library
from studio.operations.text_compare import read_held_out
from studio.runs.kinds import kind_of, run_kinds
from studio.runs.metrics import Metrics
from studio.runs.views import views_of
from tests.support import random_adapter
from trainers.adapter import write_adapter
from trainers.card import CARD_NAME
from trainers.data.texts import read_texts
from trainers.errors import UserError

HI = [{"role": "user", "content": "hi"}]
LABELS = {"you": "You:", "pace": "{tokens} tokens, {pace} per second", "end_length": "cut", "end_stopped": "stopped"}


@pytest.fixture
def library(tmp_path: Path, text_base: TextBase, base: LoadedBase) -> Library:
    """A library with two text adapters and one that draws."""
    found = Library(tmp_path / "library")
    for seed, name in enumerate(("one", "two")):
        adapter = random_adapter(text_base, name, parts=("language_model",), seed=seed, size=0.5)
        write_adapter(found.adapters_folder / name, adapter)
    write_adapter(found.adapters_folder / "drawing", random_adapter(base, "drawing"))
    return found


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    rows = [[*HI, {"role": "assistant", "content": "ahoy" * n}] for n in (1, 2, 3)]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    return path


def work(bench: Workbench, job: str, **arguments: Any) -> list[Mapping[str, Any]]:
    return list(engine_jobs()[job].run(bench, {"device": "cpu", **arguments}))


def bench_on(library: Library, told: list[Any] | None = None) -> Workbench:
    return Workbench(library, (told if told is not None else []).append, lambda: None)


def test_all_columns_are_written_at_once_and_are_those_of_single_requests(
    library: Library, text_base: TextBase, tiny_language: Path
) -> None:
    columns = [{"weights": weights, "messages": HI} for weights in ({}, {"one": 1.0}, {"one": 0.5, "two": -0.7})]
    events = work(
        bench_on(library),
        "text_chat",
        columns=columns,
        base=str(tiny_language),
        max_new_tokens=8,
        temperature=0.9,
        seed=4,
    )
    said = ["".join(event["text"] for event in events if event["column"] == number) for number in range(3)]
    order = [event["column"] for event in events]
    assert order != sorted(order)  # they grow together
    assert [event["ended"] for event in events if event["ended"]] == ["length"] * 3
    with attached(text_base, {name: library.read(name) for name in ("one", "two")}) as attachments:
        for column, text in zip(columns, said, strict=True):
            request = TextRequest(
                messages=tuple(HI), weights=column["weights"], max_new_tokens=8, temperature=0.9, seed=4
            )  # type: ignore[arg-type]
            assert text == "".join(piece.text for piece in stream_text(attachments, request))
    assert len(set(said)) == 3


def test_a_chat_that_is_taken_back_leaves_the_adapters_off(library: Library, tiny_language: Path) -> None:
    bench = bench_on(library)
    arguments = {"columns": [{"weights": {"one": 1.0}, "messages": HI}], "base": str(tiny_language), "device": "cpu"}
    first = work(bench, "text_chat", **{**arguments, "columns": [{"weights": {}, "messages": HI}], "max_new_tokens": 6})
    events = engine_jobs()["text_chat"].run(bench, {**arguments, "max_new_tokens": 200})
    assert next(events)["column"] == 0
    with pytest.raises(Cancelled):
        events.throw(Cancelled())  # type: ignore[attr-defined]
    again = work(bench, "text_chat", **{**arguments, "columns": [{"weights": {}, "messages": HI}], "max_new_tokens": 6})
    assert [event["text"] for event in again] == [event["text"] for event in first]


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "The prompt is empty"),
        ([{"role": "user", "content": " "}], "The prompt is empty"),
        ([*HI, {"role": "assistant", "content": "yo"}], "the last message must be the user's"),
        ([{"role": "pirate", "content": "x"}], "has no role of system, user, assistant"),
        ([{"role": "user", "content": 3}], "has no text"),
        (["hi"], "has no role"),
    ],
)
def test_messages_that_are_none_are_told(library: Library, messages: list[Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        work(bench_on(library), "text_chat", columns=[{"messages": messages}])


def test_a_base_that_draws_and_one_that_writes_stay_side_by_side(
    library: Library, tiny_base: Path, tiny_language: Path
) -> None:
    told: list[Any] = []
    bench = bench_on(library, told)
    pictures = bench.session(str(tiny_base), ["drawing"], device="cpu").attachments
    writing = bench.text_session(str(tiny_language), ["one"], device="cpu").attachments
    assert bench.session(str(tiny_base), [], device="cpu").attachments is pictures
    assert bench.text_session(str(tiny_language), ["two"], device="cpu").attachments is writing
    assert list(writing.slots) == ["one", "two"]
    assert bench.bare(str(tiny_language), device="cpu") is writing.base
    assert not writing.slots
    assert list(pictures.slots) == ["drawing"]
    assert sum(event["text"].startswith("Loading") for event in told if event["event"] == "said") == 2
    for opened, path in ((bench.session, tiny_language), (bench.text_session, tiny_base)):
        with pytest.raises(UserError, match="is needed here"):
            opened(str(path), [], device="cpu")  # type: ignore[operator]
    bench.release()
    assert bench.text_session(str(tiny_language), [], device="cpu").attachments is not writing


def test_perplexities_are_those_of_the_formula(
    library: Library, text_base: TextBase, tiny_language: Path, texts: Path
) -> None:
    columns = [{"title": "base", "weights": {}}, {"title": "1·one", "weights": {"one": 1.0}}]
    events = work(bench_on(library), "text_perplexity", data=str(texts), columns=columns, base=str(tiny_language))
    assert [event["title"] for event in events] == ["base", "1·one"]
    with attached(text_base, {"one": library.read("one")}) as attachments:
        for event, column in zip(events, columns, strict=True):
            found = perplexity(attachments, read_held_out(str(texts)).rows, column["weights"])  # type: ignore[arg-type]
            assert (event["tokens"], event["perplexity"]) == (found.tokens, pytest.approx(math.exp(event["loss"])))
            assert event["loss"] == pytest.approx(found.loss, rel=1e-6)


def test_a_preview_tells_learned_from_masked_tokens(library: Library, tiny_language: Path, texts: Path) -> None:
    settings = {"base": str(tiny_language), "data": str(texts), "device": "cpu"}
    (found,) = work(bench_on(library), "text_preview", settings=settings, rows=1, first=1)
    (row,) = found["rows"]
    assert row["where"] == "train.jsonl line 2"
    assert row["pieces"] == [["<|start|><|user|>hi<|assistant|>", False], ["ahoyahoy<|end|>", True]]
    assert found["count"] == sum(rows for _, _, rows in found["histogram"]) == 3
    html = rows_html([{**row, "pieces": [["<i>", False], ["<b>", True]]}], {"counts": "", "learned": "", "masked": ""})
    assert "<i>" not in html
    assert 'class="studio-masked"' in html
    assert "⟦&lt;b&gt;⟧" in html  # told by brackets too, not by colour alone
    marked = {**row, "mark": "chosen", "pieces": []}
    assert "<b><better></b>" not in rows_html([marked], {"counts": "", "chosen": "<better>"})
    assert "line 2 · <b>&lt;better&gt;</b>" in rows_html([marked], {"counts": "", "chosen": "<better>"})
    assert histogram_html([(1, 4, 2), (5, 8, 1)], ["<x>", "rows"]).count('<th scope="row">') == 2


def test_columns_are_the_base_each_alone_and_all_together() -> None:
    found = columns_of([("a", 0.7), (None, 1.0), ("b", -0.5)], SHOWN)
    assert [(column.key, column.title, column.weights) for column in found] == [
        ("base", "base", {}),
        ("adapter a", "a", {"a": 1.0}),
        ("adapter b", "b", {"b": 1.0}),
        ("blend", "0.7·a − 0.5·b", {"a": 0.7, "b": -0.5}),
    ]
    assert formula({"a": -1.0, "b": 2.0}) == "− 1·a + 2·b"
    assert [column.key for column in columns_of([("a", 1.0)], SHOWN)] == ["base", "adapter a"]  # no column twice
    assert [column.key for column in columns_of([("a", 0.0)], SHOWN)] == ["base", "adapter a"]
    for pairs, shown, said in (
        ([("a", 1.0), ("a", 2.0)], SHOWN, "chosen twice"),
        ([("a", None)], SHOWN, "a has no weight"),
        ([], ["alone", "blend"], "no column"),
    ):
        with pytest.raises(UserError, match=said):
            columns_of(pairs, shown)


def test_text_adapters_are_those_of_a_language_model(library: Library) -> None:
    (library.adapters_folder / "broken").mkdir()
    (library.adapters_folder / "broken" / "adapter.json").write_text("{")
    assert text_adapters(library) == ["one", "two"]


def a_turn(*answers: str, turns: Any = (), **facts: Any) -> dict[str, Any]:
    columns = columns_of([("a", 1.0)], SHOWN)
    turn = new_turn(list(turns), columns, "why?", "be brief", **{"base": "pocket-lm", "seed": 3, **facts})
    for number, answer in enumerate(answers):
        piece = {"text": answer, "tokens": len(answer), "ended": "end", "seconds": 0.5}
        take_piece(turn, {"column": number, **piece})
    return turn


def test_a_column_goes_on_from_its_own_answers_and_a_new_one_from_the_first() -> None:
    first = a_turn("one", "two")
    second = a_turn("three", turns=[first])
    system = {"role": "system", "content": "be brief"}
    assert second["columns"][1]["messages"] == [
        *(system, {"role": "user", "content": "why?"}),
        *({"role": "assistant", "content": "two"}, {"role": "user", "content": "why?"}),
    ]
    assert messages_for([first], "blend", "", "x")[1]["content"] == "one"
    assert a_turn(turns=[first], plain=True)["columns"][0]["messages"] == [{"role": "user", "content": "why?"}]
    assert stopped(second)
    assert [column["ended"] for column in second["columns"]] == ["end", "stopped"]
    assert not stopped(a_turn())
    assert kept_turns(json.loads(json.dumps([first, second]))) == [first, second]
    for broken in (None, "x", [3], [{**first, "columns": []}], [{**first, "columns": [{"key": "x"}]}]):
        assert kept_turns(broken) == []
    with pytest.raises(UserError, match="prompt is empty"):
        new_turn([], columns_of([], SHOWN), " ", "")


def test_answers_are_escaped() -> None:
    html = chat_html([a_turn("<script>", "b")], LABELS)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "8 tokens, 16 per second" in html
    assert chat_html([], LABELS) == ""


def test_votes_become_pairs_that_a_run_on_preferences_reads(tmp_path: Path) -> None:
    library, turn = Library(tmp_path), a_turn("good", "bad")
    assert count_votes(library, "pocket-lm") == 0
    with pytest.raises(UserError, match="no votes"):
        votes_to_train_on(library, "pocket-lm")
    assert keep_vote(library, "pocket-lm", pair_of(turn, "a", "base")) == 1
    assert keep_vote(library, "pocket-lm", pair_of(turn, "base", "a")) == 2
    line = json.loads(votes_file(library, "pocket-lm").read_text().splitlines()[0])
    assert (line["seed"], line["weights"]) == (3, {"chosen": {"a": 1.0}, "rejected": {}})
    taken = votes_to_train_on(library, "pocket-lm")
    keep_vote(library, "pocket-lm", pair_of(turn, "a", "base"))
    data = read_texts(taken)  # stays as it was when the run began
    assert data.form.name == "preference"
    assert [(row.chosen, row.rejected) for row in data.rows] == [("bad", "good"), ("good", "bad")]
    assert data.rows[0].messages == tuple(turn["columns"][0]["messages"])
    names = {votes_file(library, base).name for base in ("pocket-lm", "a/pocket-lm", "b/pocket-lm", "..", "<x>")}
    assert len(names) == 5
    assert all("/" not in name and name.startswith("votes-") for name in names)


def test_what_is_no_pair_is_told() -> None:
    turn = a_turn("good", "bad")
    later = a_turn("good", "bad", turns=[turn])
    for given, better, worse, said in (
        (turn, None, "a", "Choose two answers"),
        (turn, "a", "a", "better than itself"),
        (a_turn("x", "x"), "a", "base", "same text"),
        (a_turn("x", ""), "a", "base", "is empty"),
        (later, "a", "base", "different earlier answers"),
        (a_turn("x", "y", plain=True), "a", "base", "without a chat"),
    ):
        with pytest.raises(UserError, match=said):
            pair_of(given, better, worse)


_FORM = """
import json, sys
from pathlib import Path
import gradio as gr
from studio.operations.catalogue import catalogue
from studio.runs.kinds import run_kinds
from studio.app.train.form import Form
given = json.loads(sys.argv[1])
with gr.Blocks():
    form = Form(run_kinds()["text"], catalogue(), given, "en")
    form.front(), form.variants(), form.parts(), form.folded()
values = {name: component.value for name, component in form.fields.items()}
other = form.settings({**values, "run.stage": "sft"})
stages = [value for _, value in form.choosers["stage"].choices]
print(json.dumps({"same": form.settings(values), "other": other, "stages": stages}))
"""  # a page in this process would make event loops and leave them open


class TestForms:
    def test_every_setting_of_a_stage_has_a_field_and_comes_back(self, tmp_path: Path) -> None:
        given = {"kind": "text", "data": "x", "name": "n", "stage": "dpo", "stage_settings": {"beta": 0.3}}
        said = subprocess.run(
            [sys.executable, "-c", _FORM, json.dumps(given)], capture_output=True, text=True, check=True
        )
        found = json.loads(said.stdout)
        assert {key: found["same"][key] for key in given} == given
        assert found["same"]["parts"] == {"language_model": {"method": "lora"}}
        assert {"dpo", "sft"} <= set(found["stages"])
        assert "stage_settings" not in found["other"]

    def test_another_stage_takes_the_settings_of_the_old_one_away(self) -> None:
        given = {"stage": "dpo", "stage_settings": {"beta": 0.3}, "steps": 5}
        assert with_variant(run_kinds()["text"], given, "stage", "sft") == {"stage": "sft", "steps": 5}

    def test_a_stages_settings_are_flags(self) -> None:
        values = {"kind": "text", "data": "x", "name": "n", "stage": "dpo", "stage_settings": {"beta": 0.3}}
        kind, parser = kind_of(values), argparse.ArgumentParser()
        training = Training(kind, kind.parts, "")
        add_training(parser, training)
        words = shlex.split(views_of(values)["command"])
        assert words[:3] == ["studio", "text", "train"]
        config = config_from_options(parser.parse_args(words[3:]), training)
        assert config.stage == "dpo"
        assert {key: float(value) for key, value in config.stage_settings.items()} == {"beta": 0.3}


def test_charts_keep_losses_apart_from_further_measures(tmp_path: Path) -> None:
    lines = [
        {"step": 0, "validation_loss": 3.0, "validation_accuracy": 0.25},
        {"step": 1, "loss": 2.0, "gradient_norm": 9.0, "learning_rates": {"language_model": 0.1}, "seconds": 1},
        {"step": 1, "validation_loss": 1.5, "validation_accuracy": 0.75},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    metrics = Metrics(tmp_path / "metrics.jsonl")
    metrics.refresh()
    drawn = loss_lines({"run": metrics}, 0.0, "raw", "smoothed", "validation")
    assert [(line.title, line.values.tolist()) for line in drawn] == [
        ("run: raw", [2.0]),
        ("run: validation", [3.0, 1.5]),
    ]
    (other,) = measure_lines({"run": metrics})
    assert other.title == "run: validation accuracy"
    assert np.array_equal(other.values, [0.25, 0.75])


def test_answers_of_a_run_stand_under_their_prompts() -> None:
    rows = [("0", "Who?", "<b>me</b>"), ("40", "Who?", "Ahoy"), ("0", "Where?", "here"), ("40", "Where?", "at sea")]
    html = answers_html(rows, "{count} prompts".format, "Step {step}".format)
    assert html.count("<section") == 2
    assert ">2 prompts<" in html
    assert html.index("Who?") < html.index("Step 40") < html.index("Where?") < html.index("at sea")
    assert "&lt;b&gt;me&lt;/b&gt;" in html


def test_a_change_of_perplexity_is_told_in_percent_or_as_a_factor() -> None:
    found = [{"title": "x", "perplexity": value, "loss": 0.0, "tokens": 1} for value in (100, 96.5, 150, 2, 5_000)]
    say = partial(Words().say, None)
    assert [row[2] for row in measured_rows(found, say)] == [
        "",
        "100.0 → 96.5, 3.5 % lower",
        "100.0 → 150.0, 50.0 % higher",
        "100.0 → 2.00, 50 times lower",
        "100.0 → 5,000, 50 times higher",
    ]
    assert note_on(found, say) == ""
    assert note_on([{**found[0], "perplexity": 28_468.2}], say).startswith("28,468 is no mistake")


@pytest.mark.parametrize(("gone", "said"), [(("tokenizer",), "no tokenizer file"), ((), "one is broken or missing")])
def test_a_tokenizer_that_cannot_be_read_is_told_in_a_sentence(
    tiny_language: Path, tmp_path: Path, gone: tuple[str, ...], said: str
) -> None:
    folder = tmp_path / "writer"
    shutil.copytree(tiny_language, folder)
    for path in folder.glob("tokenizer*"):
        path.unlink() if gone else path.write_text('{"model": ')
    with pytest.raises(UserError, match=f"The tokenizer of the base 'writer' cannot be read. .*{said}"):
        load_text_base(str(folder), device="cpu")


def test_what_scores_or_classifies_does_not_chat(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for name, head in (("pirate", None), ("mood", {"kind": "classes", "part": "language_model", "labels": ["a", "b"]})):
        card = {
            "name": name,
            "base": {"name": "any", "family": "causal-lm", "fingerprint": "0" * 64, "widths": {}},
            "parts": {"language_model": {"method": "lora"}},
            "head": head,
        }
        (library.adapters_folder / name).mkdir(parents=True)
        (library.adapters_folder / name / CARD_NAME).write_text(json.dumps(card))
    assert text_adapters(library) == ["pirate"]
