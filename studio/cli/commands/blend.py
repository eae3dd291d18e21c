"""``studio blend``: combine adapters into one, by the exact sum or another blend, and prove the file."""

import argparse
from typing import Any

from studio.cli.command import Command, add_base, add_library, add_sampling, library_of
from studio.library.library import Library, parse_adapters
from studio.operations.layer_tables import Column, add_layers, layer_table, span
from studio.report import Terminal
from trainers.errors import UserError
from trainers.names import composed
from trainers.paths import path_of
from trainers.wording import count_of, listed

_BLENDING = ("blend", "setting", "part_weight", "blocks", "seed", "dtype", "file")
_SEARCH = ("prompts", "seeds", "goal", "judge", "num_inference_steps", "guidance_scale", "negative_prompt")
_FLAGS = {"prompts": "prompt"}
_DEFAULTS = {
    "layers": False,
    "seeds": "0",
    "goal": "",
    "judge": "auto",
    "num_inference_steps": 20,
    "guidance_scale": 5.0,
    "negative_prompt": "",
}
"""Of options that are always there: other values are someone's wish."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("adapters", nargs="*", metavar="NAME:WEIGHT", help="adapters with weights of any sign")
    parser.add_argument("--name", required=True, help="name of the blend in the library")
    parser.add_argument(
        "--blend", metavar="BLEND", help="way to combine (default exact), or by part: unet=ties,text_encoder=exact"
    )
    parser.add_argument(
        "--setting", action="append", default=[], metavar="KEY=VALUE", help="a setting of the blend; may be repeated"
    )
    parser.add_argument(
        "--part-weight",
        action="append",
        default=[],
        metavar="NAME=unet:1,text_encoder:0.5",
        help="factors on an adapter's weight by part; may be repeated",
    )
    parser.add_argument(
        "--blocks",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="weights by block: 17, 26, 12 or 20 values, or IN05:0.5,down_blocks.1:0.2,default:1; may be repeated",
    )
    parser.add_argument("--seed", type=int, help="seed of blends that draw at random (default 0; -1 draws one)")
    dtypes, files = ("float32", "float16", "bfloat16"), ("auto", "lora", "whole")
    parser.add_argument("--dtype", choices=dtypes, help="number format of the file (default float32)")
    parser.add_argument("--file", choices=files, help="form of the file (default auto)")
    parser.add_argument("--recipe", metavar="FILE", help="YAML or JSON with all of the above instead")
    parser.add_argument("--without", metavar="PARENT", help="take a parent out of the one exact blend that is given")
    search = parser.add_argument_group("search", "find the weights by drawing and scoring, each trial kept")
    search.add_argument("--search", type=int, metavar="TRIALS", help="how many weights to try")
    search.add_argument("--prompt", action="append", default=[], dest="prompts", metavar="PROMPT", help="to draw with")
    search.add_argument("--seeds", default="0", help="seeds, with commas (default 0; -1 draws one)")
    search.add_argument(
        "--goal",
        default="",
        metavar="NAME:1,prompt:1",
        help="wanted share of each style and of the prompt (default 1 each); the worst share of its goal is raised",
    )
    search.add_argument("--judge", default="auto", help="CLIP model for the scores: auto (default), pocket, a folder")
    add_sampling(parser)
    add_layers(parser)
    add_base(parser)
    parser.set_defaults(base=None)  # the adapters' own, where it is needed and ships
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    from studio.operations.blend import (  # torch; not needed for the others' help
        blend_into_library,
        needs_a_base,
        take_out,
    )

    library = library_of(options)
    if options.search is None:
        _refuse(options, _SEARCH, "can only be used with --search TRIALS.")
    if options.without is not None:
        if len(options.adapters) != 1 or options.recipe:
            raise UserError(
                "--without takes a parent out of one blend: studio blend mix --without blueprint --name rest."
            )
        _refuse(
            options,
            (*_BLENDING, "search", "layers"),
            "cannot be used with --without, which leaves the others as they are.",
        )
        folder = take_out(library, options.adapters[0], composed(options.without), options.name)
        print(f"{options.without!r} is taken out of {options.adapters[0]!r}, the others bit for bit: {folder}")
        return
    recipe = _recipe(options)
    with Terminal() as report:
        if options.search is not None:
            from studio.operations.search_weights import search_weights

            options.base = options.base or "pocket"
            recipe = search_weights(library, recipe, options, report)
        base = None
        if options.base is not None or needs_a_base(library, recipe):
            from pipelines.bases import load_base

            name = options.base or _own_base(library, recipe)
            base = load_base(name, device=options.device, precision=options.precision)
        folder, proof = blend_into_library(
            library,
            recipe,
            options.name,
            base=base,
            on_step=lambda done, total: report.progress("learning", done, total),
        )
    _print_proof(proof, recipe, every_layer=options.layers)
    print(f"The blend {options.name!r} is ready: {folder}")


def _own_base(library: Library, recipe: Any) -> str:
    """Return the base that the adapters belong to."""
    from pipelines.bases import shipped_base_of

    names = [library.card(item.adapter.partition("@")[0]).base.name for item in recipe.active()]
    found = shipped_base_of(names)
    if found is None:
        raise UserError(
            f"This blend is worked out against the base, {' and '.join(map(repr, dict.fromkeys(names)))}, which does "
            "not ship with the studio. Give it with --base."
        )
    return found


def _refuse(options: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    """Refuse options that would be dropped in silence."""
    given = [
        f"--{_FLAGS.get(name, name.replace('_', '-'))}"
        for name in names
        if getattr(options, name) not in (None, [], _DEFAULTS.get(name))
    ]
    if given:
        raise UserError(f"{', '.join(given)} {why}")


def _recipe(options: argparse.Namespace) -> Any:
    from pipelines.recipe import parse_recipe, read_recipe

    if options.recipe:
        if options.adapters:
            raise UserError(f"--recipe names the adapters; leave {' '.join(options.adapters)} away, or edit the file.")
        _refuse(options, _BLENDING, "cannot be used with --recipe, which says it all; edit the file.")
        return read_recipe(path_of(options.recipe))
    if not options.adapters:
        raise UserError("There is nothing to blend. Give adapters as NAME:WEIGHT, or --recipe FILE.")
    weights = parse_adapters(options.adapters)
    inputs: dict[str, dict[str, Any]] = {name: {"adapter": name, "weight": weight} for name, weight in weights.items()}
    for flag, key, read in (("part_weight", "parts", _named), ("blocks", "blocks", _blocks)):
        for text in getattr(options, flag):
            name, found, given = text.partition("=")
            name = name if name in inputs else composed(name)
            if not found or name not in inputs:
                raise UserError(
                    f"--{flag.replace('_', '-')} {text!r} must begin with one of {', '.join(inputs)} and '='."
                )
            inputs[name][key] = read(given, text)
    values: dict[str, Any] = {"inputs": list(inputs.values()), "settings": _settings(options.setting)}
    blend, by_part = _blends(options.blend or "exact")
    values |= {"blend": blend, "part_blends": by_part}
    values |= {key: getattr(options, key) for key in ("seed", "dtype", "file") if getattr(options, key) is not None}
    return parse_recipe(values)


def _blends(text: str) -> tuple[str, dict[str, str]]:
    by_part: dict[str, str] = {}
    plain: list[str] = []
    for item in text.split(","):
        part, found, name = item.partition("=")
        if found and part in by_part:
            raise UserError(f"--blend {text!r} names {part} twice. Name one blend for each part.")
        if found:
            by_part[part] = name
        else:
            plain.append(part)
    if len(plain) > 1:
        raise UserError(
            f"--blend {text!r} names {len(plain)} blends for everything. Name one, and others by part: "
            "ties,text_encoder=exact."
        )
    return plain[0] if plain else "exact", by_part


def _settings(items: list[str]) -> dict[str, Any]:
    import yaml

    settings: dict[str, Any] = {}
    for item in items:
        key, found, value = item.partition("=")
        if not found:
            raise UserError(f"--setting {item!r} must be KEY=VALUE, such as density=0.4.")
        try:
            settings[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"--setting {item!r} cannot be read: {' '.join(str(error).split())[:200]}.") from error
    return settings


def _named(values: str, text: str) -> dict[str, float]:
    try:
        pairs = [item.rsplit(":", 1) for item in values.split(",")]
        return {name: float(value) for name, value in pairs}
    except ValueError as error:
        raise UserError(f"{text!r} cannot be read. Write NAME=unet:1,text_encoder:0.5.") from error


def _blocks(values: str, text: str) -> dict[str, float] | list[float]:
    if ":" in values:
        return _named(values, text)
    try:
        return [float(value) for value in values.split(",")]
    except ValueError as error:
        raise UserError(f"{text!r} cannot be read. Write values with commas, or IN05:0.5,default:1.") from error


def _print_proof(proof: Any, recipe: Any, *, every_layer: bool) -> None:
    """Print the worst of every block, or every layer, and what holds for all."""
    columns = [
        Column[Any]("rank", lambda own: span(layer.rank for layer in own)),
        Column[Any]("error", lambda own: f"{max(layer.error for layer in own):.1e}"),
        Column[Any]("rounding", lambda own: f"{max(layer.rounding for layer in own):.1e}"),
        Column[Any]("energy", lambda own: f"{min(layer.energy for layer in own):.2%}"),
    ]
    if proof.layers:
        print("\n".join(layer_table(proof.layers, columns, every_layer=every_layer)))
    worst = proof.worst
    if worst is not None:
        print(
            f"{count_of(len(proof.layers), 'layer')} read back and compared with the formula of "
            f"{_blend_names(proof, recipe)} in float64. Error {proof.error:.1e} of its norm, energy kept "
            f"{proof.energy:.2%}; largest rounding of a layer {worst.rounding:.1e} of its summands' norms "
            f"({worst.part}/{worst.layer}), tolerance {proof.tolerance:.0e}."
        )
    if proof.from_sum > 10 * proof.tolerance:
        print(f"From the plain sum W + Σ wᵢ·ΔWᵢ it is {proof.from_sum:.1%} of the sum's norm away.")
    if proof.emptied:
        print(f"{count_of(proof.emptied, 'layer')} got nothing of the budget and went into no file.")
    if proof.one_sided:
        print(f"Some of the inputs only touch {count_of(proof.one_sided, 'layer')}.")
    if proof.matched is None:
        print("Layers were not matched against a base, because none was needed; --base matches them.")
    else:
        examples = f" ({listed(proof.unmatched, 3)})" if proof.unmatched else ""
        print(f"{count_of(proof.matched, 'layer')} found in the base, {len(proof.unmatched)} not{examples}.")


def _blend_names(proof: Any, recipe: Any) -> str:
    """Name the blend, or each part's where they differ."""
    names = {layer.part: repr(recipe.blend_of(layer.part).name) for layer in proof.layers}
    if len(set(names.values())) == 1:
        return next(iter(names.values()))
    return ", ".join(f"{name} ({part})" for part, name in names.items())


COMMAND = Command("blend", "Combine adapters, exactly or by another blend, and prove the file.", _add_arguments, _run)
