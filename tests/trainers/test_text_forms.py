"""Chats, tools and pairs as other programs write them: each is read, and nothing in them is dropped in silence."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.families import TextBase
from tests.trainers.test_texts import CHAT, learned, write
from trainers.data.chat import ChatEncoder, encode_rows
from trainers.data.text_forms import TextRow
from trainers.data.texts import TextData, read_texts
from trainers.errors import UserError

USER, ANSWER = CHAT
CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Köln"}'}}
CALLED = {"type": "function", "id": "1", "function": {"name": "weather", "arguments": {"town": "Köln"}}}


def read(folder: Path, *rows: Any, name: str = "x.jsonl", **options: Any) -> TextData:
    return read_texts(write(folder / name, *rows), **options)


def turns(*said: str) -> list[dict[str, str]]:
    return [{"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(said)]


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        (
            {
                "conversations": [
                    {"from": "system", "value": "Be brief."},
                    {"from": "human", "value": "Hi"},
                    {"from": "gpt", "value": "Ahoy"},
                ]
            },
            [{"role": "system", "content": "Be brief."}, *turns("Hi", "Ahoy")],
        ),
        ({"conversation": [{"from": "User", "value": "Hi"}, {"from": "model", "value": "Ahoy"}]}, turns("Hi", "Ahoy")),
        ({"conversations": CHAT, "system": "S"}, [{"role": "system", "content": "S"}, *CHAT]),
        ({"messages": json.dumps(CHAT)}, CHAT),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}]},
            turns("hi"),
        ),
        ({"messages": [{"role": "system", "content": ""}, *CHAT]}, [{"role": "system", "content": ""}, *CHAT]),
        (
            {"instruction": "c", "output": "d", "history": [["a", "b"]], "system": "S"},
            [{"role": "system", "content": "S"}, *turns("a", "b", "c", "d")],
        ),
        ({"prompt": "hi", "completion": [ANSWER]}, CHAT),
        ({"prompt": CHAT[:1], "completion": {"from": "gpt", "value": "ahoy"}}, CHAT),
        (
            {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}]},
            [USER, {"role": "assistant", "content": "", "tool_calls": [CALLED]}],
        ),
        (
            {"messages": [USER, {"role": "assistant", "content": None, "function_call": CALL["function"]}]},
            [USER, {"role": "assistant", "content": "", "tool_calls": [{k: CALLED[k] for k in ("type", "function")}]}],
        ),
        (
            {
                "conversations": [
                    {"from": "human", "value": "hi"},
                    {"from": "function_call", "value": json.dumps(CALL["function"])},
                    {"from": "observation", "value": "sun"},
                ]
            },
            [
                USER,
                {"role": "assistant", "content": "", "tool_calls": [{k: CALLED[k] for k in ("type", "function")}]},
                {"role": "tool", "content": "sun"},
            ],
        ),
        (
            {"messages": [USER, {"role": "tool", "content": {"sky": "clear"}, "tool_call_id": "1", "name": "weather"}]},
            [USER, {"role": "tool", "content": '{"sky": "clear"}', "tool_call_id": "1", "name": "weather"}],
        ),
        (
            {"messages": [USER, {**ANSWER, "reasoning_content": "hm", "refusal": None}]},
            [USER, {**ANSWER, "reasoning_content": "hm"}],
        ),
    ],
)
def test_chats_of_other_programs_become_one_shape(row: Any, messages: list[Any], tmp_path: Path) -> None:
    found = read(tmp_path, row)
    assert list(found.rows[0].messages) == messages
    assert found.notes() == []


@pytest.mark.parametrize(
    ("row", "before"),
    [
        ({"prompt": "hi", "chosen": [USER, ANSWER], "rejected": [USER, {**ANSWER, "content": "no"}]}, [USER]),
        ({"chosen": [USER, ANSWER], "rejected": [USER, {**ANSWER, "content": "no"}]}, [USER]),
        (
            {
                "conversations": [{"from": "human", "value": "hi"}],
                "chosen": {"from": "gpt", "value": "ahoy"},
                "rejected": {"from": "gpt", "value": "no"},
            },
            [USER],
        ),
        ({"instruction": "hi", "input": "", "chosen": "ahoy", "rejected": "no"}, [USER]),
        (
            {"prompt": [{"role": "system", "content": "S"}, USER], "chosen": [USER, ANSWER], "rejected": "no"},
            [{"role": "system", "content": "S"}, USER],
        ),
    ],
)
def test_pairs_of_other_programs_become_one_shape(row: Any, before: list[Any], tmp_path: Path) -> None:
    (found,) = read(tmp_path, row).rows
    assert (list(found.messages), found.chosen, found.rejected) == (before, "ahoy", "no")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"chosen": "a", "rejected": "b"}, "has no prompt: chosen, rejected are there"),
        ({"prompt": "x", "chosen": [USER, ANSWER], "rejected": "no"}, "before the answer in chosen is not the prompt"),
        ({"chosen": [ANSWER], "rejected": "no"}, "has no prompt"),
        ({"messages": [USER, {**ANSWER, "weight": 0.5}]}, r"turn 2: weight = 0.5; only 0 and 1"),
        ({"messages": [USER, {**ANSWER, "weight": 0, "train": True}]}, "weight and train say different things"),
        ({"messages": [USER, {**ANSWER, "train_detail": [{}]}]}, "turn 2: train_detail marks parts of a turn"),
        ({"messages": [{**USER, "content": [{"type": "image_url"}]}]}, "turn 1 has a part of the type 'image_url'"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "turn 2: content must be a text, not null"),
        ({"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [{}]}]}, "turn 2: a tool call must"),
        ({"conversations": [{"from": "function_call", "value": "{"}]}, "turn 1: the tool call is not JSON"),
        ({"messages": CHAT, "tools": "[{"}, "tools is not JSON"),
        ({"messages": CHAT, "tools": [3]}, "tools must be a list of functions"),
        ({"messages": [{"role": "system", "content": "S"}, *CHAT], "system": "S"}, "Keep one of them"),
        ({"instruction": "a", "output": "b", "history": ["a"]}, "history must be a list of pairs"),
        ({"messages": [{**USER, "content": " "}]}, "turn 1: content is empty"),
    ],
)
def test_what_cannot_be_read_is_told(row: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        read(tmp_path, row)


@pytest.mark.parametrize(
    "mark",
    [
        *({key: value} for key in ("weight", "loss", "train", "training", "train_on_turn") for value in (0, False)),
        {"weight": 0.0},
        {"weight": "0"},
        {"loss_scale": 0.0},
        {"mask": True},
    ],
)
def test_a_turn_that_is_marked_is_not_learned_from(mark: dict[str, Any], text_base: TextBase, tmp_path: Path) -> None:
    wrong = {"role": "assistant", "content": "WRONG", **mark}
    other = {key: not value if key != "weight" else 1 for key, value in mark.items()}
    found = read(tmp_path, {"messages": [USER, wrong, USER, {**ANSWER, **other}]})
    assert learned(text_base, found.rows[0]) == ["ahoy<|end|>"]
    assert found.notes() == []
    text_base.tokenizer.chat_template, kept = PLAIN, text_base.tokenizer.chat_template
    try:  # and where the template marks nothing itself
        assert learned(text_base, found.rows[0]) == ["ahoy<|end|>"]
    finally:
        text_base.tokenizer.chat_template = kept
    whole = "".join(learned(text_base, found.rows[0], assistant_only=False))
    assert "WRONG" not in whole
    assert whole.count("hi") == 2


PLAIN = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + (eos_token if m.role == 'assistant' else '') }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def test_of_a_prompt_with_its_completion_the_completion_alone_is_learned(text_base: TextBase, tmp_path: Path) -> None:
    found = read(tmp_path, {"prompt": turns("a", "b", "c"), "completion": "d"})
    assert learned(text_base, found.rows[0]) == ["d<|end|>"]
    assert len(learned(text_base, found.rows[0], assistant_only=False)) == 1  # the whole chat, where that is wished


def test_keys_and_columns_that_mean_nothing_here_are_counted_and_named(tmp_path: Path) -> None:
    rows = [{"messages": [{**USER, "mood": "gay", "id": 1}, {**ANSWER, "id": 2}], "source": "web"}] * 2
    rows.append({"messages": [{**USER, "weight": 1}, {**ANSWER, "content": " "}, USER, ANSWER]})
    assert read(tmp_path, *rows).notes() == [
        "Passed over: columns of x.jsonl that are not used: 1 (source).",
        "Passed over: keys of turns of x.jsonl that are not read: 2 (mood in 2 turns, id in 4 turns).",
        "Passed over: marks to learn from turns that are not the assistant's: 1 (x.jsonl line 3: turn 1).",
        "Passed over: empty answers, which are not learned from: 1 (x.jsonl line 3: turn 2).",
    ]


def test_rows_with_nothing_to_learn_from_are_left_out_and_named(text_base: TextBase, tmp_path: Path) -> None:
    rows = [{"messages": CHAT[:1]}, {"messages": CHAT}, {"messages": [USER, {**ANSWER, "weight": 0}]}]
    encode = ChatEncoder(text_base.tokenizer).encode
    options: dict[str, Any] = {"max_length": 64, "cut_long": False, "context_tokens": 256}
    found = encode_rows(read(tmp_path, *rows).rows, encode, **options)
    assert found.kept == (1,)
    assert found.notes(64) == ["Passed over: rows with nothing to learn from: 2 (x.jsonl line 1, x.jsonl line 3)."]
    with pytest.raises(UserError, match=r"None of 1 row has a token to learn from.*\(x.jsonl line 1\)"):
        encode_rows(read(tmp_path, rows[0]).rows, encode, **options)


def test_of_a_pair_both_answers_are_left_out_together(text_base: TextBase) -> None:
    from trainers.data.pairs import encode_pairs

    rows = [
        TextRow(f"x line {number}", messages=(USER,), chosen="c" * size, rejected="r")
        for number, size in ((1, 2), (2, 60))
    ]
    long = TextRow("x line 3", messages=({**USER, "content": "u" * 60},), chosen="c", rejected="r")
    encoder = ChatEncoder(text_base.tokenizer)
    pairs, found = encode_pairs([long, *rows], encoder, 32, cut_long=True, context_tokens=256)
    assert len(pairs) == 2
    assert found.places == ("x line 1", "x line 1", "x line 2", "x line 2")
    assert found.notes(32)[1] == ("Passed over: rows with nothing left to learn from, once they are cut: 1 (x line 3).")


@pytest.mark.parametrize(
    ("name", "content", "places", "noted"),
    [
        ("x.json", '{"text":"a"}\n{"text":"b"}\n', ["x.json line 1", "x.json line 2"], ()),
        ("x.json", '{\n "text":"a"\n}\n\n{"text":\n"b"}', ["x.json line 1", "x.json line 5"], ()),
        ("x.jsonl", '[{"text":"a"},\n{"text":"b"}]', ["x.jsonl row 1", "x.jsonl row 2"], ()),
        ("x.jsonl", '{\n"text":"a"\n}\n{"text":"b"}', ["x.jsonl line 1", "x.jsonl line 4"], ()),
        (
            "x.json",
            '{"version": 1, "data": [{"text":"a"}, {"text":"b"}]}',
            ["x.json row 1", "x.json row 2"],
            ("Passed over: what stands beside the rows of x.json: 1 (version).",),
        ),
        ("x.jsonl", '\ufeff{"text":"a"}\r\n{"text":"b"}\r\n', ["x.jsonl line 1", "x.jsonl line 2"], ()),
    ],
)
def test_json_is_known_by_what_is_in_it(
    name: str, content: str, places: list[str], noted: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    found = read_texts(tmp_path / name)
    assert [(row.text, row.where) for row in found.rows] == list(zip("ab", places, strict=True))
    assert tuple(found.notes()) == noted


def test_a_line_of_jsonl_ends_at_a_line_feed_alone_and_a_cell_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": "a\u2028b\x85c"}, ensure_ascii=False), encoding="utf-8")
    assert read_texts(tmp_path / "x.jsonl").rows[0].text == "a\u2028b\x85c"
    (tmp_path / "x.csv").write_text(f"text\n{'a' * 140_000}\n")
    assert len(read_texts(tmp_path / "x.csv").rows[0].text) == 140_000


def test_of_several_forms_the_one_is_taken_that_the_stage_learns_from(tmp_path: Path) -> None:
    both = {"prompt": "hi", "messages": CHAT, "chosen": [USER, ANSWER], "rejected": [USER, {**ANSWER, "content": "n"}]}
    assert read(tmp_path, both).form.name == "preference"
    found = read(tmp_path, both, wanted=("messages", "text"))
    assert (found.form.name, found.unused) == ("messages", ("prompt", "chosen", "rejected"))
    assert read(tmp_path, {"text": "a", "label": "b"}, wanted=("text",)).form.name == "text"
