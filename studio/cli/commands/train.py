"""``studio train``: learn an adapter from pictures."""

import argparse

from studio.cli.command import Command
from studio.cli.training_flags import Training, add_training, train_from_options
from studio.runs.kinds.images import RUN_KIND

_TRAINING = Training(
    RUN_KIND, ("unet", "text_encoder"), "studio train --data examples/styles/blueprint --name blueprint"
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_training(parser, _TRAINING)


def _run(options: argparse.Namespace) -> int:
    return train_from_options(options, _TRAINING)


COMMAND = Command("train", "Learn an adapter from a folder of pictures.", _add_arguments, _run, loads=False)
