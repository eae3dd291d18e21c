"""Draw a grid as one picture: labels on both axes, and two lines of text under every cell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

INK = (28, 30, 36)
SOFT_INK = (104, 110, 122)
PAPER = (255, 255, 255)
RULE = (222, 225, 230)
_ELLIPSIS = "…"
_LIMIT_CHARACTERS = 1000


@dataclass(frozen=True)
class SheetCell:
    """One picture with the lines under it."""

    row: str
    column: str
    picture: Image.Image
    lines: tuple[str, ...]


def draw_sheet(
    cells: Sequence[SheetCell],
    *,
    title: str,
    subtitle: str = "",
    column_notes: Mapping[str, Sequence[str]] | None = None,
    cell_px: int = 224,
) -> Image.Image:
    """Return the sheet as RGB.

    Args:
        cells: every row has the same columns; order of first appearance is kept.
        column_notes: lines under a column's label, such as its mean scores.
        cell_px: side of a cell's picture.
    """
    rows = list(dict.fromkeys(cell.row for cell in cells))
    columns = list(dict.fromkeys(cell.column for cell in cells))
    notes = column_notes or {}
    gap, label_px = 14, 150
    line_px = 18
    lines = max((len(cell.lines) for cell in cells), default=0)
    note_lines = max((len(notes.get(column, ())) for column in columns), default=0)
    head_px = 78 + (note_lines * line_px) + 30
    row_px = cell_px + lines * line_px + gap + 8
    width = 24 + label_px + len(columns) * (cell_px + gap) + 10
    sheet = Image.new("RGB", (width, head_px + len(rows) * row_px + 10), PAPER)
    draw = ImageDraw.Draw(sheet)
    small, body, bold = (sheet_font(size) for size in (13, 15, 22))
    draw.text((24, 16), fit_text(title, bold, width - 48), INK, bold)
    draw.text((24, 46), fit_text(subtitle, small, width - 48), SOFT_INK, small)
    for number, column in enumerate(columns):
        left = 24 + label_px + number * (cell_px + gap)
        draw.text((left, 74), fit_text(column, body, cell_px), INK, body)
        for line, text in enumerate(notes.get(column, ())):
            draw.text((left, 96 + line * line_px), fit_text(text, small, cell_px), SOFT_INK, small)
    for row_number, row in enumerate(rows):
        top = head_px + row_number * row_px
        draw.line((24, top - 8, width - 24, top - 8), RULE)
        for line, text in enumerate(_wrap(row, body, label_px - 18)[:8]):
            draw.text((24, top + line * 20), text, INK, body)
    for cell in cells:
        left = 24 + label_px + columns.index(cell.column) * (cell_px + gap)
        top = head_px + rows.index(cell.row) * row_px
        sheet.paste(cell.picture.resize((cell_px, cell_px), Image.Resampling.LANCZOS), (left, top))
        for line, text in enumerate(cell.lines):
            draw.text(
                (left, top + cell_px + 5 + line * line_px),
                fit_text(text, small, cell_px),
                SOFT_INK,
                small,
            )
    return sheet


def sheet_font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font of a size in pixels."""
    font = ImageFont.load_default(size)  # embedded in Pillow, so every machine draws the same sheet
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def fit_text(text: str, font: ImageFont.FreeTypeFont, width_px: int) -> str:
    """Cut a text to one line of a width, with an ellipsis."""
    text = " ".join(text[:_LIMIT_CHARACTERS].split())
    if font.getlength(text) <= width_px:
        return text
    return _shorten(text, lambda cut: font.getlength(cut + _ELLIPSIS) <= width_px) + _ELLIPSIS


def _shorten(text: str, fits: Callable[[str], bool]) -> str:
    while text and not fits(text):
        text = text[:-1]
    return text.rstrip()


def _wrap(text: str, font: ImageFont.FreeTypeFont, width_px: int) -> list[str]:
    lines: list[str] = []
    for word in text[:_LIMIT_CHARACTERS].split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width_px:
            lines[-1] = joined
        else:
            lines.append(fit_text(word, font, width_px))
    return lines
