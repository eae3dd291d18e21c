"""Draw pictures: a prompt, weighted adapters or a recipe, and the same picture of the base beside it if wanted."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.generate import ImageRequest, generate
from pipelines.image_file import write_image
from pipelines.merging_pays import merging_pays
from pipelines.recipe import parse_recipe
from pipelines.samplers import AUTO
from studio.engine.job import Event, Job
from studio.engine.workbench import Workbench
from trainers.seeds import drawn_seed


def _run(workbench: Workbench, arguments: Mapping[str, Any]) -> Iterator[Event]:
    """Arguments: prompt, weights (adapter -> weight), recipe, negative_prompt, seed, count, num_inference_steps,
    guidance_scale, sampler, width_px, height_px, base, device, precision, beside_base (also draw each picture without
    adapters), merge (add the adapters into the base's weights while drawing).

    Yields ``{"event": "picture", "path", "seed", "plain"}``; `plain` says that it is the base's; and before them
    ``{"event": "merging_pays", "count"}`` where `merge` would be quicker and was not asked for.
    """
    recipe = parse_recipe(arguments["recipe"]) if arguments.get("recipe") else None
    weights = {name: float(weight) for name, weight in (arguments.get("weights") or {}).items()}
    common: dict[str, Any] = {
        "prompt": str(arguments["prompt"]),
        "negative_prompt": str(arguments.get("negative_prompt") or ""),
        "num_inference_steps": int(arguments.get("num_inference_steps", 20)),
        "guidance_scale": float(arguments.get("guidance_scale", 5.0)),
        "sampler": str(arguments.get("sampler") or AUTO),
        "width_px": arguments.get("width_px"),
        "height_px": arguments.get("height_px"),
    }
    first = drawn_seed(int(arguments.get("seed", 0)))
    seeds = [first + number for number in range(int(arguments.get("count", 1)))]
    requests = [ImageRequest(**common, seed=seed, weights=weights, recipe=recipe) for seed in seeds]
    if arguments.get("beside_base") and (weights or recipe):
        requests += [ImageRequest(**common, seed=seed) for seed in seeds]
    session = workbench.session(
        str(arguments.get("base") or "pocket"),
        list(weights),
        recipes=[recipe] if recipe is not None else [],
        device=str(arguments.get("device") or "auto"),
        precision=str(arguments.get("precision") or "auto"),
    )
    for sentence in session.attachments.prompt_notes(common["prompt"], weights):
        workbench.say(sentence)

    def told(done: int, total: int) -> None:
        workbench.progress("drawing", done, total)

    merge = bool(arguments.get("merge")) and bool(weights)
    if not merge and merging_pays(len(seeds), weights) and session.attachments.can_merge(weights):
        yield {"event": "merging_pays", "count": len(seeds)}
    drawn = generate(session.attachments, requests, recipes=session.recipes, merged=merge, on_step=told)
    for number, picture in drawn:
        path = workbench.new_file()
        write_image(path, picture, requests[number], session.base_facts())
        plain = number >= len(seeds)
        yield {"event": "picture", "path": str(path), "seed": requests[number].seed, "plain": plain}


JOB = Job("generate", _run)
