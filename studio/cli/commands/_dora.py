"""The option that says what a foreign DoRA's magnitudes mean."""

import argparse

from studio.operations.import_export import DORA_NORMS


def add_dora_norm(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--dora-norm",
        choices=DORA_NORMS,
        help="what a DoRA's magnitudes per output stand over: the norm of weight and change (adapted: trainers, "
        "PEFT), or of the base's weight (base: ComfyUI, Forge); default: what the file says, else adapted",
    )
