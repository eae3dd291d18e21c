"""A probabilistic grammar whose rules share variables: it samples, gives exact log-probabilities, and parses.

A template mixes text with

* `<rule>` one alternative of a rule, `<rule@variable>` of the rule `rule.value` that the variable's value names;
* `{variable}` a value: drawn from the variable's domain where it first occurs, the same one from then on, so that the
  facts of a document agree; `{!variable}` draws it without showing it;
* `{form:variable,…}` a function of values, such as an article or a plural.

The log-probability of a text sums over all its derivations, so that the grammar may be ambiguous.
"""

from __future__ import annotations

import math
import random
import re
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from .domains import Bindings, Domain

PIECE = re.compile(r"<([\w.]+)(?:@(\w+))?>|\{(!?)(?:(\w+):)?(\w+(?:,\w+)*)\}")
Rules = Mapping[str, Sequence[tuple[float, str]]]


@dataclass(frozen=True)
class Text:
    """Literal text."""

    text: str


@dataclass(frozen=True)
class Call:
    """One alternative of a rule, or of the rule that a variable chooses."""

    rule: str
    chooser: str | None


@dataclass(frozen=True)
class Value:
    """A function of variables; `hidden` shows nothing."""

    form: str | None
    names: tuple[str, ...]
    hidden: bool


Symbol = Text | Call | Value


@dataclass(frozen=True)
class Alternative:
    """One right-hand side with its probability."""

    probability: float
    log_probability: float
    symbols: tuple[Symbol, ...]


@dataclass(frozen=True)
class Derivation:
    """What was sampled: the text, and what its variables were."""

    text: str
    bindings: dict[str, str]


class _State(NamedTuple):
    """Where a parse stands: symbols left (a linked list), position, bindings, log-probability so far."""

    left: tuple[Symbol, Any] | None
    position: int
    bindings: dict[str, str]
    log_probability: float


@dataclass
class Grammar:
    """Rules, the variables' domains, and the forms that words take."""

    rules: Rules
    domains: Mapping[str, Domain]
    forms: Mapping[str, Callable[..., str]]
    _compiled: dict[str, tuple[Alternative, ...]] = field(init=False, repr=False)
    _steps: dict[str, list[float]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._compiled = {name: self._compile(name, rows) for name, rows in self.rules.items()}
        self._steps = {name: list(accumulate(row.probability for row in rows)) for name, rows in self._compiled.items()}
        for name, rows in self._compiled.items():
            for symbol in (symbol for row in rows for symbol in row.symbols):
                self._check(name, symbol)

    def sample(self, start: str, rng: random.Random, bindings: Bindings | None = None) -> Derivation:
        """A text of the rule `start`; variables in `bindings` are given."""
        known = dict(bindings or {})
        pieces: list[str] = []
        self._sample(start, rng, known, pieces)
        return Derivation("".join(pieces), known)

    def log_probability(self, start: str, text: str, bindings: Bindings | None = None) -> float:
        """The natural logarithm of the chance that `sample` gives exactly this text; -inf if it never does."""
        logs = [log for log, _ in self.derivations(start, text, bindings)]
        if not logs:
            return -math.inf
        highest = max(logs)
        return highest + math.log(sum(math.exp(log - highest) for log in logs))

    def parses(self, start: str, text: str, bindings: Bindings | None = None) -> bool:
        """Whether the rule `start` can give exactly this text."""
        return next(self.derivations(start, text, bindings), None) is not None

    def derivations(
        self, start: str, text: str, bindings: Bindings | None = None
    ) -> Iterator[tuple[float, dict[str, str]]]:
        """Every derivation of the text: its log-probability and its variables."""
        stack = [_State((Call(start, None), None), 0, dict(bindings or {}), 0.0)]
        while stack:
            state = stack.pop()
            if state.left is not None:
                stack.extend(self._successors(state, text))
            elif state.position == len(text):
                yield state.log_probability, state.bindings

    def _successors(self, state: _State, text: str) -> Iterator[_State]:
        symbol, rest = state.left  # type: ignore[misc]
        position, bindings, log = state.position, state.bindings, state.log_probability
        if isinstance(symbol, Text):
            if text.startswith(symbol.text, position):
                yield _State(rest, position + len(symbol.text), bindings, log)
        elif isinstance(symbol, Call):
            if symbol.chooser and symbol.chooser not in bindings:
                yield from self._drawn(state, symbol.chooser, text)
                return
            for row in self._compiled[_rule_name(symbol, bindings)]:
                first = row.symbols[0] if row.symbols else None
                if isinstance(first, Text) and not text.startswith(first.text, position):
                    continue
                left = rest
                for part in reversed(row.symbols):
                    left = (part, left)
                yield _State(left, position, bindings, log + row.log_probability)
        else:
            missing = [name for name in symbol.names if name not in bindings]
            if symbol.form is None and missing and not symbol.hidden:
                for value, chance in self.domains[missing[0]].matches(text, position, bindings):
                    if text.startswith(value, position):
                        known = {**bindings, missing[0]: value}
                        yield _State(rest, position + len(value), known, log + chance)
            elif missing and not symbol.hidden:
                yield from self._fitting(state, symbol, missing, text)
            elif missing:
                yield from self._drawn(state, missing[0], text)
            elif symbol.hidden:
                yield _State(rest, position, bindings, log)
            else:
                shown = self._shown(symbol, bindings)
                if text.startswith(shown, position):
                    yield _State(rest, position + len(shown), bindings, log)

    def _fitting(self, state: _State, symbol: Value, missing: list[str], text: str) -> Iterator[_State]:
        """The states in which the form of variables that are still open is what stands in the text."""
        name = missing[0]
        for value, chance in self.domains[name].values(state.bindings, text):
            known = {**state.bindings, name: value}
            log = state.log_probability + chance
            if len(missing) > 1:
                deeper = _State(state.left, state.position, known, log)
                yield from self._fitting(deeper, symbol, missing[1:], text)
                continue
            shown = self._shown(symbol, known)
            if text.startswith(shown, state.position):
                yield _State(state.left[1], state.position + len(shown), known, log)  # type: ignore[index]

    def _drawn(self, state: _State, name: str, text: str) -> Iterator[_State]:
        """The same state with each value of a variable that is not shown here, or not by itself."""
        for value, chance in self.domains[name].values(state.bindings, text):
            known = {**state.bindings, name: value}
            yield _State(state.left, state.position, known, state.log_probability + chance)

    def _sample(self, rule: str, rng: random.Random, bindings: dict[str, str], pieces: list[str]) -> None:
        rows = self._compiled[rule]
        row = rows[0] if len(rows) == 1 else rows[min(bisect(self._steps[rule], rng.random()), len(rows) - 1)]
        for symbol in row.symbols:
            if isinstance(symbol, Text):
                pieces.append(symbol.text)
            elif isinstance(symbol, Call):
                if symbol.chooser and symbol.chooser not in bindings:
                    bindings[symbol.chooser] = self.domains[symbol.chooser].sample(rng, bindings)
                self._sample(_rule_name(symbol, bindings), rng, bindings, pieces)
            else:
                for name in symbol.names:
                    if name not in bindings:
                        bindings[name] = self.domains[name].sample(rng, bindings)
                if not symbol.hidden:
                    pieces.append(self._shown(symbol, bindings))

    def _shown(self, symbol: Value, bindings: Bindings) -> str:
        values = [bindings[name] for name in symbol.names]
        return self.forms[symbol.form](*values) if symbol.form else values[0]

    def _compile(self, name: str, rows: Sequence[tuple[float, str]]) -> tuple[Alternative, ...]:
        total = sum(weight for weight, _ in rows)
        if total <= 0:
            raise ValueError(f"the rule {name} has no alternative with a weight above 0")
        return tuple(
            Alternative(weight / total, math.log(weight / total), tuple(_symbols(template)))
            for weight, template in rows
        )

    def _check(self, name: str, symbol: Symbol) -> None:
        """Raises ValueError for a template that names what does not exist."""
        if isinstance(symbol, Call):
            prefix = f"{symbol.rule}."
            known = any(r.startswith(prefix) for r in self.rules) if symbol.chooser else symbol.rule in self.rules
            if not known:
                raise ValueError(f"the rule {name} calls {symbol.rule}, which does not exist")
            if symbol.chooser and symbol.chooser not in self.domains:
                raise ValueError(f"the rule {name} chooses by {symbol.chooser}, which has no domain")
        elif isinstance(symbol, Value):
            for variable in symbol.names:
                if variable not in self.domains:
                    raise ValueError(f"the rule {name} shows {variable}, which has no domain")
            if symbol.form and symbol.form not in self.forms:
                raise ValueError(f"the rule {name} uses the form {symbol.form}, which does not exist")


def _rule_name(symbol: Call, bindings: Bindings) -> str:
    return f"{symbol.rule}.{bindings[symbol.chooser]}" if symbol.chooser else symbol.rule


def _symbols(template: str) -> Iterator[Symbol]:
    end = 0
    for found in PIECE.finditer(template):
        if found.start() > end:
            yield Text(template[end : found.start()])
        rule, chooser, hidden, form, names = found.groups()
        yield Call(rule, chooser) if rule else Value(form, tuple(names.split(",")), bool(hidden))
        end = found.end()
    if end < len(template):
        yield Text(template[end:])
