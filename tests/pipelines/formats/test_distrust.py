"""What a file from elsewhere may try, and what is said about files that do not fit."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from pipelines.families import LoadedBase
from pipelines.importing import bring_in
from tests.pipelines.formats import files
from trainers.errors import UserError

HOST = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
Change = Callable[[dict[str, Tensor]], object]


def plain() -> dict[str, Tensor]:
    """Return a good file of one module, 32 by 32."""
    down, up = torch.ones(2, 32), torch.ones(32, 2)
    return {f"{HOST}.lora_down.weight": down, f"{HOST}.lora_up.weight": up, f"{HOST}.alpha": torch.tensor(1.0)}


def set_to(end: str, value: Tensor) -> Change:
    return lambda tensors: tensors.update({f"{HOST}.{end}": value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_to("lora_down.weight", torch.full((2, 32), float("nan"))), "not finite"),
        (set_to("alpha", torch.tensor(float("inf"))), "not finite"),
        (set_to("alpha", torch.tensor(1e9)), "out of range"),
        (set_to("alpha", torch.ones(3)), "its alpha holds 3 numbers"),
        (set_to("lora_down.weight", torch.ones(2, 32).int()), "is of type int32"),
        (set_to("lora_down.weight", torch.ones(2, 0)), "is empty"),
        (set_to("lora_down.weight", torch.ones(3, 32)), r"its lora_down \[3, 32\] does not fit"),
        (set_to("lora_down.weight", torch.ones(2, 48)), r"the base's weight is \[32, 32\]"),
        (set_to("lora_up.weight", torch.ones(32)), "lora_up"),
        (lambda tensors: tensors.pop(f"{HOST}.lora_up.weight"), "its up factor is missing"),
        (lambda tensors: tensors.pop(f"{HOST}.lora_down.weight"), "its down factor is missing"),
        (set_to("hada_w1_a", torch.ones(32, 2)), "it also holds hada_w1_a"),
        (set_to("dora_scale", torch.ones(5)), "its dora_scale"),
        (set_to("diff_b", torch.ones(32)), "a bias that the module lacks"),
        (lambda tensors: tensors.update({"x" * 600 + ".alpha": torch.tensor(1.0)}), "key of 602|key of 606"),
        (lambda tensors: tensors.update({f"{HOST}.payload": torch.ones(1)}), "1 name does not"),
        (lambda tensors: tensors.update({f"{HOST}_more.alpha": torch.ones(1)}), "1 name does not"),
    ],
)
def test_broken_files_are_refused_with_the_reason(
    shared_base: LoadedBase, tmp_path: Path, change: Change, message: str
) -> None:
    tensors = plain()
    change(tensors)
    save_file(tensors, tmp_path / "bad.safetensors")
    with pytest.raises(UserError, match=message):
        bring_in(tmp_path / "bad.safetensors", shared_base, "bad")


@pytest.mark.parametrize(
    ("leaves", "message"),
    [
        ({"lokr_w1": (2, 2), "lokr_w2": (4, 4)}, "Kronecker"),
        ({"lokr_w1": (2, 2), "lokr_w1_a": (2, 1), "lokr_w2": (16, 16)}, "either lokr_w1 or both"),
        ({"lokr_w1": (2, 2), "lokr_w2_a": (16, 1)}, "either lokr_w2 or both"),
        ({"hada_w1_a": (32, 2), "hada_w1_b": (2, 32), "hada_w2_a": (32, 2)}, "hada_w2_b is missing"),
        ({"hada_w1_a": (32, 2), "hada_w1_b": (3, 32), "hada_w2_a": (32, 2), "hada_w2_b": (2, 32)}, "hada factor"),
        ({"oft_blocks": (3, 4, 4)}, "oft_blocks"),
        ({"oft_blocks": (2, 4, 4, 4)}, "its oft_blocks .* does not fit"),
        ({"oft_blocks": (2, 32, 1, 1)}, "its oft_blocks .* does not fit"),
        ({"oft_blocks": (5, 8, 4, 4)}, "its oft_blocks .* does not fit"),
        ({"a1.weight": (32, 2), "a2.weight": (2, 32), "b1.weight": (32, 2)}, "its b2 factor is missing"),
        ({"a1.weight": (32, 2), "a2.weight": (2, 32), "b1.weight": (32, 3), "b2.weight": (3, 32)}, "its a1"),
        ({"a1.weight": (32, 2), "bm.weight": (2, 2, 3, 3)}, "a GLoRA with a Tucker core, which is not read"),
        ({"weight": (32,)}, "without on_input"),
        ({"diff": (32, 31)}, "its diff"),
    ],
)
def test_broken_kinds_are_refused(
    shared_base: LoadedBase, tmp_path: Path, leaves: dict[str, tuple[int, ...]], message: str
) -> None:
    save_file({f"{HOST}.{end}": torch.ones(shape) for end, shape in leaves.items()}, tmp_path / "bad.safetensors")
    with pytest.raises(UserError, match=message):
        bring_in(tmp_path / "bad.safetensors", shared_base, "bad")


def test_the_older_order_of_factors_of_glora_is_known(shared_base: LoadedBase, tmp_path: Path) -> None:
    new = {f"{name}.weight": torch.randn(shape) for name, shape in
           (("a1", (32, 2)), ("a2", (2, 32)), ("b1", (32, 2)), ("b2", (2, 32)))}  # fmt: skip
    old = {end: new[f"{end[0]}{3 - int(end[1])}.weight"] for end in new}
    deltas = []
    for name, leaves in (("new", new), ("old", old)):
        save_file({f"{HOST}.{end}": tensor for end, tensor in leaves.items()}, tmp_path / f"{name}.safetensors")
        found = bring_in(tmp_path / f"{name}.safetensors", shared_base, "it")
        assert "1 GLoRA became full deltas, because PEFT has no exact form" in found.notes[0]
        deltas.append(found.adapters["it"].parts["unet"].tensors)
    assert deltas[0].keys() == deltas[1].keys()
    assert all(torch.equal(deltas[1][key], tensor) for key, tensor in deltas[0].items())


def test_an_oft_of_kohya_with_an_alpha_of_0_is_told(shared_base: LoadedBase, tmp_path: Path) -> None:
    host = HOST.replace("lora_unet", "oft_unet")
    tensors = {f"{host}.oft_blocks": torch.ones(8, 4, 4), f"{host}.alpha": torch.tensor(0.0)}
    save_file(tensors, tmp_path / "still.safetensors")
    with pytest.raises(UserError, match="its alpha of 0 lets it turn nothing"):
        bring_in(tmp_path / "still.safetensors", shared_base, "it")


def test_a_file_for_another_base_says_what_it_is_for(base: LoadedBase, tmp_path: Path) -> None:
    other = {
        "lora_unet_input_blocks_7_1_transformer_blocks_9_attn1_to_q.lora_down.weight": torch.ones(2, 64),
        "lora_unet_input_blocks_7_1_transformer_blocks_9_attn1_to_q.lora_up.weight": torch.ones(64, 2),
    }
    save_file(other, tmp_path / "sdxl.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"})
    with pytest.raises(UserError, match="None of 1 name") as caught:
        bring_in(tmp_path / "sdxl.safetensors", base, "it")
    assert "for sdxl_base_v1-0" in str(caught.value)
    assert "family 'sd1'" in str(caught.value)
    mixed = {**plain(), "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(2, 8)}
    save_file(mixed, tmp_path / "two.safetensors")
    with pytest.raises(UserError, match=r"1 module of .* matches .* and 1 name does not") as caught:
        bring_in(tmp_path / "two.safetensors", base, "it")
    assert "SDXL (it has a second text encoder)" in str(caught.value)
    found = bring_in(tmp_path / "two.safetensors", base, "it", allow_unmatched=True)
    assert (dict(found.matched), len(found.unmatched)) == ({"unet": 1}, 1)


def test_a_module_named_twice_is_refused(base: LoadedBase, tmp_path: Path) -> None:
    again = HOST.replace("lora_unet_mid_block_attentions_0", "lora_unet_middle_block_1")
    twice = {**plain(), **{key.replace(HOST, again): tensor.clone() for key, tensor in plain().items()}}
    save_file(twice, tmp_path / "twice.safetensors")
    with pytest.raises(UserError, match="names this module twice"):
        bring_in(tmp_path / "twice.safetensors", base, "it")


@pytest.mark.parametrize(
    "values", ['{"unet.lora_alpha": "many"}', '{"unet.lora_alpha": NaN}', '{"unet.alpha_pattern": ["to_q"]}']
)
def test_hostile_alphas_in_metadata_are_refused(base: LoadedBase, tmp_path: Path, values: str) -> None:
    path = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    tensors = {f"{path}.lora_A.weight": torch.ones(2, 32), f"{path}.lora_B.weight": torch.ones(32, 2)}
    save_file(tensors, tmp_path / "a.safetensors", {"lora_adapter_metadata": values})
    with pytest.raises(UserError, match="no usable alphas"):
        bring_in(tmp_path / "a.safetensors", base, "it")


def test_pickles_are_only_read_by_the_weights_only_reader(base: LoadedBase, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return (Path.touch, (marker,))

    torch.save({"string_to_param": Payload()}, tmp_path / "bad.pt")
    with pytest.raises(UserError, match="more than tensors"):
        bring_in(tmp_path / "bad.pt", base, "it")
    assert not marker.exists()


def test_a_pickle_that_is_no_embedding_is_told_what_it_is(
    base: LoadedBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.pt").touch()
    layers = {"model.diffusion_model.out.2.weight": torch.zeros(2)}
    torch.save({"state_dict": layers, "epoch": 3}, tmp_path / "model.ckpt")
    torch.save(layers, tmp_path / "bare.ckpt")
    torch.save({"lora_unet_mid.lora_up.weight": torch.zeros(2)}, tmp_path / "lora.pt")
    said = {
        "empty.pt": r"is empty \(0 bytes\)",
        "model.ckpt": "a whole model as a pickle, which is not read.*studio extract",
        "bare.ckpt": "a whole model as a pickle, which is not read.*studio extract",
        "lora.pt": "a pickled adapter. Only .safetensors are read",
        "nowhere.pt": "There is no .*nowhere.pt. Give the path of a .safetensors file",
    }
    for name, sentence in said.items():
        with pytest.raises(UserError, match=sentence):
            bring_in(tmp_path / name, base, "it")
    monkeypatch.setattr("pipelines.formats._source._LIMIT_PICKLED_BYTES", 100)
    with pytest.raises(UserError, match=r"bytes, so it is a whole model as a pickle"):
        bring_in(tmp_path / "lora.pt", base, "it")


@settings(max_examples=25)
@given(st.data())
def test_mutated_files_are_read_or_refused_but_never_crash(
    base: LoadedBase, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    kind = data.draw(st.sampled_from(["lora", "tucker", "loha", "lokr", "oft", "boft", "glora", "ia3_input", "full"]))
    content = files.make(files.KINDS[kind], base)
    tensors = {
        f"{files.kohya_name(*place)}.{end}": tensor.clone().contiguous()
        for place, made in list(content.items())[:2]
        for end, tensor in made.leaves.items()
    }
    key = data.draw(st.sampled_from(sorted(tensors)))
    how = data.draw(st.sampled_from(["drop", "reshape", "scalar", "transpose", "rename", "bigger"]))
    tensor = tensors.pop(key)
    if how == "reshape":
        tensors[key] = tensor.reshape(-1)
    elif how == "scalar":
        tensors[key] = torch.tensor(2.0)
    elif how == "transpose":
        tensors[key] = tensor.transpose(0, -1).contiguous() if tensor.ndim > 1 else tensor[None]
    elif how == "rename":
        tensors[key + data.draw(st.sampled_from(["_", ".alpha", ".lora_up.weight"]))] = tensor
    elif how == "bigger":
        tensors[key] = torch.cat([tensor.reshape(1, -1)] * 3)
    if not tensors:
        return
    save_file(tensors, folder / "m.safetensors")
    with contextlib.suppress(UserError):  # any other exception is a crash
        bring_in(folder / "m.safetensors", base, "it", allow_unmatched=True)
