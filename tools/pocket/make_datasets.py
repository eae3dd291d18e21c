"""Draws the small datasets in examples/styles and examples/subjects, the same files every time."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable
from pathlib import Path
from textwrap import fill

from world import (
    COLOURS,
    NOUNS,
    POSITIONS,
    SETTINGS,
    SIZES,
    Scene,
    Thing,
    caption,
    draw,
    is_held_out,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PICTURES_PER_STYLE = 24
JPEG_QUALITY = 95
STYLES = {
    "blueprint": "White outlines and dimension lines on a blue grid.",
    "neon": "Glowing coloured tubes on black.",
    "watercolor": "Thin washes with dark drying edges, bleeding on rough white paper.",
    "stained_glass": "Saturated panes of lit glass in thick black leading.",
    "woodcut": "Black ink on cream paper, the light carved out in swelling lines.",
    "chalkboard": "Dusty coloured chalk on a wiped dark green board.",
}
SUBJECTS = {
    "bip": ("teal", "A little robot on one wheel with coral and ivory stripes and one big eye."),
    "momo": ("purple", "A round plum owl with rose spots, an ivory belly and huge honey eyes."),
}
README = (
    "{about} {count} pictures of 256 × 256 pixels, each with its caption in a `.txt` file of the "
    "same name; the captions say what is shown and not {unsaid}. Drawn by this project's own "
    "program and under the project's licence, Apache-2.0. To draw the same files again, run "
    "`python tools/pocket/make_datasets.py`."
)


def style_scenes(style: str) -> list[Scene]:
    """24 scenes, six of them of two things: no noun twice, every setting twice."""
    rng = random.Random(f"scenes for {style}")
    while True:
        nouns = rng.sample(NOUNS, PICTURES_PER_STYLE + PICTURES_PER_STYLE // 4)
        colours = [colour for _ in range(3) for colour in rng.sample(tuple(COLOURS), len(COLOURS))]
        settings = [place for _ in range(2) for place in rng.sample(SETTINGS, len(SETTINGS))]
        scenes = []
        for index, setting in enumerate(settings):
            paired = index % 4 == 3
            things = tuple(
                Thing(
                    nouns.pop(),
                    colours.pop(),
                    rng.choices(SIZES, weights=(1, 4, 2))[0],
                    "centre" if paired else rng.choices(POSITIONS, weights=(1, 4, 1, 1))[0],
                )
                for _ in range(2 if paired else 1)
            )
            scenes.append(Scene(things, setting))
        if not any(is_held_out(scene) for scene in scenes):
            return scenes


def subject_scenes(name: str, colour: str) -> list[Scene]:
    """The character once in every setting, size and place varied, every fourth time in company."""
    rng = random.Random(f"scenes for {name}")
    scenes = []
    for index, setting in enumerate(rng.sample(SETTINGS, len(SETTINGS))):
        if index % 4 == 3:
            friend = Thing(rng.choice(NOUNS), rng.choice(tuple(COLOURS)))
            scenes.append(Scene((Thing(name, colour), friend), setting))
            continue
        size = ("medium", "large", "medium", "small")[index % 4]
        position = ("centre", "centre", "left", "right", "centre", "centre")[index % 6]
        scenes.append(Scene((Thing(name, colour, size, position),), setting))
    return scenes


def write(folder: Path, scenes: Iterable[Scene], style: str) -> int:
    """Writes pictures and captions numbered from 01; returns the bytes of the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for number, scene in enumerate(scenes, start=1):
        path = folder / f"{number:02d}.jpg"
        draw(scene, style, seed=9000 + number).save(path, quality=JPEG_QUALITY, subsampling=0, optimize=True)
        path.with_suffix(".txt").write_text(caption(scene) + "\n", encoding="utf-8")
        total += path.stat().st_size
    return total


def describe(folder: Path, about: str, count: int, unsaid: str) -> None:
    """Writes the folder's README."""
    title = folder.name.replace("_", " ").capitalize()
    text = fill(README.format(about=about, count=count, unsaid=unsaid), width=100)
    (folder / "README.md").write_text(f"# {title}\n\n{text}\n", encoding="utf-8")


def main() -> None:
    """Writes all datasets below --out, the examples folder by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=EXAMPLES, help="where styles/ and subjects/ go")
    out = parser.parse_args().out
    for style, about in STYLES.items():
        folder = out / "styles" / style
        size = write(folder, style_scenes(style), style)
        describe(folder, about, PICTURES_PER_STYLE, "the style")
        print(f"{folder}: {size / 1e6:.2f} MB")
    for name, (colour, about) in SUBJECTS.items():
        folder = out / "subjects" / name
        scenes = subject_scenes(name, colour)
        size = write(folder, scenes, "flat")
        describe(folder, about, len(scenes), f"what {name} looks like")
        print(f"{folder}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
