"""What other programs give a meaning in a prompt is named, and prose is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.prompt_notes import SENTENCES, caption_sentences, note_sentences, prompt_notes


@pytest.mark.parametrize(
    ("prompt", "kinds"),
    [
        ("a red boat <lora:ink:0.8>, (sea:1.3)", {"adapter": ("<lora:ink:0.8>",), "weight": ("(sea:1.3)",)}),
        ("<lyco:ink:1> <LORA:a b:0.5:0.3:lbw=OUTALL>", {"adapter": ("<lyco:ink:1>", "<LORA:a b:0.5:0.3:lbw=OUTALL>")}),
        ("<hypernet:old:1>", {"hypernetwork": ("<hypernet:old:1>",)}),
        ("a <random:cat,dog> <wildcard:x>", {"tag": ("<random:cat,dog>", "<wildcard:x>")}),
        ("((sea)) and [sky] and (a (b:1.2):0.9)", {"weight": ("((sea))", "[sky]", "(b:1.2)")}),
        ("( sea : 1.25 ), (x:-1), (y:.5)", {"weight": ("( sea : 1.25 )", "(x:-1)", "(y:.5)")}),
        ("[boat:ship:0.5] x, [a|b], [sky::10]", {"change": ("[boat:ship:0.5]", "[a|b]", "[sky::10]")}),
        ("[cat:0] {cat:0} (cat:0) cat:0", {"change": ("[cat:0]",), "weight": ("{cat:0}", "(cat:0)")}),
        ("(A lovely beach-side cottage)0.5", {"weight": ("0.5",)}),
        ("a boat BREAK the sea AND a sky", {"keyword": ("BREAK", "AND")}),
        ("sea, ADDCOMM boat ADDROW sky", {"keyword": ("ADDCOMM", "ADDROW")}),
        ("__colour__ boat, {red|blue} sea, {2$$a|b}", {"wildcard": ("__colour__", "{red|blue}", "{2$$a|b}")}),
        ("${x} __animals/*__", {"wildcard": ("${x}", "__animals/*__")}),
        ("(embedding:Bad:1.2), ugly", {"embedding": ("embedding:Bad",), "weight": ("(embedding:Bad:1.2)",)}),
        ("{{boat}}, 1.3::sea::", {"weight": ("{boat}", "1.3::sea::")}),
        ("forest++, (sea)1.2, (sky)--", {"weight": ("forest++", "1.2", "--")}),
        ('("a boat", "a ship").blend(0.5, 0.5)', {"change": (").blend(",)}),
        (r"miku \(vocaloid\)", {"escape": (r"\(", r"\)")}),
    ],
)  # fmt: skip
def test_syntax_of_other_programs_is_named(prompt: str, kinds: dict[str, tuple[str, ...]]) -> None:
    assert {note.kind: note.found for note in prompt_notes(prompt)} == kinds


@pytest.mark.parametrize(
    "prompt",
    [
        "a red boat, sea",
        "a boat (small), on the sea",
        "a boat (small, red) and (another)",
        "<ink> , a boat",
        "a clock (at 10:30), ratio (16:9)",
        "Genesis (1:1)",
        "photo of Ereshkigal (ereshkigal (fate)), with twintails (twintails) and bangs (parted bangs)",
        "a cat AND_ a dog and a bird",
        "a sign that says ROCK AND ROLL",
        "a sign: DO NOT BREAK GLASS",
        "the C++ book, 18+, g++",
        "a path like C:/models, time 12:00",
        "well-known -- a boat, 3.5:1",
        "snake_case__x, a __ b",
        'a "quoted" word. And another',
        '{"subject": "a boat", "style": "ink"}',
        "smile :) and :( and <3",
        "score_9, score_8_up",
        "a<b and c>d",
        "一艘紅色的船（小），海",
        "",
    ],
)
def test_prose_and_learned_words_are_left_alone(prompt: str) -> None:
    assert prompt_notes(prompt) == []


def test_sentences_name_the_text_what_it_is_and_what_to_do() -> None:
    found = list(note_sentences({"prompt": "a boat <lora:ink:0.8>", "negative prompt": "(ugly:1.2)"}))
    assert found == [
        "Note: in the prompt, <lora:ink:0.8> is read as letters: tags load no adapter here. Take it out, and give "
        "--adapter NAME:0.8.",
        "Note: in the negative prompt, (ugly:1.2) is read with its brackets and numbers: words have no weights here. "
        "Write the words alone.",
    ]


def test_captions_are_counted_and_named() -> None:
    captions = {f"{number:02}.png": f"a boat, ({number}x:1.1)" for number in range(12)}
    captions |= {"clean.png": "a cat", "tag.png": "<lora:ink:1> a dog"}
    weight, adapter = sorted(caption_sentences(captions), key=len, reverse=True)
    assert weight.startswith("Note: in 12 captions (00.png, 01.png, ")
    assert "09.png … and 2 more), (0x:1.1), (1x:1.1)" in weight
    assert "(4x:1.1) … and 7 more is read" in weight
    assert adapter.startswith("Note: in 1 caption (tag.png), <lora:ink:1> is read as letters")


@given(st.text(st.sampled_from("ab(:1.)[]{}|<>_\\\\ANDBREK+-, "), max_size=60))
def test_any_text_gives_notes_of_what_stands_in_it(prompt: str) -> None:
    for note in prompt_notes(prompt):
        assert note.kind in SENTENCES
        assert all(found in prompt for found in note.found)


def test_a_long_text_of_brackets_takes_no_time() -> None:
    for piece in ("(", "[", "{", "<a:", "__a", "(a:", "((", "[a:"):
        prompt_notes(piece * 2_000)
