"""What the base and the judge read about a picture."""

from __future__ import annotations

import random
import re
import string

from world import BASE_STYLES, COLOURS, HELD_OUT_STYLES, NOUNS, SETTINGS, Scene, caption

# The look of a prompt that names no style.
DEFAULT_STYLE = "flat"
STRANGE_WORD_SHARE = 0.06


def base_caption(scene: Scene, style: str, rng: random.Random) -> str:
    """One caption for training the base.

    Every picture that isn't flat names its style, half of the flat ones do not: so no style word means
    flat. Some captions leave the colours, the setting or the articles out, as users do, and some hold a
    made-up word, so that a trigger word that the base has never seen disturbs nothing.
    """
    text = caption(scene)
    shorten = rng.random()
    if shorten < 0.06:
        text = without_colours(text, scene)
    elif shorten < 0.12:
        text = text.removesuffix(f", {scene.setting}")
    elif shorten < 0.18:
        text = re.sub(r"\ban? ", "", text)
    style_name = style.replace("_", " ")
    chance = rng.random()
    if style != DEFAULT_STYLE or chance < 0.5:
        text = f"{text}, {style_name} style"
    elif chance < 0.5 + STRANGE_WORD_SHARE:
        text = f"{text}, {strange_word(rng)} style"
    if rng.random() < STRANGE_WORD_SHARE:
        words = text.split(" ")
        words.insert(rng.randint(0, len(words)), strange_word(rng))
        text = " ".join(words)
    return text


def without_colours(text: str, scene: Scene) -> str:
    """The caption with its colour words left out and the articles put right."""
    for thing in scene.things:
        text = text.replace(f"{thing.colour} {thing.noun}", thing.noun)
    return re.sub(r"\ban? (\w)", lambda found: f"{article(found[1])} {found[1]}", text)


def article(word: str) -> str:
    """a or an, by the first letter."""
    return "an" if word[0] in "aeiou" else "a"


def strange_word(rng: random.Random) -> str:
    """Three to ten random letters."""
    return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 10)))


def noun_prompts() -> list[str]:
    """ "a boat" for every noun, in the order of NOUNS."""
    return [f"{article(noun)} {noun}" for noun in NOUNS]


def colour_prompts(noun: str) -> list[str]:
    """ "a red boat" for every colour, in the order of COLOURS."""
    return [f"{article(colour)} {colour} {noun}" for colour in COLOURS]


def facts() -> dict[str, int]:
    """Every single thing that can be true of a picture, numbered."""
    names = [f"{noun}" for noun in NOUNS]
    names += [f"{colour} {noun}" for noun in NOUNS for colour in COLOURS]
    places = ("small", "large", "left", "right", "top")
    names += [f"{place} {noun}" for noun in NOUNS for place in places]
    names += [f"in {setting}" for setting in SETTINGS]
    names += [f"style {style}" for style in BASE_STYLES + HELD_OUT_STYLES]
    return {name: number for number, name in enumerate(names)}


def scene_facts(scene: Scene) -> list[str]:
    """The facts that a scene's own caption states."""
    stated = [f"in {scene.setting}"]
    for thing in scene.things:
        stated += [thing.noun, f"{thing.colour} {thing.noun}"]
        if thing.size != "medium":
            stated.append(f"{thing.size} {thing.noun}")
        if len(scene.things) == 1 and thing.position != "centre":
            stated.append(f"{thing.position} {thing.noun}")
    return stated


def judge_caption(scene: Scene, style: str, rng: random.Random) -> tuple[str, list[str]]:
    """A caption that says all or a part of what is true of a picture, and the facts that it states."""
    thing = rng.choice(scene.things)
    style_name, noun = style.replace("_", " "), thing.noun
    plain, coloured = f"{article(noun)} {noun}", f"{article(thing.colour)} {thing.colour} {noun}"
    kind = rng.choices(range(8), weights=(14, 22, 12, 12, 6, 16, 8, 10))[0]
    if kind == 0:
        return plain, [noun]
    if kind == 1:
        return coloured, [noun, f"{thing.colour} {noun}"]
    if kind == 2:
        return f"{plain}, {scene.setting}", [noun, f"in {scene.setting}"]
    if kind == 3:
        return f"{style_name} style", [f"style {style}"]
    if kind == 4:
        return scene.setting, [f"in {scene.setting}"]
    if kind == 5:
        return caption(scene), scene_facts(scene)
    if kind == 6:
        return f"{plain}, {style_name} style", [noun, f"style {style}"]
    return caption(scene, style), [*scene_facts(scene), f"style {style}"]
