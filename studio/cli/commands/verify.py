"""``studio verify``: whether an adapter file is sound, what it holds, and what of it a base has."""

import argparse

from studio.cli.command import Command, add_library, library_of
from trainers.paths import path_of
from trainers.wording import count_of


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="FILE|FOLDER|NAME", help="an adapter file or folder, or a name in the library"
    )
    parser.add_argument("--base", default="pocket", help="base to match it with: pocket (default), a folder, a hub id")
    add_library(parser)


def _run(options: argparse.Namespace) -> None:
    given = path_of(options.target)
    path = given if given.exists() else library_of(options).find(options.target)

    from pipelines.bases import load_base
    from pipelines.formats._header import hash_problems, hashes_of
    from pipelines.formats._source import read_metadata
    from pipelines.importing import bring_in
    from studio.cli.matches import counted
    from trainers.errors import raise_problems

    base = load_base(options.base, device="cpu", precision="fp32")
    found = bring_in(path, base, "verified", allow_unmatched=True)
    for line in counted(found.format.title, found.matched, found.unmatched, base.name):
        print(line)
    for note in found.notes:
        print(f"Note: {note}")
    for name, adapter in found.adapters.items():
        for part, content in adapter.parts.items():
            count = sum(tensor.numel() for tensor in content.tensors.values())
            kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in content.tensors.values()})
            print(
                f"{name}: {part}: {adapter.card.parts[part].method}, {count_of(count, 'finite value')}, "
                f"{', '.join(kinds)}"
            )
    if path.suffix == ".safetensors":
        raise_problems(
            f"{path.name} is not what its metadata says:", hash_problems(read_metadata(path), hashes_of(path))
        )
    problems = (
        [f"{count_of(len(found.unmatched), 'name')} without a module in {base.name!r}"] if found.unmatched else []
    )
    raise_problems(f"{path.name} does not fit the base as a whole:", problems)
    print("Sound.")


COMMAND = Command(
    "verify", "Check an adapter file: sound, finite, hashes right, and what a base has of it.", _add_arguments, _run
)
