"""Model cards, put together from `training.json` and `metrics.json` of the folders they describe."""

from __future__ import annotations

from pathlib import Path

from world import BASE_STYLES, COLOURS, HELD_OUT_STYLES, NOUNS, SETTINGS

from training.card_pieces import HEAD, parameters, read, training


def write_cards(base: Path, judge: Path) -> None:
    """`README.md` of the base's and of the judge's folder."""
    (base / "README.md").write_text(base_card(base))
    (judge / "README.md").write_text(judge_card(judge))


def base_card(folder: Path) -> str:
    """The card of the base."""
    metrics = read(folder / "metrics.json")
    unseen, timing = metrics["unseen_combinations"], metrics["cpu_time"]
    psnr = metrics["autoencoder_psnr_db"]
    lines = [
        HEAD.format(library="diffusers", task="text-to-image", title="Pocket base"),
        "A small Stable Diffusion in the layout of version 1.x, trained from scratch on pictures that this project\n"
        "draws itself. It draws 256 × 256 pixels and knows this world and nothing else:\n"
        f"{len(NOUNS)} nouns, {len(COLOURS)} colours, {len(SETTINGS)} settings, {len(BASE_STYLES)} styles.\n\n",
        "```python\n"
        "from diffusers import StableDiffusionPipeline\n\n"
        'pipeline = StableDiffusionPipeline.from_pretrained("pipelines/pocket/base")\n'
        'pipeline("a red boat, sea", num_inference_steps=20, guidance_scale=5).images[0]\n'
        "```\n\n",
        'Captions look like "a large red boat on the left, sea", "a red boat and a small blue cat, meadow", and may\n'
        'end with a style: ", oil style". Without one the look is flat. Words it has never seen are ignored.\n\n',
        f"**Nouns** {', '.join(NOUNS)}. **Colours** {', '.join(COLOURS)}. **Settings** {', '.join(SETTINGS)}.\n"
        f"**Styles** {', '.join(BASE_STYLES)}. Never shown to it: {', '.join(HELD_OUT_STYLES)}.\n\n",
        "## Parts\n\n| part | parameters |\n| --- | --- |\n",
        *(f"| {part} | {parameters(folder / part) / 1e6:.2f} M |\n" for part in ("text_encoder", "unet", "vae")),
        "\nThe autoencoder has 8 latent channels at an eighth of the width; its latents are normalised to the scaling\n"
        "factor 0.18215. The schedule ends in pure noise (zero terminal SNR), with v-prediction and trailing steps.\n"
        "Weights are fp16.\n\n",
        "## Figures\n\n",
        f"Of {unseen['combinations']} combinations of noun, colour and setting that it has never seen, drawn in\n"
        f"{unseen['steps']} steps and judged by the pocket judge:\n\n| prompt, guidance | noun right | colour right |\n"
        "| --- | --- | --- |\n",
        *(
            f"| {name} | {100 * row['noun']:.1f} % | {100 * row['colour']:.1f} % |\n"
            for name, row in unseen.items()
            if isinstance(row, dict)
        ),
        f"\nOne picture, {timing['steps']:.0f} steps with guidance, on CPU: {seconds(timing)}.\n\n",
        "The autoencoder's PSNR on unseen drawings, mean of pictures in dB; it has seen every style, also those that\n"
        "the base has not:\n\n",
        table(psnr, 1, "{:.1f}"),
        "\nThe project's aim is a mean of 32. Fine textures, which a small autoencoder cannot keep, lie below it.\n",
        "\n## Training\n\n",
        training("Autoencoder", folder / "vae" / "training.json"),
        training("UNet and text encoder", folder / "training.json"),
        training("Decoder of the autoencoder alone, afterwards", folder / "vae" / "decoder_training.json"),
        "Pictures are drawn by `tools/pocket/make_data.py` with the kinds, numbers and seeds named here. Made by\n"
        "this project and under its licence, Apache-2.0.\n",
    ]
    return "".join(lines)


def judge_card(folder: Path) -> str:
    """The card of the judge."""
    metrics = read(folder / "metrics.json")
    lines = [
        HEAD.format(library="transformers", task="zero-shot-image-classification", title="Pocket judge"),
        "A small CLIPModel, trained from scratch on pictures that this project draws itself, in every style. It tells\n"
        "how well a picture fits a prompt (CLIP-T) and how near two pictures are (CLIP-I). Its scores mean something\n"
        "in the pocket world only; any other CLIPModel can take its place.\n\n",
        f"{parameters(folder) / 1e6:.2f} M parameters, fp16, pictures of 128 × 128 pixels, patches of 16.\n\n",
        f"## Figures\n\nZero-shot on {metrics['drawings']} unseen drawings of one thing: the nearest of\n"
        f'"a boat", "a cat" and so on ({len(NOUNS)} nouns), then, given the noun, of "a red boat", "a blue boat" and\n'
        f"so on ({len(COLOURS)} colours; not in the styles that drop colour:\n"
        f"{', '.join(metrics['styles_without_colour'])}).\n"
        "\n"
        "### Noun right, in %\n\n",
        table(metrics["noun"], 100, "{:.1f}"),
        "\n### Colour right, in %\n\n",
        table(metrics["colour"], 100, "{:.1f}"),
        "\n## Training\n\n",
        training("Judge", folder / "training.json"),
        "Contrastive, with every true caption of the batch as a positive, and a linear head that names facts and is\n"
        "dropped afterwards; half of the pictures have been through the base's autoencoder with some noise. Made by\n"
        "this project and under its licence, Apache-2.0.\n",
    ]
    return "".join(lines)


def seconds(timing: dict[str, float]) -> str:
    """The measured times in words."""
    words = {"wall_s": "s on two threads", "processor_s": "s of one core's time"}
    return ", ".join(f"{timing[name]} {text}" for name, text in words.items() if name in timing)


def table(figures: dict[str, float], factor: float, form: str) -> str:
    """The mean in bold and then one line for the base styles and one for those held out."""
    lines = [f"**Mean {form.format(factor * figures['mean'])}**\n\n"]
    for title, styles in (("Base styles", BASE_STYLES), ("Held out", HELD_OUT_STYLES)):
        cells = [f"{style} {form.format(factor * figures[style])}" for style in styles if style in figures]
        lines.append(f"{title}: {', '.join(cells)}.\n\n")
    return "".join(lines).rstrip("\n") + "\n"
