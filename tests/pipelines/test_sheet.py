"""The comparison sheet: pictures where they belong, texts that fit, a size that follows from the cells."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from pipelines.compare import sheet as module
from pipelines.compare.sheet import SheetCell, draw_sheet

COLOURS = {("r1", "c1"): (255, 0, 0), ("r1", "c2"): (0, 255, 0), ("r2", "c1"): (0, 0, 255), ("r2", "c2"): (90, 9, 90)}


def cells(lines: tuple[str, ...] = ()) -> list[SheetCell]:
    return [SheetCell(row, column, Image.new("RGB", (32, 32), c), lines) for (row, column), c in COLOURS.items()]


def places(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    found = np.argwhere((np.asarray(sheet) == colour).all(axis=2))
    top, left = found.min(axis=0)
    bottom, right = found.max(axis=0)
    return int(left), int(top), int(right) + 1, int(bottom) + 1


@pytest.mark.parametrize("cell_px", [64, 224])
def test_every_picture_stands_whole_in_its_row_and_column(cell_px: int) -> None:
    sheet = draw_sheet(cells(("CLIP-T 0.3", "CLIP-I 0.4")), title="t", cell_px=cell_px)
    boxes = {key: places(sheet, colour) for key, colour in COLOURS.items()}
    for left, top, right, bottom in boxes.values():
        assert (right - left, bottom - top) == (cell_px, cell_px)
        assert right <= sheet.width
        assert bottom <= sheet.height
    assert boxes["r1", "c1"][1] == boxes["r1", "c2"][1] < boxes["r2", "c1"][1]
    assert boxes["r1", "c1"][0] == boxes["r2", "c1"][0] < boxes["r1", "c2"][0]
    assert boxes["r1", "c1"][2] < boxes["r1", "c2"][0]
    assert boxes["r1", "c1"][3] + 2 * 18 <= boxes["r2", "c1"][1]


def test_the_size_grows_by_one_cell_per_row_and_column() -> None:
    def size(rows: int, columns: int, lines: int, notes: int) -> tuple[int, int]:
        made = [
            SheetCell(f"r{r}", f"c{c}", Image.new("RGB", (8, 8)), ("x",) * lines)
            for r in range(rows)
            for c in range(columns)
        ]
        return draw_sheet(made, title="t", column_notes={"c0": ["n"] * notes}, cell_px=100).size

    width, height = size(1, 1, 0, 0)
    assert size(1, 2, 0, 0)[0] - width == size(1, 3, 0, 0)[0] - size(1, 2, 0, 0)[0] >= 100
    assert size(2, 1, 0, 0)[1] - height == size(3, 1, 0, 0)[1] - size(2, 1, 0, 0)[1] >= 100
    assert size(1, 1, 2, 0)[1] - height == size(1, 1, 0, 2)[1] - height == 36
    assert size(1, 2, 0, 0)[1] == height
    assert size(2, 1, 0, 0)[0] == width


def test_texts_stay_inside_their_columns_and_off_the_pictures() -> None:
    long = "an extraordinarily long label that can never fit into a column of this width " * 3
    made = [SheetCell(long, f"{n} {long}", Image.new("RGB", (32, 32), (255, 0, 0)), (long,)) for n in range(3)]
    notes = {cell.column: [long] for cell in made}
    with_text = np.asarray(draw_sheet(made, title=long, subtitle=long, column_notes=notes, cell_px=120)).astype(int)
    bare = [SheetCell("", f"{n}", Image.new("RGB", (32, 32), (255, 0, 0)), ("",)) for n in range(3)]
    without = np.asarray(draw_sheet(bare, title="", column_notes={"0": [""]}, cell_px=120)).astype(int)
    assert with_text.shape == without.shape
    red = (without == (255, 0, 0)).all(axis=2)
    assert (with_text[red] == (255, 0, 0)).all()
    left, _, right, _ = places(Image.fromarray(without.astype(np.uint8)), (255, 0, 0))
    assert (with_text[:, right + 14 :] == without[:, right + 14 :]).all()
    assert (with_text != without).any()
    gaps = [left + n * (120 + 14) - 7 for n in (1, 2)]
    rows = slice(74, None)
    assert all((with_text[rows, gap] == without[rows, gap]).all() for gap in gaps)


def test_a_cut_text_ends_in_an_ellipsis_and_fits() -> None:
    font = ImageFont.load_default(15)
    for text in ("short", "word " * 100, "x" * 100_000, "two\nlines\tand a tab", "ünïcödé " * 50, ""):
        cut = module.fit_text(text, font, 120)
        assert font.getlength(cut) <= 120
        assert "\n" not in cut
        assert cut.endswith("…") == (font.getlength(" ".join(text[:1000].split())) > 120)
    assert module.fit_text("short", font, 120) == "short"


def test_long_row_labels_wrap_into_lines_that_fit() -> None:
    font = ImageFont.load_default(15)
    lines = module._wrap("a red boat with two white sails on a stormy sea", font, 130)
    assert " ".join(lines) == "a red boat with two white sails on a stormy sea"
    assert len(lines) > 1
    assert all(font.getlength(line) <= 130 for line in lines)
    assert module._wrap("", font, 130) == []


def test_a_prompt_of_several_lines_can_be_a_label() -> None:
    made = [SheetCell("a\nb", "c\nd", Image.new("RGB", (8, 8), "red"), ("e\nf",))]
    assert draw_sheet(made, title="x\ny", subtitle="\n", column_notes={"c\nd": ["n\nm"]}).mode == "RGB"
