"""Scripted style training: learn a style from a folder of pictures, then draw with it.

python examples/train_style.py
"""

from pathlib import Path

from studio.library.library import Library
from studio.report import Terminal
from studio.runs.run import create_run, execute
from trainers.config import parse_config


def main(library_folder: str = "demo-results/library", **changes: object) -> Path | None:
    """Train the shipped blueprint pictures; `changes` are any other settings of a run, such as ``steps=20``."""
    data = Path(__file__).parent / "styles" / "blueprint"
    config = parse_config({"data": str(data), "name": "my-blueprint", "steps": 250, "seed": 1, **changes})
    with Terminal() as report:
        return execute(create_run(Library(Path(library_folder)), config), report)


if __name__ == "__main__":
    print(main())
