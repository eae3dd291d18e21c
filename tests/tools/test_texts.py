"""The small text datasets: reproducible, disjoint, true, counted in syllables, and told apart by the judge."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from text_world import is_held_out
from text_world.documents import grammar
from text_world.facts import answers_right, prompt_is_valid
from text_world.grammar import Grammar
from text_world.variables import DOMAINS, FORMS
from text_world.voices.haiku import is_haiku, syllables
from text_world.voices.lessons import ASKED
from text_world.voices.tasks import ends_politely
from text_world.words import MOODS

from trainers.voice_judge import VoiceJudge, voice_texts

TEXTS = Path(__file__).parents[2] / "examples" / "texts"
VOICES = ("pirate", "haiku", "courtroom", "plain")
SPLITS = ("train", "held_out")


def _lines(name: str, split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (TEXTS / name / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def _facts(start: str, text: str) -> dict[str, str]:
    rules = dict(grammar().rules)
    rules["lesson"] = [(1.0, f"<scene.{scene}> <Ask.{question}>") for scene, question, _, _ in ASKED]
    _, bindings = next(Grammar(rules, DOMAINS, FORMS).derivations(start, text))
    return bindings


def test_the_script_writes_the_committed_bytes(script: Any, tmp_path: Path) -> None:
    script("make_texts.py", "--out texts")
    written = {
        path.relative_to(tmp_path / "texts"): path.read_bytes() for path in (tmp_path / "texts").rglob("*.jsonl")
    }
    committed = {path.relative_to(TEXTS): path.read_bytes() for path in TEXTS.rglob("*.jsonl")}
    assert written.keys() == committed.keys()
    assert [str(name) for name in written if written[name] != committed[name]] == []
    assert sum(map(len, committed.values())) < 1_500_000


@pytest.mark.parametrize("voice", VOICES)
def test_a_voice_answers_right_about_scenes_of_its_split(voice: str) -> None:
    for split in SPLITS:
        for line in _lines(voice, split):
            answer = line["messages"][1]["content"]
            assert answers_right(line, answer), answer
            assert voice != "haiku" or is_haiku(answer), answer
        for line in _lines(voice, split)[:15]:
            assert is_held_out(_facts("lesson", line["messages"][0]["content"])) == (split == "held_out")


@pytest.mark.parametrize("name", [*VOICES, "prompt_expansion", "mood", "preferences"])
def test_no_text_is_in_both_splits(name: str) -> None:
    def asked(line: dict[str, Any]) -> str:
        return str(line["text"] if "text" in line else (line.get("prompt") or line["messages"])[0]["content"])

    train, held_out = ([asked(line) for line in _lines(name, split)] for split in SPLITS)
    if name == "prompt_expansion":  # a short wish alone is no scene; its prompt is
        train, held_out = ([line["messages"][1]["content"] for line in _lines(name, split)] for split in SPLITS)
    assert not set(train) & set(held_out)


def test_rich_prompts_are_valid_and_keep_the_wish() -> None:
    for split in SPLITS:
        for line in _lines("prompt_expansion", split):
            assert prompt_is_valid(line["wish"], line["messages"][1]["content"])


def test_moods_are_shown_and_not_named() -> None:
    for split in SPLITS:
        lines = _lines("mood", split)
        assert Counter(line["label"] for line in lines) == dict.fromkeys(MOODS, len(lines) // len(MOODS))
        for line in lines:
            assert not set(MOODS) & set(line["text"].lower().replace(".", "").split())


def test_the_preferred_answer_is_the_polite_one_and_both_are_right() -> None:
    for split in SPLITS:
        for line in _lines("preferences", split):
            chosen, rejected = line["chosen"][0]["content"], line["rejected"][0]["content"]
            assert ends_politely(chosen)
            assert not ends_politely(rejected)
            assert answers_right(line, chosen)
            assert answers_right(line, rejected)


def test_syllables_are_counted_and_unknown_words_refused() -> None:
    assert syllables("over the pond the mist drifts") == 7
    assert not is_haiku("the boat is red\nover the pond the mist drifts\nsoft rain on the stones")
    assert not is_haiku("a zorbly boat floats\nover the pond the mist drifts\nsoft rain on the stones")
    with pytest.raises(KeyError):
        syllables("zorbly")


def test_the_judge_tells_the_voices_apart_on_held_out_examples() -> None:
    judge = VoiceJudge({voice: voice_texts(TEXTS / voice / "train.jsonl") for voice in VOICES})
    for voice in VOICES:
        assert judge.share(voice_texts(TEXTS / voice / "held_out.jsonl"), voice) >= 0.98
