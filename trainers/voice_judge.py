"""A small classifier of registers: which voice a text is in, learned from example texts in about a second.

Multinomial logistic regression on hashed words, word pairs and character triples (feature hashing after Weinberger et
al. 2009, with the sign left out), in NumPy. It is trained on real examples of each voice and never on generated ones,
so that it can judge what an adapter writes.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from trainers.data.plain_text import plain_text
from trainers.errors import UserError

FEATURES = 2048
_PIECE = re.compile(r"[\w']+|[^\w\s]|\n")


@dataclass(frozen=True)
class Verdict:
    """The most probable label of a text, and every label's probability."""

    label: str
    probabilities: Mapping[str, float]


class VoiceJudge:
    """Tells registers apart. Deterministic: the same examples give the same judge."""

    def __init__(self, examples: Mapping[str, Sequence[str]], *, steps: int = 80, penalty: float = 1e-4) -> None:
        """Learn from texts of each label.

        Args:
            examples: label to texts; at least two labels, at least one text each.
            steps: Full-batch gradient steps with Nesterov's momentum.
            penalty: Weight of the squared weights, against learning the examples by heart.

        Raises:
            UserError: fewer than two labels, or a label without a text.
        """
        empty = [label for label, texts in examples.items() if not any(text.strip() for text in texts)]
        if len(examples) < 2 or empty:
            problem = f"nothing for {', '.join(map(repr, empty))}" if empty else f"{len(examples)} label(s)"
            raise UserError(f"A judge of voices got {problem}. Give it texts of at least two voices.")
        self.labels = tuple(sorted(examples))
        rows = [(text, number) for number, label in enumerate(self.labels) for text in examples[label]]
        features = _features([text for text, _ in rows])
        classes = np.array([number for _, number in rows])
        # Each label counts the same, however many examples it has.
        shares = 1.0 / np.bincount(classes, minlength=len(self.labels))[classes] / len(self.labels)
        self._weights, self._bias = _fit(features, np.eye(len(self.labels))[classes], shares, steps, penalty)

    def label(self, texts: Sequence[str]) -> list[Verdict]:
        """Return the verdict on each text."""
        if not texts:
            return []
        chances = _softmax(_features(texts) @ self._weights + self._bias)
        return [
            Verdict(self.labels[int(row.argmax())], dict(zip(self.labels, row.tolist(), strict=True)))
            for row in chances
        ]

    def share(self, texts: Sequence[str], label: str) -> float:
        """Return the share (0 to 1) of texts that are called `label`.

        Raises:
            UserError: there is no such label, or no text.
        """
        if label not in self.labels:
            raise UserError(f"The judge knows no voice {label!r}. It knows {', '.join(self.labels)}.")
        if not texts:
            raise UserError(f"There is no text whose voice could be {label!r}. Give at least one.")
        return sum(verdict.label == label for verdict in self.label(texts)) / len(texts)


def voice_texts(path: Path) -> list[str]:
    """Return the last assistant message of each line of a chat dataset (JSON Lines with ``messages``).

    Raises:
        UserError: the file is not there, or a line is no chat with an assistant's answer.
    """
    try:
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")  # no other line end: texts may hold such
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The examples {path} cannot be read: {error}. Give a .jsonl file of chats.") from error
    texts = []
    for number, line in enumerate(lines, start=1):
        try:
            said = [m["content"] for m in json.loads(line)["messages"] if m["role"] == "assistant"]
            texts.append(plain_text(str(said[-1]), f"Line {number} of {path}"))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise UserError(
                f"Line {number} of {path} is no chat that ends in an answer. "
                'Each line is like {"messages": [{"role": "user", …}, {"role": "assistant", "content": "…"}]}.'
            ) from error
    return texts


def _features(texts: Sequence[str]) -> np.ndarray:
    """Counts of hashed pieces [n, FEATURES], each row of length 1."""
    counts = np.zeros((len(texts), FEATURES), dtype=np.float32)
    for row, text in enumerate(texts):
        hashes = [zlib.crc32(piece.encode()) % FEATURES for piece in _pieces(text)]
        counts[row] = np.bincount(hashes, minlength=FEATURES)
    counts = np.sqrt(counts)
    lengths = np.linalg.norm(counts, axis=1, keepdims=True)
    return counts / np.maximum(lengths, 1e-6)


def _pieces(text: str) -> Iterator[str]:
    words = _PIECE.findall(text.lower())
    yield from (f"w {word}" for word in words)
    yield from (f"p {left} {right}" for left, right in pairwise(words))
    padded = f" {text.lower()} "
    yield from (f"c {padded[start : start + 3]}" for start in range(len(padded) - 2))
    # The rhythm: how many lines there are, which no single word tells.
    yield f"l {text.strip().count(chr(10))}"


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _fit(
    features: np.ndarray, wanted: np.ndarray, shares: np.ndarray, steps: int, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [FEATURES, k] and bias [k] that lessen the weighted cross entropy plus penalty·‖weights‖²/2."""
    weights = np.zeros((features.shape[1], wanted.shape[1]), dtype=np.float32)
    bias = np.zeros(wanted.shape[1], dtype=np.float32)
    speed, bias_speed = np.zeros_like(weights), np.zeros_like(bias)
    # Rows have length 1, so that the curvature is at most 1/2 (and 1/2 for the bias): a step of 1 is safe.
    for step in range(steps):
        momentum = min(0.9, step / (step + 3))
        ahead, bias_ahead = weights + momentum * speed, bias + momentum * bias_speed
        slope = ((_softmax(features @ ahead + bias_ahead) - wanted) * shares[:, None]).astype(np.float32)
        speed = momentum * speed - (features.T @ slope + penalty * ahead)
        bias_speed = momentum * bias_speed - slope.sum(axis=0)
        weights, bias = weights + speed, bias + bias_speed
    return weights, bias
