"""The text world's grammar: exact probabilities, parsing, held-out scenes, and words that agree with the pictures."""

import math
import random
from collections import Counter

import pytest
from text_world import is_held_out, log_probability, parses, parses_document, sample_document, sentences
from text_world import words as text_words
from text_world.documents import KINDS, grammar
from text_world.domains import CODAS, ONSETS, VOWELS, MadeUp, OneOf, made_up_probability, made_up_word
from text_world.facts import prompt_is_valid, says
from text_world.grammar import Grammar


def _small(rules: dict[str, list[tuple[float, str]]]) -> Grammar:
    colours = ("red", "blue", "green")
    domains = {
        "own": OneOf(colours, unlike=("other",)),
        "other": OneOf(colours, unlike=("own",), weights=(2, 1, 1)),
        "name": MadeUp(("Mia", "Tom"), made_up_share=0.5),
    }
    return Grammar(rules, domains, {"loud": str.upper})


def test_an_ambiguous_grammar_gives_the_sum_of_all_derivations() -> None:
    small = _small({"s": [(1, "<a><a>")], "a": [(3, "x"), (1, "xx")]})
    chances = {text: math.exp(small.log_probability("s", text)) for text in ("xx", "xxx", "xxxx")}
    assert chances == pytest.approx({"xx": 9 / 16, "xxx": 6 / 16, "xxxx": 1 / 16})
    assert len(list(small.derivations("s", "xxx"))) == 2
    assert small.log_probability("s", "x") == -math.inf


def test_variables_agree_and_differ_and_are_charged_once() -> None:
    small = _small({"s": [(1, "{own} {loud:own} not {other}")]})
    expected = {}
    weights = {"red": 2, "blue": 1, "green": 1}
    for own in weights:
        for other in set(weights) - {own}:
            left = sum(weight for colour, weight in weights.items() if colour != own)
            expected[f"{own} {own.upper()} not {other}"] = 1 / 3 * weights[other] / left
    found = {text: math.exp(small.log_probability("s", text)) for text in expected}
    assert found == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(1)
    assert not small.parses("s", "red BLUE not green")
    assert not small.parses("s", "red RED not red")


def test_a_hidden_choice_is_summed_over() -> None:
    small = _small(
        {"s": [(1, "<say@own>")], "say.red": [(1, "hot")], "say.blue": [(1, "cold")], "say.green": [(1, "hot")]}
    )
    assert math.exp(small.log_probability("s", "hot")) == pytest.approx(2 / 3)


def test_a_rule_that_names_what_is_not_there_is_an_error() -> None:
    for template, missing in (("<nobody>", "nobody"), ("{nothing}", "nothing"), ("{bent:own}", "bent")):
        with pytest.raises(ValueError, match=missing):
            _small({"s": [(1, template)]})


def test_probabilities_of_a_rule_of_the_world_add_up_to_one() -> None:
    rng = random.Random(0)
    for start, least in (("Wish.bare", 180), ("Answer.happy", 3), ("Group", 1)):
        known = {"number": "two", "colour1": "red", "setting": "sea"} if start == "Group" else {}
        texts = {grammar().sample(start, rng, known).text for _ in range(4000)}
        assert len(texts) >= least
        total = sum(math.exp(grammar().log_probability(start, text, known)) for text in texts)
        assert total == pytest.approx(1, abs=1e-9)


def test_frequencies_agree_with_probabilities() -> None:
    rng = random.Random(1)
    known = {"who": "Mia", "mood": "sad"}
    counts = Counter(grammar().sample("feel", rng, known).text for _ in range(6000))
    for text, count in counts.most_common(12):
        chance = math.exp(grammar().log_probability("feel", text, known))
        assert count == pytest.approx(6000 * chance, abs=5 * math.sqrt(6000 * chance))


def test_made_up_words_are_weighed_over_all_their_cuts() -> None:
    one = {"a": 1 / len(ONSETS) / len(VOWELS) * CODAS.count("") / len(CODAS)}
    assert made_up_probability("a") == pytest.approx(0.4 * one["a"])
    assert made_up_probability("aa") == pytest.approx(0.45 * one["a"] ** 2)
    syllables = {onset + vowel + coda for onset in ONSETS for vowel in VOWELS for coda in CODAS}
    from text_world.domains import _one_syllable

    assert sum(_one_syllable(text) for text in syllables) == pytest.approx(1)
    rng = random.Random(2)
    assert all(made_up_probability(made_up_word(rng)) > 0 for _ in range(200))


def test_every_document_and_every_sentence_of_it_parses() -> None:
    rng = random.Random(3)
    for kind in KINDS:
        for _ in range(4):
            document = sample_document(rng, kind=kind)
            assert math.isfinite(log_probability(document.text)), document.text
            assert [s for s in sentences(document.text) if not parses(s)] == []


def test_edits_of_words_mostly_do_not_parse() -> None:
    rng = random.Random(4)
    left = []
    while len(left) < 60:
        document = sample_document(rng, kind="story")
        sentence = rng.choice(list(sentences(document.text)))
        words = sentence.split(" ")
        if len(words) > 4:
            first = rng.randrange(len(words) - 1)
            words[first], words[first + 1] = words[first + 1], words[first]
            left.append(parses(" ".join(words)))
    assert sum(left) <= 4


def test_a_document_whose_facts_disagree_does_not_parse() -> None:
    good = "<|user|>There is a red boat on the sea. What colour is the boat?<|end|><|assistant|>The boat is red.<|end|>"
    assert parses_document(good)
    assert not parses_document(good.replace("boat is red", "boat is blue"))
    assert not parses_document(good.replace("The boat is red.", "The cat is red."))


def test_the_entropy_is_stable_and_below_a_nat_per_character() -> None:
    figures = []
    for seed in (5, 6):
        rng = random.Random(seed)
        texts = [sample_document(rng).text for _ in range(40)]
        figures.append(-sum(map(log_probability, texts)) / sum(map(len, texts)))
    assert min(figures) > 0.1
    assert max(figures) < 0.3
    assert figures[0] == pytest.approx(figures[1], rel=0.3)


def test_held_out_scenes_are_six_percent_and_never_among_the_others() -> None:
    rng = random.Random(7)
    documents = [sample_document(rng, kind="scene") for _ in range(2000)]
    share = sum(is_held_out(document.facts) for document in documents) / len(documents)
    assert share == pytest.approx(0.06, abs=0.025)
    for held_out in (True, False):
        assert is_held_out(sample_document(rng, held_out=held_out).facts) == held_out


def test_the_same_seed_gives_the_same_texts() -> None:
    first, second = ([sample_document(rng).text for _ in range(20)] for rng in (random.Random(8), random.Random(8)))
    assert first == second


def test_the_words_are_those_of_the_pictures() -> None:
    import world

    assert tuple(text_words.NOUNS) == world.NOUNS
    assert tuple(world.COLOURS) == text_words.COLOURS
    assert tuple(text_words.PLACES) == world.SETTINGS
    assert world.BASE_STYLES == text_words.BASE_STYLES
    assert all(set(settings) <= set(world.SETTINGS) for _, settings in text_words.NOUNS.values())


def test_prompts_are_checked_against_the_wish() -> None:
    wish = {"noun1": "boat", "colour1": "red"}
    assert prompt_is_valid(wish, "a large red boat, sea")
    assert prompt_is_valid(wish, "a large red boat and a small white bird, sea, oil style")
    for wrong in ("a large blue boat, sea", "a red boat", "a red boat, sea, shiny style", "red boat in the sea"):
        assert not prompt_is_valid(wish, wrong)


def test_an_answer_must_say_the_right_word_and_no_other_of_its_kind() -> None:
    assert says("colour", "red", "Arr, the boat be red!")
    assert not says("colour", "red", "The boat is red or blue.")
    assert not says("colour", "red", "The boat is reddish.")
    assert says("thing", "cactus", "There are two cacti.")


def test_an_answer_in_given_words_holds_the_fact_in_them_and_nothing_else() -> None:
    asked = (
        "<|user|>There is a red boat on the sea. What colour is the boat? Answer like this: bim bom, X zoar Y<|end|>"
    )
    assert parses_document(f"{asked}<|assistant|>bim bom, the boat zoar red<|end|>")
    for wrong in (
        "bim bom, the boat zoar blue",
        "bim bom, the cat zoar red",
        "bim, the boat zoar red",
        "The boat is red.",
    ):
        assert not parses_document(f"{asked}<|assistant|>{wrong}<|end|>")
