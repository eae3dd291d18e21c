"""Attach adapters to a loaded base, weigh them live or merge them into it, and take them off again without a trace."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from pipelines.base_check import check_base
from pipelines.families import ImageBase, LoadedBase
from trainers.adapter import Adapter
from trainers.card import AdapterCard
from trainers.errors import UserError, raise_problems
from trainers.methods import methods
from trainers.tuners import peft_bridge as bridge
from trainers.tuners.live_weights import weigh_rows, weighs_rows
from trainers.tuners.merging import merge


@dataclass
class Attachments:
    """The adapters on one base: name -> slot on the modules. Weights start at 0, which is the base exactly."""

    base: LoadedBase
    slots: dict[str, str] = field(default_factory=dict)
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    matched: dict[str, int] = field(default_factory=dict)
    """How many layers each adapter attached to."""
    methods: dict[str, dict[str, str]] = field(default_factory=dict)
    """Which method made each adapter's parts."""
    merged: dict[str, float] = field(default_factory=dict)
    """The weights with which adapters are merged into the base now."""
    dropped: dict[str, int] = field(default_factory=dict)
    """By part: in how many of the first blocks bottleneck adapters are left out."""
    _count: int = 0
    _unmerge: list[Callable[[], None]] = field(default_factory=list)

    def add(self, name: str, adapter: Adapter) -> None:
        """Attach an adapter at weight 0.

        Raises:
            UserError: the name is taken, the adapter belongs to another base, or its tensors do not fit. The base is
                then as it was before.
        """
        if name in self.slots:
            raise UserError(f"The adapter {name!r} is attached already.")
        self._refuse_merged("add an adapter")
        check_base(self.base, adapter.card)
        slot = f"adapter{self._count}"  # a user's name may hold dots, which torch does not allow
        self._count += 1
        done: list[str] = []
        matched = 0
        try:
            for part, content in adapter.parts.items():
                module = self.base.parts[part]
                config = bridge.config_from_json(content.config, what=f"{name}/{part}")
                done.append(part)
                matched += len(bridge.attach(module, config, slot, what=part).matched)
                bridge.load_state(module, slot, content.tensors, what=f"{part} of {self.base.name}")
        except BaseException:
            for part in done:
                bridge.detach(self.base.parts[part], slot)
            self._apply({})
            raise
        self.slots[name], self.parts[name], self.matched[name] = slot, tuple(adapter.parts), matched
        self.methods[name] = {part: card.method for part, card in adapter.card.parts.items()}
        self._apply({})

    def remove(self, name: str) -> None:
        """Take an adapter off; the others keep their place, at weight 0.

        Raises:
            UserError: adapters are merged into the base.
        """
        self._refuse_merged(f"remove {name!r}")
        slot = self.slots.pop(name)
        for part in self.parts.pop(name):
            bridge.detach(self.base.parts[part], slot)
        del self.matched[name]
        self.methods.pop(name, None)
        self._apply({})

    def drop_blocks(self, counts: Mapping[str, int]) -> None:
        """Leave all bottleneck adapters out of the first blocks of a part, for speed (AdapterDrop); 0 puts them back.

        Blocks count in the order in which they run. What an adapter loses is least when it was trained with
        ``drop_up_to``.

        Args:
            counts: part -> number of blocks; other parts are left as they are.

        Raises:
            UserError: the base has no such part, no attached adapter has blocks there, or not so many.
        """
        for part, count in counts.items():
            if part not in self.base.parts:
                raise UserError(f"The base has no part {part!r}. It has: {', '.join(self.base.parts)}.")
            slots = [slot for name, slot in self.slots.items() if part in self.parts[name]]
            most = [bridge.drop_first_blocks(self.base.parts[part], slot, 0) for slot in slots]
            if not any(most):
                raise UserError(
                    f"No adapter can be left out of blocks of the {part}: AdapterDrop is for bottleneck adapters "
                    "(houlsby, pfeiffer, parallel_adapter)."
                )
            if not 0 <= count <= max(most):
                raise UserError(f"{count} blocks of the {part} cannot be dropped; 0 to {max(most)} is possible.")
            for slot in slots:
                bridge.drop_first_blocks(self.base.parts[part], slot, count)
            self.dropped = {**self.dropped, part: count}

    def merge(self, weights: Mapping[str, float]) -> None:
        """Add adapters into the base's weights: what they do is the same, and costs nothing any more.

        The base's own tensors are kept, and `unmerge` puts them back bit for bit. Attached adapters that are not merged
        can still be weighed live.

        Raises:
            UserError: a name is not attached, adapters are merged already, or one does not act by a change of weights.
                Nothing is changed then.
        """
        self._check_names(weights)
        self._refuse_merged("merge")
        raise_problems("The adapters cannot be merged into the base:", _unmergeable(self.methods, weights))
        slots = {self.slots[name]: weight for name, weight in weights.items()}
        try:
            for part, module in self.base.parts.items():
                self._unmerge.append(merge(module, slots, what=part))
        except BaseException:
            self.unmerge()
            raise
        self.merged = {name: weight for name, weight in weights.items() if weight}

    def can_merge(self, weights: Mapping[str, float]) -> bool:
        """Return whether the methods of these adapters can be merged; quantised weights are only found by `merge`."""
        return not _unmergeable(self.methods, weights)

    def unmerge(self) -> None:
        """Put the base's own weights back; the adapters stay attached, at weight 0."""
        while self._unmerge:
            self._unmerge.pop()()
        self.merged = {}
        self._apply({})

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Set the live weight of every adapter; the ones not named are off.

        Raises:
            UserError: a name is not attached, or is merged into the base.
        """
        self._check_names(weights)
        twice = [name for name, weight in weights.items() if weight and name in self.merged]
        if twice:
            raise UserError(
                f"The adapter {twice[0]!r} is merged into the base and would act twice. Unmerge it, or leave it at "
                "weight 0."
            )
        self._apply({self.slots[name]: weight for name, weight in weights.items()})

    def can_weigh_rows(self, names: Collection[str]) -> bool:
        """Return whether these adapters can have a weight for each row of a batch: their deltas are weighed apart."""
        slots = {self.slots[name] for name in names if name in self.slots}
        return all(weighs_rows(module, slots) for module in self.base.parts.values())

    def set_row_weights(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Set the live weights of every row of the batches to come; `set_weights` ends it.

        Raises:
            UserError: a name is not attached, or is merged into the base.
        """
        names = dict.fromkeys(name for weights in rows for name, weight in weights.items() if weight)
        self.set_weights(dict.fromkeys(names, 1.0))
        for module in self.base.parts.values():
            weigh_rows(module, {self.slots[name]: [weights.get(name, 0.0) for weights in rows] for name in names})

    def _check_names(self, weights: Mapping[str, float]) -> None:
        for name in weights:
            if name not in self.slots:
                raise UserError(f"The adapter {name!r} is not attached. Attached: {', '.join(self.slots) or 'none'}.")

    def _refuse_merged(self, what: str) -> None:
        if self.merged:
            raise UserError(
                f"Cannot {what} while {', '.join(map(repr, self.merged))} is merged into the base. Unmerge first."
            )

    def prompt_notes(self, prompt: str, weights: Mapping[str, float]) -> list[str]:
        """Return a sentence for what the text encoder does not see of a prompt, and for each word that it lacks."""
        self.set_weights(weights)
        try:
            cut = cast(ImageBase, self.base).cut_text(prompt)
            words = {word for module in self.base.parts.values() for word in bridge.new_words(module)}
        finally:
            self.set_weights({})
        notes = [
            f"Note: the prompt lacks {word}, without which its adapter's text encoder does nothing."
            for word in sorted(words)
            if word not in prompt.lower()
        ]
        if cut:
            notes.append(f"Note: the prompt is too long for the text encoder, which does not see its end: {cut!r}.")
        return notes

    def _apply(self, weights: Mapping[str, float]) -> None:
        for module in self.base.parts.values():
            bridge.set_weights(module, weights)


@contextlib.contextmanager
def attached(base: LoadedBase, adapters: Mapping[str, Adapter]) -> Iterator[Attachments]:
    """Attach adapters for the length of a block, at weight 0; the base is bit-identical afterwards."""
    attachments = Attachments(base)
    try:
        for name, adapter in adapters.items():
            attachments.add(name, adapter)
        yield attachments
    finally:
        attachments.unmerge()
        for name in list(attachments.slots):
            attachments.remove(name)


def _unmergeable(made_by: Mapping[str, Mapping[str, str]], weights: Mapping[str, float]) -> list[str]:
    """Return a sentence for every part that acts by other means than a change of weights."""
    return [
        f"{name!r} acts on the {part} by {found.title}: {found.merges_not}"
        for name, weight in weights.items()
        for part, method in made_by.get(name, {}).items()
        if weight and (found := methods().get(method)) is not None and not found.mergeable
    ]


def loading_notices(cards: Sequence[AdapterCard]) -> list[str]:
    """Return a sentence for each part that acts differently now from when it was trained."""
    return [
        f"Note: the {part} of {card.name!r} {methods()[content.method].loads_changed}."
        for card in cards
        for part, content in card.parts.items()
        if content.method in methods() and methods()[content.method].loads_changed
    ]


def other_weights_notice(base: LoadedBase, cards: Sequence[AdapterCard]) -> list[str]:
    """Return a sentence for each adapter that was trained on other weights of the same shape; it may still work."""
    return [
        f"Note: {card.name!r} was trained on other weights ({card.base.name}, {card.base.fingerprint[:8]}) than those "
        f"of {base.name!r} here ({base.fingerprint[:8]}). It fits, but may look different."
        for card in cards
        if card.base.fingerprint != base.fingerprint
    ]
