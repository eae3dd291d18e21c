"""Reading texts: every form, every mistake with its line, and what the model sees of them."""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.families import TextBase
from trainers.data.chat import ChatEncoder, encode_rows
from trainers.data.texts import FORMS, TextRow, held_out_file, read_texts
from trainers.errors import UserError

CHAT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ahoy"}]
FORM_ROWS: dict[str, dict[str, Any]] = {
    "messages": {"messages": CHAT},
    "preference": {"prompt": "hi", "chosen": "ahoy", "rejected": "good day"},
    "prompt_completion": {"prompt": "hi", "completion": "ahoy"},
    "alpaca": {"instruction": "Greet.", "input": "a sailor", "output": "ahoy"},
    "classification": {"text": "ahoy", "label": "pirate"},
    "prompts": {"prompt": "hi"},
    "text": {"text": "ahoy there"},
}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognised_by_its_columns(form: str, tmp_path: Path) -> None:
    found = read_texts(write(tmp_path / "x.jsonl", FORM_ROWS[form], FORM_ROWS[form]))
    assert found.form is FORMS[form]
    assert [row.where for row in found.rows] == ["x.jsonl line 1", "x.jsonl line 2"]
    assert found.unused == ()


def test_forms_become_one_shape(tmp_path: Path) -> None:
    answers = {"messages", "prompt_completion", "alpaca"}
    for form in answers:
        (row,) = read_texts(write(tmp_path / "x.jsonl", FORM_ROWS[form])).rows
        assert row.messages[-1] == {"role": "assistant", "content": "ahoy"}
    (row,) = read_texts(write(tmp_path / "x.jsonl", FORM_ROWS["alpaca"])).rows
    assert row.messages[0] == {"role": "user", "content": "Greet.\n\na sailor"}
    (row,) = read_texts(write(tmp_path / "x.jsonl", {**FORM_ROWS["preference"], "chosen": CHAT[1:]})).rows
    assert (row.chosen, row.rejected) == ("ahoy", "good day")
    assert row.messages == ({"role": "user", "content": "hi"},)


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    found = read_texts(write(tmp_path / "x.jsonl", {"id": 3, **FORM_ROWS["text"]}, {**FORM_ROWS["text"], "source": ""}))
    assert found.unused == ("id", "source")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"text": "a"}', '{"text": '], "x.jsonl line 2 is not JSON"),
        (['{"text": "a"}', "", "3"], "x.jsonl line 3 must be named values"),
        (['{"words": "a"}'], r"line 1 has the columns words, which is no known form"),
        (['{"text": "a"}', '{"texts": "a"}'], r"x.jsonl line 2 has no text; it has texts"),
        (
            ['{"text": "a"}', '{"text": " "}', '{"text": 3}'],
            r"2 of 3 rows(.|\n)*line 2: text is empty(.|\n)*line 3: text must be",
        ),
        ([json.dumps({"messages": [{"role": "poet", "content": "x"}]})], "turn 1 has the role 'poet'"),
        ([json.dumps({"messages": [{"from": "gpt"}]})], "turn 1: content must be a text, not null"),
        ([json.dumps({"messages": [{"content": "x"}]})], "turn 1 of messages must have role and content"),
        ([json.dumps({"messages": []})], "messages must be a list of turns"),
        (['{"text": "a", "label": 0.5}'], "label must be a word or a whole number, not 0.5"),
        (['{"prompt": "a", "chosen": "b", "rejected": "b"}'], "chosen and rejected are the same"),
        (["", " "], "holds no rows"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(lines: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        read_texts(write(tmp_path / "x.jsonl", *lines))


def test_other_kinds_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([FORM_ROWS["text"]]))
    (tmp_path / "a.csv").write_text('text,label\r\n"ahoy, you\nthere",pirate\r\nwell,judge\r\n')
    (tmp_path / "a.txt").write_bytes("\ufeffone\ntwo\r\n\r\n\r\nthree".encode())
    assert [row.text for row in read_texts(tmp_path / "a.json").rows] == ["ahoy there"]
    rows = read_texts(tmp_path / "a.csv").rows
    assert [(row.text, row.label, row.where) for row in rows] == [
        ("ahoy, you\nthere", "pirate", "a.csv line 3"),
        ("well", "judge", "a.csv line 4"),
    ]
    assert [(row.text, row.where) for row in read_texts(tmp_path / "a.txt").rows] == [
        ("one\ntwo", "a.txt line 1"),
        ("three", "a.txt line 5"),
    ]
    for name, content, said in (
        ("b.json", "{}", "b.json line 1 has the columns none, which is no known form"),
        ("b.json", "[\n1", "b.json line 2 is not JSON"),
        ("b.csv", "text,label\nahoy\n", "b.csv line 2 has 1 cell, and the header names 2"),
        ("b.csv", "text,label\nahoy,a,b\n", "b.csv line 2 has 3 cells"),
        ("b.csv", 'text,label\n"ahoy" x,b\n', "b.csv line 2 is not CSV"),
        ("b.xml", "<a>", "none of the kinds that can be read"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match=said):
            read_texts(tmp_path / name)
    (tmp_path / "c.txt").write_bytes(b"fine\nb\xff\x81d")
    with pytest.raises(UserError, match=r"c.txt line 2 is not UTF-8"):
        read_texts(tmp_path / "c.txt")


@pytest.mark.parametrize(
    ("codec", "encoding"), [("utf-8", "UTF-8"), ("cp1252", "Windows-1252"), ("utf-16", "UTF-16"), ("utf-32", "UTF-32")]
)
@pytest.mark.parametrize("name", ["rows.txt", "rows.csv", "rows.jsonl", "rows.json"])
def test_files_in_other_encodings_are_read_and_named(tmp_path: Path, codec: str, encoding: str, name: str) -> None:
    text = "The café’s door"
    content = {
        "rows.txt": text,
        "rows.csv": f"text\n{text}\n",
        "rows.json": json.dumps([{"text": text}], ensure_ascii=False),
    }
    line = json.dumps({"text": text}, ensure_ascii=False)
    (tmp_path / name).write_bytes(content.get(name, line).encode(codec))
    data = read_texts(tmp_path / name)
    assert [row.text for row in data.rows] == [text]
    assert any(f"{name} is {encoding}" in note for note in data.notes()) == (encoding != "UTF-8")


def test_of_a_folder_the_training_file_is_taken(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no text file"):
        read_texts(tmp_path)
    write(tmp_path / "words.jsonl", FORM_ROWS["text"])
    assert read_texts(tmp_path).path.name == "words.jsonl"
    assert held_out_file(tmp_path) is None
    write(tmp_path / "held_out.jsonl", FORM_ROWS["text"])
    with pytest.raises(UserError, match=r"must hold one file train.jsonl.*it holds held_out.jsonl, words.jsonl"):
        read_texts(tmp_path)
    write(tmp_path / "train.jsonl", FORM_ROWS["text"])
    assert read_texts(tmp_path).path.name == "train.jsonl"
    assert held_out_file(tmp_path) == held_out_file(tmp_path / "train.jsonl") == tmp_path / "held_out.jsonl"
    with pytest.raises(UserError, match="does not exist"):
        read_texts(tmp_path / "nowhere")


def learned(base: TextBase, row: TextRow, **options: Any) -> list[str]:
    encoder = ChatEncoder(base.tokenizer, **options)
    one = encoder.encode(row)
    runs = groupby(zip(one.numbers, one.trained, strict=True), key=lambda pair: pair[1])
    return [base.tokenizer.decode([number for number, _ in run]) for trained, run in runs if trained]


TURNS = st.lists(st.text("ab <>|ü\n", min_size=1, max_size=8).filter(str.strip), min_size=2, max_size=6)


@given(turns=TURNS)
def test_marks_of_the_template_and_rendering_twice_tell_the_same_answers(
    shared_text_base: TextBase, turns: list[str]
) -> None:
    messages = tuple(
        {"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(turns)
    )
    encoder = ChatEncoder(shared_text_base.tokenizer)
    assert encoder.marked
    marked = encoder.chat(messages)
    encoder.marked = False
    assert encoder.chat(messages) == marked
    answers = [text for number, text in enumerate(turns) if number % 2]
    assert learned(shared_text_base, TextRow("", messages=messages)) == [f"{text}<|end|>" for text in answers]


def test_all_of_a_plain_text_is_learned_from_with_its_end(text_base: TextBase) -> None:
    assert learned(text_base, TextRow("", text="ahoy")) == ["ahoy<|end|>"]
    whole = ChatEncoder(text_base.tokenizer, assistant_only=False).chat(tuple(CHAT))
    assert all(whole.trained)
    assert whole.trained_count == len(whole.numbers) - 1


def test_a_template_that_refuses_a_chat_is_named_with_the_line(
    text_base: TextBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = "{{ raise_exception('only users speak') }}"
    monkeypatch.setattr(text_base.tokenizer, "chat_template", refusing)
    with pytest.raises(UserError, match=r"x line 7: the base's chat template refuses.*only users speak"):
        ChatEncoder(text_base.tokenizer).chat(CHAT, "x line 7")
    monkeypatch.setattr(text_base.tokenizer, "chat_template", "{{ messages | length }}{{ messages[-1]['content'] }}")
    with pytest.raises(UserError, match="renders earlier turns differently once later ones follow"):
        ChatEncoder(text_base.tokenizer).chat([*CHAT, *CHAT])


def test_long_rows_are_refused_counted_and_cut(text_base: TextBase) -> None:
    rows = [TextRow("x line 1", text="ab"), TextRow("x line 2", text="a" * 20), TextRow("x line 3", text="a" * 30)]
    options = {"max_length": 10, "context_tokens": 256}
    encode = ChatEncoder(text_base.tokenizer).encode
    with pytest.raises(
        UserError, match=r"2 of 3 rows are longer than 10 tokens, the longest has 31 \(x line 3\); 32 of 55"
    ):
        encode_rows(rows, encode, cut_long=False, **options)
    found = encode_rows(rows, encode, cut_long=True, **options)
    assert [len(one.numbers) for one in found.rows] == [3, 10, 10]
    assert found.lengths == (3, 21, 31)
    assert "2 of 3 rows were cut to 10 tokens (x line 2, x line 3); 32 of 55" in found.notes(10)[0]


def test_rows_whose_answers_are_cut_away_are_left_out_and_counted(text_base: TextBase) -> None:
    long = TextRow("x line 1", messages=({"role": "user", "content": "a" * 30}, CHAT[1]))
    short = TextRow("x line 2", messages=tuple(CHAT))
    options = {"max_length": 12, "context_tokens": 256, "cut_long": True}
    encode = ChatEncoder(text_base.tokenizer).encode
    found = encode_rows([long, short], encode, **options)
    assert found.places == ("x line 2",)
    assert found.kept == (1,)
    assert found.notes(12)[1] == "Passed over: rows with nothing left to learn from, once they are cut: 1 (x line 1)."
    with pytest.raises(UserError, match="no row has anything left to learn from"):
        encode_rows([long], encode, **options)
