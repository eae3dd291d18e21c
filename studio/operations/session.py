"""A base with adapters from the library, ready to generate; what generate, compare and the demo share."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pipelines.attach import Attachments, attached, loading_notices, other_weights_notice
from pipelines.bases import POCKET, load_image_base
from pipelines.judge import POCKET_JUDGE, Judge
from pipelines.live import LiveRecipes
from pipelines.recipe import Recipe
from studio.library.library import Library
from studio.report import Report
from trainers.adapter import Adapter
from trainers.errors import UserError
from trainers.wording import count_of


@dataclass(frozen=True)
class Session:
    """A loaded base and its attached adapters."""

    attachments: Attachments
    adapters: dict[str, Adapter]
    recipes: LiveRecipes | None = None
    """What requests with a recipe act through; None when none was announced."""

    def base_facts(self) -> dict[str, Any]:
        """Return what a picture's file says of the base."""
        base = self.attachments.base
        sampler = type(getattr(base, "sampler", None)).__name__.removesuffix("Scheduler")
        dropped = {part: count for part, count in self.attachments.dropped.items() if count}
        return {
            "name": base.name,
            "family": base.family,
            "fingerprint": base.fingerprint,
            "sampler": sampler,
            **({"dropped_blocks": dropped} if dropped else {}),
        }


@contextlib.contextmanager
def open_session(
    library: Library,
    base_name: str,
    adapters: Sequence[str],
    report: Report,
    *,
    device: str,
    precision: str,
    recipes: Sequence[Recipe] = (),
) -> Iterator[Session]:
    """Load a base, attach adapters at weight 0, and say how many layers each one found.

    Args:
        recipes: what will act live; their adapters are read while the base is bare.

    Raises:
        UserError: an adapter is unknown, broken, or belongs to another base.
    """
    read = {name: library.read(name) for name in adapters}  # before the base, which takes longer
    blended = {item.adapter: library.read(item.adapter) for recipe in recipes for item in recipe.active()}
    base = load_image_base(base_name, device=device, precision=precision)
    live = LiveRecipes(base, blended) if recipes else None
    for recipe in recipes if live is not None else ():
        changed = len(live.mixture(recipe).at().deltas) if live is not None else 0
        report.say(
            f"recipe of {', '.join(item.adapter for item in recipe.active())}: changes {count_of(changed, 'tensor')}"
        )
    with attached(base, read) as attachments:
        for name, count in attachments.matched.items():
            report.say(f"{name}: attached to {count_of(count, 'layer')} of {' and '.join(attachments.parts[name])}")
        cards = [adapter.card for adapter in {**blended, **read}.values()]
        for sentence in (*loading_notices(cards), *other_weights_notice(base, cards)):
            report.say(sentence)
        yield Session(attachments, {**blended, **read}, live)


def find_judge(name: str, base_name: str, device: str) -> Judge:
    """Load a judge; ``auto`` is the pocket judge for the pocket base.

    Raises:
        UserError: ``auto`` with another base, whose pictures the pocket judge has never seen.
    """
    if name == "auto":
        if base_name != POCKET:
            raise UserError(
                f"No judge is known for the base {base_name!r}. Give a CLIPModel folder with --judge, or --judge "
                "pocket if the pictures are of the pocket world."
            )
        name = POCKET_JUDGE
    return Judge(name, device=device)


def find_references(adapters: dict[str, Adapter], judge: Judge, report: Report) -> dict[str, Tensor]:
    """Return the judge's embeddings of each adapter's training pictures; say which adapters have none."""
    found: dict[str, Tensor] = {}
    for name, adapter in adapters.items():
        if judge.fingerprint in adapter.references:
            found[name] = adapter.references[judge.fingerprint]
        else:
            report.say(f"{name}: no embeddings of its training pictures by this judge, so no style score.")
    return found
