"""What a language model answered on its way through a run, as HTML in which everything is escaped."""

from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby


def answers_html(rows: Sequence[tuple[str, str, str]], title: Callable[..., str], at_step: Callable[..., str]) -> str:
    """Return prompts with their answers, a frame for each prompt.

    Args:
        rows: (step, prompt, answer), those of a prompt together.
        title: says how many prompts there are, which it is given as `count`.
        at_step: says a step, which it is given by name.
    """
    frames = []
    for prompt, own in groupby(rows, key=lambda row: row[1]):
        answers = "".join(
            f'<p class="studio-facts-line">{escape(at_step(step=step))}</p><p class="studio-said">{escape(answer)}</p>'
            for step, _, answer in own
        )
        frames.append(
            f'<section class="studio-row"><p class="studio-said"><b>{escape(prompt)}</b></p>{answers}</section>'
        )
    said = escape(title(count=len(frames)))
    # it can be scrolled by keys too, therefore the tabindex
    region = f'<div class="studio-scroll" role="region" tabindex="0" aria-label="{said}">{"".join(frames)}</div>'
    return f'<p class="studio-heading">{said}</p>{region}'
