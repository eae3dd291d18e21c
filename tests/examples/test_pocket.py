"""The scripts that make the pocket models run from first to last, at toy size, and their models are ordinary ones."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from diffusers import AutoencoderKL, StableDiffusionPipeline
from safetensors.torch import load_file
from transformers import CLIPModel

POCKET = Path(__file__).parent.parent.parent / "examples" / "pocket"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """Return a function that runs one of the scripts with arguments, in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(POCKET))

    def run(name: str, arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [name, *arguments.split()])
        runpy.run_path(str(POCKET / name), run_name="__main__")

    return run


def test_all_pocket_scripts_run_in_order(script: Callable[[str, str], None], tmp_path: Path) -> None:
    script("make_data.py", "--kind all --pictures 6 --processes 1 --out data/all")
    script("make_data.py", "--kind texture --pictures 2 --processes 1 --out data/texture")
    autoencoder = "--data data/all data/texture --out base/vae --tiny --batch 4 --steps 2 --device cpu"
    script("train_autoencoder.py", autoencoder)
    weights = tmp_path / "base" / "vae" / "diffusion_pytorch_model.safetensors"
    before = load_file(weights)
    script("train_autoencoder.py", f"{autoencoder} --decoder-only")
    after = load_file(weights)
    changed = {name.partition(".")[0] for name in before if not before[name].equal(after[name])}
    assert changed == {"decoder", "post_quant_conv"}, "latents must stay what they were"
    script("train_base.py", "--data data/all --out base --tiny --batch 2 --steps 2 --device cpu")
    script(
        "train_judge.py", "--data data/all --autoencoder base/vae --out judge --tiny --batch 4 --steps 2 --device cpu"
    )
    measured = "--measure drawings base time --per-style 1 --combinations 1 --steps 1 --repeats 1 --device cpu"
    script("evaluate.py", f"--base base --judge judge {measured}")
    script("write_cards.py", "--base base --judge judge")

    metrics = json.loads((tmp_path / "base" / "metrics.json").read_text())
    assert {"autoencoder_psnr_db", "unseen_combinations", "cpu_time"} <= metrics.keys()
    assert "afterwards" in (tmp_path / "base" / "README.md").read_text()
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "base")
    assert isinstance(pipeline.vae, AutoencoderKL)
    assert CLIPModel.from_pretrained(tmp_path / "judge").config.projection_dim == 16
