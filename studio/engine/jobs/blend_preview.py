"""Draw a recipe once, quickly, at a fixed prompt and seed; or each of its parents alone and the base."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.deltas import kind_of
from pipelines.generate import ImageRequest, generate
from pipelines.image_file import write_image
from pipelines.mixing import check_same_base
from pipelines.recipe import Recipe, parse_recipe
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from trainers.seeds import drawn_seed

_FOLDER = "previews"
_KEPT = 200


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: recipe, prompt, seed, num_inference_steps,
    guidance_scale, base (empty: the one on the adapters' cards), device,
    precision, parents (draw these and the base instead of the blend).

    Yields ``{"event": "picture", "path", "label"}``; the label is an adapter's name, ``base``, or ``blend``.
    """
    recipe = parse_recipe(arguments["recipe"])
    names = [item.adapter for item in recipe.active()]
    check_same_base([workbench.library.card(name.partition("@")[0]) for name in names])
    common: dict[str, Any] = {
        "prompt": str(arguments["prompt"]),
        "seed": drawn_seed(int(arguments.get("seed") or 0)),
        "num_inference_steps": int(arguments.get("num_inference_steps") or 8),
        "guidance_scale": float(arguments.get("guidance_scale", 5.0)),
    }
    if arguments.get("parents"):
        requests = {name: ImageRequest(**common, weights={name: 1.0}) for name in names}
        requests["base"] = ImageRequest(**common)
    elif _is_weights_alone(workbench, recipe):
        weights = {item.adapter: item.weight for item in recipe.active()}
        requests = {"blend": ImageRequest(**common, weights=weights)}
    else:
        requests = {"blend": ImageRequest(**common, recipe=recipe)}
    live = [request.recipe for request in requests.values() if request.recipe is not None]
    session = workbench.session(
        str(arguments.get("base") or workbench.library.card(names[0]).base.name),
        [] if live else names,
        recipes=live,
        device=str(arguments.get("device") or "auto"),
        precision=str(arguments.get("precision") or "auto"),
    )

    def told(done: int, total: int) -> None:
        workbench.progress("drawing", done, total)

    drawn = generate(session.attachments, list(requests.values()), recipes=session.recipes, on_step=told)
    for number, picture in drawn:
        label, request = list(requests.items())[number]
        path = workbench.new_file(folder=_FOLDER)
        write_image(path, picture, request, session.base_facts())
        yield {"event": "picture", "path": str(path), "label": label}
    _forget_oldest(workbench.library.folder / "outputs" / _FOLDER)


def _is_weights_alone(workbench: Workbench, recipe: Recipe) -> bool:
    """Return whether weights on attached LoRAs are the same sum, so that a change of weight costs nothing."""
    plain = recipe.blend == "exact" and not recipe.part_blends
    uniform = all(not (item.parts or item.blocks or item.schedule or item.hash) for item in recipe.inputs)
    return (
        plain
        and uniform
        and all(
            kind_of(part) == "LORA" for item in recipe.active() for part in workbench.read(item.adapter).parts.values()
        )
    )


def _forget_oldest(folder: Path) -> None:
    """Keep the newest previews: a moved slider makes one after the other, and nobody asked to keep them."""
    found = sorted(folder.glob("*/*.png"), key=lambda path: (path.parent.name, path.name))
    for path in found[:-_KEPT]:
        path.unlink(missing_ok=True)


JOB = Job("blend_preview", _run)
