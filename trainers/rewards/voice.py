"""Voice: how probable it is that an answer is in a voice, by a judge that learned it from example chats.

The argument is a folder or file of chats in the voice. It is told from those in the other folders beside it; a folder
that stands alone cannot be told from anything.
"""

from collections.abc import Sequence
from pathlib import Path

from trainers.data.texts import read_texts
from trainers.errors import UserError
from trainers.paths import path_of
from trainers.rewards._reward import Answered, Rate, Reward
from trainers.voice_judge import VoiceJudge

_FORMS = ("messages", "prompt_completion", "alpaca")


def _build(argument: str, role: object) -> Rate:
    own = path_of(argument).resolve()
    examples = {own.name: _said(own)}
    for other in sorted(path for path in own.parent.iterdir() if path.is_dir() and path != own):
        if (other / "train.jsonl").is_file() and (said := _said(other, other_voice=True)):
            examples[other.name] = said
    if len(examples) < 2:
        raise UserError(
            f"voice={argument} has no other voice beside it to be told from. Put a folder with train.jsonl of chats in "
            f"another voice into {own.parent}."
        )
    judge = VoiceJudge(examples)

    def rate(answers: Sequence[Answered]) -> list[float]:
        return [float(verdict.probabilities[own.name]) for verdict in judge.label([one.answer for one in answers])]

    return rate


def _said(place: Path, *, other_voice: bool = False) -> list[str]:
    data = read_texts(place)
    if data.form.name not in _FORMS:
        if other_voice:
            return []
        raise UserError(f"{data.path} holds {data.form.title}; a voice is learned from chats with answers.")
    return [row.messages[-1]["content"] for row in data.rows if row.messages[-1]["role"] == "assistant"]


REWARD = Reward(name="voice", title="Is in a voice", build=_build, argument="FOLDER", is_path=True)
