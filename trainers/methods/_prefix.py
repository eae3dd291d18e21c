"""What the methods of learned keys and values share; the rows themselves are in `trainers.tuners.kinds.prefix`."""

from collections.abc import Sequence
from typing import Any

from trainers.methods._own import sidecar_config
from trainers.registry import Late

LIVE_WEIGHT = "log w is added to the attention logits of the prefix, so it counts w times; below 0 it is off"
STARTS_CHANGED = "a prefix takes its share of the attention from the first step"
FOLD_PREFIX = Late("trainers.tuners.kinds.prefix:fold_prefix")


def prefix_config(targets: Sequence[str], length: int, hidden: int) -> Any:
    """Return the PEFT config of a prefix; `hidden` 0 is without a network."""
    return sidecar_config("prefix", targets, {"length": length, "hidden": hidden})
