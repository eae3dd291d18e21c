"""Write a blend into the library, read it back, and return its proof."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.families import LoadedBase
from pipelines.proof import Proof
from pipelines.recipe import Recipe, parse_recipe
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from studio.operations.blend import blend_into_library, needs_a_base
from trainers.errors import UserError


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: recipe, name, base (empty: the one on the adapters' cards), device, precision.

    Yields a result with what `proof_summary` returns and ``name``.
    """
    recipe = parse_recipe(arguments["recipe"])
    name = str(arguments["name"])
    workbench.library.new_adapter_folder(name)  # refuses a name before the base is loaded
    workbench.progress("blending", 0, 1)
    _, proof = blend_into_library(
        workbench.library,
        recipe,
        name,
        base=_base(workbench, recipe, arguments),
        on_step=lambda done, total: workbench.progress("learning", done, total),
    )
    yield {"event": "result", "name": name, **proof_summary(proof)}


def proof_summary(proof: Proof) -> dict[str, Any]:
    """Return a proof as plain values.

    ``parts`` has for each part its number of layers, the worst layer's rounding and error, and the least energy that a
    layer kept; ``layers`` has part, layer, rank, error, rounding and energy of each. Sizes are shares as in `Proof`.
    """
    parts: dict[str, dict[str, Any]] = {}
    for layer in proof.layers:
        own = parts.setdefault(
            layer.part, {"layers": 0, "worst_rounding": 0.0, "worst_error": 0.0, "least_energy": None}
        )
        own["layers"] += 1
        own["worst_rounding"] = max(own["worst_rounding"], layer.rounding)
        own["worst_error"] = max(own["worst_error"], layer.error)
        least = own["least_energy"]
        own["least_energy"] = layer.energy if least is None else min(least, layer.energy)
    return {
        "error": proof.error,
        "energy": proof.energy,
        "from_sum": proof.from_sum,
        "tolerance": proof.tolerance,
        "matched": proof.matched,
        "unmatched": list(proof.unmatched),
        "one_sided": proof.one_sided,
        "emptied": proof.emptied,
        "parts": parts,
        "layers": [
            [layer.part, layer.layer, layer.rank, layer.error, layer.rounding, layer.energy] for layer in proof.layers
        ],
    }


def _base(workbench: Workbench, recipe: Recipe, arguments: Mapping[str, Any]) -> LoadedBase | None:
    """Load the base, against which the file's names are matched; go without if it is neither here nor needed."""
    given = str(arguments.get("base") or "")
    name = given or workbench.library.card(recipe.active()[0].adapter).base.name
    where = (str(arguments.get("device") or "auto"), str(arguments.get("precision") or "auto"))
    try:
        return workbench.bare(name, *where)
    except UserError as error:
        if given or needs_a_base(workbench.library, recipe):
            raise
        workbench.say(f"The layers are not matched against the base: {error}")
        return None


JOB = Job("blend_save", _run)
