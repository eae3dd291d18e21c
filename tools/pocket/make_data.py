"""Draws one folder of training pictures with all processors.

    python tools/pocket/make_data.py --kind all --pictures 16000 --seed 1 --out pocket-data/all

gives `pictures.npy`, uint8 [n, 256, 256, 3], and `recipe.json`, from which the training scripts know the
captions. Kinds: `all` (every style and combination), `base` (base styles without the combinations held
out for evaluation), `texture` (no scene at all).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import get_args

from training.data import Kind, Recipe, draw_folder


def main() -> None:
    """Reads the command line and draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=get_args(Kind), required=True)
    parser.add_argument("--pictures", type=int, required=True, help="how many to draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, required=True, help="the data folder to write")
    options = parser.parse_args()
    recipe = Recipe(options.kind, options.pictures, options.seed)
    draw_folder(recipe, options.out, options.processes)
    print(f"{options.pictures} pictures in {options.out}")


if __name__ == "__main__":
    main()
