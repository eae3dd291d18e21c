"""What stays loaded between jobs of the inference process: a base for pictures, one for texts, and their adapters."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pipelines.attach import Attachments, loading_notices, other_weights_notice
from pipelines.bases import load_image_base, load_text_base, role_of
from pipelines.families import LoadedBase
from pipelines.judge import Judge
from pipelines.live import LiveRecipes
from pipelines.recipe import Recipe
from studio.engine.kept_base import KEPT_ADAPTERS, KeptBase
from studio.library.library import Library
from studio.operations.session import Session, find_judge
from studio.operations.text_session import TextSession
from trainers.adapter import Adapter


@dataclass
class Workbench:
    """The inference process's memory. Jobs run one after another, so nothing here is locked."""

    library: Library
    tell: Callable[[Mapping[str, object]], None]
    """Sends an event of the running job."""
    check: Callable[[], None]
    """Raises `Cancelled` when the running job was taken back."""
    _bases: dict[str, KeptBase] = field(
        default_factory=lambda: {"picture": KeptBase(load_image_base), "text": KeptBase(load_text_base)}
    )
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
        """Return a loaded base of either kind that carries no adapter.

        Raises:
            UserError: it cannot be loaded.
        """
        attachments = self._bases[role_of(base)].attachments(base, device, precision, self.say)
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
        """Return a base that draws, with adapters attached at weight 0; those of earlier jobs stay attached.

        Raises:
            UserError: an adapter is unknown, broken, or belongs to another base; or the base is a language model.
        """
        return Session(*self._opened("picture", base, adapters, recipes, device, precision))

    def text_session(
        self,
        base: str,
        adapters: Sequence[str],
        *,
        recipes: Sequence[Recipe] = (),
        device: str = "auto",
        precision: str = "auto",
    ) -> TextSession:
        """Return a language model with adapters, as `session` does; it has room beside the base that draws.

        Raises:
            UserError: as `session`, or the base draws.
        """
        return TextSession(*self._opened("text", base, adapters, recipes, device, precision))

    def _opened(
        self, role: str, base: str, adapters: Sequence[str], recipes: Sequence[Recipe], device: str, precision: str
    ) -> tuple[Attachments, dict[str, Adapter], LiveRecipes | None]:
        wanted = {name: self.read(name) for name in adapters}
        blended = {item.adapter: self.read(item.adapter) for recipe in recipes for item in recipe.active()}
        kept = self._bases[role]
        attachments = kept.attachments(base, device, precision, self.say)
        live = None
        if recipes:
            for name in list(attachments.slots):  # a recipe reads the base's own weights
                attachments.remove(name)
            live = LiveRecipes(attachments.base, blended)
        kept.attach(attachments, wanted)
        cards = [adapter.card for adapter in {**blended, **wanted}.values()]
        for sentence in (*loading_notices(cards), *other_weights_notice(attachments.base, cards)):
            self.say(sentence)
        return attachments, {**blended, **wanted}, live

    def release(self) -> None:
        """Let go of the bases, so that another may take their room."""
        for kept in self._bases.values():
            kept.release()

    def read(self, name: str) -> Adapter:
        """Return an adapter of the library; read again only when its card has changed."""
        if "@" in name:
            return self.library.read(name)
        stamp = str((self.library.find(name) / "adapter.json").stat().st_mtime_ns)
        if name not in self._read or self._read[name][0] != stamp:
            self._read[name] = (stamp, self.library.read(name))
            while len(self._read) > 2 * KEPT_ADAPTERS:
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
