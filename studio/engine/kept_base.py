"""One base that stays loaded between jobs, with the adapters that were used last."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipelines.attach import Attachments
from pipelines.families import LoadedBase
from trainers.adapter import Adapter

KEPT_ADAPTERS = 8


@dataclass
class KeptBase:
    """The base of one role; another base of the same role takes its place."""

    load: Callable[..., LoadedBase]
    """(name, device, precision) -> the base."""
    _key: tuple[str, str, str] | None = None
    _attachments: Attachments | None = None
    _attached_from: dict[str, Adapter] = field(default_factory=dict)

    def attachments(self, base: str, device: str, precision: str, say: Callable[[str], None]) -> Attachments:
        """Return the base with whatever is attached, all at weight 0.

        Raises:
            UserError: it cannot be loaded.
        """
        key = (base, device, precision)
        if self._attachments is None or self._key != key:
            self.release()  # the old base goes before the new one comes
            say(f"Loading the base {base} …")
            self._attachments, self._key = Attachments(self.load(base, device=device, precision=precision)), key
        return self._attachments

    def attach(self, attachments: Attachments, wanted: Mapping[str, Adapter]) -> None:
        """Attach adapters at weight 0; those of earlier jobs stay while there is room.

        Raises:
            UserError: one belongs to another base.
        """
        slots = attachments.slots
        changed = [name for name in slots if name in wanted and self._attached_from.get(name) is not wanted[name]]
        spare = [name for name in slots if name not in wanted]
        for name in (*changed, *spare[: max(0, len(spare) + len(wanted) - KEPT_ADAPTERS)]):
            attachments.remove(name)
        for name, adapter in wanted.items():
            if name not in slots:
                attachments.add(name, adapter)
                self._attached_from[name] = adapter

    def release(self) -> None:
        """Let go of the base, so that another may take its room."""
        self._attachments, self._key = None, None
        self._attached_from.clear()
