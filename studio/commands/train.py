"""``studio train``: learn an adapter from pictures."""

import argparse

from studio.commands._command import Command
from studio.run_kinds.pictures import RUN_KIND
from studio.training_flags import Training, add_training, train_from_options

_TRAINING = Training(
    RUN_KIND, ("unet", "text_encoder"), "studio train --data examples/styles/blueprint --name blueprint"
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_training(parser, _TRAINING)


def _run(options: argparse.Namespace) -> int:
    return train_from_options(options, _TRAINING)


COMMAND = Command("train", "Learn an adapter from a folder of pictures.", _add_arguments, _run, loads=False)
