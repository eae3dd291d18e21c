"""What of a prompt every look should keep: its subject, without the colours that a style may drop.

A style without colour cannot keep "a red boat, sea", and a judge that is asked for it says that the picture is no such
thing. It can keep "a boat".
"""

import re

_COLOURS = (
    "red orange yellow green blue purple violet pink brown black white grey gray teal turquoise cyan magenta beige "
    "crimson scarlet maroon navy indigo lilac colourful colorful"
)
_SHADES = "light dark bright pale deep vivid"
_COLOUR = rf"(?:{'|'.join(_COLOURS.split())})"
_COLOURED = re.compile(
    rf"\b(?:(?:{'|'.join(_SHADES.split())})[ -])?{_COLOUR}(?:(?:,? and |-|, ?){_COLOUR})*[ ]+(?=\w)", re.IGNORECASE
)
_TAG = re.compile(r"<[^<>]*>")
_ARTICLE = re.compile(r"\b(a|an)\b(?= +(\w))", re.IGNORECASE)
_NO_SUBJECT = re.compile(
    r"(?:masterpiece|(?:best|high|highest|top) quality|absurdres|high ?res|(?:ultra|highly)? ?detailed|(?:4|8)k|"
    r"score_\d\w*|\w+[ -]style|" + _COLOUR + r")",
    re.IGNORECASE,
)
THINGS = (
    *("apple", "bird", "boat", "car", "cat", "chair", "clock", "cup"),
    *("fish", "flower", "hat", "house", "key", "tree"),
)
"""Common things; those that a prompt does not name are not in its pictures."""


def subject_of(prompt: str) -> str:
    """Return the subject of a prompt: its first phrase that names a thing, without colours and ``<tags>``.

    ``a red boat, sea`` gives ``a boat``. A prompt of no such phrase is returned as it is.
    """
    plain = _TAG.sub(" ", prompt)
    for phrase in _COLOURED.sub("", plain).split(","):
        words = " ".join(phrase.split())
        if words and not _NO_SUBJECT.fullmatch(words):
            return _ARTICLE.sub(_article, words)
    return " ".join(plain.split()) or prompt


def things_not_in(prompt: str) -> tuple[int, ...]:
    """Return the places in `THINGS` of those that a prompt does not name; all places, if it names every one."""
    words = prompt.lower()
    return tuple(n for n, thing in enumerate(THINGS) if thing not in words) or tuple(range(len(THINGS)))


def _article(found: re.Match[str]) -> str:
    """Return the article that the next letter wants: without its colour, "an orange boat" is "a boat"."""
    article = "an" if found[2].lower() in "aeiou" else "a"
    return article.capitalize() if found[1][0].isupper() else article
