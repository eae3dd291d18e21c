"""Blend adapters of the library into a new one, and keep it only if the file proves right."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipelines.blending import blend_adapters
from pipelines.blends import find_blend
from pipelines.blocks import needs_layout
from pipelines.deltas import kind_of, needs_base
from pipelines.families import LoadedBase
from pipelines.lineage import without
from pipelines.mixing import TOKEN_KINDS, Mixture, recipe_layout
from pipelines.proof import Proof, prove_blend
from pipelines.recipe import Recipe, plain_recipe, write_recipe
from studio.library.library import Library
from trainers.adapter import Adapter, read_adapter, write_adapter
from trainers.errors import UserError
from trainers.storage import new_folder

RECIPE_NAME = "recipe.yaml"


def blend_into_library(
    library: Library,
    recipe: Recipe | Mapping[str, float],
    name: str,
    *,
    base: LoadedBase | None = None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Path, Proof]:
    """Write a blend as an ordinary adapter, read it back, and compare it with its formula.

    Args:
        recipe: or names with weights, for the exact sum.
        base: bare; see `needs_a_base` for when it is needed.

    Raises:
        UserError: an adapter is unknown or of another base, the name is taken, or the written file is further from the
            formula than rounding explains; nothing is left behind then.
    """
    if not isinstance(recipe, Recipe):
        recipe = plain_recipe(recipe)
    folder = library.new_adapter_folder(name)
    adapters = read_inputs(library, recipe)
    mixture = Mixture(recipe, adapters, base, on_step=on_step)
    blend, mixed = blend_adapters(name, mixture, base)
    with _unproven(folder, name, blend) as unproven:
        proof = prove_blend(read_adapter(unproven), mixture, mixed, base.parts if base is not None else None)
        write_recipe(unproven / RECIPE_NAME, mixture.recipe)
    return folder, proof


def take_out(library: Library, blend: str, parent: str, name: str) -> Path:
    """Write a blend without one of its parents as a new adapter.

    Raises:
        UserError: the name is taken, or the blend does not keep its parents apart.
    """
    folder = library.new_adapter_folder(name)
    rest = without(library.read(blend), parent, name)
    with _unproven(folder, name, rest) as written:
        for part, content in read_adapter(written).parts.items():
            for key, tensor in content.tensors.items():
                if not tensor.equal(rest.parts[part].tensors[key]):
                    raise UserError(f"The blend {name!r} was not kept: {part}/{key} was not written as it should be.")
    return folder


def read_inputs(library: Library, recipe: Recipe) -> dict[str, Adapter]:
    """Read the adapters of a recipe whose weight is not 0."""
    return {item.adapter: library.read(item.adapter) for item in recipe.active()}


def needs_a_base(library: Library, recipe: Recipe) -> bool:
    """Return whether a recipe cannot be worked out from the files alone."""
    adapters = read_inputs(library, recipe)
    parts = [part for adapter in adapters.values() for part in adapter.parts.items()]
    for part, content in parts:
        blend = recipe.blend_of(part)
        dense = kind_of(content) not in ("LORA", *TOKEN_KINDS) or recipe.file == "whole"
        sparse = "density" in blend.settings.model_fields
        if needs_base(content) or dense or sparse or blend.learn is not None:
            return True
    counts = any(needs_layout(item.blocks) for item in recipe.active())
    unknown = recipe_layout([adapter.card for adapter in adapters.values()], None) is None
    return find_blend(recipe.blend).learn is not None or (counts and unknown)


@contextmanager
def _unproven(folder: Path, name: str, adapter: Adapter) -> Iterator[Path]:
    """Write an adapter where no library sees it, and move it to its place when the block has found it right."""
    with new_folder(folder) as temporary:
        unproven = temporary / ".unproven"
        write_adapter(unproven, adapter)
        yield unproven
        for item in list(unproven.iterdir()):
            item.rename(temporary / item.name)
        unproven.rmdir()
