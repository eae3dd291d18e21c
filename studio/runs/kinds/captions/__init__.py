"""Captions: a captioning model writes one for each picture of a dataset."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipelines.captioners import AUTO, captioner_choices, find_model
from studio.library.library import Library
from studio.runs.control import Control
from studio.runs.kinds._run_kind import Preflight, RunKind
from trainers.data.plain_text import plain_values
from trainers.errors import UserError, problem_sentence, raise_problems
from trainers.names import check_name, composed
from trainers.old_names import CAPTIONING, with_new_names
from trainers.paths import path_of
from trainers.registry import OneOf
from trainers.wording import count_of

if TYPE_CHECKING:
    from studio.runs.run import Journal, Run


class CaptionConfig(BaseModel):
    """The settings of one captioning."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["captions"] = "captions"
    name: Annotated[str, AfterValidator(composed)] = Field(description="Name of the run.")
    data: str = Field(description="Folder of pictures that get captions.")
    model: str = Field(
        min_length=1, description="Captioning model: a folder or hub id, such as of a BLIP, with .safetensors weights."
    )
    captioner: Annotated[str, OneOf(captioner_choices)] = Field(
        AUTO, description="How the model is read; auto tells it by its files."
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    beginning: str = Field(
        "", max_length=500, description="Words that the model's sentence begins with, such as 'a drawing of'."
    )
    prefix: str = Field("", max_length=500, description="Put before every caption as it is, such as a trigger word.")
    suffix: str = Field("", max_length=500, description="Put behind every caption as it is.")
    overwrite: bool = Field(False, description="Also replace captions that are there; else they stay as they are.")
    batch_size: int = Field(4, ge=1, le=256, description="Pictures that the model looks at together.")
    max_new_tokens: int = Field(40, ge=1, le=400, description="Where a caption is cut, in tokens of the model.")


def _parse(values: Mapping[str, Any]) -> CaptionConfig:
    plain_values(values, "The captioning's settings")
    values, twice = with_new_names(values, CAPTIONING)
    raise_problems("The captioning's settings cannot be used:", twice)
    try:
        config = CaptionConfig.model_validate(values)
    except ValidationError as error:
        problems = [problem_sentence(dict(item), CaptionConfig.model_fields) for item in error.errors()]
        raise_problems("The captioning's settings cannot be used:", problems)
        raise
    check_name(config.name)
    return config


def _prepare(config: CaptionConfig, library: Library) -> CaptionConfig:
    from studio.library.datasets import check_writable

    data = path_of(config.data).resolve()
    check_writable(data)
    model = path_of(config.model)
    chosen = str(model.resolve()) if model.is_dir() else config.model
    return config.model_copy(update={"data": str(data), "model": chosen})


def _preflight(config: CaptionConfig, library: Library) -> Preflight:
    from studio.library.datasets import check_writable
    from trainers.data.captions import read_captions
    from trainers.data.listing import list_folder

    facts: dict[str, str] = {}
    problems: list[str] = []
    notes: list[str] = []
    try:
        check_writable(path_of(config.data).resolve())
        told = read_captions(list_folder(path_of(config.data)))
        found = told.by_name
        notes += told.notes
        kept = 0 if config.overwrite else sum(caption.is_written for caption in found.values())
        facts = {"pictures": str(len(found)), "to be captioned": str(len(found) - kept)}
        if kept:
            have = f"{count_of(kept, 'picture')} {'has' if kept == 1 else 'have'}"
            notes.append(f"{have} a caption, which stays; overwrite replaces it.")
        elif config.overwrite:
            there = sum(caption.is_written for caption in found.values())
            said = f"{count_of(there, 'caption')} that {'is' if there == 1 else 'are'} there will be replaced."
            notes += [said] if there else []
    except UserError as error:
        problems.append(str(error))
    try:
        captioner, folder = find_model(config.model, config.captioner)
        facts["captioner"] = captioner.name
        facts["model"] = f"{sum(file.stat().st_size for file in folder.glob('*.safetensors')) / 1e6:,.0f} MB"
    except UserError as error:
        problems.append(str(error))
    return Preflight(facts, problems, notes)


def _work(run: "Run", journal: "Journal", control: Control) -> Path | None:
    from studio.runs.kinds.captions.work import work  # torch and the model libraries

    return work(run, journal, control)


RUN_KIND = RunKind(
    name="captions",
    title="Captions by a model",
    settings=CaptionConfig,
    parse=_parse,
    prepare=_prepare,
    preflight=_preflight,
    work=_work,
    front=("name", "data", "model", "prefix", "overwrite"),
    command="caption",
)
