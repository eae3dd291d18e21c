"""Scenes with a question whose answer is one word, for the voices to say in their own way."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from .. import words
from ..documents import grammar, is_held_out

# Scene, question about it, kind of fact, the variable that holds the answer, share.
ASKED = (
    ("one", "colour1", "colour", "colour1"),
    ("one", "where1", "place", "setting"),
    ("two", "colour1", "colour", "colour1"),
    ("two", "colour2", "colour", "colour2"),
    ("two", "where1", "place", "setting"),
    ("group", "number", "number", "number"),
    ("group", "many_colour", "colour", "colour1"),
    ("person", "mood", "mood", "mood"),
    ("person", "colour1", "colour", "colour1"),
    ("person", "where1", "place", "setting"),
)


@dataclass(frozen=True)
class Lesson:
    """What the user says, what kind of fact answers it, and the words to answer with."""

    user: str
    kind: str
    answer: str
    subject: str
    many: bool
    facts: Mapping[str, str]

    def example(self, answer: str) -> dict[str, object]:
        """One line of a dataset."""
        return {
            "messages": [{"role": "user", "content": self.user}, {"role": "assistant", "content": answer}],
            "fact": {"kind": self.kind, "answer": self.answer},
        }


def sample_lesson(rng: random.Random, *, held_out: bool) -> Lesson:
    """A lesson about a scene that is held out or not."""
    while True:
        scene, question, kind, variable = rng.choice(ASKED)
        described = grammar().sample(f"scene.{scene}", rng)
        facts = dict(described.bindings)
        if is_held_out(facts) != held_out or len(described.text) > 130:
            continue
        asked = grammar().sample(f"Ask.{question}", rng, facts)
        number = question[-1] if question[-1].isdigit() else "1"
        noun = facts[f"noun{number}"]
        many = scene == "group"
        subject = facts["who"] if kind == "mood" else words.PLURALS[noun] if many else noun
        return Lesson(f"{described.text} {asked.text}", kind, facts[variable], subject, many, facts)


def fill(template: str, lesson: Lesson) -> str:
    """A voice's template with the lesson's words.

    `{x}` is the subject ("boat", "boats", "Mia"), `{the}` the subject with its article ("the boat", "Mia"), `{is_}` is
    or are, `{glows}` glows or glow, `{it}` it, they or a name's pronoun, `{answer}` the bare answer, `{place}` a place
    as a phrase.
    """
    named = lesson.kind == "mood"
    pronoun = words.pronoun(lesson.subject) if named else "they" if lesson.many else "it"
    return template.format(
        x=lesson.subject,
        the=lesson.subject if named else f"the {lesson.subject}",
        is_="are" if lesson.many else "is",
        it=pronoun,
        glows="glow" if lesson.many else "glows",
        answer=lesson.answer,
        place=words.PLACES.get(lesson.answer, ""),
        Answer=lesson.answer.capitalize(),
        Place=words.PLACES.get(lesson.answer, "").capitalize(),
    )
