"""Reading texts to learn from: JSONL, JSON, CSV and TXT, in whatever of the usual forms they are.

The form is recognised by the columns of the first row, said, and held against every other row: one odd row among
thousands is a mistake in the file, and is named by its line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainers.data.encoding import UTF_8
from trainers.data.passed_over import passed_over
from trainers.data.plain_text import plain_values
from trainers.data.text_files import ENDINGS, raw_rows
from trainers.data.text_forms import FORMS, Form, TextRow, form_of, text_row, with_usual_names
from trainers.data.turns import ROLES, Message, TurnsRead
from trainers.errors import UserError, raise_problems
from trainers.wording import count_of

__all__ = [
    "ENDINGS",
    "FORMS",
    "HELD_OUT",
    "ROLES",
    "TRAINING",
    "Form",
    "Message",
    "TextData",
    "TextRow",
    "held_out_file",
    "read_texts",
]

TRAINING, HELD_OUT = "train", "held_out"
"""Names of the files in a folder."""


@dataclass(frozen=True)
class TextData:
    """What a file holds."""

    path: Path
    form: Form
    rows: tuple[TextRow, ...]
    unused: tuple[str, ...]
    """Columns that no form here has, which are not read."""
    passed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What else in the file is not read or not learned from: reason -> names."""

    encoding: str = UTF_8
    """As `trainers.data.encoding` names them."""

    def notes(self) -> list[str]:
        """Return sentences on the file's encoding and on everything in it that is passed over."""
        other = [f"{self.path.name} is {self.encoding}, and read all the same."] if self.encoding != UTF_8 else []
        return other + passed_over({f"columns of {self.path.name} that are not used": self.unused, **self.passed_over})


def read_texts(data: Path, which: str = TRAINING, wanted: Sequence[str] = ()) -> TextData:
    """Read a file of texts, or the one that a folder has for training (``train.jsonl`` …).

    Args:
        which: of a folder, the name of the file without its ending.
        wanted: names of forms that are taken before all others where the columns fit several.

    Raises:
        UserError: there is no such file, it is broken (with the line), its columns are of no known form, or rows cannot
            be used; up to ten are named at once.
    """
    path = _file(data, which)
    raw = raw_rows(path)
    found = [(where, with_usual_names(row)) for where, row in raw.rows]
    if not found:
        raise UserError(f"{path} holds no rows.")
    form = form_of(found[0][1], found[0][0], wanted)
    known = form.needs | form.may
    unused = tuple(dict.fromkeys(str(column) for _, row in found for column in row if column not in known))
    rows: list[TextRow] = []
    problems: list[str] = []
    turns = TurnsRead()
    for where, row in found:
        try:
            plain_values(row, where)
            beside_it = {str(name): value for name, value in row.items() if name not in known}
            rows.append(replace(text_row(form, where, row, turns), columns=beside_it))
        except UserError as error:
            problems.append(str(error))
    raise_problems(
        f"{len(problems)} of {count_of(len(found), 'row')} of {path} cannot be used as {form.title}:", problems
    )
    passed = {
        f"what stands beside the rows of {path.name}": raw.beside,
        f"keys of turns of {path.name} that are not read": [
            f"{key} in {count_of(count, 'turn')}" for key, count in turns.keys.items()
        ],
        **turns.passed_over,
    }
    return TextData(path, form, tuple(rows), unused, passed, raw.encoding)


def held_out_file(data: Path) -> Path | None:
    """Return the file of texts that are not trained on: ``held_out`` beside or in the data; None when there is none."""
    folder = data if data.is_dir() else data.parent
    return next((path for ending in ENDINGS if (path := folder / f"{HELD_OUT}{ending}").is_file()), None)


def _file(data: Path, which: str) -> Path:
    if data.is_file():
        if data.suffix.lower() not in ENDINGS:
            raise UserError(f"{data} is none of the kinds that can be read: {', '.join(ENDINGS)}.")
        return data
    if not data.is_dir():
        raise UserError(f"The data {data} does not exist. Give a file or a folder with {which}.jsonl.")
    found = [path for ending in ENDINGS if (path := data / f"{which}{ending}").is_file()]
    others = sorted(p.name for p in data.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    if not found and len(others) == 1:
        return data / others[0]
    if len(found) != 1:
        there = f"it holds {', '.join(others[:8])}" if others else "it holds no text file"
        raise UserError(f"The folder {data} must hold one file {which}.jsonl, .json, .csv or .txt; {there}.")
    return found[0]
