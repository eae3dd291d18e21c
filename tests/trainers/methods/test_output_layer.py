"""The output layer and the table of words as targets: a delta alone is kept, also where both share one tensor."""

from pathlib import Path

import pytest
import torch

from tests.trainers.methods import cells
from trainers.adapter import Adapter, AdapterPart, read_adapter, write_adapter
from trainers.card import AdapterCard, BaseCard, PartCard
from trainers.errors import UserError
from trainers.methods import find_method, methods
from trainers.tuners import peft_bridge as bridge
from trainers.tuners.merging import merge

pytestmark = pytest.mark.filterwarnings("ignore")
HEADS = [
    (name, model)
    for name, method in methods().items()
    for model in ("llama", "gpt2")  # this GPT-2 is tied: its output layer is its table of words
    if "targets" in method.settings.model_fields and method.mergeable and "language_model" in method.parts
    if name != "bitfit"  # an output layer has no bias
]


def written(folder: Path, part: AdapterPart) -> AdapterPart:
    """Return a part as it is read back from a folder of the library."""
    base = BaseCard(name="toy", family="toy", fingerprint="0", widths={})
    card = AdapterCard(name="x", base=base, parts={"language_model": PartCard(method="lora")})
    write_adapter(folder / "x", Adapter(card, {"language_model": part}, {}))
    return read_adapter(folder / "x").parts["language_model"]


@pytest.mark.parametrize(("name", "model_name"), HEADS)
def test_an_adapter_of_the_output_layer_holds_its_delta_alone(name: str, model_name: str, tiny_base: Path) -> None:
    model, method = cells.model(model_name, tiny_base), find_method(name)
    with cells.untouched(model):
        config = cells.attach(method, model, targets=("lm_head",))
        cells.disturb(model)
        wanted = cells.output(model)
        part = cells.saved(method, model, config)
        assert not any(key.endswith(("lm_head.weight", "base_layer.weight")) for key in part.tensors)
        bridge.detach(model.module, "a")
        cells.load(model, part, "read")
        found = cells.output(model)
        assert method.loads_changed or torch.allclose(found, wanted, atol=1e-5)
        assert not torch.equal(found, cells.output_at(model, {}))
        words = model.module.get_input_embeddings().weight.clone()
        unmerge = merge(model.module, {"read": 1.0}, what="toy")
        assert torch.allclose(cells.output(model), found, atol=1e-5)
        assert torch.equal(model.module.get_input_embeddings().weight, words), "a tied table of words is not merged"
        unmerge()


@pytest.mark.parametrize(("model_name", "table"), [("llama", "embed_tokens"), ("gpt2", "wte")])
def test_a_lora_of_the_table_of_words_is_read_back(
    model_name: str, table: str, tiny_base: Path, tmp_path: Path
) -> None:
    model, method = cells.own_model(model_name, tiny_base), find_method("lora")
    config = cells.attach(method, model, targets=(table, "lm_head"))
    cells.disturb(model)
    wanted = cells.output(model)
    part = written(tmp_path, cells.saved(method, model, config))
    ends = {key.rpartition(f"{table}.")[2] for key in part.tensors if table in key}
    assert ends == {"lora_embedding_A", "lora_embedding_B"}
    bridge.detach(model.module, "a")
    cells.load(model, part, "read")
    assert torch.equal(cells.output(model), wanted)


@pytest.mark.parametrize("missing", ["lora_embedding_A", "lora_embedding_B"])
def test_half_a_delta_of_the_words_is_refused(missing: str, tiny_base: Path, tmp_path: Path) -> None:
    model, method = cells.own_model("llama", tiny_base), find_method("lora")
    config = cells.attach(method, model, targets=("embed_tokens", "q_proj"))
    part = cells.saved(method, model, config)
    half = {key: value for key, value in part.tensors.items() if not key.endswith(missing)}
    with pytest.raises(UserError, match="has no lora"):
        written(tmp_path, AdapterPart(part.config, half))


@pytest.mark.parametrize("name", ["prefix_tuning", "p_tuning_v2", "mam"])
def test_a_prefix_of_the_output_layer_is_refused_with_a_sentence(name: str, tiny_base: Path) -> None:
    model, method = cells.own_model("llama", tiny_base), find_method(name)
    settings = method.settings.model_validate(
        {"targets": ("lm_head",)} if "targets" in method.settings.model_fields else {}
    )
    config = method.peft_config(settings, lambda _: ("lm_head",))
    with pytest.raises(UserError, match=r"neither an attention|no attention module"):
        bridge.attach(model.module, config, "a", what="language model")
