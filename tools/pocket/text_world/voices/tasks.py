"""Plain answers, richer prompts for the picture model, moods to classify, and pairs with a preference."""

from __future__ import annotations

import random

from .. import words
from ..documents import grammar, is_held_out
from .lessons import Lesson, fill, sample_lesson

PLAIN = {
    "colour": ("{the} {is_} {answer}.", "{it} {is_} {answer}."),
    "place": ("{the} {is_} {place}.", "{it} {is_} {place}.", "you can find {it} {place}."),
    "number": ("there are {answer} {x}.", "I count {answer} {x}."),
    "mood": ("{the} is {answer}.", "{the} feels {answer}."),
}
POLITE = (
    "I hope that helps!",
    "You are very welcome!",
    "Thank you for asking!",
    "Please ask me anything else!",
    "Have a lovely day!",
    "It was a pleasure to look!",
)
RUDE = (
    "Now leave me alone.",
    "Anybody can see that.",
    "Do not ask again.",
    "What a silly question.",
    "I have no time for this.",
    "Look for yourself next time.",
)


def plain(lesson: Lesson, rng: random.Random) -> str:
    """The base's own register: "The boat is red." """
    said = fill(rng.choice(PLAIN[lesson.kind]), lesson)
    if lesson.many and said.startswith("you"):
        said = said.replace("they", "them")
    return said[0].upper() + said[1:]


def rich_prompt(rng: random.Random, *, held_out: bool) -> dict[str, object]:
    """A short wish and a fuller prompt than the base would write: a second thing, sizes, a setting and a style."""
    while True:
        wish = grammar().sample("Wish.coloured", rng)
        facts = dict(wish.bindings)
        for name in ("fit", "noun2", "colour2", "style"):
            facts[name] = grammar().domains[name].sample(rng, facts)
        if is_held_out(facts) == held_out:
            break
    first = words.with_article(f"large {facts['colour1']} {facts['noun1']}")
    second = words.with_article(f"small {facts['colour2']} {facts['noun2']}")
    prompt = f"{first} and {second}, {facts['fit']}, {facts['style']} style"
    messages = [{"role": "user", "content": wish.text}, {"role": "assistant", "content": prompt}]
    named = {name: facts[name] for name in ("noun1", "colour1")}
    return {"messages": messages, "wish": named}


def mood_text(rng: random.Random, label: str, *, held_out: bool) -> dict[str, object]:
    """A short story that shows a mood and never names it, with the mood as label."""
    while True:
        facts: dict[str, str] = {"mood": label}
        parts = []
        happened = rng.choice((["Event"], ["Sign"], ["Event", "Sign"], ["Sign", "End"]))
        for rule in ("Open", "Find", *(f"{name}.{label}" for name in happened)):
            derived = grammar().sample(rule, rng, facts)
            facts = derived.bindings
            parts.append(derived.text)
        if is_held_out(facts) == held_out:
            return {"text": " ".join(parts), "label": label}


def preference(rng: random.Random, *, held_out: bool) -> dict[str, object]:
    """The same right answer twice: preferred with a polite ending, rejected with a rude one or none at all."""
    lesson = sample_lesson(rng, held_out=held_out)
    said = plain(lesson, rng)
    rude = f"{said} {rng.choice(RUDE)}" if rng.random() < 0.7 else said
    return {
        "prompt": [{"role": "user", "content": lesson.user}],
        "chosen": [{"role": "assistant", "content": f"{said} {rng.choice(POLITE)}"}],
        "rejected": [{"role": "assistant", "content": rude}],
        "fact": {"kind": lesson.kind, "answer": lesson.answer},
    }


def ends_politely(text: str) -> bool:
    """The stated preference, checked: the answer ends with one of the polite endings."""
    return text.strip().endswith(POLITE)
