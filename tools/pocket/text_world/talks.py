"""Rules of talk: moods, greetings, prompts for the picture model, and words to repeat."""

from __future__ import annotations

from .scenes import PLACE, TURN, Rows, even
from .words import MOODS

ANSWERS: dict[str, tuple[str, ...]] = {
    "happy": ("That is good to hear.", "How nice! Tell me more.", "Then it is a good day."),
    "sad": (
        "I am sorry to hear that.",
        "That must be hard. I will stay with you.",
        "Take your time, it is all right to cry.",
    ),
    "angry": (
        "That was not fair. Take a deep breath.",
        "I can see why. What would help now?",
        "Let us count to ten first.",
    ),
    "scared": ("You are safe here.", "Do not worry, I am with you.", "It will be over soon. Hold my hand."),
    "calm": ("That sounds restful.", "Good. Let us enjoy the quiet.", "Then there is no hurry."),
}
CAUSES: dict[str, str] = {
    "happy": "I have found {a:colour1} {noun1}.",
    "sad": "I have lost my {colour1} {noun1}.",
    "angry": "Somebody broke my {colour1} {noun1}.",
    "scared": "There is something behind the {colour1} {noun1}.",
    "calm": "I am sitting by the {colour1} {noun1}.",
}


def talk_rules() -> dict[str, Rows]:
    """`talk`: a dialogue about a mood."""
    rules: dict[str, Rows] = {
        "Am": even("I am {mood}.", "I feel {mood} today.", "I am {mood} and I want to tell you."),
        "Hello": even("Hello!", "Good {time}!", "Hello, I am {who}."),
        "HowAreYou": even("How are you?", "How do you feel?", "How is your {time}?"),
        "IAm": even("I am {mood} today.", "I feel {mood}, thank you.", "It is {a:mood} {time} for me."),
        "Mine": even("I am well, thank you.", "All is well here.", "It is a good {time}."),
        "Greeting": even("Hello! What shall we talk about?", "Hello! Shall I tell a story or answer a question?"),
        "GreetingBy": even("Hello, {who}! What shall we talk about?", "Hello, {who}! Shall I tell a story?"),
        "IAmCalled": even("Hello, I am {who}.", "My name is {who}."),
        "talk": [
            (4, f"<Am>{TURN}<Answer@mood>"),
            (4, f"<Cause@mood> <Am>{TURN}<Answer@mood>"),
            (4, f"<Cause@mood>{TURN}<YouAre> <Answer@mood>"),
            (1, f"<Hello>{TURN}<Greeting>"),
            (2, f"<IAmCalled>{TURN}<GreetingBy>"),
            (1, f"<HowAreYou>{TURN}<Mine>"),
            (1, f"<HowAreYou>{TURN}<IAm>"),
            (6, f"<Open> <Find> <Event@mood> <Sign@mood> <Ask.story_mood>{TURN}<Tell.story_mood>"),
        ],
        "YouAre": even("You sound {mood}.", "You must be {mood}."),
    }
    for mood in MOODS:
        rules[f"Answer.{mood}"] = even(*ANSWERS[mood])
        rules[f"Cause.{mood}"] = even(CAUSES[mood])
    return rules


def prompt_rules() -> dict[str, Rows]:
    """`prompt`: a wish, and the prompt that the pocket picture model draws best from it.

    The model draws best what is named with a colour and a setting, large rather than small, and in its
    own flat look unless a style is asked for.
    """
    styled = ", {style} style"
    two = "{a:colour1} {noun1} and {a:colour2} {noun2}"
    rules: dict[str, Rows] = {}

    def add(name: str, wish: str, prompt: str) -> None:
        rules[f"Wish.{name}"] = even(*(form.format(wish=wish) for form in WISHES))
        rules[f"Prompt.{name}"] = even(prompt)
        rules[f"prompt.{name}"] = even(f"<Wish.{name}>{TURN}<Prompt.{name}>")

    free, given = "{sized:drawn_size,colour1} {noun1}", "{sized:size1,colour1} {noun1}"
    bare = "{a:noun1}"
    coloured = "{a:colour1} {noun1}"
    add("bare", bare, f"{free}, {{fit}}")
    add("coloured", coloured, f"{free}, {{fit}}")
    add("small", "a small {colour1} {noun1}", "a small {colour1} {noun1}, {fit}")
    add("placed", f"{coloured} {PLACE}", f"{free}, {{setting}}")
    add("bare_placed", f"{bare} {PLACE}", f"{free}, {{setting}}")
    add("side", f"{coloured}{{side}}", f"{coloured}{{side}}, {{fit}}")
    add("styled", f"{coloured} in {{style}} style", f"{free}, {{fit}}{styled}")
    add("full", f"{given} {PLACE} in {{style}} style", f"{given}, {{setting}}{styled}")
    add("two", two, f"{two}, {{fit}}")
    add("two_placed", f"{two} {PLACE}", f"{two}, {{setting}}")
    names = ("bare", "coloured", "coloured", "coloured", "small", "placed", "bare_placed", "side", "styled", "full")
    rules["prompt"] = even(*(f"<prompt.{name}>" for name in (*names, "two", "two_placed")))
    return rules


WISHES = (
    "Draw {wish}.",
    "Paint {wish}.",
    "Write a prompt for {wish}.",
    "I want a picture of {wish}.",
    "Please draw {wish} for me.",
)


def repeat_rules() -> dict[str, Rows]:
    """`repeat`: made-up words to say again, which train copying and every piece of the vocabulary."""
    words = ["{word1}", "{name1}", "{word2}", "{name2}", "{word3}", "{name3}"]
    shapes = [
        f"{words[0]}{{mark1}}{words[2]}",
        f"{words[1]}{{mark1}}{words[2]}",
        f"{words[1]}{{mark1}}{words[3]}",
        f"{words[0]}{{mark1}}{words[2]}{{mark2}}{words[4]}",
        f"{words[1]}{{mark1}}{words[2]}{{mark2}}{words[4]}",
        f"{words[1]}{{mark1}}{words[2]}{{mark2}}{words[5]}{{mark3}}{{word4}}",
    ]
    rules: dict[str, Rows] = {"repeat": []}
    for number, shape in enumerate(shapes, start=1):
        rules[f"Say.{number}"] = even(f'Say "{shape}".', f'Repeat "{shape}".')
        rules[f"Said.{number}"] = even(shape)
        rules["repeat"] += even(f"<Say.{number}>{TURN}<Said.{number}>")
    return rules
