"""Cached maps that cut the canvas into mosaic stones, brush strokes, facets or hatching."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

VARIANTS = 4


def frozen(values: np.ndarray) -> np.ndarray:
    """The same array, read-only, so that a cached map can't be changed by accident."""
    values.flags.writeable = False
    return values


@lru_cache(maxsize=16)
def stones(size: int, across: int, variant: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Irregular stones, about `across` in a row.

    Labels int64 [size, size]; distances float32 [size, size] to the next stone's border and to the
    stone's own centre, in pixels at a size of 256.
    """
    generator = np.random.default_rng(variant + 11 * across)
    pitch = size / across
    cell = np.arange(across + 2) - 0.5
    centres = np.stack(np.meshgrid(cell, cell, indexing="ij"), axis=-1)
    centres = (centres + generator.uniform(-0.34, 0.34, centres.shape)) * pitch
    rows, columns = np.mgrid[0:size, 0:size]
    home_row, home_column = (rows / pitch).astype(int) + 1, (columns / pitch).astype(int) + 1
    nearest = np.full((size, size), 1e9)
    second = nearest.copy()
    labels = np.zeros((size, size), dtype=np.int64)
    for row_step in (-1, 0, 1):
        for column_step in (-1, 0, 1):
            row = np.clip(home_row + row_step, 0, across + 1)
            column = np.clip(home_column + column_step, 0, across + 1)
            centre = centres[row, column]
            distance = np.hypot(rows - centre[..., 0], columns - centre[..., 1])
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, np.where(distance > nearest, distance, 1e9)))
            labels = np.where(closer, row * (across + 2) + column, labels)
            nearest = np.minimum(nearest, distance)
    border, centre_distance = (second - nearest) * 128 / size, nearest * 256 / size
    return (
        frozen(labels),
        frozen(border.astype(np.float32)),
        frozen(centre_distance.astype(np.float32)),
    )


@lru_cache(maxsize=8)
def facets(size: int, across: int, variant: int) -> np.ndarray:
    """Triangles between jittered grid points: labels int64 [size, size]."""
    generator = np.random.default_rng(variant + 5)
    axis = np.linspace(-0.06, 1.06, across + 1) * size
    points = np.stack(np.meshgrid(axis, axis), axis=-1)
    points += generator.uniform(-0.32, 0.32, points.shape) * size / across
    image = Image.new("I", (size, size))
    draw = ImageDraw.Draw(image)
    for row in range(across):
        for column in range(across):
            corners = [tuple(points[row + i, column + j]) for i, j in ((0, 0), (0, 1), (1, 1), (1, 0))]
            turn = int(generator.integers(0, 2))
            corners = corners[turn:] + corners[:turn]
            label = 2 * (row * across + column)
            draw.polygon(corners[:3], fill=label)
            draw.polygon([corners[0], corners[2], corners[3]], fill=label + 1)
    return frozen(np.asarray(image, dtype=np.int64))


@lru_cache(maxsize=8)
def brush_strokes(size: int, variant: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping short strokes: labels int64 [size, size] and relief float32, 1 on average."""
    generator = np.random.default_rng(variant + 31)
    labels, relief = Image.new("I", (size, size)), Image.new("L", (size, size), 128)
    pen, light = ImageDraw.Draw(labels), ImageDraw.Draw(relief)
    count, unit = 5200, size / 256
    for label in range(count):
        x, y = generator.random(2) * size
        angle = 0.8 + 1.1 * np.sin(x / size * 3.1 + variant) + 0.9 * np.cos(y / size * 4.3)
        dx, dy = np.cos(angle) * 6.5 * unit, np.sin(angle) * 6.5 * unit
        line = (x - dx, y - dy, x + dx, y + dy)
        pen.line(line, fill=label, width=max(1, round(5 * unit)))
        light.line(line, fill=128, width=max(1, round(5 * unit)))
        shift = 1.6 * unit
        bright = tuple(v - shift for v in line)
        light.line(bright, fill=int(generator.integers(150, 186)), width=max(1, round(1.5 * unit)))
        dark = tuple(v + shift for v in line)
        light.line(dark, fill=int(generator.integers(80, 112)), width=max(1, round(1.2 * unit)))
    return frozen(np.asarray(labels, dtype=np.int64)), frozen(np.asarray(relief, np.float32) / 128)


@lru_cache(maxsize=48)
def hatching(size: int, pitch: float, degrees: float, sway: float, variant: int) -> np.ndarray:
    """Parallel lines as a height float32 [size, size] in 0..1: 0 on a line, 1 between two.

    pitch: from line to line, in pixels at a size of 256; sway: how far lines wander, likewise.
    """
    generator = np.random.default_rng(variant)
    unit = size / 256
    rows, columns = np.mgrid[0:size, 0:size] / unit
    angle = np.radians(degrees)
    along, across = (
        columns * np.cos(angle) + rows * np.sin(angle),
        rows * np.cos(angle) - columns * np.sin(angle),
    )
    phase = generator.uniform(0, 6.3, 3)
    across = across + sway * (np.sin(along / 23 + phase[0]) + 0.6 * np.sin(along / 11 + across / 17 + phase[1]))
    wave = np.abs(((across / pitch + phase[2]) % 1) * 2 - 1)
    return frozen((1 - wave).astype(np.float32))


def cell_means(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean of `values` [h, w, 3] over each label, float64 [labels, 3]."""
    flat, count = labels.ravel(), int(labels.max()) + 1
    sums = [np.bincount(flat, values[..., channel].ravel(), count) for channel in range(3)]
    number = np.maximum(np.bincount(flat, minlength=count), 1)
    return np.stack(sums, axis=1) / number[:, None]
