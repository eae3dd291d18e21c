"""Tokens to text as it is streamed: whole characters, and nothing that may yet become a stop text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipelines.families import TextBase
from pipelines.text_request import TextRequest

_UNFINISHED = "�"
End = Literal["", "end", "stop", "length"]
"""Why a text ended: it did not yet, the model said so, a stop text came, or there was no more room."""


@dataclass(frozen=True)
class Piece:
    """What came of a text since the last piece."""

    text: str
    tokens: int
    """Tokens of the answer so far."""
    ended: End = ""


class Writer:
    """Turns tokens into text as soon as it is certain, and knows when to stop."""

    def __init__(self, base: TextBase, request: TextRequest) -> None:
        self._tokenizer, self._stops, self._request = base.tokenizer, set(base.stop_numbers), request
        self._numbers: list[int] = []
        self._settled, self._read = 0, 0
        self._held = ""
        self.count = 0

    def take(self, token: int | None) -> Iterator[Piece]:
        """Yield at most one piece; None says that there is no more room."""
        ended: End = ""
        if token is None:
            ended = "length"
        elif token in self._stops:
            ended = "end"
        else:
            self._numbers.append(token)
            self.count += 1
            self._held += self._fresh()
            if self.count >= self._request.max_new_tokens:
                ended = "length"
        if ended:
            self._held += self._fresh(all_of_it=True)
        places = [place for stop in self._request.stop if stop and (place := self._held.find(stop)) >= 0]
        if places:
            yield Piece(self._held[: min(places)], self.count, "stop")
            return
        keep = 0 if ended else self._may_begin_a_stop()
        text, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        if text or ended:
            yield Piece(text, self.count, ended)

    def _fresh(self, *, all_of_it: bool = False) -> str:
        """Return what the tokens since the last call add to the text; half a character waits for its rest."""
        before = self._decode(self._numbers[self._settled : self._read])
        now = self._decode(self._numbers[self._settled :])
        if len(now) <= len(before) or (now.endswith(_UNFINISHED) and not all_of_it):
            return ""
        self._settled, self._read = self._read, len(self._numbers)
        return now[len(before) :]

    def _decode(self, numbers: list[int]) -> str:
        return str(self._tokenizer.decode(numbers, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _may_begin_a_stop(self) -> int:
        """Return how many last characters could be the beginning of a stop text."""
        lengths = [n for stop in self._request.stop for n in range(1, len(stop)) if self._held.endswith(stop[:n])]
        return max(lengths, default=0)
