"""What programs pass over is said before a file is written, and a file for one program leaves nothing out."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipelines.exporting import take_out
from pipelines.families import LoadedBase
from pipelines.formats._names import ModuleNames, Place, comfyui_name
from pipelines.readers._judging import Judged
from tests.support import random_adapter
from trainers.adapter import Adapter
from trainers.errors import UserError

Bases = Mapping[str, LoadedBase]


def whole(base: LoadedBase, method: str, **settings: object) -> Adapter:
    return random_adapter(base, method=method, parts=tuple(base.parts), size=0.3, **settings)


def judged(found: list[Judged], reader: str) -> Judged:
    return next(own for own in found if own.reader.name == reader)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_ia3_for_comfyui_has_another_form(reader_bases: Bases, tmp_path: Path, family: str) -> None:
    """ComfyUI has no code for a plain ``weight`` with ``on_input`` (Comfy-Org/ComfyUI#1071)."""
    base = reader_bases[family]
    adapter = whole(base, "ia3")
    exported = take_out(adapter, "kohya", tmp_path / "plain.safetensors", base=base)
    flags = [key for key in load_file(tmp_path / "plain.safetensors") if key.endswith(".on_input")]
    told = judged(list(exported.judged), "comfyui")
    assert len(told.unread) == len(flags) > 0
    assert f"passes over {len(flags)} of {exported.modules} modules: {len(flags)} × IA³" in " ".join(exported.told)
    assert f"{2 * len(flags)}" in judged(list(exported.judged), "forge").refusal  # two keys of each
    for reader in ("comfyui", "forge", "kohya"):
        out = tmp_path / f"{reader}.safetensors"
        (own,) = take_out(adapter, None, out, reader_name=reader, base=base).judged
        assert own.is_whole
        assert own.total == exported.modules
        assert not [key for key in load_file(out) if key.endswith(".on_input")]
    (own,) = take_out(adapter, None, tmp_path / "a1111.safetensors", reader_name="a1111", base=base).judged
    assert own.is_whole
    assert [key for key in load_file(tmp_path / "a1111.safetensors") if key.endswith(".on_input")]


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_norms_and_biases_of_the_text_encoder_need_comfyuis_own_names(
    reader_bases: Bases, tmp_path: Path, family: str
) -> None:
    """Of kohya's names ComfyUI knows six layers of a text block, so no norm (Comfy-Org/ComfyUI#1347)."""
    base = reader_bases[family]
    adapter = whole(base, "bitfit")
    exported = take_out(adapter, "kohya", tmp_path / "plain.safetensors", base=base)
    keys = load_file(tmp_path / "plain.safetensors")
    known = re.compile(r"lora_te[12]?_text_model_encoder_layers_\d+_(mlp_fc[12]|self_attn_(q|k|v|out)_proj)\..*")
    passed = [key for key in keys if key.startswith("lora_te") and not known.fullmatch(key)]
    unread = judged(list(exported.judged), "comfyui").unread
    assert len(unread) == len(passed) > 0
    assert all(what == "a bias" for what in unread.values())
    with pytest.raises(UserError, match=f"passes over {len(passed)} of .* Leave --format away"):
        take_out(adapter, "kohya", tmp_path / "no.safetensors", reader_name="comfyui", base=base)
    assert not (tmp_path / "no.safetensors").exists()
    take_out(adapter, "kohya", tmp_path / "yes.safetensors", reader_name="comfyui", base=base, allow_unread=True)
    (own,) = take_out(adapter, None, tmp_path / "comfyui.safetensors", reader_name="comfyui", base=base).judged
    assert own.is_whole
    assert any(
        key.startswith("text_encoders.clip_l.transformer.") for key in load_file(tmp_path / "comfyui.safetensors")
    )


def test_a_bias_alone_stops_a1111_and_lycoris(reader_bases: Bases, tmp_path: Path) -> None:
    base = reader_bases["sd1"]
    adapter = random_adapter(base, method="bitfit", parts=("unet",), size=0.3)
    exported = take_out(adapter, "kohya", tmp_path / "plain.safetensors", base=base)
    for reader in ("a1111", "kohya"):
        assert "alone" in judged(list(exported.judged), reader).refusal
        out = tmp_path / f"{reader}.safetensors"
        again = take_out(adapter, None, out, reader_name=reader, base=base, allow_unread=True)
        assert "beside a change of weight of zero" in " ".join(again.notes)
        tensors = load_file(out)
        biases = {key for key in tensors if key.endswith((".diff_b", ".b_norm"))}
        for key in biases:
            weight = key.replace(".diff_b", ".diff").replace(".b_norm", ".w_norm")
            assert not tensors[weight].any()
        assert len(biases) == exported.modules
        (own,) = again.judged
        # conv_norm_out has no name that AUTOMATIC1111 makes of diffusers' names
        assert [place.path for place in own.unread] == (["conv_norm_out"] if reader == "a1111" else [])


def test_half_an_attention_of_openclip_is_completed_for_a1111(reader_bases: Bases, tmp_path: Path) -> None:
    base = reader_bases["sdxl"]
    adapter = random_adapter(base, method="lora", parts=("text_encoder_2",), targets=["q_proj", "v_proj"])
    exported = take_out(adapter, "kohya", tmp_path / "plain.safetensors", base=base)
    plain = judged(list(exported.judged), "a1111")
    assert len(plain.unread) == exported.modules
    (own,) = take_out(adapter, None, tmp_path / "a1111.safetensors", reader_name="a1111", base=base).judged
    assert own.is_whole
    tensors = load_file(tmp_path / "a1111.safetensors")
    added = [key for key in tensors if re.search(r"_(k|out)_proj\.lora_up", key)]
    assert len(added) == exported.modules
    assert not any(tensors[key].any() for key in added)


def test_forge_drops_a_file_with_more_than_twelve_unknown_keys(reader_bases: Bases, tmp_path: Path) -> None:
    """Forge answers "LoRA version mismatch" and draws without it (lllyasviel/stable-diffusion-webui-forge#1615)."""
    base = reader_bases["sd1"]
    adapter = whole(base, "lora")
    with pytest.raises(UserError, match="more than 12 keys"):
        take_out(adapter, "comfyui", tmp_path / "no.safetensors", reader_name="forge", base=base)
    (rest,) = take_out(
        adapter, "comfyui", tmp_path / "rest.safetensors", reader_name="forge", base=base, allow_unread=True
    ).judged
    assert {place.part for place in rest.unread} == {"text_encoder"}  # left out, so that the UNet's is taken
    assert not rest.refusal
    assert not [key for key in load_file(tmp_path / "rest.safetensors") if key.startswith("text_encoders.")]
    few = random_adapter(base, method="lora", parts=("unet",))
    (own,) = take_out(few, "comfyui", tmp_path / "few.safetensors", reader_name="forge", base=base).judged
    assert own.is_whole


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_of_diffusers_file_comfyui_reads_no_attention(reader_bases: Bases, tmp_path: Path, family: str) -> None:
    base = reader_bases[family]
    exported = take_out(whole(base, "lora"), "diffusers", tmp_path / "d.safetensors", base=base)
    keys = load_file(tmp_path / "d.safetensors")
    attention = {key.partition(".lora_")[0] for key in keys if key.startswith("unet.") and ".to_" in key}
    unread = judged(list(exported.judged), "comfyui").unread
    assert {f"unet.{place.path}" for place in unread} == attention
    assert "diffusers" not in [own.reader.name for own in exported.judged]


def test_lycoris_needs_an_alpha_beside_every_module(reader_bases: Bases, tmp_path: Path) -> None:
    """For diffusers' sake ranks that differ are written without alphas, of which LyCORIS makes a number unasked."""
    base = reader_bases["sd1"]
    adapter = whole(base, "dora", rank=2)
    part = adapter.parts["unet"]
    first = next(iter(part.tensors)).partition(".lora_")[0]
    longer = {
        key: torch.cat([value, value], dim=int("lora_B" in key))
        for key, value in part.tensors.items()
        if key.startswith(f"{first}.lora_") and "magnitude" not in key
    }
    config = {**part.config, "rank_pattern": {next(iter(longer)).split("model.", 1)[1].partition(".lora_")[0]: 4}}
    mixed = Adapter(
        adapter.card,
        {**adapter.parts, "unet": type(part)(config, {**part.tensors, **longer})},
        {},
    )
    plain = take_out(mixed, "kohya", tmp_path / "plain.safetensors", base=base)
    assert "without an alpha" in judged(list(plain.judged), "kohya").refusal
    (own,) = take_out(mixed, None, tmp_path / "lycoris.safetensors", reader_name="kohya", base=base).judged
    assert own.is_whole
    tensors = load_file(tmp_path / "lycoris.safetensors")
    alphas = {key.removesuffix(".alpha"): float(tensors[key]) for key in tensors if key.endswith(".alpha")}
    assert sorted(set(alphas.values())) == [2.0, 4.0]
    plain = take_out(whole(base, "lora"), "kohya", tmp_path / "lora.safetensors", base=base)
    assert not [key for key in load_file(tmp_path / "lora.safetensors") if key.endswith(".alpha")]
    assert not plain.judged  # sd-scripts itself takes the rank for the alpha of a plain LoRA


@pytest.mark.parametrize("reader", ["comfyui", "forge", "a1111", "kohya"])
def test_a_lokr_with_two_whole_factors_needs_no_alpha(reader_bases: Bases, tmp_path: Path, reader: str) -> None:
    """Where both factors are whole no program looks at the alpha (Comfy-Org/ComfyUI#15114), so it must not matter."""
    base = reader_bases["sd1"]
    adapter = random_adapter(base, method="lokr", parts=("unet",), size=0.3, rank=64, alpha=2)
    out = tmp_path / "out.safetensors"
    (own,) = take_out(adapter, None, out, reader_name=reader, base=base).judged
    tensors = load_file(out)
    both = [key for key in tensors if key.endswith(".lokr_w1") and key.replace("_w1", "_w2") in tensors]
    assert both
    assert own.is_whole
    assert own.error < 2e-6


def test_a_word_of_one_encoder_of_sdxl_is_passed_over_by_web_uis(reader_bases: Bases, tmp_path: Path) -> None:
    """They compare its width with that of both encoders together (Comfy-Org/ComfyUI#4130 for ComfyUI's side)."""
    base = reader_bases["sdxl"]
    one = random_adapter(base, method="textual_inversion", parts=("text_encoder_2",), size=0.3)
    two = random_adapter(base, method="textual_inversion", parts=("text_encoder", "text_encoder_2"), size=0.3)
    told = " ".join(take_out(one, "textual_inversion", tmp_path / "one.safetensors").told)
    assert "AUTOMATIC1111 and Forge take a word only with rows for both" in told
    for reader in ("a1111", "forge"):
        with pytest.raises(UserError, match=r"only with rows for both.*--allow-unread"):
            take_out(one, None, tmp_path / "no.safetensors", reader_name=reader)
        assert not take_out(two, None, tmp_path / f"{reader}.safetensors", reader_name=reader).told
    with pytest.raises(UserError, match="PEFT reads no words"):
        take_out(two, None, tmp_path / "no.safetensors", reader_name="peft")
    assert not take_out(one, None, tmp_path / "comfyui.safetensors", reader_name="comfyui").told
    simple = random_adapter(reader_bases["sd1"], method="textual_inversion", parts=("text_encoder",), size=0.3)
    assert not take_out(simple, None, tmp_path / "sd1.safetensors", reader_name="a1111").told
    assert not (tmp_path / "no.safetensors").exists()


def test_stable_diffusion_2_has_another_name_for_its_text_encoder() -> None:
    """ComfyUI calls it ``clip_h``; under ``clip_l`` it would be passed over."""

    def names(width: int, *parts: str) -> ModuleNames:
        encoder = torch.nn.Module()
        encoder.token_embedding = torch.nn.Embedding(3, width)
        return ModuleNames(dict.fromkeys(parts, encoder))

    place = Place("text_encoder", "token_embedding")
    assert comfyui_name(place, names(1024, "text_encoder")).startswith("text_encoders.clip_h.")
    assert comfyui_name(place, names(768, "text_encoder")).startswith("text_encoders.clip_l.")
    assert comfyui_name(place, names(1024, "text_encoder", "text_encoder_2")).startswith("text_encoders.clip_l.")


@pytest.mark.parametrize("format_name", ["kohya", "diffusers"])
def test_without_the_base_the_same_is_said_of_lora(reader_bases: Bases, tmp_path: Path, format_name: str) -> None:
    """Names are then looked up in what the adapter alone shows of the base."""
    base = reader_bases["sd1"]
    adapter = whole(base, "lora")
    with_base = take_out(adapter, format_name, tmp_path / "with.safetensors", base=base)
    without = take_out(adapter, format_name, tmp_path / "without.safetensors")
    assert without.told == with_base.told
    assert bool(without.told) == (format_name == "diffusers")


def test_a_reader_and_a_format_must_fit(reader_bases: Bases, tmp_path: Path) -> None:
    base = reader_bases["sd1"]
    adapter = random_adapter(base, method="lora", parts=("unet",))
    out = tmp_path / "out.safetensors"
    for format_name, reader, match in (
        ("diffusers", "a1111", "does not read diffusers LoRA file. It reads kohya"),
        ("checkpoint_file", "comfyui", "leave it away"),
        (None, None, "Give --for PROGRAM, --format FORMAT, or both"),
        (None, "comfy", "Did you mean 'comfyui'"),
    ):
        with pytest.raises(UserError, match=match):
            take_out(adapter, format_name, out, reader_name=reader, base=base)
    with pytest.raises(UserError, match="--base"):
        take_out(adapter, None, out, reader_name="a1111")
    assert not list(tmp_path.iterdir())


def test_a_method_of_another_form_becomes_small_with_a_rank(reader_bases: Bases, tmp_path: Path) -> None:
    base = reader_bases["sd1"]
    adapter = random_adapter(base, method="dora", parts=("unet",), size=0.3)
    full = take_out(adapter, None, tmp_path / "full.safetensors", reader_name="a1111", base=base)
    assert "DoRA became full deltas" in " ".join(full.notes)
    small = take_out(adapter, None, tmp_path / "small.safetensors", reader_name="a1111", base=base, rank=3)
    assert "of a module's delta was lost" in " ".join(small.notes)
    assert {key.rpartition(".")[0].rpartition(".")[2] for key in load_file(tmp_path / "small.safetensors")} >= {
        "lora_up"
    }
    (own,) = small.judged
    assert own.is_whole
