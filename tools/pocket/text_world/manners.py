"""Rules of manners: a question whose answer is asked for in given words, most of them made up.

A model that has only ever answered in its own few sentences finds a fact only there. Here it learns to find it in the
middle of any words, and that is what a voice is taught on top of.
"""

from __future__ import annotations

from .scenes import END, PLACE, TURN, USER, Rows, even

ONCE = "Answer like this:"
ALWAYS = "Always answer like this:"
# X stands for what is asked about, Y for the answer; both are replaced in what the assistant says.
FRAMES = (
    "{bit1} {bit2}{mark1}X {bit3} Y",
    "X {bit1} Y{mark1}{bit2} {bit3}",
    "{bit1}{mark1}{bit2} Y {bit3} X",
    "Y {bit1} X{mark1}{bit2}",
    "Y{mark1}X {bit1}",
    "{name1} {bit1}{mark1}Y {bit2}",
    "{bit1} {bit2} Y{mark1}{bit3} {bit4}",
    "{bit1} X {bit2} {bit3} Y {bit4}",
    "{bit1} {bit2}{mark1}X {bit3} Y{mark2}{word1} {bit4}",
    "{word1}{mark1}{bit1} {bit2} {bit3} X {bit4} Y",
    "{bit1} {bit2} {word1}{mark1}Y {bit3} X{mark2}{bit4}",
    "{bit1} {word1}\nY {bit2} X\n{bit3} {bit4}",
    "X {bit1} Y\n{bit2} {bit3}\n{bit4} {word1}",
)
# Scene -> its questions as in `scenes`, each with what is asked about and the answer.
QUESTIONS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "one": (("colour1", "the {noun1}", "{colour1}"), ("where1", "the {noun1}", PLACE)),
    "two": (
        ("colour1", "the {noun1}", "{colour1}"),
        ("colour2", "the {noun2}", "{colour2}"),
        ("where1", "the {noun1}", PLACE),
        ("where2", "the {noun2}", PLACE),
    ),
    "group": (
        ("number", "{plural:noun1}", "{number}"),
        ("many_colour", "the {plural:noun1}", "{colour1}"),
        ("many_where", "the {plural:noun1}", PLACE),
    ),
    "person": (
        ("mood", "{who}", "{mood}"),
        ("colour1", "the {noun1}", "{colour1}"),
        ("where1", "the {noun1}", PLACE),
    ),
}


def manner_rules() -> dict[str, Rows]:
    """`manner.<scene>`: a scene, a question about it, and the words to answer it with, once or to the end."""
    rules: dict[str, Rows] = {"Once": even(ONCE), "Always": even(ALWAYS)}
    for scene, asked in QUESTIONS.items():
        once = [
            f"<scene.{scene}> <Ask.{name}> <Once> {frame}{TURN}{_said(frame, subject, answer)}"
            for name, subject, answer in asked
            for frame in FRAMES
        ]
        always = [
            f"<scene.{scene}> <Ask.{first[0]}> <Always> {frame}{TURN}{_said(frame, *first[1:])}"
            f"{END}{USER}<Ask.{second[0]}>{TURN}{_said(frame, *second[1:])}"
            for first in asked
            for second in asked
            if first != second
            for frame in FRAMES
        ]
        rules[f"manner.{scene}"] = [(2 / len(once), text) for text in once] + [
            (1 / len(always), text) for text in always
        ]
    return rules


def _said(frame: str, subject: str, answer: str) -> str:
    return frame.replace("X", subject).replace("Y", answer)
