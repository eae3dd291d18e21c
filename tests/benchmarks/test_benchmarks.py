"""Every benchmark of pictures runs, at a small size and on the real pocket base."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipelines.bases import load_base
from pipelines.judge import Judge
from studio.library.library import Library
from tests.support import draw_pictures, random_adapter
from trainers.adapter import Adapter, write_adapter

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *arguments: str, folder: Path) -> str:
    """Run a script as a user would, and return what it printed."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_style_benchmark_prints_its_table_and_bars(tmp_path: Path) -> None:
    settings = ("--set", "steps=1", "--set", 'sample_prompts=["a red boat, sea"]', "--set", "batch_size=1")
    printed = run(
        "styles.py",
        *("--styles", "neon", "--pictures", "2", "--drawings", "3", "--sampling-steps", "2", *settings),
        *("--out", str(tmp_path / "styles.md")),
        folder=tmp_path,
    )
    assert "| neon |" in printed
    assert "bar 0.70" in (tmp_path / "styles.md").read_text()


def test_the_method_benchmark_goes_on_where_it_stopped_and_keeps_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import method_cells
    import methods  # in this process: starting another takes longer than the cells

    draw_pictures(tmp_path / "styles" / "blueprint", 2)
    monkeypatch.setattr(method_cells, "STYLES_FOLDER", tmp_path / "styles")

    small = ("--steps", "1", "--pictures", "2", "--drawings", "2", "--sampling-steps", "1", "--set", "batch_size=1")
    files = ("--json", str(tmp_path / "cells.jsonl"), "--table", str(tmp_path / "table.md"))
    script = ("methods.py", "--methods", "ia3", "--parts", "text_encoder", *small, *files)
    monkeypatch.setattr("sys.argv", [*script, "--learning-rates", "1,1e9"])
    assert methods.main() == 0
    table = (tmp_path / "table.md").read_text()
    assert "| ia3 | " in table
    assert "ia3 on text_encoder, rate ×1e+09: The run's settings cannot be used" in table
    assert "1/2 ia3" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", list(script))
    assert methods.main() == 0
    assert capsys.readouterr().out.strip() == table.strip()


def test_the_blend_benchmark_measures_ours_and_pefts(tmp_path: Path) -> None:
    chosen = ("--blends", "exact", "peft linear")
    printed = run("blend.py", "--only", "tiny", *chosen, "--out", str(tmp_path / "blend.md"), folder=tmp_path)
    rows = {
        line.split("|")[2].strip(): line.split("|")[5].strip() for line in printed.splitlines() if "| tiny |" in line
    }
    assert float(rows["exact"]) < 1e-6
    assert float(rows["peft linear"]) > 0.5  # it adds factors
    assert (tmp_path / "blend.md").read_text().count("| tiny |") == 2


def test_the_blend_table_scores_both_styles(tiny_base: Path, tiny_judge: Path, tmp_path: Path) -> None:
    base, judge = load_base(str(tiny_base), device="cpu"), Judge(str(tiny_judge), device="cpu")
    library = Library(tmp_path / "library")
    for seed, name in enumerate(("one", "two")):
        adapter = random_adapter(base, name, seed=seed)
        references = torch.nn.functional.normalize(torch.randn(4, 16, generator=torch.Generator().manual_seed(seed)))
        write_adapter(
            library.adapters_folder / name, Adapter(adapter.card, adapter.parts, {judge.fingerprint: references})
        )
    out = tmp_path / "blends.md"
    small = ("--steps", "2", "--seeds", "2", "--prompts", "1", "--blends", "exact", "ties rank=4")
    where = ("--base", str(tiny_base), "--judge", str(tiny_judge), "--library", str(library.folder), "--out", str(out))
    run("blend_table.py", *small, *where, "--styles", "one", "two", "--device", "cpu", folder=tmp_path)
    table = out.read_text()
    assert all(f"| {label} |" in table for label in ("base", "exact", "ties rank=4", "one", "two"))
    assert judge.fingerprint[:12] in table
