"""The card of an adapter: everything about it but its tensors. Read without loading torch."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from trainers.errors import UserError
from trainers.names import check_name, composed
from trainers.storage import read_json

CONFIG_NAME, TENSORS_NAME = "adapter_config.json", "adapter_model.safetensors"
"""The files of a part, as PEFT names them."""
CARD_NAME = "adapter.json"
NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


class PartCard(BaseModel):
    """What one part of an adapter holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    settings: dict[str, Any] = Field(default_factory=dict)


class BaseCard(BaseModel):
    """The base that an adapter belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    family: str
    fingerprint: str = Field(description="SHA-256 over the base's weights.")
    widths: dict[str, int] = Field(description="Shape facts that another base must share to carry the adapter.")
    unet_layers: tuple[int, ...] = Field(
        (), description="Layers of each level of the UNet, by which blocks are counted; empty where there is none."
    )


class ParentCard(BaseModel):
    """One adapter that went into a blend."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    weight: float
    created: str
    hash: str = Field("", description="Content hash of the adapter, see `pipelines.recipe.content_hash`.")
    parts: dict[str, float] = Field(default_factory=dict, description="Factors on the weight by part.")
    blocks: tuple[float, ...] | dict[str, float] | None = Field(None, description="Factors on the weight by block.")
    triggers: tuple[str, ...] = ()
    licence: str = ""
    ranks: dict[str, dict[str, int]] = Field(
        default_factory=dict,
        description="In an exact sum of factors, how many columns of each layer are this parent's, by part and path; "
        "the empty path speaks for all layers not named.",
    )
    recipe: "RecipeCard | None" = Field(None, description="How the parent was made, if it is a blend itself.")


class RecipeCard(BaseModel):
    """How a blend was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blend: str
    parents: tuple[ParentCard, ...] = Field(min_length=1)
    part_blends: dict[str, str] = Field(default_factory=dict, description="Parts that another blend combined.")
    settings: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    dtype: str = "float32"
    base: str = Field("", description="Fingerprint of the base that the blend was computed against.")

    def formula(self) -> str:
        """Return the recipe as a sum, such as ``0.6·blueprint + -0.4·watercolor``."""
        return " + ".join(f"{parent.weight:g}·{parent.name}" for parent in self.parents)


class HeadCard(BaseModel):
    """The head of a reward adapter or of a classifier, on the state of the last token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["reward", "classes"]
    part: str
    labels: tuple[str, ...] = Field((), max_length=10_000, description="The classes, by output; a reward has none.")

    @property
    def outputs(self) -> int:
        """How many numbers it gives."""
        return 1 if self.kind == "reward" else len(self.labels)


class AdapterCard(BaseModel):
    """Everything about an adapter but its tensors; it holds no paths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    name: Annotated[str, AfterValidator(composed)]
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    base: BaseCard
    parts: dict[str, PartCard]
    triggers: tuple[str, ...] = ()
    licence: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    recipe: RecipeCard | None = None
    head: HeadCard | None = Field(
        None, description="What stands behind a part, where the adapter scores or classifies."
    )
    versions: dict[str, str] = Field(default_factory=dict)
    scores: dict[str, float] = Field(default_factory=dict)


def part_folder(folder: Path, part: str) -> Path:
    """Return where an adapter's folder holds one part.

    Raises:
        UserError: the card names a part that is no plain word, such as a path out of the folder.
    """
    if not set(part) <= NAME_CHARACTERS or part[:1] in ("", ".", "-"):
        raise UserError(f"The adapter {folder} names a part {part!r}. Parts are plain words, such as unet.")
    return folder / part


def read_card(folder: Path) -> AdapterCard:
    """Read an adapter's card alone.

    Raises:
        UserError: the folder holds no card, or the card is broken.
    """
    if not (folder / CARD_NAME).is_file():
        raise UserError(f"{folder} is not an adapter: it holds no {CARD_NAME}.")
    try:
        card = AdapterCard.model_validate(read_json(folder / CARD_NAME, "adapter card"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise UserError(f"The adapter card {folder / CARD_NAME} is broken at {where!r}: {first['msg']}.") from error
    check_name(card.name)
    return card
