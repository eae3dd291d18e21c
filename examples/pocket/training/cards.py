"""Model cards, put together from `training.json` and `metrics.json` of the folders they describe."""

from __future__ import annotations

from pathlib import Path


def write_cards(base: Path, judge: Path) -> None:
    """`README.md` of the base and of the judge."""
