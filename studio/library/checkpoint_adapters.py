"""A checkpoint of a run as an adapter, to look at a style while it was learned."""

from typing import TYPE_CHECKING

from trainers.adapter import Adapter, AdapterPart
from trainers.adapter_gate import part_problems
from trainers.checkpoint import checkpoint_steps, checkpoint_tensors
from trainers.errors import UserError, raise_problems
from trainers.methods import find_method

if TYPE_CHECKING:
    from studio.library.library import Library


def adapter_at(library: "Library", name: str, step: str) -> Adapter:
    """Return what a finished run's checkpoint holds.

    Raises:
        UserError: the run has no such checkpoint, or its method is saved in another form than it is trained in.
    """
    adapter = library.read(name)
    folder = library.run_folder(name) / "checkpoints"
    steps = checkpoint_steps(folder)
    if not step.isdigit() or int(step) not in steps:
        raise UserError(
            f"The run {name!r} has no checkpoint of step {step}. It has: {', '.join(map(str, steps)) or 'none'}. "
            "More are kept with studio train --checkpoint-every 50 --keep-checkpoints 1000."
        )
    folded = [card.method for card in adapter.card.parts.values() if find_method(card.method).fold is not None]
    if folded:
        raise UserError(
            f"{name!r} was trained by {', '.join(folded)}, whose checkpoints hold more than the adapter, so they "
            "cannot be looked at alone."
        )
    tensors = checkpoint_tensors(folder, int(step), adapter.parts)
    parts = {part: AdapterPart(content.config, tensors[part]) for part, content in adapter.parts.items()}
    problems = [f"{part}: {problem}" for part, content in parts.items()
                for problem in part_problems(dict(content.config), content.tensors)]  # fmt: skip
    raise_problems(f"The checkpoint of step {step} of {name!r} cannot be used:", problems)
    return Adapter(adapter.card, parts, adapter.references, adapter.head)
