"""What a safetensors file holds, by its header: names and shapes. Loads neither torch nor the tensors."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from trainers.errors import UserError
from trainers.file_kinds import file_kind


def read_shapes(path: Path, what: str) -> Mapping[str, tuple[int, ...]]:
    """Return name -> shape of every tensor of a file.

    Raises:
        UserError: the file is missing, cut off, of another kind, its header is not sound, or it holds no tensors.
    """
    try:
        kind = file_kind(path)
        if kind.sentence:
            raise UserError(f"The {what} {path} {kind.sentence}")
        with safe_open(str(path), framework="numpy") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError as error:
        raise UserError(f"The {what} {path} does not exist.") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"The {what} {path} is not a sound safetensors file ({error}). Fetch or train it again."
        ) from error
    if not shapes:
        raise UserError(f"The {what} {path} holds no tensors. Fetch or train it again.")
    return shapes
