"""What the user chose for the whole app; it lies in the library, so it goes where the library goes."""

from typing import get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.library.library import Library
from trainers.config import Precision
from trainers.errors import UserError, problem_sentence, raise_problems
from trainers.storage import read_json, write_json

SETTINGS_NAME = "settings.json"
PRECISIONS: tuple[str, ...] = get_args(Precision)


class AppSettings(BaseModel):
    """Defaults of every tab."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N or mps")
    precision: Precision = "auto"


def read_settings(library: Library) -> AppSettings:
    """Return what was chosen, or the defaults when nothing was.

    Raises:
        UserError: the file cannot be read, or holds a value that is not possible.
    """
    path = library.folder / SETTINGS_NAME
    if not path.exists():
        return AppSettings()
    return _checked(read_json(path, "settings of the app"), f"The settings in {path} cannot be used:")


def write_settings(library: Library, values: dict[str, object]) -> AppSettings:
    """Check settings, write them, and return them.

    Raises:
        UserError: naming every value that is not possible; nothing is written then.
    """
    settings = _checked(values, "The settings cannot be used:")
    library.folder.mkdir(parents=True, exist_ok=True)
    write_json(library.folder / SETTINGS_NAME, settings.model_dump())
    return settings


def _checked(values: object, headline: str) -> AppSettings:
    if not isinstance(values, dict):
        raise UserError(f"{headline} they are no names with values. Remove the file to begin with the defaults.")
    try:
        return AppSettings.model_validate(values)
    except ValidationError as error:
        raise_problems(headline, [problem_sentence(dict(item), AppSettings.model_fields) for item in error.errors()])
        raise
