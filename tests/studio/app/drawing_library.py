"""A library to draw with, and an app on it: two adapters with random tensors on the pocket base."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from pipelines.bases import POCKET, load_base
from pipelines.judge import POCKET_JUDGE, Judge
from studio.library.library import Library
from tests.studio.app.conftest import RunningApp, free_port
from tests.support import random_adapter
from trainers.adapter import write_adapter

TRIGGER = "zigzag"


def write_drawing_library(folder: Path) -> Library:
    """Write the adapters `one` and `two`; `two` has a trigger word, and both have training pictures to the judge."""
    library = Library(folder)
    base, judge = load_base(POCKET, device="cpu"), Judge(POCKET_JUDGE, device="cpu")
    width = judge.embed_texts(["a boat"]).shape[1]
    for seed, name in enumerate(("one", "two")):
        adapter = random_adapter(base, name, seed=seed, size=0.05)
        rows = torch.nn.functional.normalize(torch.randn(4, width, generator=torch.Generator().manual_seed(seed)))
        card = adapter.card.model_copy(update={"triggers": (TRIGGER,) if name == "two" else ()})
        write_adapter(library.adapters_folder / name, replace(adapter, card=card, references={judge.fingerprint: rows}))
    return library


@contextlib.contextmanager
def drawing_app(folder: Path) -> Iterator[RunningApp]:
    """Serve such a library."""
    write_drawing_library(folder)
    app = RunningApp(folder, free_port()).start()
    try:
        yield app
    finally:
        app.close()
