"""Adapter: the number that a reward adapter of the same base gives an answer; it acts alone while it is asked."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.rewards._reward import Answered, Rate, Reward

if TYPE_CHECKING:
    from trainers.protocols import LanguageModel


def _build(argument: str, role: "LanguageModel | None") -> Rate:
    from trainers.adapter import read_adapter
    from trainers.data.chat import ChatEncoder
    from trainers.data.pairs import encode_answer
    from trainers.errors import UserError
    from trainers.heads import head_from, head_outputs
    from trainers.tuners import peft_bridge as bridge
    from trainers.tuners.live_weights import only_adapters

    assert role is not None, "a reward adapter is asked on a base"
    folder = Path(argument)
    adapter = read_adapter(folder)
    if adapter.card.head is None or adapter.card.head.kind != "reward":
        raise UserError(
            f"{adapter.card.name!r} is no reward adapter: its card speaks of no head that gives a reward. Train one "
            "with studio text train --stage reward."
        )
    part, module = adapter.card.head.part, role.model
    slot = "reward" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    with only_adapters(module, ()):  # attaching switches the newcomer on
        if not any(slot in bridge.adapters_of(layer) for _, layer in bridge.tuner_layers(module)):
            config = bridge.config_from_json(adapter.parts[part].config, what=f"{adapter.card.name}/{part}")
            bridge.attach(module, config, slot, what=part)
            bridge.load_state(module, slot, adapter.parts[part].tensors, what=part)
    width = module.config.hidden_size
    head = head_from(adapter.head, width, 1).to(role.device)
    encoder = ChatEncoder(role.tokenizer)

    def rate(answers: Sequence[Answered]) -> list[float]:
        rows = [encode_answer(encoder, one.messages, one.answer, one.where) for one in answers]
        learning = module.training
        module.eval()
        try:
            with only_adapters(module, (slot,)):
                cut = [row.cut(role.context_tokens) for row in rows]
                return [float(value) for value in head_outputs(role, head, cut)[:, 0]]
        finally:
            module.train(learning)

    return rate


REWARD = Reward(name="adapter", title="A reward adapter's number", build=_build, argument="NAME", is_adapter=True)
