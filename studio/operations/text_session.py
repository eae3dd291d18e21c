"""A language model with adapters from the library, ready to write; what chat, compare and the page share."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.attach import Attachments, attached, loading_notices, other_weights_notice
from pipelines.bases import load_text_base
from pipelines.live import LiveRecipes
from pipelines.recipe import Recipe
from studio.library.library import Library
from studio.report import Report
from trainers.adapter import Adapter
from trainers.wording import count_of


@dataclass(frozen=True)
class TextSession:
    """A loaded language model and its attached adapters, all at weight 0."""

    attachments: Attachments
    adapters: dict[str, Adapter]
    recipes: LiveRecipes | None = None
    """What requests with a recipe act through; None when none was announced."""


@contextlib.contextmanager
def open_text_session(
    library: Library,
    base_name: str,
    adapters: Sequence[str],
    report: Report,
    *,
    device: str = "auto",
    precision: str = "auto",
    trust_remote_code: bool = False,
    recipes: Sequence[Recipe] = (),
) -> Iterator[TextSession]:
    """Load a language model once and attach adapters; which of them act is said with every request.

    Args:
        recipes: what will act live; their adapters are read while the base is bare.

    Raises:
        UserError: an adapter is unknown, broken, or belongs to another base.
    """
    read = {name: library.read(name) for name in adapters}  # before the base, which takes longer
    blended = {item.adapter: library.read(item.adapter) for recipe in recipes for item in recipe.active()}
    base = load_text_base(base_name, device=device, precision=precision, trust_remote_code=trust_remote_code)
    live = LiveRecipes(base, blended) if recipes else None
    with attached(base, read) as attachments:
        for name, count in attachments.matched.items():
            report.say(f"{name}: attached to {count_of(count, 'layer')} of {' and '.join(attachments.parts[name])}")
        cards = [adapter.card for adapter in {**blended, **read}.values()]
        for sentence in (*loading_notices(cards), *other_weights_notice(base, cards)):
            report.say(sentence)
        yield TextSession(attachments, {**blended, **read}, live)
