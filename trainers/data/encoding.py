"""The encodings of text files that other programs wrote. Needs no torch."""

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from trainers.errors import UserError

UTF_8, UTF_16, UTF_32, WINDOWS_1252 = "UTF-8", "UTF-16", "UTF-32", "Windows-1252"
LIMIT_FILE_BYTES = 64 << 20
_BEGINNINGS = (  # UTF-32's mark begins with that of UTF-16, so it is looked for first
    (codecs.BOM_UTF32_LE, "utf-32-le", UTF_32),
    (codecs.BOM_UTF32_BE, "utf-32-be", UTF_32),
    (codecs.BOM_UTF8, "utf-8", UTF_8),
    (codecs.BOM_UTF16_LE, "utf-16-le", UTF_16),
    (codecs.BOM_UTF16_BE, "utf-16-be", UTF_16),
)
_ACCENTED = "À-ÖØ-öø-ÿŠšŽžŒœŸ"
_CAPITAL = "À-ÖØ-ÞŠŽŒŸ"
_UNLIKELY = re.compile(
    rf"[^\x20-\x7e\s{_ACCENTED}€‚„…‰‹›‘’“”•–—™¡£§©«®°²³·»¼½¾¿×\xad]"  # not in captions, and control characters
    rf"|[{_CAPITAL}][{_ACCENTED}]|[{_ACCENTED}][{_CAPITAL}]|[{_ACCENTED}]{{3}}"  # letters that do not meet in words
    rf"|[‚„][^A-Za-z0-9{_ACCENTED}]|[²³»°·¼½¾][{_ACCENTED}]"
)
_UTF_8_WITHIN = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
_LETTERS, _ACCENTS = re.compile("[A-Za-z]"), re.compile(f"[{_ACCENTED}]")


@dataclass(frozen=True)
class FileText:
    """What a text file says, and how it was written."""

    text: str
    encoding: str
    """``UTF-8``, ``UTF-16``, ``UTF-32`` or ``Windows-1252``."""


def read_text(path: Path) -> FileText:
    """Read a text file; `decode` states the rule.

    Raises:
        UserError: it cannot be opened, is over 64 MiB, or its encoding cannot be told.
    """
    try:
        if path.stat().st_size > LIMIT_FILE_BYTES:
            raise UserError(f"{path.name} has more than {LIMIT_FILE_BYTES:,} bytes, so it is not read.")
        return decode(path.read_bytes())
    except UnicodeError as error:
        raise UserError(
            f"The encoding of {path.name} cannot be told: it is not UTF-8, nor clearly UTF-16, UTF-32 or "
            "Windows-1252. Save it as UTF-8."
        ) from error
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}.") from error


def decode(content: bytes) -> FileText:
    """Return a file's text by the first of these rules that fits; all text files beside pictures are read by it.

    1. A byte order mark decides: UTF-8, UTF-16 or UTF-32, either byte order.
    2. NUL bytes where UTF-16 or UTF-32 has the upper halves of Latin letters, and nowhere else: that encoding.
    3. What is valid UTF-8 is UTF-8.
    4. What reads in Windows-1252 as a Western language is that: mostly plain letters, accented ones as they stand in
       words, usual punctuation, quotes that open and close. Bytes of Chinese, Japanese or Cyrillic encodings also have
       a reading in Windows-1252, a wrong one; so have UTF-8 files with a broken place. These are refused.

    Raises:
        UnicodeError: no rule fits.
    """
    for mark, codec, name in _BEGINNINGS:
        if content.startswith(mark):
            return FileText(content[len(mark) :].decode(codec), name)
    if b"\0" in content and (found := _told_by_zeros(content)) is not None:
        return found
    try:
        return FileText(content.decode("utf-8"), UTF_8)
    except UnicodeDecodeError:
        text = content.decode("cp1252")
        if _UTF_8_WITHIN.search(content) or not _is_western(text):
            raise
        return FileText(text, WINDOWS_1252)


def _told_by_zeros(content: bytes) -> FileText | None:
    """Return the text where every unit's lowest byte is set and most of the bytes above it are 0."""
    for width, name in ((4, UTF_32), (2, UTF_16)):
        if len(content) % width:
            continue
        for order in ("le", "be"):
            columns = [content[at::width] for at in range(width)]
            low, *above = columns if order == "le" else columns[::-1]
            if 0 in low or any(2 * column.count(0) < len(column) for column in above):
                continue
            try:
                text = content.decode(f"{name.lower()}-{order}")
            except UnicodeDecodeError:
                continue
            if all(character >= " " or character.isspace() for character in text):
                return FileText(text, name)
    return None


def _is_western(text: str) -> bool:
    doubles = re.findall("[„“”]", re.sub(r"(?<=\d)”", "", text))  # behind a digit it stands for inches
    opened = len(doubles) % 2 == 0 and (not doubles or doubles[0] != "”")
    opened = opened and text.count("‘") <= text.count("’") + text.count("‚")
    return opened and _UNLIKELY.search(text) is None and len(_ACCENTS.findall(text)) <= len(_LETTERS.findall(text))
