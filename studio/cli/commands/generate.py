"""``studio generate``: make pictures from a prompt, with any number of weighted adapters."""

import argparse
from pathlib import Path
from typing import Any

from studio.cli.command import Command, add_base, add_library, add_sampling, library_of
from studio.library.library import parse_adapters
from studio.report import Terminal
from trainers.errors import UserError
from trainers.paths import path_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", help='what to draw, such as "a red boat, sea"')
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="NAME:WEIGHT",
        help="may be repeated; the weight may have any sign",
    )
    parser.add_argument(
        "--recipe", metavar="FILE", help="YAML or JSON: adapters, blend and schedules, live; instead of --adapter"
    )
    parser.add_argument(
        "--expand",
        nargs="?",
        const="",
        metavar="NAME:WEIGHT",
        help="let a language model write a full prompt from these few words first, if wished with a text adapter; "
        "write it behind the prompt",
    )
    parser.add_argument(
        "--text-base", default="pocket-lm", metavar="BASE", help="language model of --expand (default pocket-lm)"
    )
    parser.add_argument(
        "--merge",
        action="store_true",
        help="add the adapters into the base's weights while drawing: the same pictures but for rounding, in the "
        "base's own time for each",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the first picture (default 0; -1 draws one)")
    parser.add_argument("--count", type=int, default=1, help="pictures, with seeds counting up (default 1)")
    parser.add_argument("--out", default="picture.png", metavar="FILE", help="PNG file (default picture.png)")
    parser.add_argument("--width", type=int, metavar="PX", help="default: the base's own size")
    parser.add_argument("--height", type=int, metavar="PX", help="default: the base's own size")
    parser.add_argument(
        "--drop-blocks",
        action="append",
        default=[],
        type=_dropped,
        metavar="PART=N",
        help="AdapterDrop: leave bottleneck adapters out of the first N blocks of a part, for speed; may be repeated",
    )
    add_sampling(parser)
    add_base(parser)
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    paths = _paths(path_of(options.out), options.count)
    weights = parse_adapters(options.adapter)
    if options.recipe and weights:
        raise UserError("Give --adapter or --recipe, not both; a recipe names its adapters itself.")
    if options.merge and not weights:
        raise UserError("--merge is for adapters that --adapter names; leave it out. A recipe is merged as it is.")

    from pipelines.generate import ImageRequest, generate
    from pipelines.image_file import write_image
    from pipelines.merging_pays import merging_pays
    from pipelines.prompt_notes import note_sentences
    from pipelines.recipe import read_recipe
    from studio.operations.session import open_session

    recipe = read_recipe(path_of(options.recipe)) if options.recipe else None
    names = list(weights) if recipe is None else [item.adapter for item in recipe.active()]
    prompt, expansion = options.prompt, None
    if options.expand is not None:
        prompt, expansion = _expanded(options, names)
    requests = [
        ImageRequest(
            prompt=prompt,
            seed=options.seed + number,
            weights=weights,
            recipe=recipe,
            negative_prompt=options.negative_prompt,
            num_inference_steps=options.num_inference_steps,
            guidance_scale=options.guidance_scale,
            sampler=options.sampler,
            width_px=options.width,
            height_px=options.height,
            expansion=expansion,
        )
        for number in range(options.count)
    ]
    with (
        Terminal() as report,
        open_session(
            library_of(options),
            options.base,
            list(weights),
            report,
            device=options.device,
            precision=options.precision,
            recipes=[recipe] if recipe is not None else [],
        ) as session,
    ):
        session.attachments.drop_blocks(dict(options.drop_blocks))
        asked = {"prompt": prompt, "negative prompt": options.negative_prompt}
        for sentence in (*note_sentences(asked), *session.attachments.prompt_notes(prompt, weights)):
            report.say(sentence)
        if not options.merge and merging_pays(options.count, weights) and session.attachments.can_merge(weights):
            report.say(
                f"Note: the adapters cost time at each step of {options.count} pictures. --merge adds them into the "
                "base's weights while drawing, which is quicker, and the pictures are the same but for rounding."
            )
        pictures = generate(
            session.attachments,
            requests,
            recipes=session.recipes,
            merged=options.merge,
            on_step=lambda done, total: report.progress("drawing", done, total),
        )
        for number, picture in pictures:
            write_image(paths[number], picture, requests[number], session.base_facts())
            report.say(f"{paths[number]}")


def _expanded(options: argparse.Namespace, names: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the prompt that a language model writes, and what it was written from; print it."""
    from pipelines.expansion import expand_prompt
    from studio.operations.text_session import open_text_session

    library, weights = library_of(options), parse_adapters([options.expand] if options.expand else [])
    triggers = [trigger for name in names for trigger in library.card(name).triggers]
    with (
        Terminal() as report,
        open_text_session(
            library, options.text_base, list(weights), report, device=options.device, precision=options.precision
        ) as session,
    ):
        prompt = expand_prompt(session.attachments, options.prompt, weights, keep=triggers)
        base = session.attachments.base
        report.say(f"expanded prompt: {prompt}")
    written_by = {"name": base.name, "fingerprint": base.fingerprint}
    return prompt, {"wish": options.prompt, "base": written_by, "adapters": weights}


def _dropped(text: str) -> tuple[str, int]:
    part, _, count = text.partition("=")
    if not part or not count.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} cannot be read. Write PART=N, such as unet=4.")
    return part, int(count)


def _paths(out: Path, count: int) -> list[Path]:
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {str(out)!r} must be a .png file; only PNG carries the settings.")
    if out.is_dir():
        raise UserError(f"--out {str(out)!r} is a folder; give a file name ending in .png.")
    if not 1 <= count <= 1000:
        raise UserError(f"--count {count} is out of range; 1 to 1000 is possible.")
    return [out] if count == 1 else [out.with_stem(f"{out.stem}-{number}") for number in range(1, count + 1)]


COMMAND = Command("generate", "Make pictures from a prompt with weighted adapters.", _add_arguments, _run)
