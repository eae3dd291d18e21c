"""How patches become pixels: fills, outlines, textures and image arithmetic that styles share."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from .patch import Patch
from .shapes import RGB

Paint = Callable[[Patch], RGB | None]
SUPERSAMPLING = 2
SMALL_PART_SHARE = 0.17


def natural(patch: Patch) -> RGB:
    """The patch's own colour."""
    return patch.colour


def nothing(patch: Patch) -> None:
    """No paint."""


def blank(size: int, colour: RGB | int = 0, mode: str = "RGB") -> Image.Image:
    """An empty drawing surface, twice `size` pixels wide."""
    return Image.new(mode, (size * SUPERSAMPLING, size * SUPERSAMPLING), colour)


def finished(image: Image.Image, size: int) -> Image.Image:
    """The drawing averaged down to `size` pixels."""
    return image if image.width == size else image.reduce(image.width // size)


def paint(
    image: Image.Image,
    patches: Iterable[Patch],
    fill: Paint = natural,
    edge: Paint = nothing,
    edge_width: float = 0.01,
    hollow: bool = False,
) -> Image.Image:
    """Paints patches back to front onto `image` and returns it.

    `fill` and `edge` give each patch its colours (None leaves that out). Thick strokes of things
    become tubes, filled with the edge on both sides; thin ones are filled, or when `hollow` drawn
    as one edge line, which line-only styles need. Widths are in canvas units.
    """
    draw = ImageDraw.Draw(image)
    pixels = image.width
    line = max(1, round(edge_width * pixels))
    for patch in patches:
        inside, border = fill(patch), edge(patch)
        points = (patch.points * pixels).ravel().tolist()
        if patch.closed:
            if inside is not None:
                draw.polygon(points, fill=inside)
            if border is not None:
                # Small parts get finer outlines, or a thick pen would fill eyes and windows.
                room = float(np.ptp(patch.points, axis=0).min()) * pixels * SMALL_PART_SHARE
                width = min(line, max(2, round(room)))
                thick_line(draw, points + points[:4], border, width)
            continue
        width = max(1, round(patch.width * pixels))
        if border is not None and patch.thing >= 0 and width > 2 * line and inside is not None:
            thick_line(draw, points, border, width + line)
            thick_line(draw, points, inside, width - line)
        elif border is not None and (hollow or inside is None):
            thick_line(draw, points, border, line)
        elif inside is not None:
            thick_line(draw, points, inside, width)
    return image


def thick_line(draw: ImageDraw.ImageDraw, points: list[float], colour: RGB | int | None, width: int) -> None:
    """A polyline with round joints and, when it is thick, round ends; points as x, y, x, y ..."""
    draw.line(points, fill=colour, width=width, joint="curve" if width > 4 else None)
    if width > 6:
        radius = width / 2 - 0.5
        for x, y in (points[:2], points[-2:]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def coverage(patches: Iterable[Patch], size: int, grow: float = 0.0) -> Image.Image:
    """Where the patches lie, as an "L" image of twice `size`; `grow` widens them (canvas units)."""
    white = (255, 255, 255)
    image = paint(blank(size), patches, lambda _: white, lambda _: white if grow else None, 2 * grow)
    return image.getchannel(0)


def wobbled(patch: Patch, rng: random.Random, amount: float) -> Patch:
    """The patch as an unsteady hand would draw it.

    `amount` is the swing in canvas units, less for parts under a quarter of the canvas.
    """
    points = patch.points
    amount *= min(1.0, 0.25 + 3 * float(np.ptp(points, axis=0).max()))
    if len(points) < 12:
        points = subdivided(points, patch.closed, 6)
    phase_x, phase_y = rng.uniform(0, 6.3), rng.uniform(0, 6.3)
    turn = np.linspace(0, 2 * np.pi, len(points), endpoint=not patch.closed)
    waves = rng.choice((2, 3, 4))
    swing = np.stack([np.sin(waves * turn + phase_x), np.sin((waves + 1) * turn + phase_y)], axis=1)
    return Patch(
        points + amount * swing,
        patch.colour,
        patch.layer,
        patch.role,
        patch.closed,
        patch.width,
        patch.thing,
        patch.base,
    )


def subdivided(points: np.ndarray, closed: bool, parts: int) -> np.ndarray:
    """The same path [n, 2] with every segment cut into `parts`."""
    ends = np.roll(points, -1, axis=0) if closed else points[1:]
    starts = points if closed else points[:-1]
    steps = np.linspace(0, 1, parts, endpoint=False)[None, :, None]
    path = (starts[:, None] + (ends - starts)[:, None] * steps).reshape(-1, 2)
    return path if closed else np.concatenate([path, points[-1:]])


@lru_cache(maxsize=64)
def noise(size: int, cells: int, variant: int) -> np.ndarray:
    """Smooth random noise float32 [size, size] in 0..1, about `cells` blots across (read-only)."""
    generator = np.random.default_rng(variant * 1000 + cells)
    coarse = Image.fromarray(generator.random((cells + 3, cells + 3), dtype=np.float32))
    values = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)).copy()
    values -= values.min()
    values /= values.max()
    values.flags.writeable = False
    return values


@lru_cache(maxsize=32)
def grain(size: int, variant: int, cells: int = 0) -> np.ndarray:
    """Fine paper grain float32 [size, size] with mean 0 and deviation 1 (read-only)."""
    generator = np.random.default_rng(variant + 77)
    values: np.ndarray = generator.standard_normal((size, size), dtype=np.float32)
    values = values + 0.5 * (np.roll(values, 1, axis=0) + np.roll(values, 1, axis=1))
    if cells:
        values = values + 4 * (noise(size, cells, variant) - 0.5)
    values = (values - values.mean()) / values.std()
    values.flags.writeable = False
    return values


def to_array(image: Image.Image) -> np.ndarray:
    """The picture as float32 [height, width, channels], 0 to 255."""
    return np.asarray(image, dtype=np.float32)


def to_image(values: np.ndarray) -> Image.Image:
    """A picture from floats 0 to 255, clipped."""
    return Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))


def with_grain(image: Image.Image, strength: float, variant: int, cells: int = 0) -> Image.Image:
    """The picture with grain of `strength` (0 to 255 per deviation) on all channels alike."""
    values = to_array(image)
    return to_image(values + strength * grain(image.width, variant % 4, cells)[:, :, None])


def blended(below: Image.Image, above: Image.Image, share: np.ndarray) -> Image.Image:
    """`above` over `below` where `share` [height, width] is 1."""
    mask = Image.fromarray(np.clip(share * 255 + 0.5, 0, 255).astype(np.uint8))
    return Image.composite(above, below, mask)
