"""What an adapter's card says of the base that it is made on."""

from pipelines.blocks import layout_of_paths
from pipelines.families import LoadedBase
from trainers.card import BaseCard


def base_card(base: LoadedBase) -> BaseCard:
    """Return the facts of a loaded base."""
    unet = base.parts.get("unet")
    layout = layout_of_paths(path for path, _ in unet.named_modules()) if unet is not None else None
    return BaseCard(
        name=base.name,
        family=base.family,
        fingerprint=base.fingerprint,
        widths=dict(base.widths),
        unet_layers=layout.layers if layout is not None else (),
    )
