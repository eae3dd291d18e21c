"""What can be refused before any data is encoded: parts that the base lacks, and words that name no layer."""

from collections.abc import Sequence
from functools import partial

from torch import nn

from trainers.config import TrainingConfig
from trainers.errors import UserError, raise_problems
from trainers.methods import find_method
from trainers.protocols import Learnable

_KINDS = ("all-linear", "attention", "feed_forward", "convolution", "norm")


def check_parts(config: TrainingConfig, role: Learnable) -> None:
    """Check every part's method against the loaded base.

    Raises:
        UserError: listing every part that the base lacks, every target that matches no layer, and what a method's own
            settings lack.
    """
    problems: list[str] = []
    config = config.on(role.parts)
    for part, plan in config.parts.items():
        if part not in role.parts:
            problems.append(f"the base has no part {part!r}; it has {', '.join(role.parts)}")
            continue
        problems += _unmatched(part, plan.settings.get("targets") or (), role)
        method = find_method(plan.method)
        try:
            method.peft_config(plan.method_settings(part), partial(role.targets, part))
        except UserError as error:
            problems.append(str(error))
    raise_problems("The run cannot begin:", problems)


def _unmatched(part: str, words: Sequence[str], role: Learnable) -> list[str]:
    kinds = {kind: role.targets(part, (kind,)) for kind in _KINDS}
    known = [kind for kind, names in kinds.items() if names != (kind,)]
    return [
        f"the target {word!r} matches no layer of the {part}; take {', '.join(known)}, or the end of a layer's name"
        for word in words
        if not _matches(role.parts[part], role.targets(part, (word,)))
    ]


def _matches(module: nn.Module, names: Sequence[str]) -> bool:
    return any(path == name or path.endswith(f".{name}") for path, _ in module.named_modules() for name in names)
