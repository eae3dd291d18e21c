"""Textual inversion: a new word, learned; every weight of the base stays frozen.

v* = argmin of the training loss over v, the embedding that the word <name> has in prompts; with several vectors the
word stands for that many tokens in a row. Source: Gal et al. 2022, arXiv 2208.01618, equation 2. A text encoder is
needed, because only it reads words. Prompts that do not hold the word are the base's own, bit for bit.

In files the vectors are [n, d] under ``…token_embedding.sidecar_textual_inversion.beside.vectors``: what diffusers
calls ``<name>`` in a learned-embeddings file, and AUTOMATIC1111 ``emb_params``.
"""

from typing import Any

from pydantic import Field

from trainers.method import Method, MethodSettings, Recommendation, ResolveTargets
from trainers.methods._own import sidecar_config
from trainers.registry import Late

_NO_WORDS = "it reads no words: a new one has no place in it"


class TextualInversionSettings(MethodSettings):
    """Settings of textual inversion."""

    word: str = Field(
        "new",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,38}$",
        description="Name of the new word; captions and prompts call it <name>, with the brackets.",
    )
    vectors: int = Field(4, ge=1, le=64, description="Number of vectors; they take as many places in a prompt.")
    start: str = Field(
        "",
        max_length=200,
        description="Known words whose embeddings it begins with, such as 'ink drawing'; empty: the mean of all words.",
    )


def _config(settings: TextualInversionSettings, resolve: ResolveTargets) -> Any:
    kept = {"word": settings.word, "vectors": settings.vectors}
    tables = dict.fromkeys(path.rpartition(".")[2] for path in resolve(["word_embedding"]))
    return sidecar_config("textual_inversion", list(tables), kept)


def _trigger(settings: TextualInversionSettings) -> str:
    return f"<{settings.word}>"


METHOD = Method(
    name="textual_inversion",
    title="Textual inversion",
    source="Gal et al. 2022, arXiv 2208.01618, eq. 2",
    settings=TextualInversionSettings,
    recommended={"text_encoder": Recommendation(1.5e-4)},
    peft_config=_config,
    mergeable=False,
    live_weight=(
        "the word stands w of the way from the words it began with to the learned ones; at 0 it is no word, and the "
        "prompt is read letter by letter as the base reads it"
    ),
    needs_studio=True,
    starts_changed="the word is read as one from the first step, and no longer letter by letter",
    prepare=Late("trainers.tuners.kinds.textual_inversion:begin"),
    trigger=_trigger,
    lacks={"denoiser": _NO_WORDS, "language_model": "prompt tuning is the same there: learned tokens before the words"},
)
