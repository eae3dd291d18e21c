"""Which of a model's weight files are read: the plain ones, else those of the one variant there is, such as fp16."""

import re
from pathlib import Path

from trainers.errors import UserError

_SHARD = r"(?:-\d{5}-of-\d{5})?"
_NAME = re.compile(rf"(?:diffusion_pytorch_model|model){_SHARD}(?:\.(?P<variant>[A-Za-z0-9_]+))?{_SHARD}\.safetensors")
_OTHERS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.gguf", "*.msgpack", "*.h5")


def variant_of(folder: Path) -> str | None:
    """Return the variant under which a folder's weights are to be asked for; None for plain names.

    Raises:
        UserError: there are no safetensors files, or several variants and no plain files.
    """
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    if not names:
        others = sorted(path.name for pattern in _OTHERS for path in folder.glob(pattern))
        found = f" It holds {', '.join(others[:3])}, which is not read." if others else ""
        raise UserError(
            f"The folder {folder.name} of the base holds no .safetensors file.{found} Take the same model with its "
            "weights as .safetensors."
        )
    variants = {match["variant"] for name in names if (match := _NAME.fullmatch(name))}
    if not variants or None in variants:
        return None  # what is missing beside odd names, the libraries say
    if len(variants) > 1:
        shown = " and ".join(sorted(map(str, variants)))
        raise UserError(
            f"The folder {folder.name} of the base holds its weights as {shown} alone. Keep the files of one, or "
            "rename them without that word."
        )
    return variants.pop()


def weight_files(folder: Path) -> list[Path]:
    """Return the .safetensors files that `variant_of` means, sorted.

    Raises:
        UserError: as `variant_of`.
    """
    variant = variant_of(folder)
    files = sorted(folder.glob("*.safetensors"))
    chosen = [file for file in files if (match := _NAME.fullmatch(file.name)) and match["variant"] == variant]
    return chosen or files
