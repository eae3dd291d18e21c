"""Writes the model cards of the pocket base and its judge from what training and evaluation left there.

python tools/pocket/write_cards.py --base pipelines/pocket/base --judge pipelines/pocket/judge
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cards import write_cards


def main() -> None:
    """Reads the command line and writes both cards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True)
    options = parser.parse_args()
    write_cards(options.base, options.judge)
    print(options.base / "README.md", options.judge / "README.md")


if __name__ == "__main__":
    main()
