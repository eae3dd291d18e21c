"""The judge of voices: probabilities, determinism, and errors that name what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from trainers.errors import UserError
from trainers.voice_judge import VoiceJudge, _features, _fit, _softmax, voice_texts

EXAMPLES = {
    "loud": ["HEY! Look at that!", "Wow! What a boat!", "Look! A cat!"],
    "quiet": ["perhaps a boat, perhaps not", "a cat, it seems", "so it seems, perhaps"],
}


def test_it_learns_its_examples_and_gives_probabilities() -> None:
    judge = VoiceJudge(EXAMPLES)
    for label, texts in EXAMPLES.items():
        for verdict in judge.label(texts):
            assert verdict.label == label
            assert sum(verdict.probabilities.values()) == pytest.approx(1)
    assert judge.share(["Hey! Look!", "perhaps it seems"], "loud") == 0.5
    assert judge.label([]) == []


def test_the_same_examples_give_the_same_judge() -> None:
    first, second = (VoiceJudge(EXAMPLES).label(["a boat!"])[0] for _ in range(2))
    assert first == second


def test_the_fit_is_at_the_minimum_of_its_objective() -> None:
    features = _features([text for texts in EXAMPLES.values() for text in texts]).astype(np.float64)
    wanted = np.repeat(np.eye(2), 3, axis=0)
    shares = np.full(6, 1 / 6)
    weights, bias = _fit(features.astype(np.float32), wanted, shares, steps=4000, penalty=0.02)
    slope = features.T @ ((_softmax(features @ weights + bias) - wanted) * shares[:, None]) + 0.02 * weights
    assert np.abs(slope).max() < 1e-5


def test_errors_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 label"):
        VoiceJudge({"loud": ["Hey!"]})
    with pytest.raises(UserError, match="quiet"):
        VoiceJudge({"loud": ["Hey!"], "quiet": []})
    judge = VoiceJudge(EXAMPLES)
    with pytest.raises(UserError, match="It knows loud, quiet"):
        judge.share(["Hey!"], "shy")
    with pytest.raises(UserError, match="at least one"):
        judge.share([], "loud")
    with pytest.raises(UserError, match="cannot be read"):
        voice_texts(tmp_path / "nothing.jsonl")
    (tmp_path / "bad.jsonl").write_text('{"messages": []}\n')
    with pytest.raises(UserError, match="Line 1"):
        voice_texts(tmp_path / "bad.jsonl")
