"""What an adapter's card says of the base that it is made on."""

from pipelines.blocks import layout_of_parts
from pipelines.families import LoadedBase
from trainers.card import BaseCard


def base_card(base: LoadedBase) -> BaseCard:
    """Return the facts of a loaded base."""
    layout = layout_of_parts(base.parts)
    return BaseCard(
        name=base.name,
        family=base.family,
        fingerprint=base.fingerprint,
        widths=dict(base.widths),
        unet_layers=layout.layers if layout is not None else (),
    )
