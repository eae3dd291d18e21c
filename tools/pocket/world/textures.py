"""Random pictures of nothing, so that the autoencoder learns more than the world's own styles."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def random_texture(seed: int, size_px: int = 256) -> Image.Image:
    """Random gradients, shapes, lines or noise in random colours, an RGB picture."""
    generator = np.random.default_rng(seed)
    image = _gradient(generator, size_px)
    for layer in generator.choice(4, size=int(generator.integers(1, 4))):
        image = (_shapes, _lines, _noise, _grid)[layer](generator, image)
    if generator.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(float(generator.uniform(0.5, 3))))
    return image


def _colour(generator: np.random.Generator) -> tuple[int, int, int]:
    kind = generator.random()
    if kind < 0.15:
        return (int(generator.integers(0, 30)),) * 3
    if kind < 0.3:
        return (int(generator.integers(225, 256)),) * 3
    red, green, blue = (int(channel) for channel in generator.integers(0, 256, 3))
    return red, green, blue


def _gradient(generator: np.random.Generator, size: int) -> Image.Image:
    corners = np.array([_colour(generator) for _ in range(4)], dtype=np.uint8).reshape(2, 2, 3)
    if generator.random() < 0.5:
        corners[:] = corners[0, 0]
    return Image.fromarray(corners).resize((size, size), Image.Resampling.BICUBIC)


def _shapes(generator: np.random.Generator, image: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(image)
    for _ in range(int(generator.integers(4, 30))):
        x, y = generator.random(2) * image.width
        w, h = generator.random(2) ** 2 * image.width * 0.4 + 3
        outline = _colour(generator) if generator.random() < 0.5 else None
        if generator.random() < 0.5:
            draw.ellipse((x - w, y - h, x + w, y + h), fill=_colour(generator), outline=outline)
        else:
            points = generator.normal(0, 1, (int(generator.integers(3, 7)), 2)) * (w, h) + (x, y)
            draw.polygon(points.ravel().tolist(), fill=_colour(generator), outline=outline)
    return image


def _lines(generator: np.random.Generator, image: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(image)
    colour = _colour(generator)
    for _ in range(int(generator.integers(5, 60))):
        points = np.cumsum(generator.normal(0, image.width / 12, (6, 2)), axis=0)
        points = points + generator.random(2) * image.width
        if generator.random() < 0.3:
            colour = _colour(generator)
        draw.line(points.ravel().tolist(), fill=colour, width=int(generator.integers(1, 7)))
    return image


def _noise(generator: np.random.Generator, image: Image.Image) -> Image.Image:
    cells = int(2 ** generator.uniform(2, 8))
    channels = 1 if generator.random() < 0.5 else 3
    coarse = generator.normal(0, generator.uniform(5, 60), (cells, cells, channels))
    coarse = np.clip(np.repeat(coarse, 3 // channels, axis=2) + 128, 0, 255).astype(np.uint8)
    kind = Image.Resampling.NEAREST if generator.random() < 0.3 else Image.Resampling.BICUBIC
    field = np.asarray(Image.fromarray(coarse).resize(image.size, kind), dtype=np.float32) - 128
    values = np.asarray(image, dtype=np.float32) + field
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _grid(generator: np.random.Generator, image: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(image)
    step, width = int(generator.integers(4, 40)), int(generator.integers(1, 4))
    colour, dots = _colour(generator), generator.random() < 0.4
    for x in range(0, image.width, step):
        if dots:
            for y in range(0, image.width, step):
                draw.ellipse((x, y, x + step * 0.6, y + step * 0.6), fill=colour)
            continue
        draw.line((x, 0, x, image.width), fill=colour, width=width)
        if step % 2:
            draw.line((0, x, image.width, x), fill=colour, width=width)
    return image
