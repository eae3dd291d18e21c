"""What a comparison is asked for, in the words of the command line and of the form, and the plan that comes of it."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.compare.grid import Cell, plan_grid
from pipelines.generate import ImageRequest
from pipelines.samplers import AUTO
from studio.library.library import parse_adapters
from studio.operations.compare import Comparison
from studio.operations.number_lists import numbers
from trainers.errors import UserError
from trainers.old_names import SAMPLING
from trainers.seeds import seed_from
from trainers.wording import count_of

_LIMIT_CELLS = 2000
_NUMBERS: Mapping[str, Callable[[str], float]] = {
    "weight": float,
    "seed": seed_from,
    "guidance_scale": float,
    "num_inference_steps": int,
}
_LINES = ("prompt", "blend")
"""Axes whose values may hold commas, so that each has a line of its own."""


@dataclass(frozen=True)
class GridOptions:
    """The grid that somebody wants."""

    prompts: Sequence[str]
    adapters: Sequence[str] = ()
    """{method}, {rank} and {step} in a name are filled in by those axes."""
    mixtures: Sequence[str] = ()
    """Further values of the axis adapter, such as ``A:0.6,B:0.4``."""
    weights: Sequence[float] = (0.0, 0.5, 1.0)
    seeds: Sequence[int] = (0,)
    subjects: Sequence[str] = ()
    """For each prompt the part that every look should keep, or one for all; empty takes the prompt's own subject."""
    more: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Values of the other axes, see `pipelines.compare.grid.plan_grid`."""
    rows: Sequence[str] = ("prompt", "seed")
    columns: Sequence[str] = ("adapter", "weight")
    """Axes that vary and were given no place are added here."""
    pages: Sequence[str] = ()
    num_inference_steps: int = 20
    guidance_scale: float = 5.0
    sampler: str = AUTO
    negative_prompt: str = ""
    with_base: bool = True
    """Add a row or column without any adapter where no weight of 0 makes one."""
    base: str = "pocket"
    judge: str = "auto"
    device: str = "auto"
    precision: str = "auto"

    @property
    def title(self) -> str:
        """What stands over the sheets."""
        return self.prompts[0] if len(self.prompts) == 1 else "Comparison"

    def digest(self) -> str:
        """Return 16 characters that are the same for the same comparison."""
        without = {"subjects": bool(self.subjects), "sampler": self.sampler != AUTO}  # older ones keep their names
        names = {new: old for old, new in SAMPLING.items()}  # likewise
        values = {names.get(key, key): value for key, value in asdict(self).items() if without.get(key, True)}
        values["more"] = {names.get(axis, axis): found for axis, found in self.more.items()}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def cells(self) -> list[Cell]:
        """Return the cells.

        Raises:
            UserError: nothing is to be compared, an axis or a value cannot be used, or there are too many cells.
        """
        mixtures = {name: {name: 1.0} for name in self.adapters}
        mixtures |= {text: parse_adapters([item.strip() for item in text.split(",")]) for text in self.mixtures}
        if not mixtures:
            raise UserError("There is nothing to compare. Give at least one adapter (--adapter), or a mixture (--mix).")
        if not self.prompts:
            raise UserError("There is no prompt. Give at least one, such as 'a red boat, sea'.")
        names = [name for shares in mixtures.values() for name in shares]
        if self.more.get("method") and not any("{method}" in name for name in names):
            raise UserError(
                f"--methods {','.join(self.more['method'])} has nothing to fill: no adapter's name holds {{method}}, "
                "as in '--adapter style-{method}'."
            )
        template = ImageRequest(
            prompt="",
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            sampler=self.sampler,
            negative_prompt=self.negative_prompt,
        )
        placed = {*self.rows, *self.columns, *self.pages}
        homeless = [axis for axis, values in self.more.items() if len(values) > 1 and axis not in placed]
        cells = plan_grid(
            mixtures,
            self.weights,
            self.prompts,
            self.seeds,
            template,
            rows=self.rows,
            columns=[*self.columns, *homeless],
            pages=self.pages,
            more=self.more,
            with_base=self.with_base,
            subjects=self._subjects(),
        )
        if len(cells) > _LIMIT_CELLS:
            raise UserError(f"The grid would have {len(cells)} pictures, at most {_LIMIT_CELLS} are drawn.")
        return cells

    def _subjects(self) -> dict[str, str]:
        count = len(self.subjects)
        if count not in (0, 1, len(self.prompts)):
            raise UserError(
                f"There are {count_of(count, 'subject')} for {count_of(len(self.prompts), 'prompt')}. Give one for "
                "each prompt in their order, one for all, or none to take each prompt's own."
            )
        subjects = list(self.subjects) * (len(self.prompts) if count == 1 else 1)
        return dict(zip(self.prompts, subjects, strict=bool(count)))

    def comparison(self, out: Path) -> Comparison:
        """Return the plan.

        Args:
            out: PNG file of the first sheet.

        Raises:
            UserError: as `cells`.
        """
        return Comparison(
            self.cells(),
            title=self.title,
            facts=self._facts(),
            out=out,
            base=self.base,
            device=self.device,
            precision=self.precision,
        )

    def _facts(self) -> str:
        bases = self.more.get("base")
        counts, guidances = (
            self.more.get("num_inference_steps") or [self.num_inference_steps],
            self.more.get("guidance_scale") or [self.guidance_scale],
        )
        given = self.more.get("sampler") or [self.sampler]
        drawn = f" · sampler {','.join(given)}" if list(given) != [AUTO] else ""
        base = f"bases {','.join(bases)}" if bases else f"base {Path(self.base).name}"
        return f"{base} · {_listed(counts)} steps · guidance {_listed(guidances)}{drawn}"


def axis_values(axis: str, text: str, what: str) -> list[Any]:
    """Return an axis's values as somebody writes them: with commas, and prompts and blends a line each.

    Args:
        what: the field's or option's name, for the error.

    Raises:
        UserError: a value is no number where one is wanted.
    """
    if axis in _NUMBERS:
        return numbers(text.strip(), _NUMBERS[axis], what)
    parts = text.splitlines() if axis in _LINES else text.split(",")
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _listed(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
