"""``studio text train``: teach a language model from texts."""

import argparse

from studio.commands._command import Command
from studio.run_kinds.text import RUN_KIND
from studio.training_flags import Training, add_training, train_from_options
from trainers.card import read_card

_TRAINING = Training(
    RUN_KIND, ("language_model",), "studio text train --data examples/texts/pirate --batch-size 16 --name pirate"
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_training(parser, _TRAINING)


def _run(options: argparse.Namespace) -> int:
    adapter = train_from_options(options, _TRAINING)
    if adapter is None:
        return 130
    head = read_card(adapter).head
    if head is None:
        print(f'Try it: studio text chat --adapter {adapter.name} --prompt "Tell me a story."')
    elif head.kind == "reward":
        print(f'Try it: studio text score --adapter {adapter.name} --prompt "How are you?" --answer "Very well."')
    else:
        print(f'Try it: studio text classify --adapter {adapter.name} "It was a quiet morning."')
    return 0


COMMAND = Command("train", "Learn an adapter from a file or folder of texts.", _add_arguments, _run)
