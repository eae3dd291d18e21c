"""A short wish becomes a full picture prompt, written by the shipped language model."""

import pytest

from pipelines.attach import Attachments
from pipelines.bases import load_text_base
from pipelines.expansion import expand_prompt
from pipelines.families import TextBase
from trainers.errors import UserError


@pytest.fixture(scope="module")
def pocket() -> Attachments:
    return Attachments(load_text_base("pocket-lm", device="cpu", precision="fp32"))


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("a red boat", ("red boat",)),
        ("a boat and a cat", ("boat", "cat")),
        ("Draw a cat in the snow.", ("cat", "snow")),
        ("a kite, ink style", ("kite", "ink style")),
    ],
)
def test_the_prompt_keeps_the_wish_and_is_fuller(pocket: Attachments, wish: str, words: tuple[str, ...]) -> None:
    prompt = expand_prompt(pocket, wish)
    assert all(word in prompt for word in words), prompt
    assert prompt.count(",") > wish.count(",") or "Draw" in wish
    assert "\n" not in prompt
    assert expand_prompt(pocket, wish) == prompt


def test_triggers_stand_before_the_prompt_and_are_kept_from_the_model(pocket: Attachments) -> None:
    plain = expand_prompt(pocket, "a red boat")
    triggers = ["zorb style", "<blue>", "absent", "red bo"]
    assert expand_prompt(pocket, "<Blue>, a red boat, zorb style", keep=triggers) == f"zorb style, <blue>, {plain}"


def test_what_cannot_be_expanded_is_said(pocket: Attachments, text_base: TextBase) -> None:
    with pytest.raises(UserError, match="nothing to expand in the prompt 'zorb, '"):
        expand_prompt(pocket, "zorb, ", keep=["zorb"])
    with pytest.raises(UserError, match="did not end within 96 tokens"):
        expand_prompt(Attachments(text_base), "a red boat")  # random weights never say that they are done
    with pytest.raises(UserError, match="'voice' is not attached"):
        expand_prompt(pocket, "a red boat", {"voice": 1.0})
