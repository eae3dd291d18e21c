"""What stays loaded between jobs of the inference process: one base, and the adapters that were used last."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pipelines.attach import Attachments, loading_notices, other_weights_notice
from pipelines.bases import load_base
from pipelines.families import LoadedBase
from pipelines.judge import Judge
from pipelines.live import LiveRecipes
from pipelines.recipe import Recipe
from studio.library import Library
from studio.session import Session, find_judge
from trainers.adapter import Adapter

_KEPT_ADAPTERS = 8


@dataclass
class Workbench:
    """The inference process's memory. Jobs run one after another, so nothing here is locked."""

    library: Library
    tell: Callable[[Mapping[str, object]], None]
    """Sends an event of the running job."""
    check: Callable[[], None]
    """Raises `Cancelled` when the running job was taken back."""
    _base_key: tuple[str, str, str] | None = None
    _attachments: Attachments | None = None
    _read: dict[str, tuple[str, Adapter]] = field(default_factory=dict)
    _judges: dict[tuple[str, str, str], Judge] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Tell one line; with `progress` this makes the workbench a Report."""
        self.tell({"event": "said", "text": text})

    def progress(self, what: str, done: int, total: int, note: str = "") -> None:
        """Tell how far the job is; raises `Cancelled` when it was taken back."""
        self.check()
        self.tell({"event": "progress", "what": what, "done": done, "total": total, "note": note})

    def bare(self, base: str, device: str = "auto", precision: str = "auto") -> LoadedBase:
        """Return a loaded base that carries no adapter.

        Raises:
            UserError: it cannot be loaded.
        """
        attachments = self._loaded(base, device, precision)
        for name in list(attachments.slots):
            attachments.remove(name)
        return attachments.base

    def session(
        self,
        base: str,
        adapters: Sequence[str],
        *,
        recipes: Sequence[Recipe] = (),
        device: str = "auto",
        precision: str = "auto",
    ) -> Session:
        """Return a base with adapters attached at weight 0; those of earlier jobs stay attached while there is room.

        Raises:
            UserError: an adapter is unknown, broken, or belongs to another base.
        """
        wanted = {name: self.read(name) for name in adapters}
        blended = {item.adapter: self.read(item.adapter) for recipe in recipes for item in recipe.active()}
        live = None
        if recipes:
            live = LiveRecipes(self.bare(base, device, precision), blended)
        attachments = self._loaded(base, device, precision)
        changed = [name for name in attachments.slots if name in wanted and not self._is_attached(name, wanted[name])]
        spare = [name for name in attachments.slots if name not in wanted]
        for name in (*changed, *spare[: max(0, len(spare) + len(wanted) - _KEPT_ADAPTERS)]):
            attachments.remove(name)
        for name, adapter in wanted.items():
            if name not in attachments.slots:
                attachments.add(name, adapter)
                self._attached_from[name] = adapter
        cards = [adapter.card for adapter in {**blended, **wanted}.values()]
        for sentence in (*loading_notices(cards), *other_weights_notice(attachments.base, cards)):
            self.say(sentence)
        return Session(attachments, {**blended, **wanted}, live)

    def release(self) -> None:
        """Let go of the base, so that another may take its room."""
        self._attachments, self._base_key = None, None
        self._attached_from.clear()

    def read(self, name: str) -> Adapter:
        """Return an adapter of the library; read again only when its card has changed."""
        if "@" in name:
            return self.library.read(name)
        stamp = str((self.library.find(name) / "adapter.json").stat().st_mtime_ns)
        if name not in self._read or self._read[name][0] != stamp:
            self._read[name] = (stamp, self.library.read(name))
            while len(self._read) > 2 * _KEPT_ADAPTERS:
                del self._read[next(iter(self._read))]
        return self._read[name][1]

    def judge(self, name: str, base: str, device: str = "auto") -> Judge:
        """Return a judge; it stays loaded.

        Raises:
            UserError: it is unknown, or none is known for the base.
        """
        key = (name, base, device)
        if key not in self._judges:
            self._judges = {key: find_judge(name, base, device)}
        return self._judges[key]

    def new_file(self, ending: str = ".png", folder: str = "pictures") -> Path:
        """Return the path of a file that is not there yet, among the studio's own outputs, by day and number."""
        day = self.library.folder / "outputs" / folder / datetime.now(UTC).strftime("%Y-%m-%d")
        day.mkdir(parents=True, exist_ok=True)
        number = max((int(path.stem) for path in day.iterdir() if path.stem.isdigit()), default=0) + 1
        while True:
            path = day / f"{number:06d}{ending}"
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))  # ours, also beside another app
                return path
            except FileExistsError:
                number += 1

    _attached_from: dict[str, Adapter] = field(default_factory=dict)

    def _is_attached(self, name: str, adapter: Adapter) -> bool:
        return self._attached_from.get(name) is adapter

    def _loaded(self, base: str, device: str, precision: str) -> Attachments:
        key = (base, device, precision)
        if self._attachments is None or self._base_key != key:
            self._attachments, self._base_key = None, None  # the old base goes before the new one comes
            self.say(f"Loading the base {base} …")
            self._attachments, self._base_key = (
                Attachments(load_base(base, device=device, precision=precision)),
                key,
            )
        return self._attachments
