"""Draws one sheet of the pocket world: every noun in flat, and one scene in every style."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw
from world import BASE_STYLES, COLOURS, HELD_OUT_STYLES, NOUNS, SETTINGS, Scene, Thing, draw

COLUMNS = 8
LABEL_HEIGHT = 18


def cells(noun: str, colour: str, setting: str, seed: int) -> list[tuple[str, Scene, str]]:
    """What the sheet shows: (label, scene, style) from left to right, top to bottom."""
    colours = tuple(COLOURS)
    nouns = [
        (
            name,
            Scene((Thing(name, colours[i * 5 % 12]),), SETTINGS[(i * 7 + seed) % len(SETTINGS)]),
            "flat",
        )
        for i, name in enumerate(NOUNS)
    ]
    scene = Scene((Thing(noun, colour),), setting)
    styles = [(style.replace("_", " "), scene, style) for style in BASE_STYLES + HELD_OUT_STYLES]
    return nouns + styles


def sheet(entries: list[tuple[str, Scene, str]], cell: int, seed: int) -> Image.Image:
    """The labelled pictures in a grid; `cell` is a picture's width in pixels."""
    rows = -(-len(entries) // COLUMNS)
    image = Image.new("RGB", (COLUMNS * cell, rows * (cell + LABEL_HEIGHT)), "white")
    pen = ImageDraw.Draw(image)
    for index, (label, scene, style) in enumerate(entries):
        x, y = index % COLUMNS * cell, index // COLUMNS * (cell + LABEL_HEIGHT)
        picture = draw(scene, style, seed + index)
        image.paste(picture.resize((cell - 4, cell - 4), Image.Resampling.LANCZOS), (x + 2, y + 2))
        pen.text((x + cell / 2, y + cell + LABEL_HEIGHT / 2 - 2), label, fill="black", anchor="mm")
    return image


def main() -> None:
    """Reads the command line and writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    parser.add_argument("--noun", choices=NOUNS, default="boat", help="the noun drawn in every style")
    parser.add_argument("--colour", choices=tuple(COLOURS), default="red")
    parser.add_argument("--setting", choices=SETTINGS, default="sea")
    parser.add_argument("--cell", type=int, default=192, help="width of one picture in pixels")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    entries = cells(options.noun, options.colour, options.setting, options.seed)
    sheet(entries, options.cell, options.seed).save(options.out)
    print(options.out)


if __name__ == "__main__":
    main()
