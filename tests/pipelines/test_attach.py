"""Attach, weigh and detach: the base stays bit-identical, and weight w means w times the delta."""

import dataclasses

import pytest
import torch
from torch import Tensor

from pipelines.attach import Attachments, attached, other_weights_notice
from pipelines.base_check import check_base
from pipelines.deltas import read_deltas
from pipelines.families import LoadedBase
from tests.support import bits, random_adapter
from trainers.adapter import Adapter, AdapterPart
from trainers.errors import UserError


def outputs(base: LoadedBase) -> dict[str, Tensor]:
    with torch.no_grad():
        text = base.encode_text(["a red boat"])
        noisy = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
        return {**text, "predicted": base.predict(noisy, torch.tensor([500]), text)}


def changed_part(adapter: Adapter, part: str, **changes: object) -> Adapter:
    content = dataclasses.replace(adapter.parts[part], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(adapter, parts={**adapter.parts, part: content})


def test_weight_zero_equals_the_base_bit_for_bit(base: LoadedBase) -> None:
    before = bits(outputs(base))
    with attached(base, {"a": random_adapter(base, seed=1), "b": random_adapter(base, seed=2)}) as attachments:
        assert bits(outputs(base)) == before
        attachments.set_weights({"a": 1.0, "b": -0.5})
        assert bits(outputs(base)) != before
        attachments.set_weights({"a": 0.0})
        assert bits(outputs(base)) == before
    assert bits(outputs(base)) == before


def test_leaving_the_block_with_weights_on_restores_the_base(base: LoadedBase) -> None:
    before = bits(outputs(base))
    with attached(base, {"a": random_adapter(base, seed=1), "b": random_adapter(base, seed=2)}) as attachments:
        attachments.set_weights({"a": 0.7, "b": 1.0})
    assert bits(outputs(base)) == before
    assert not hasattr(base.parts["unet"], "peft_config")


@pytest.mark.parametrize("rank_stabilised", [False, True])
@pytest.mark.parametrize("weight", [1.0, 0.3, -2.0])
def test_weight_w_adds_w_times_the_delta_in_every_layer(base: LoadedBase, weight: float, rank_stabilised: bool) -> None:
    adapter = random_adapter(
        base,
        rank=3,
        alpha=5.0,
        rank_stabilised=rank_stabilised,
        parts=("unet",),
        targets=("attention", "feed_forward", "convolution"),
    )
    deltas = read_deltas(adapter.parts["unet"], what="unet")
    generator = torch.Generator().manual_seed(0)
    with attached(base, {"a": adapter}) as attachments, torch.no_grad():
        for path, delta in deltas.items():
            layer = base.parts["unet"].get_submodule(path)
            width = delta.down.shape[1]
            inputs = torch.randn((2, width, 5, 5) if delta.down.ndim == 4 else (2, 4, width), generator=generator)
            attachments.set_weights({})
            plain = layer(inputs).double()
            attachments.set_weights({"a": weight})
            added = layer(inputs).double() - plain
            dense = delta.dense()
            host = layer.get_base_layer()
            expected = weight * (
                torch.nn.functional.conv2d(inputs.double(), dense, stride=host.stride, padding=host.padding)
                if dense.ndim == 4
                else inputs.double() @ dense.T
            )
            assert torch.allclose(added, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())), path


def test_two_adapters_add_and_each_can_be_weighed_alone(base: LoadedBase) -> None:
    adapters = {"one": random_adapter(base, seed=1, rank=2), "two": random_adapter(base, seed=2, rank=5)}
    sums = [read_deltas(adapter.parts["text_encoder"], what="te") for adapter in adapters.values()]
    path = next(iter(sums[0]))
    inputs = torch.randn(1, 3, 32, generator=torch.Generator().manual_seed(0))
    with attached(base, adapters) as attachments, torch.no_grad():
        layer = base.parts["text_encoder"].get_submodule(path)
        plain = layer(inputs)
        attachments.set_weights({"one": 0.4, "two": -1.5})
        both = layer(inputs) - plain
        attachments.set_weights({"two": -1.5})
        second = layer(inputs) - plain
    first_delta, second_delta = (deltas[path].dense() for deltas in sums)
    wanted = inputs.double() @ (0.4 * first_delta - 1.5 * second_delta).T
    assert torch.allclose(both.double(), wanted, atol=1e-5)
    assert torch.allclose(second.double(), inputs.double() @ (-1.5 * second_delta).T, atol=1e-5)


def test_names_with_dots_and_long_names_attach(base: LoadedBase) -> None:
    names = ["v1.2.3-style_x", "a.b", "x" * 100]
    before = bits(outputs(base))
    with attached(base, {name: random_adapter(base, seed=n) for n, name in enumerate(names)}) as attachments:
        found = set()
        for name in names:
            attachments.set_weights({name: 1.0})
            found.add(str(bits(outputs(base))))
        assert len(found) == len(names)
        attachments.remove("a.b")
        with pytest.raises(UserError, match=r"'a\.b' is not attached"):
            attachments.set_weights({"a.b": 1.0})
    assert bits(outputs(base)) == before


def test_removing_one_adapter_leaves_the_other_working(base: LoadedBase) -> None:
    with attached(base, {"a": random_adapter(base, seed=1)}) as alone:
        alone.set_weights({"a": 0.8})
        wanted = bits(outputs(base))
    with attached(base, {"b": random_adapter(base, seed=2), "a": random_adapter(base, seed=1)}) as attachments:
        attachments.set_weights({"b": 1.0, "a": 1.0})
        attachments.remove("b")
        attachments.set_weights({"a": 0.8})
        assert bits(outputs(base)) == wanted


def test_matched_layers_are_counted(base: LoadedBase) -> None:
    adapter = random_adapter(base)
    with attached(base, {"a": adapter}) as attachments:
        assert attachments.matched["a"] == sum(len(part.tensors) for part in adapter.parts.values()) // 2 > 0


def _without_one_tensor(adapter: Adapter) -> Adapter:
    tensors = dict(adapter.parts["text_encoder"].tensors)
    for key in list(tensors)[:2]:
        del tensors[key]
    return changed_part(adapter, "text_encoder", tensors=tensors)


def _with_another_width(adapter: Adapter) -> Adapter:
    tensors = {key: value[:, :-1] if "lora_A" in key else value for key, value in adapter.parts["unet"].tensors.items()}
    return changed_part(adapter, "unet", tensors=tensors)


def _with_foreign_keys(adapter: Adapter) -> Adapter:
    tensors = {key.replace("attn1", "attn9"): value for key, value in adapter.parts["unet"].tensors.items()}
    return changed_part(adapter, "unet", tensors=tensors)


def _with_foreign_targets(adapter: Adapter) -> Adapter:
    config = {**adapter.parts["unet"].config, "target_modules": ["nowhere"]}
    return changed_part(adapter, "unet", config=config)


def _with_norm_as_target(adapter: Adapter) -> Adapter:
    config = {**adapter.parts["text_encoder"].config, "target_modules": ["layer_norm1"]}
    return changed_part(adapter, "text_encoder", config=config)


def _of_unknown_type(adapter: Adapter) -> Adapter:
    return changed_part(adapter, "text_encoder", config={"peft_type": "NOVEL", "target_modules": ["q_proj"]})


def _of_prompt_type(adapter: Adapter) -> Adapter:
    return changed_part(adapter, "text_encoder", config={"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3})


@pytest.mark.parametrize(
    "spoil",
    [
        _without_one_tensor,
        _with_another_width,
        _with_foreign_keys,
        _with_foreign_targets,
        _with_norm_as_target,
        _of_unknown_type,
        _of_prompt_type,
    ],
)
def test_a_failed_attach_leaves_base_and_other_adapters_as_they_were(base: LoadedBase, spoil: object) -> None:
    before = bits(outputs(base))
    with attached(base, {"good": random_adapter(base, seed=4)}) as attachments:
        attachments.set_weights({"good": 1.0})
        wanted = bits(outputs(base))
        with pytest.raises(UserError) as caught:
            attachments.add("bad", spoil(random_adapter(base, "bad", seed=5)))  # type: ignore[operator]
        assert "\n" not in str(caught.value)
        assert list(attachments.slots) == ["good"]
        attachments.set_weights({"good": 1.0})
        assert bits(outputs(base)) == wanted
    assert bits(outputs(base)) == before


def test_an_adapter_of_another_family_or_width_is_refused_naming_both(base: LoadedBase) -> None:
    card = random_adapter(base, "mine").card
    other = card.base.model_copy(update={"name": "big-base", "family": "sdxl"})
    with pytest.raises(UserError, match=r"'mine' belongs to the base 'big-base' of family 'sdxl'"):
        check_base(base, card.model_copy(update={"base": other}))
    wide = card.base.model_copy(update={"name": "wide", "widths": {**card.base.widths, "text_width": 768}})
    with pytest.raises(UserError, match="text width 768 instead of 32"):
        check_base(base, card.model_copy(update={"base": wide}))
    more = card.model_copy(update={"parts": {**card.parts, "text_encoder_2": card.parts["unet"]}})
    with pytest.raises(UserError, match="text_encoder_2"):
        check_base(base, more)
    check_base(base, card)


def test_other_weights_of_the_same_shape_are_told_not_refused(base: LoadedBase) -> None:
    card = random_adapter(base, "mine").card
    assert other_weights_notice(base, [card]) == []
    retrained = card.model_copy(update={"base": card.base.model_copy(update={"fingerprint": "f" * 64})})
    assert len(other_weights_notice(base, [retrained])) == 1


def test_a_taken_name_and_an_unknown_name_are_refused(base: LoadedBase) -> None:
    attachments = Attachments(base)
    attachments.add("a", random_adapter(base))
    with pytest.raises(UserError, match="attached already"):
        attachments.add("a", random_adapter(base))
    with pytest.raises(UserError, match="Attached: a"):
        attachments.set_weights({"b": 1.0})
    attachments.remove("a")


def test_tensors_of_an_attached_adapter_are_the_files_bits(base: LoadedBase) -> None:
    from trainers.tuners import peft_bridge as bridge

    adapter = random_adapter(base)
    with attached(base, {"a": adapter}) as attachments:
        for part, content in adapter.parts.items():
            assert bits(bridge.read_state(base.parts[part], attachments.slots["a"])) == bits(content.tensors)
    assert isinstance(adapter.parts["unet"], AdapterPart)
