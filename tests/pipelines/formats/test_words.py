"""New words in every program's spelling: which rows count, for which text encoder, and what is named and left."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.bases import load_base
from pipelines.families import LoadedBase
from pipelines.formats._part_layers import embedding_of_part
from pipelines.importing import Imported, bring_in
from tests.pipelines.formats.test_distrust import plain
from trainers.errors import UserError

ROWS = torch.linspace(-1, 1, 64).reshape(2, 32)
WRONG = torch.full((2, 32), 9.0)


@pytest.fixture(scope="module")
def sdxl(tiny_bases: dict[str, Path]) -> LoadedBase:
    return load_base(str(tiny_bases["sdxl"]), device="cpu")


def imported(path: Path, tensors: dict[str, Tensor], base: LoadedBase, *, allow: bool = False) -> Imported:
    save_file(tensors, path)
    return bring_in(path, base, "it", allow_unmatched=allow)


def rows_of(found: Imported, name: str = "it") -> dict[str, Tensor]:
    return {part: embedding_of_part(content)[1] for part, content in found.adapters[name].parts.items()}


@pytest.mark.parametrize(
    ("keys", "word", "unused"),
    [
        (("tok.clip_l", "tok.clip_l_out"), "tok", ["clip_l_out"]),  # OneTrainer
        (("tok.string_to_param.*",), "tok", []),  # A1111
        (("tok.emb_params",), "tok", []),
        (("tok.emp_params", "tok.emp_params_out"), "tok", ["emp_params_out"]),
        (("tok.clip_h",), "tok", []),
        (("tok.<tok>",), "tok", []),  # a file of diffusers, bundled by A1111's rule
        (("ema yasuhara.clip_l",), "ema-yasuhara", []),
        (("v1.5.style.clip_l", "v1.5.style.clip_l_out"), "v1.5.style", ["clip_l_out"]),
        (("v1.5.string_to_param.*",), "v1.5", []),
        (("v1.5.<v1.5>",), "v1.5", []),
        (("a.clip_l.clip_l",), "a.clip_l", []),
    ],
)
def test_bundled_words_in_every_spelling(
    base: LoadedBase, tmp_path: Path, keys: tuple[str, ...], word: str, unused: list[str]
) -> None:
    rows = {f"bundle_emb.{key}": WRONG.clone() if key.endswith("_out") else ROWS for key in keys}
    found = imported(tmp_path / "b.safetensors", {**plain(), **rows}, base)
    assert list(found.adapters) == ["it", f"it-{word}"]
    assert torch.equal(rows_of(found, f"it-{word}")["text_encoder"], ROWS)
    assert found.adapters[f"it-{word}"].card.triggers == (f"<{word}>",)
    assert [all(f".{end}" in note for end in unused) for note in found.notes] == [True] * len(found.notes)
    assert len(found.notes) == bool(unused)


@pytest.mark.parametrize(
    ("rows", "unmatched"),
    [
        ({"tok.clip_l": ROWS, "tok.clip_g": torch.ones(2, 64)}, ["bundle_emb.tok.clip_g"]),
        ({"tok.clip_l": ROWS, "tok.t5": torch.ones(2, 32)}, ["bundle_emb.tok.t5"]),
        ({"tok.clip_l": ROWS, "tok.t5_out": torch.ones(2, 32)}, ["bundle_emb.tok.t5_out"]),
        ({"tok.clip_l_out": WRONG}, ["bundle_emb.tok.clip_l_out"]),
        ({"tok.clip_l": ROWS, "tok.anything": WRONG}, ["bundle_emb.tok.anything"]),
    ],
)
def test_bundled_rows_without_a_place_are_told_and_never_taken_for_others(
    base: LoadedBase, tmp_path: Path, rows: dict[str, Tensor], unmatched: list[str]
) -> None:
    tensors = {**plain(), **{f"bundle_emb.{key}": tensor for key, tensor in rows.items()}}
    with pytest.raises(UserError, match=r"1 name does not, for example bundle_emb\.tok"):
        imported(tmp_path / "b.safetensors", tensors, base)
    found = imported(tmp_path / "b.safetensors", tensors, base, allow=True)
    assert found.unmatched == unmatched
    if "tok.clip_l" in rows:
        assert torch.equal(rows_of(found, "it-tok")["text_encoder"], ROWS)
    else:
        assert list(found.adapters) == ["it"]


def test_rows_for_one_text_encoder_twice_are_refused(base: LoadedBase, tmp_path: Path) -> None:
    tensors = {"bundle_emb.tok.clip_l": ROWS, "bundle_emb.tok.emb_params": WRONG}
    with pytest.raises(UserError, match=r"the word 'tok' for the text_encoder twice, as .*clip_l and as .*emb_params"):
        imported(tmp_path / "b.safetensors", {**plain(), **tensors}, base)
    two = {"bundle_emb.a b.clip_l": ROWS, "bundle_emb.a-b.clip_l": WRONG}
    with pytest.raises(UserError, match="the word 'a-b' for the text_encoder twice"):
        imported(tmp_path / "two.safetensors", {**plain(), **two}, base)


def test_words_of_sdxl_have_rows_for_both_text_encoders(sdxl: LoadedBase, tmp_path: Path) -> None:
    first, second = torch.ones(2, 16), torch.full((2, 32), 2.0)
    alone = {"clip_l": first, "clip_g": second}
    outputs = {"clip_l_out": 9 * first, "clip_g_out": 9 * second}
    bundled = {f"bundle_emb.my.tok.{key}": tensor for key, tensor in {**alone, **outputs}.items()}
    torch.save(alone, tmp_path / "p.pt")
    for found in (
        imported(tmp_path / "a.safetensors", alone, sdxl),
        imported(tmp_path / "o.safetensors", {**alone, **outputs}, sdxl),
        imported(tmp_path / "b.safetensors", bundled, sdxl),
        bring_in(tmp_path / "p.pt", sdxl, "it"),
    ):
        rows = rows_of(found)
        assert list(rows) == ["text_encoder", "text_encoder_2"]
        assert torch.equal(rows["text_encoder"], first)
        assert torch.equal(rows["text_encoder_2"], second)
    assert found.notes == []


def test_half_a_word_of_sdxl_is_told(sdxl: LoadedBase, tmp_path: Path) -> None:
    """diffusers writes a file for each text encoder, and words of SD 1.x are as wide as SDXL's first."""
    for width, part, other in ((16, "text_encoder", "text_encoder_2"), (32, "text_encoder_2", "text_encoder")):
        found = imported(tmp_path / "half.safetensors", {"<tok>": torch.ones(1, width)}, sdxl)
        assert list(rows_of(found)) == [part]
        assert found.notes == [f"The word 'tok' has rows for the {part} alone; the {other} does not know it."]


def test_a_word_of_sdxl_is_told_on_another_base(base: LoadedBase, tmp_path: Path) -> None:
    tensors = {"clip_l": ROWS, "clip_g": torch.ones(2, 64)}
    with pytest.raises(UserError, match=r"for example clip_g.*SDXL \(it has a second text encoder\)"):
        imported(tmp_path / "xl.safetensors", tensors, base)


def test_a_file_of_onetrainer_is_called_like_the_file(base: LoadedBase, tmp_path: Path) -> None:
    found = imported(tmp_path / "zqx.safetensors", {"emp_params": ROWS}, base)
    assert found.adapters["it"].card.triggers == ("<zqx>",)
    found = imported(tmp_path / "zqx.safetensors", {"emp_params": ROWS, "emp_params_out": WRONG}, base)
    assert found.adapters["it"].card.triggers == ("<zqx>",)
    assert torch.equal(rows_of(found)["text_encoder"], ROWS)
    assert "Not used: emp_params_out" in found.notes[0]


def test_several_words_in_a_file_of_diffusers(base: LoadedBase, tmp_path: Path) -> None:
    words = {"<s0>": ROWS[0], "<s1>": ROWS[1]}
    torch.save(words, tmp_path / "learned_embeds.bin")
    for found in (
        imported(tmp_path / "w.safetensors", words, base),
        bring_in(tmp_path / "learned_embeds.bin", base, "it"),
    ):
        assert list(found.adapters) == ["it-s0", "it-s1"]
        assert torch.equal(rows_of(found, "it-s1")["text_encoder"], ROWS[1:])


def test_a_pickled_word_under_another_name_than_a_star(base: LoadedBase, tmp_path: Path) -> None:
    torch.save({"string_to_param": {"zqx": ROWS}, "string_to_token": {"zqx": 265}, "name": "my tok"}, tmp_path / "a.pt")
    found = bring_in(tmp_path / "a.pt", base, "it")
    assert found.adapters["it"].card.triggers == ("<my-tok>",)
    assert torch.equal(rows_of(found)["text_encoder"], ROWS)
