"""What the methods of learned tokens share; the tokens themselves are in `trainers.tuners.kinds.prompt`."""

from typing import Any

from trainers.methods._own import sidecar_config
from trainers.registry import Late

FOLD_PROMPT = Late("trainers.tuners.kinds.prompt:fold_prompt")
STARTS_CHANGED = "learned tokens are read like words from the first step"
LIVE_WEIGHT = (
    "on a UNet and a language model the tokens count w times in the attention, below 0 they are off; a text encoder's "
    "output moves w of the way from the base's to the prompted one's"
)


def prompt_config(length: int, encoder: str = "none", hidden: int = 0) -> Any:
    """Return the PEFT config of a prompt; `encoder` is none, mlp or lstm."""
    settings = {"length": length, "encoder": encoder, "hidden": hidden}
    return sidecar_config("prompt", ["root"], settings)
