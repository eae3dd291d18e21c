"""``studio hash``: the hashes by which programs and sites know a file."""

import argparse

from studio.cli.command import Command
from trainers.paths import path_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help=".safetensors files")


def _run(options: argparse.Namespace) -> None:
    from pipelines.formats._header import hashes_of

    for name in options.files:
        path = path_of(name)
        hashes = hashes_of(path)
        print(path.name)
        print(f"  content {hashes.content}  (sshs_model_hash; Civitai AutoV3 {hashes.content[:12]})")
        print(f"  file    {hashes.file}  (Civitai AutoV2 {hashes.file[:10]})")
        print(f"  legacy  {hashes.legacy}  (AutoV1)")


COMMAND = Command("hash", "Print the hashes by which programs and sites know a file.", _add_arguments, _run)
