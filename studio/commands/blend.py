"""``studio blend``: combine adapters into one by exact weighted matrix addition, and prove the file."""

import argparse

from studio.commands._command import Command, add_library, library_of
from studio.library import parse_adapters


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("adapters", nargs="+", metavar="NAME:WEIGHT", help="adapters with weights of any sign")
    parser.add_argument("--name", required=True, help="name of the blend in the library")
    parser.add_argument("--blend", default="exact", help="way to combine (default exact)")
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    from studio.blending import blend_into_library  # torch; not needed to show the other commands' help

    weights = parse_adapters(options.adapters)
    folder, proofs = blend_into_library(library_of(options), weights, options.name, options.blend)
    print(f"{'part':<14} {'layer':<72} {'rank':>4} {'error':>9}")
    for proof in proofs:
        print(f"{proof.part:<14} {proof.layer[-72:]:<72} {proof.rank:>4} {proof.error:9.1e}")
    worst = max(proofs, key=lambda proof: proof.error)
    print(
        f"{len(proofs)} layers read back and compared with W + Σ wᵢ·ΔWᵢ in float64: largest error {worst.error:.1e} "
        f"of the summands' norms ({worst.part}/{worst.layer})."
    )
    print(f"The blend {options.name!r} is ready: {folder}")


COMMAND = Command("blend", "Combine adapters by exact weighted addition, W + Σ wᵢ·ΔWᵢ.", _add_arguments, _run)
