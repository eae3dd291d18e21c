"""``studio text train``: teach a language model from texts."""

import argparse

from studio.cli.command import Command
from studio.cli.training_flags import Training, add_training, train_from_options
from studio.runs.kinds.text import RUN_KIND

_TRAINING = Training(
    RUN_KIND, ("language_model",), "studio text train --data examples/texts/pirate --batch-size 16 --name pirate"
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_training(parser, _TRAINING)


def _run(options: argparse.Namespace) -> int:
    return train_from_options(options, _TRAINING)


COMMAND = Command("train", "Learn an adapter from a file or folder of texts.", _add_arguments, _run, loads=False)
