"""A short wish to a full picture prompt, written by a language model."""

import re
from collections.abc import Mapping, Sequence

from pipelines.attach import Attachments
from pipelines.text_generate import TextRequest, generate_texts
from trainers.errors import UserError

_ASKED = "Write a prompt for {wish}."
_LONGEST = 96


def expand_prompt(
    attachments: Attachments, wish: str, weights: Mapping[str, float] | None = None, *, keep: Sequence[str] = ()
) -> str:
    """Let a language model write a picture prompt; the same wish, model and weights give the same prompt.

    Args:
        wish: what to draw, in a few words; whole sentences with an end are asked as they are.
        weights: text adapter -> weight.
        keep: words that the language model cannot know, such as triggers of picture adapters: those that the wish holds
            are kept from it and stand before the prompt, in their order here.

    Raises:
        UserError: the wish is empty but for those words, the model's answer is empty or does not end, or an adapter is
            not attached.
    """
    kept: list[str] = []
    asked = wish
    for word in dict.fromkeys(keep):
        rest = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)\s*,?", " ", asked, flags=re.IGNORECASE)
        if rest != asked:
            kept, asked = [*kept, word], rest
    asked = " ".join(asked.split()).strip(" ,")
    if not asked:
        raise UserError(f"There is nothing to expand in the prompt {wish!r}. Say in a few words what to draw.")
    question = asked if asked[-1] in ".!?" else _ASKED.format(wish=asked)
    request = TextRequest(question, weights=weights or {}, max_new_tokens=_LONGEST)
    ((_, answer),) = generate_texts(attachments, [request])
    prompt = " ".join(answer.text.split())
    if not prompt or answer.ended == "length":
        what = f"did not end within {_LONGEST} tokens: {prompt[:80]!r} …" if prompt else "is empty"
        raise UserError(
            f"The language model {attachments.base.name!r} wrote no prompt for {wish!r}: its answer {what}. Say it "
            "otherwise, take another text adapter, or leave --expand out."
        )
    return ", ".join([*kept, prompt])
