"""Blend adapters of the library into a new one, and keep it only if the file proves right."""

from collections.abc import Mapping
from pathlib import Path

from pipelines.blends import find_blend
from pipelines.recipe import TOLERANCE, LayerProof, blend_adapters, prove_blend
from studio.library import Library
from trainers.adapter import read_adapter, write_adapter
from trainers.errors import UserError
from trainers.storage import new_folder


def blend_into_library(
    library: Library, weights: Mapping[str, float], name: str, blend_name: str = "exact"
) -> tuple[Path, list[LayerProof]]:
    """Write a blend as an ordinary adapter, read it back, and compare it with the sum.

    Raises:
        UserError: an adapter is unknown or of another base, the name is taken, or the written file is further from the
            sum than rounding explains; nothing is left behind then.
    """
    find_blend(blend_name)
    folder = library.new_adapter_folder(name)
    parents = [(library.read(parent), weight) for parent, weight in weights.items()]
    blend = blend_adapters(name, parents, blend_name)
    with new_folder(folder) as unproven:  # in the library only once it is proved
        write_adapter(unproven / name, blend)
        proofs = prove_blend(read_adapter(unproven / name), parents)
        worst = max(proofs, key=lambda proof: proof.error)
        if find_blend(blend_name).exact and not worst.error <= TOLERANCE:
            raise UserError(
                f"The blend {name!r} was not kept: {worst.part}/{worst.layer} is {worst.error:.1e} off the exact sum, "
                f"more than the tolerance {TOLERANCE:.0e}. Please report this with the adapters."
            )
        for item in list((unproven / name).iterdir()):
            item.rename(unproven / item.name)
        (unproven / name).rmdir()
    return folder, proofs
