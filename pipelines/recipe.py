"""How adapters are combined, as a file: inputs by content hash, weights, blend, seed and base.

One recipe drives both the live model (`pipelines.live`) and the file (`pipelines.blending`). As YAML or JSON:

    blend: ties
    settings: {density: 0.4}
    inputs:
      - {adapter: blueprint, weight: 0.6, parts: {text_encoder: 0.5}, blocks: {down_blocks.1: 0.2, default: 1}}
      - {adapter: watercolor, weight: 0.4, schedule: {stop: 0.7}}
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipelines.blends import Blend, find_blend
from pipelines.blocks import check_blocks
from pipelines.schedules import Schedule
from trainers.adapter import Adapter
from trainers.data.plain_text import plain_values
from trainers.errors import UserError, problem_sentence, raise_problems
from trainers.seeds import drawn_seed
from trainers.storage import write_text

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
_LIMIT_BYTES = 1 << 20
_NO_BLOCKS = ("tuple_type", "dict_type")
_PLAINER = {
    "too_short": "should hold at least one adapter",
    "model_type": "it should be settings with values, such as 'blend: ties'",
}


class RecipeInput(BaseModel):
    """One adapter of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    adapter: str = Field(min_length=1, description="Name in the library, or a folder.")
    hash: str = Field("", description="Content hash; when given, the adapter must still have it.")
    weight: float = Field(1.0, ge=-100, le=100, description="Any sign; 0 leaves the adapter out.")
    parts: dict[str, float] = Field(default_factory=dict, description="Factors on the weight by part.")
    blocks: tuple[float, ...] | dict[str, float] | None = Field(
        None, description="Factors on the weight by block: 17, 26, 12 or 20 values, or by name."
    )
    schedule: Schedule | None = Field(None, description="When it acts during sampling.")


class Recipe(BaseModel):
    """How adapters are combined."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: Literal[1] = 1
    blend: str = "exact"
    part_blends: dict[str, str] = Field(default_factory=dict, description="Parts that another blend combines.")
    settings: dict[str, Any] = Field(default_factory=dict, description="The blend's own settings.")
    seed: Annotated[int, Field(ge=-1, lt=2**63), AfterValidator(drawn_seed)] = Field(
        0, description="Seed of what is random in the blend; -1 draws one, which is kept."
    )
    dtype: Literal["float32", "float16", "bfloat16"] = Field("float32", description="Number format of the file.")
    file: Literal["auto", "lora", "whole"] = Field(
        "auto", description="Form of the file: factors, whole tensors, or factors wherever the result has them."
    )
    base: str = Field("", description="Fingerprint of the base; when given, the base must have it.")
    inputs: tuple[RecipeInput, ...] = Field(min_length=1)

    def active(self) -> tuple[RecipeInput, ...]:
        """Return the inputs whose weight is not 0, by name: the order in which they are given says nothing.

        Raises:
            UserError: there is none.
        """
        found = tuple(sorted((item for item in self.inputs if item.weight), key=lambda item: item.adapter))
        if not found:
            raise UserError("Every weight is 0, so there is nothing to blend. Give at least one other weight.")
        return found

    def blend_of(self, part: str) -> Blend:
        """Return the blend of a part."""
        return find_blend(self.part_blends.get(part, self.blend))

    def settings_of(self, part: str) -> Any:
        """Return the checked settings of a part's blend; a part with a blend of its own takes its defaults."""
        blend = self.blend_of(part)
        return parse_settings(blend, {} if part in self.part_blends else self.settings)

    def check(self) -> None:
        """Refuse what no base and no adapter is needed to refuse; all problems at once.

        Raises:
            UserError: a blend is unknown, a setting is wrong, an input is given twice, a list of blocks has no known
                length, or `block` has no blocks.
        """
        blends = [find_blend(name) for name in (self.blend, *self.part_blends.values())]
        parse_settings(blends[0], self.settings)
        names = [item.adapter for item in self.inputs]
        problems = [f"{name!r} is given twice" for name in set(names) if names.count(name) > 1]
        for item in self.inputs:
            if item.blocks is not None:
                check_blocks(item.blocks, what=item.adapter)
        if any(blend.by_block for blend in blends) and not any(item.blocks is not None for item in self.inputs):
            problems.append("the blend 'block' needs weights by block for at least one adapter (--blocks NAME=…)")
        raise_problems("The recipe cannot be used:", problems)
        self.active()


def parse_settings(blend: Blend, values: Mapping[str, Any]) -> Any:
    """Return a blend's settings, checked.

    Raises:
        UserError: naming every key that is unknown or wrong, and the keys that exist.
    """
    try:
        return blend.settings.model_validate(dict(values))
    except ValidationError as error:
        known = ", ".join(blend.settings.model_fields) or "none"
        problems = [problem_sentence(dict(item), blend.settings.model_fields) for item in error.errors()]
        raise_problems(f"The settings of the blend {blend.name!r} cannot be used (it has: {known}):", problems)
        raise


def parse_recipe(values: Any, *, what: str = "recipe") -> Recipe:
    """Return a checked recipe from plain values.

    Raises:
        UserError: naming every problem.
    """
    plain_values(values, f"The {what}")
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise_problems(f"The {what} cannot be used:", _problems(error))
        raise
    recipe.check()
    return recipe


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a YAML or JSON file.

    Raises:
        UserError: the file is missing or broken, or the recipe is.
    """
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise UserError(f"The recipe {path} has more than {_LIMIT_BYTES:,} bytes, so it is not read.")
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"The recipe {path} does not exist.") from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"The recipe {path} cannot be read: {' '.join(str(error).split())[:300]}.") from error
    return parse_recipe(values, what=f"recipe {path}")


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write a recipe as JSON where the file is called so, else as YAML."""
    values = recipe.model_dump(mode="json", exclude_defaults=True)
    if path.suffix == ".json":
        write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    else:
        write_text(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def content_hash(adapter: Adapter) -> str:
    """Return 64 hexadecimal digits over what an adapter does: its parts' configs and tensors, not its card."""
    digest = hashlib.sha256()
    for name, part in sorted(adapter.parts.items()):
        digest.update(json.dumps([name, dict(part.config)], sort_keys=True).encode())
        for key, tensor in sorted(part.tensors.items()):
            digest.update(f"{key} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def with_hashes(recipe: Recipe, adapters: Mapping[str, Adapter]) -> Recipe:
    """Return the recipe with every active input's content hash.

    Raises:
        UserError: an adapter no longer has the hash that the recipe names.
    """
    found = {item.adapter: content_hash(adapters[item.adapter]) for item in recipe.active()}
    raise_problems(
        "The recipe was written for other adapters than these:",
        [
            f"{item.adapter!r} has the content {found[item.adapter][:12]}, the recipe names {item.hash[:12]}"
            for item in recipe.active()
            if item.hash and item.hash != found[item.adapter]
        ],
    )
    inputs = tuple(item.model_copy(update={"hash": found.get(item.adapter, item.hash)}) for item in recipe.inputs)
    return recipe.model_copy(update={"inputs": inputs})


def plain_recipe(weights: Mapping[str, float], blend: str = "exact", **settings: Any) -> Recipe:
    """Return the recipe of adapters with one weight each.

    Raises:
        UserError: the blend is unknown, a setting wrong, or every weight 0.
    """
    inputs = [{"adapter": name, "weight": weight} for name, weight in weights.items()]
    return parse_recipe({"blend": blend, "settings": settings, "inputs": inputs})


def _problems(error: ValidationError) -> list[str]:
    """Return a sentence per mistake, without those that only follow from another.

    Blocks have two forms, and pydantic tells what is wrong with both; inputs that are wrong leave it without inputs.
    """
    items: list[dict[str, Any]] = [dict(item) for item in error.errors()]
    inside = {item["loc"][:3] for item in items if item["loc"][2:3] == ("blocks",) and item["type"] not in _NO_BLOCKS}
    problems = []
    for item in items:
        where = item["loc"]
        if where == ("inputs",) and item["type"] == "too_short" and item["input"]:
            continue
        said = _PLAINER.get(item["type"], "")
        if where[2:3] == ("blocks",):
            if item["type"] in _NO_BLOCKS and where[:3] in inside:
                continue  # the other form was meant, and its own mistake is told
            if item["type"] in _NO_BLOCKS:
                said = "should be a list of weights, or names of blocks with weights"
            item["loc"] = (*where[:3], *where[4:])
        model: type[BaseModel] = (
            Schedule if where[2:3] == ("schedule",) else RecipeInput if where[:1] == ("inputs",) else Recipe
        )
        problems.append(problem_sentence(item, model.model_fields, said=said))
    return problems
