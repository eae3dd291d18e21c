"""Drive the running studio from Python: train, wait, draw, compare, blend and chat through its named endpoints.

    studio app                                  # in one terminal
    python examples/app_client.py               # in another

Needs `gradio_client` alone, which `pip install '.[app]'` brings; no model is loaded here. Whatever a call makes, the
page shows it, too. Errors are the studio's own sentences, raised as `gradio_client.exceptions.AppError`.
"""

import argparse
import time
from pathlib import Path

from gradio_client import Client

STYLES = ("blueprint", "watercolor")
DATA = Path(__file__).resolve().parent / "styles"


def main(url: str, out: Path, steps: int, sampling_steps: int, prefix: str) -> list[Path]:
    """Train two styles, draw, compare, blend and draw again; return the files that were downloaded to `out`.

    Args:
        prefix: begins the adapters' names, which must be new.
    """
    studio = Client(url, verbose=False, download_files=str(out), analytics_enabled=False)

    # /train takes the settings of a YAML config and queues the run; /status tells how it stands.
    names = [f"{prefix}-{style}" for style in STYLES]
    for style, name in zip(STYLES, names, strict=True):
        settings = {"data": str(DATA / style), "name": name, "steps": steps, "seed": 1}
        print("queued", studio.predict(settings, api_name="/train"))
    for name in names:
        wait_until_done(studio, name)

    # /generate: a prompt, adapter -> weight, a seed and the number of sampling steps.
    pictures = studio.predict("a red boat, sea", {names[0]: 0.8}, 1, sampling_steps, api_name="/generate")

    # /compare: a grid over any axes; the files are its sheet, its tables and its page, the means come as rows.
    files, means = studio.predict(
        prompts=["a red boat, sea"],
        adapters=names,
        weights=[0.5, 1],
        num_inference_steps=sampling_steps,
        api_name="/compare",
    )
    print(*means, sep="\n")

    # /blend: a recipe as `studio blend --recipe` reads it; the answer is the proof of the written file.
    recipe = {"inputs": [{"adapter": name, "weight": 0.5} for name in names]}
    proof = studio.predict(recipe, f"{prefix}-mix", api_name="/blend")
    print(f"{proof['name']}: {proof['matched']} layers, none left out: {not proof['unmatched']}")
    pictures += studio.predict("a red boat, sea", {proof["name"]: 1}, 1, sampling_steps, api_name="/generate")

    # /chat: the language model, with or without adapters.
    asked = [{"role": "user", "content": "There is a red boat on the sea. What colour is the boat?"}]
    print(studio.predict(asked, api_name="/chat"))
    return [Path(file) for file in [*pictures, *files]]


def wait_until_done(studio: Client, name: str) -> None:
    """Print a run's progress until it is done.

    Raises:
        SystemExit: it failed or was stopped; with what the studio says of it.
    """
    while (run := studio.predict(name, api_name="/status"))["status"] != "done":
        if run["status"] in ("failed", "stopped", "interrupted"):
            raise SystemExit(f"{name} is {run['status']}: {run['problem']}")
        print(f"{name}: {run['status']}, step {run['step']} of {run['total']}", flush=True)
        time.sleep(5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:7860", help="where the studio listens")
    parser.add_argument("--out", type=Path, default=Path("from-the-studio"), help="folder for what is downloaded")
    parser.add_argument("--steps", type=int, default=250, help="training steps of each style (default 250)")
    parser.add_argument("--sampling-steps", type=int, default=20)
    parser.add_argument("--prefix", default="client", help="begins the new adapters' names (default client)")
    options = parser.parse_args()
    print(*main(options.url, options.out, options.steps, options.sampling_steps, options.prefix), sep="\n")
