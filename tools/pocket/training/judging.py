"""How the judge sees pictures, what it is taught about them, and what it says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPModel, CLIPTokenizer
from world import BASE_STYLES, COLOURS, HELD_OUT_STYLES, NOUNS, Scene, Thing, draw

from training.captions import colour_prompts, facts, judge_caption, noun_prompts, scene_facts
from training.data import Job, batches, to_model
from training.models import JUDGE_PX
from training.tokens import tokenise

CAPTIONS_PER_PICTURE = 6
# The longest caption has three things with sizes, a setting and a style. The text tower is causal and
# read at the end token, so padding behind it changes nothing and training can do without most of it.
TRAINING_TOKENS = 40
COLOUR_SPREAD = 2.0


@dataclass(frozen=True)
class Lessons:
    """What the pictures of a training set show, on the device.

    tokens: int16 [n, captions, 40]. stated: uint8 [n, captions, facts], what each caption states. true:
    uint8 [n, facts]. unknown: uint8 [n, facts], facts that nobody can see, the colours in a style
    that drops them.
    """

    tokens: torch.Tensor
    stated: torch.Tensor
    true: torch.Tensor
    unknown: torch.Tensor

    def to(self, device: torch.device) -> Lessons:
        """The same on another device."""
        moved = [value.to(device) for value in (self.tokens, self.stated, self.true, self.unknown)]
        return Lessons(*moved)


def colourless_styles() -> frozenset[str]:
    """The styles in which a red thing and a blue one have no hue to tell them apart by.

    Found by drawing the same scenes twice: what differs in hue is measured per pixel of the picture, in
    steps of 0 to 255. Styles that keep colour are above 10, the others below 0.1.
    """
    found = set()
    for style in BASE_STYLES + HELD_OUT_STYLES:
        spread = []
        for seed, noun in enumerate(NOUNS[:4]):
            red, blue = (
                np.asarray(draw(Scene((Thing(noun, c, "large"),), "meadow"), style, seed), float)
                for c in ("red", "blue")
            )
            difference = red - blue
            spread.append(np.abs(difference - difference.mean(axis=2, keepdims=True)).mean())
        if np.mean(spread) < COLOUR_SPREAD:
            found.add(style)
    return frozenset(found)


def make_lessons(jobs: Sequence[Job], tokenizer: CLIPTokenizer, colourless: frozenset[str], seed: int) -> Lessons:
    """Several captions for each picture and all facts about it; `colourless` names styles."""
    rng, index = random.Random(seed), facts()
    true = np.zeros((len(jobs), len(index)), dtype=np.uint8)
    unknown = np.zeros_like(true)
    stated = np.zeros((len(jobs), CAPTIONS_PER_PICTURE, len(index)), dtype=np.uint8)
    texts = []
    for row, (scene, style, _) in enumerate(jobs):
        for number in range(CAPTIONS_PER_PICTURE):
            text, names = judge_caption(scene, style, rng)
            texts.append(text)
            stated[row, number, [index[name] for name in names]] = 1
        known = [*scene_facts(scene), f"style {style}"]
        true[row, [index[name] for name in known]] = 1
        if style in colourless:
            shades = [index[f"{c} {thing.noun}"] for thing in scene.things for c in COLOURS]
            true[row, shades], unknown[row, shades] = 0, 1
    tokens = tokenise(tokenizer, texts)[:, :TRAINING_TOKENS]
    tokens = tokens.reshape(len(jobs), CAPTIONS_PER_PICTURE, TRAINING_TOKENS)
    arrays = (tokens, stated, true, unknown)
    return Lessons(*(torch.from_numpy(array) for array in arrays))


def judge_view(pictures: torch.Tensor) -> torch.Tensor:
    """Bytes [b, 256, 256, 3] as the judge's floats [b, 3, 128, 128] in -1..1, like its processor."""
    size = (JUDGE_PX, JUDGE_PX)
    small = F.interpolate(to_model(pictures), size, mode="bicubic", antialias=True)
    return small.clamp(-1, 1)


@torch.no_grad()
def embed_texts(judge: CLIPModel, tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Unit vectors [n, embedding]."""
    tokens = torch.from_numpy(tokenise(tokenizer, texts)).long().to(judge.device)
    states = judge.text_model(input_ids=tokens).pooler_output
    return F.normalize(judge.text_projection(states).float(), dim=-1)


@torch.no_grad()
def embed_pictures(judge: CLIPModel, pictures: torch.Tensor) -> torch.Tensor:
    """Unit vectors [n, embedding] of pictures uint8 [n, 256, 256, 3]."""
    vectors = []
    for part in batches(len(pictures), 256):
        seen = judge_view(pictures[part].to(judge.device))
        pooled = judge.vision_model(pixel_values=seen).pooler_output
        vectors.append(F.normalize(judge.visual_projection(pooled).float(), dim=-1))
    return torch.cat(vectors)


@dataclass(frozen=True)
class Verdicts:
    """For each picture of one thing: is the noun right, is the colour right given the noun."""

    noun: np.ndarray
    colour: np.ndarray


def verdicts(judge: CLIPModel, tokenizer: CLIPTokenizer, scenes: Sequence[Scene], pictures: torch.Tensor) -> Verdicts:
    """Zero-shot: the nearest of "a boat", "a cat" …, then of "a red boat", "a blue boat" …

    Only the first thing of each scene is asked for; pictures uint8 [n, 256, 256, 3].
    """
    images = embed_pictures(judge, pictures)
    nouns = (images @ embed_texts(judge, tokenizer, noun_prompts()).T).argmax(dim=1).tolist()
    shades = {noun: embed_texts(judge, tokenizer, colour_prompts(noun)) for noun in NOUNS}
    colours = tuple(COLOURS)
    noun_right, colour_right = [], []
    for image, noun, scene in zip(images, nouns, scenes, strict=True):
        thing = scene.things[0]
        noun_right.append(NOUNS[noun] == thing.noun)
        nearest = int((shades[thing.noun] @ image).argmax())
        colour_right.append(colours[nearest] == thing.colour)
    return Verdicts(np.array(noun_right), np.array(colour_right))
