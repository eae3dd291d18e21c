"""Blocks are counted as the base has them, whatever few layers an adapter touches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from pipelines.base_card import base_card
from pipelines.blocks import (
    LISTS,
    UNetLayout,
    block_of,
    check_names,
    group_of,
    layout_of_card,
    layout_of_paths,
    weights_by_layer,
)
from pipelines.families import LoadedBase
from pipelines.formats._names import original_unet_names
from pipelines.mixing import Mixture
from pipelines.recipe import parse_recipe
from studio.engine.jobs.adapter_blocks import JOB
from studio.engine.workbench import Workbench
from studio.library.library import Library
from studio.operations.blend import needs_a_base
from tests.support import random_adapter
from trainers.adapter import Adapter, AdapterPart, write_adapter
from trainers.card import AdapterCard, BaseCard, PartCard
from trainers.errors import UserError

SD1, SDXL = UNetLayout((2, 2, 2, 2)), UNetLayout((2, 2, 2))
DOWN = "down_blocks.2.attentions.0.transformer_blocks.0.attn1.to_q"
UP = "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
_SD1_WIDTHS = {"unet_levels": 4, "unet_width": 320}


def unet(layers: tuple[int, ...]) -> UNet2DConditionModel:
    """Return a UNet without storage, with attention on all levels but the last on the way down."""
    with torch.device("meta"):
        return UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8,) * len(layers),
            layers_per_block=layers,
            down_block_types=("CrossAttnDownBlock2D",) * (len(layers) - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (len(layers) - 1),
            cross_attention_dim=8,
            attention_head_dim=2,
            norm_num_groups=4,
        )


def adapter_of(card: BaseCard, *paths: str) -> Adapter:
    """Return a LoRA on these layers of 8 to 8."""
    keys = {f"base_model.model.{path}.lora_{leaf}.weight": shape for path in paths
            for leaf, shape in (("A", (2, 8)), ("B", (8, 2)))}  # fmt: skip
    part = AdapterPart(
        {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": list(paths)},
        {key: torch.ones(shape) for key, shape in keys.items()},
    )
    facts = AdapterCard(name="a", base=card, parts={"unet": PartCard(method="lora")})
    return Adapter(facts, {"unet": part}, {})


def kept(blocks: Any, card: BaseCard, *paths: str) -> dict[str, float]:
    """Return path -> weight of the layers that are left of an adapter."""
    recipe = parse_recipe({"inputs": [{"adapter": "a", "blocks": blocks}]})
    mixed = Mixture(recipe, {"a": adapter_of(card, *paths)}).at()
    return {path: layer.weights[0] for (_, path), layer in mixed.layers.items()}


@pytest.mark.parametrize("layers", [(2, 2, 2, 2), (2, 2, 2), (1, 1), (1, 3, 2)])
def test_every_module_lies_in_the_block_that_the_original_code_lists_it_in(layers: tuple[int, ...]) -> None:
    model = unet(layers)
    layout = layout_of_paths(path for path, _ in model.named_modules())
    assert layout == UNetLayout(layers)
    names = original_unet_names(model)
    numbered = 0
    for path, name in names.items():
        kind, number = name.split(".")[:2]
        wanted = {"input_blocks": "IN", "output_blocks": "OUT"}.get(kind)
        if wanted is not None:
            assert layout.block_of(path) == f"{wanted}{int(number):02d}", path
            numbered += 1
    assert numbered > 20


@pytest.mark.parametrize(
    ("path", "block", "group"),
    [
        ("conv_in", "IN00", "conv_in"),
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "IN01", "down_blocks.0"),
        ("down_blocks.0.downsamplers.0.conv", "IN03", "down_blocks.0"),
        ("down_blocks.2.attentions.1.proj_in", "IN08", "down_blocks.2"),
        ("down_blocks.3.resnets.1.conv1", "IN11", "down_blocks.3"),
        ("mid_block.attentions.0.proj_in", "M00", "mid_block"),
        ("up_blocks.0.resnets.0.conv1", "OUT00", "up_blocks.0"),
        ("up_blocks.1.attentions.0.proj_in", "OUT03", "up_blocks.1"),
        ("up_blocks.1.upsamplers.0.conv", "OUT05", "up_blocks.1"),
        ("up_blocks.3.attentions.2.proj_out", "OUT11", "up_blocks.3"),
        ("time_embedding.linear_1", "BASE", "time_embedding"),
    ],
)
def test_layers_lie_in_the_blocks_that_webui_users_know(path: str, block: str, group: str) -> None:
    assert block_of("unet", path, SD1) == block
    assert group_of("unet", path) == group


def test_an_adapter_of_two_layers_does_not_change_the_count() -> None:
    """One attention on a level would make one layer a level, if the adapter's own were counted."""
    card = BaseCard(name="b", family="sd1", fingerprint="f", widths=_SD1_WIDTHS)
    values = [1.0] * 26
    values[LISTS[26].index("IN07")] = 0.0
    assert kept(values, card, DOWN, UP) == {UP: 1.0}
    assert kept({"IN07": 0, "default": 1}, card, DOWN, UP) == {UP: 1.0}
    assert kept({"OUT03": 0.5, "default": 1}, card, DOWN, UP) == {DOWN: 1.0, UP: 0.5}
    with pytest.raises(UserError, match=r"'IN05' fits no layer. There are IN07, OUT03"):
        kept({"IN05": 0, "default": 1}, card, DOWN, UP)


def test_the_card_decides_before_the_family() -> None:
    """A distilled UNet has the widths of Stable Diffusion 1 and one layer a level."""
    small = BaseCard(name="b", family="sd1", fingerprint="f", widths=_SD1_WIDTHS, unet_layers=(1, 1, 1, 1))
    assert kept({"IN05": 0, "default": 1}, small, DOWN, UP) == {UP: 1.0}
    with pytest.raises(
        UserError, match=r"26 values, for a UNet whose levels have 2, 2, 2, 2 layers. This base's have 1"
    ):
        kept([1.0] * 26, small, DOWN)
    assert layout_of_card(BaseCard(name="b", family="sdxl", fingerprint="f", widths=_SD1_WIDTHS)) is None
    assert layout_of_card(small.model_copy(update={"unet_layers": ()})) == SD1


def test_without_a_layout_numbers_are_refused_and_paths_are_not() -> None:
    unknown = BaseCard(name="b", family="sd1", fingerprint="f", widths={"unet_levels": 3, "unet_width": 64})
    for blocks in ([1.0] * 17, {"IN07": 0.0, "default": 1.0}):
        with pytest.raises(UserError, match="Give the base with --base, or name blocks by the beginnings"):
            kept(blocks, unknown, DOWN, UP)
    assert kept({"down_blocks.2": 0.5, "M00": 1, "default": 1}, unknown, DOWN, UP, "mid_block.x")[DOWN] == 0.5


@pytest.mark.parametrize(("count", "layout"), [(12, SD1), (20, SD1), (17, SDXL), (26, SDXL), (17, UNetLayout((1, 1)))])
def test_a_list_for_another_kind_of_base_is_refused(count: int, layout: UNetLayout) -> None:
    with pytest.raises(UserError, match=f"{count} values, for a UNet whose levels"):
        weights_by_layer([1.0] * count, "unet", ["mid_block.x"], layout, what="it")


def test_a_layer_outside_the_base_is_refused() -> None:
    with pytest.raises(UserError, match="lies outside a UNet whose levels have 2, 2, 2 layers"):
        SDXL.block_of("down_blocks.3.attentions.0.proj_in")
    with pytest.raises(UserError, match="lies outside"):
        UNetLayout((1, 1)).block_of("down_blocks.0.resnets.1.conv1")


def test_values_by_block_reach_their_layers() -> None:
    path = "down_blocks.2.attentions.1.transformer_blocks.0.attn1.to_q"  # IN08
    for count, place, layout in ((17, 6, SD1), (26, 9, SD1), (12, 4, SDXL), (20, 9, SDXL)):
        values = [0.0] * count
        values[place] = 0.75
        assert weights_by_layer(values, "unet", [path], layout, what="it") == {path: 0.75}
    values = [0.5, *[0.0] * 16]
    assert weights_by_layer(values, "text_encoder", ["layers.0.q"], SD1, what="it") == {"layers.0.q": 0.5}
    named = {"down_blocks": 0.1, "down_blocks.2": 0.2, "IN08": 0.3, "default": 0.4}
    assert weights_by_layer(named, "unet", [path, "mid_block.x"], SD1, what="it") == {path: 0.2, "mid_block.x": 0.4}


def test_a_short_list_on_a_convolution_says_what_its_makers_do() -> None:
    """sd-webui-lora-block-weight gives the blocks that 17 values do not name 0, without a word."""
    with pytest.raises(UserError, match=r"IN06, which 17 values do not cover. .* \(lora-block-weight leaves them out"):
        weights_by_layer([1.0] * 17, "unet", ["down_blocks.1.downsamplers.0.conv"], SD1, what="it")


@pytest.mark.parametrize("name", ["IN99", "M00", "mid_blockk", "down_block", "text"])
def test_a_block_that_no_part_has_is_named(name: str) -> None:
    layers = [("unet", "down_blocks.2.attentions.1.to_q"), ("text_encoder", "layers.0.q_proj")]
    check_names(["IN08", "BASE", "layers", "down_blocks.2", "default"], layers, SD1, what="it")
    with pytest.raises(UserError, match=rf"'{name}' fits no layer. There are BASE, IN08, and down_blocks.2, layers.0"):
        check_names(["IN08", name], layers, SD1, what="it")


def test_kohyas_25_values_are_told_what_they_lack() -> None:
    with pytest.raises(UserError, match="25, which lack the text encoder's: put it first"):
        parse_recipe({"inputs": [{"adapter": "a", "blocks": [1] * 25}]})


def test_cards_remember_the_levels_and_the_page_counts_by_them(base: LoadedBase, tmp_path: Path) -> None:
    assert base_card(base).unet_layers == (1, 1)
    made = random_adapter(base, "one", targets=("attention",))
    assert made.card.base.unet_layers == (1, 1)
    library = Library(tmp_path)
    write_adapter(library.adapters_folder / "one", made)
    old = made.card.base.model_copy(update={"unet_layers": ()})
    before = Adapter(made.card.model_copy(update={"base": old, "name": "old"}), made.parts, {})
    write_adapter(library.adapters_folder / "old", before)
    bench = Workbench(library, lambda event: None, lambda: None)
    shown = {name: next(iter(JOB.run(bench, {"adapter": name})))["blocks"] for name in ("one", "old")}
    assert shown["one"] == ["BASE", "IN01", "M00", "OUT02", "OUT03"]
    assert shown["old"] == ["BASE", "down_blocks.0", "M00", "up_blocks.1"]
    recipes = {
        name: parse_recipe({"inputs": [{"adapter": name, "blocks": dict.fromkeys(blocks, 1.0)}]})
        for name, blocks in shown.items()
    }
    assert not needs_a_base(library, recipes["old"])  # a path says where it is
    counted = parse_recipe({"inputs": [{"adapter": "old", "blocks": {"IN01": 0.0, "default": 1.0}}]})
    assert needs_a_base(library, counted)
    mixture = Mixture(counted, {"old": before}, base)
    assert not any("down_blocks.0" in path for _, path in mixture.at().deltas)
