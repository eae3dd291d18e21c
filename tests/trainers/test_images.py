"""Pictures of every mode, depth, rotation and kind of damage: right pixels, or a sentence that names the file."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data.images import LIMIT_PIXELS, image_pixels, open_image, read_folder
from trainers.errors import UserError

GRADIENT = np.linspace(0, 255, 64 * 48).reshape(48, 64).round().astype(np.uint8)
COLOURS = np.stack([GRADIENT, GRADIENT[::-1], GRADIENT[:, ::-1]], axis=2)


def saved(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)  # type: ignore[arg-type]
    return path


def pixels(path: Path) -> np.ndarray:
    picture = open_image(path)
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(int)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None].astype(int), 3, axis=2)


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[:, :, None] / 255.0
    return colour * share + 255.0 * (1 - share)


def test_black_and_white_pictures(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(GRADIENT > 127))
    assert (pixels(path) == grey(np.where(GRADIENT > 127, 255, 0))).all()


def test_grey_and_colour_pictures(tmp_path: Path) -> None:
    assert (pixels(saved(tmp_path / "a.png", Image.fromarray(GRADIENT))) == grey(GRADIENT)).all()
    assert (pixels(saved(tmp_path / "b.png", Image.fromarray(COLOURS))) == COLOURS).all()
    assert (pixels(saved(tmp_path / "c.webp", Image.fromarray(COLOURS), lossless=True)) == COLOURS).all()
    found = pixels(saved(tmp_path / "d.jpg", Image.fromarray(COLOURS), quality=98, subsampling=0))
    assert np.abs(found - COLOURS).mean() < 2


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_transparency_is_composited_on_white(tmp_path: Path, kind: str) -> None:
    alpha = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    picture = Image.fromarray(np.dstack([COLOURS, alpha]))
    found = pixels(
        saved(tmp_path / f"a.{kind}", picture, **({"lossless": True, "exact": True} if kind == "webp" else {}))
    )
    assert np.abs(found - on_white(COLOURS, alpha)).max() <= 1


def test_grey_with_transparency(tmp_path: Path) -> None:
    alpha = np.full_like(GRADIENT, 128)
    picture = Image.merge("LA", [Image.fromarray(GRADIENT), Image.fromarray(alpha)])
    assert np.abs(pixels(saved(tmp_path / "a.png", picture)) - on_white(grey(GRADIENT), alpha)).max() <= 1


def test_palettes_with_and_without_a_transparent_entry(tmp_path: Path) -> None:
    values = (np.arange(48 * 64).reshape(48, 64) % 3).astype(np.uint8)
    picture = Image.frombytes("P", (64, 48), values.tobytes())
    picture.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    table = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200]])
    assert (pixels(saved(tmp_path / "a.png", picture)) == table[values]).all()
    clear = pixels(saved(tmp_path / "b.png", picture, transparency=1))
    assert (clear == np.array([[200, 0, 0], [255, 255, 255], [0, 0, 200]])[values]).all()
    half = pixels(saved(tmp_path / "c.png", picture, transparency=bytes([255, 128, 0])))
    assert np.abs(half - np.array([[200, 0, 0], [127, 227, 127], [255, 255, 255]])[values]).max() <= 1


def test_a_transparent_colour_of_grey_and_colour_pictures(tmp_path: Path) -> None:
    values = np.where(GRADIENT > 127, 200, 50).astype(np.uint8)
    found = pixels(saved(tmp_path / "a.png", Image.fromarray(values), transparency=50))
    assert (found == grey(np.where(GRADIENT > 127, 200, 255))).all()
    coloured = np.dstack([values, values, values])
    found = pixels(saved(tmp_path / "b.png", Image.fromarray(coloured), transparency=(50, 50, 50)))
    assert (found == grey(np.where(GRADIENT > 127, 200, 255))).all()


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
    found = pixels(saved(tmp_path / "a.png", Image.fromarray(deep)))
    assert np.abs(found - grey(deep / 257.0)).max() <= 1
    assert len(np.unique(found)) > 250


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_bytes(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_colour_and_transparency_are_scaled(tmp_path: Path, colour: int, channels: int) -> None:
    deep = (np.random.default_rng(0).random((9, 7, channels)) * 65535).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    (tmp_path / "a.png").write_bytes(png_bytes(7, 9, 16, colour, rows))
    eight = deep.astype(float) / 257.0
    expected = eight if channels == 3 else on_white(
        eight[:, :, :3] if channels == 4 else np.repeat(eight[:, :, :1], 3, axis=2), eight[:, :, -1]
    )  # fmt: skip
    assert np.abs(pixels(tmp_path / "a.png") - expected).max() <= 2


def test_print_colours_of_jpeg(tmp_path: Path) -> None:
    picture = Image.fromarray(COLOURS).convert("CMYK")
    found = pixels(saved(tmp_path / "a.jpg", picture, quality=98, subsampling=0))
    assert np.abs(found - np.asarray(picture.convert("RGB")).astype(int)).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_every_exif_orientation_is_turned_upright(tmp_path: Path, orientation: int, kind: str) -> None:
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:12, :20] = (250, 10, 10)  # the upper left quarter is red
    turn = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a.transpose(1, 0, 2)[::-1],
        7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turn(upright)))
    found = pixels(saved(tmp_path / f"a.{kind}", stored, exif=exif))
    assert found.shape == upright.shape
    assert np.abs(found - upright)[2:10, 2:18].max() < 40
    assert np.abs(found - upright)[14:, 22:].max() < 40


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    options = {"lossless": True} if kind == "webp" else {}
    path = saved(tmp_path / f"a.{kind}", frames[0], save_all=True, append_images=frames[1:], duration=50, **options)
    assert (pixels(path) == (255, 0, 0)).all()


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_a_truncated_picture_is_refused_or_complete(tmp_path: Path, kind: str) -> None:
    whole_path = saved(tmp_path / f"whole.{kind}", Image.fromarray(COLOURS))
    whole, expected = whole_path.read_bytes(), pixels(whole_path)
    path = tmp_path / f"cut.{kind}"
    refused = complete = 0
    sizes = [*range(40), *range(40, len(whole), max(1, len(whole) // 60))]
    for size in sizes:
        path.write_bytes(whole[:size])
        try:
            found = open_image(path)
        except UserError as error:
            refused += str(error).startswith(f"cut.{kind}: ")
        else:  # only checksums and end marks were cut off
            assert size > len(whole) - 24
            assert (np.asarray(found) == expected).all()
            complete += 1
    assert refused == len(sizes) - complete > 60


def _renamed_gif(path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("P", (8, 8)).save(buffer, "GIF")
    path.write_bytes(buffer.getvalue())


def _renamed_bmp(path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "BMP")
    path.write_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_text("this is a text\n" * 100), "cannot be decoded"),
        (_renamed_gif, "cannot be decoded"),
        (_renamed_bmp, "cannot be decoded"),
        (lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n" * 9), "cannot be decoded"),
        (lambda path: path.write_bytes(png_bytes(9_000, 8_000, 8, 0, b"")), "9000 x 8000 pixels, at most"),
        (lambda path: path.write_bytes(png_bytes(12_000, 12_000, 8, 0, b"")), "12000 x 12000 pixels, at most"),
        (lambda path: path.write_bytes(png_bytes(60_000, 60_000, 8, 0, b"")), "cannot be decoded"),
        (lambda path: path.write_bytes(png_bytes(0, 8, 8, 0, b"")), "cannot be decoded"),
        (lambda path: path.write_bytes(png_bytes(8, 8, 8, 0, b"\0")), "cannot be decoded"),
    ],
)
def test_files_that_are_no_picture_are_named_with_their_reason(tmp_path: Path, make: object, reason: str) -> None:
    make(tmp_path / "odd.png")  # type: ignore[operator]
    with pytest.raises(UserError, match=rf"^odd\.png: .*{reason}") as caught:
        open_image(tmp_path / "odd.png")
    assert "\n" not in str(caught.value)
    assert LIMIT_PIXELS < 9_000 * 8_000


def test_a_wrong_extension_among_the_readable_formats_is_no_obstacle(tmp_path: Path) -> None:
    saved(tmp_path / "a.jpg", Image.fromarray(COLOURS), format="PNG")
    assert (pixels(tmp_path / "a.jpg") == COLOURS).all()


def test_pixels_are_cut_to_the_centre_and_scaled_to_minus_one_to_one() -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    found = image_pixels(Image.fromarray(wide), 16)
    assert found.shape == (3, 16, 16)
    assert found.dtype == torch.float32
    assert float(found[:, :, 2:14].min()) == pytest.approx(1.0)
    assert float(image_pixels(Image.new("RGB", (8, 8)), 16).max()) == -1.0
    assert image_pixels(Image.new("RGB", (1, 500), "white"), 16).shape == (3, 16, 16)


def test_bad_pictures_are_all_named_or_left_out_when_told(tmp_path: Path) -> None:
    saved(tmp_path / "good.png", Image.fromarray(COLOURS))
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(UserError, match=r"(?s)empty\.png.*text\.jpg.*--skip-bad"):
        read_folder(tmp_path, prompt="a thing")
    found = read_folder(tmp_path, prompt="a thing", skip_bad=True)
    assert [picture.path.name for picture in found.pictures] == ["good.png"]
    assert len(found.bad) == 2
    (tmp_path / "good.png").unlink()
    with pytest.raises(UserError, match="None of 2 pictures"):
        read_folder(tmp_path, prompt="a thing", skip_bad=True)


def test_pipes_folders_and_links_to_nowhere_called_png_do_no_harm(tmp_path: Path) -> None:
    import os

    saved(tmp_path / "good.png", Image.fromarray(COLOURS))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert [p.path.name for p in read_folder(tmp_path, prompt="x").pictures] == ["good.png"]
