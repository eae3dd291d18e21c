"""The subject of a prompt, which a comparison scores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.compare.subject import THINGS, subject_of, things_not_in
from studio.operations.compare_plan import GridOptions
from trainers.errors import UserError


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("a red boat, sea", "a boat"),
        ("a purple house, meadow", "a house"),
        ("A Red boat", "A boat"),
        ("an orange apple and a dark blue cup, room", "an apple and a cup"),
        ("a black and white cat", "a cat"),
        ("red, green and blue balloons, sky", "balloons"),
        ("an orange, table", "an orange"),
        ("a boat", "a boat"),
        ("a large red boat on the left, sea", "a large boat on the left"),
        ("masterpiece, best quality, a cat, forest", "a cat"),
        ("blueprint style, a red boat, sea", "a boat"),
        ("<ink> , a red boat <lora:ink:0.8>, sea", "a boat"),
        ("a red-haired girl", "a red-haired girl"),
        ("red", "red"),
        ("", ""),
        ("<ink>", "<ink>"),
        ("一艘紅色的船，海", "一艘紅色的船，海"),
    ],
)
def test_a_subject_has_no_colours_that_a_style_may_drop(prompt: str, subject: str) -> None:
    assert subject_of(prompt) == subject


@given(st.text(max_size=60))
def test_any_prompt_has_a_subject(prompt: str) -> None:
    assert bool(subject_of(prompt)) == bool(prompt)


def test_things_that_are_named_are_not_absent() -> None:
    absent = [THINGS[place] for place in things_not_in("a red Boat and two cats")]
    assert {"boat", "cat"} & set(absent) == set()
    assert len(absent) == len(THINGS) - 2
    assert len(things_not_in(" ".join(THINGS))) == len(THINGS)


@pytest.mark.parametrize(
    ("subjects", "wanted"),
    [
        ([], ["a boat", "a cat"]),
        (["a ship"], ["a ship", "a ship"]),
        (["", "a tiger"], ["a boat", "a tiger"]),
    ],
)
def test_subjects_can_be_given(subjects: list[str], wanted: list[str]) -> None:
    options = GridOptions(["a red boat, sea", "a grey cat"], ["one"], subjects=subjects)
    assert list(dict.fromkeys((cell.request.prompt, cell.subject) for cell in options.cells())) == list(
        zip(options.prompts, wanted, strict=True)
    )


def test_a_number_of_subjects_that_fits_no_prompts_is_refused() -> None:
    with pytest.raises(UserError, match=r"There are 3 subjects for 2 prompts. Give one for each"):
        GridOptions(["a", "b"], ["one"], subjects=["x", "y", "z"]).cells()


def test_an_older_comparison_keeps_its_folder() -> None:
    """Its pictures are used again, whatever else can be asked for today."""
    plain, other = GridOptions(["a"], ["one"]), GridOptions(["a"], ["one"], subjects=["b"])
    assert plain.digest() == "db2870a7b7821ec5"
    assert other.digest() != plain.digest()
