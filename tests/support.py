"""What several tests need: drawn pictures, a toy judge, random adapters, and pictures of folders' contents."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from pipelines.base_card import base_card
from pipelines.families import LoadedBase
from trainers.adapter import Adapter, AdapterPart, config_as_json, write_adapter
from trainers.card import AdapterCard, BaseCard, PartCard
from trainers.methods import Method, find_method
from trainers.tuners import peft_bridge as bridge

SHAPES = ("circle", "box", "line")
COLOURS = ("red", "green", "blue", "orange")


def draw_pictures(folder: Path, count: int, *, size_px: int = 40, captions: bool = True) -> Path:
    """Draw pictures that differ from each other, with a caption each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        colour, shape = COLOURS[number % len(COLOURS)], SHAPES[number % len(SHAPES)]
        picture = Image.new("RGB", (size_px, size_px), (250 - 20 * number, 240, 200 + 5 * number))
        draw = ImageDraw.Draw(picture)
        box = (4 + number, 6, size_px - 8, size_px - 4 - 2 * number)
        {"circle": draw.ellipse, "box": draw.rectangle, "line": draw.line}[shape](box, fill=colour)
        picture.save(folder / f"{number}.png")
        if captions:
            (folder / f"{number}.txt").write_text(f"a {colour} {shape}, paper")
    return folder


def write_tiny_judge(folder: Path) -> None:
    """Write a random CLIPModel with its processor and tokenizer."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    from pipelines.bases import quiet_libraries
    from pipelines.families._tiny import write_byte_tokenizer

    torch.manual_seed(1)
    write_byte_tokenizer(folder)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    config = CLIPConfig(text_config=text, vision_config={**small, "image_size": 32, "patch_size": 8}, projection_dim=16)
    with quiet_libraries():
        CLIPModel(config).save_pretrained(folder)
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


def write_tiny_captioner(folder: Path) -> Path:
    """Write a random BLIP captioning model with its processor and a tokenizer of a dozen words; return the folder."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil, PreTrainedTokenizerFast

    from pipelines.bases import quiet_libraries

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, "a", "red", "green", "blue", "orange", "circle", "box", "line", "paper", ","]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token=special[1]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=False))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    marks = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}
    text = {**small, **marks, "vocab_size": len(words), "encoder_hidden_size": 16, "max_position_embeddings": 64}
    torch.manual_seed(0)
    config = BlipConfig(text_config=text, vision_config={**small, "image_size": 32, "patch_size": 16})
    with quiet_libraries():
        BlipForConditionalGeneration(config).save_pretrained(folder)
        BlipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def random_adapter(
    base: LoadedBase,
    name: str = "random",
    *,
    seed: int = 0,
    size: float = 0.1,
    parts: Sequence[str] = ("unet", "text_encoder"),
    method: str = "lora",
    **settings: Any,
) -> Adapter:
    """Return an adapter whose tensors are all random, made through the real method, so that it has an effect."""
    contents: dict[str, AdapterPart] = {}
    generator = torch.Generator().manual_seed(seed)
    for part in parts:
        chosen = find_method(method)
        plan = chosen.settings.model_validate({**chosen.recommendation(part).settings, **settings})
        config = chosen.peft_config(plan, lambda wanted, part=part: base.targets(part, wanted))
        bridge.attach(base.parts[part], config, "made", what=part)
        state = bridge.read_state(base.parts[part], "made")
        bridge.detach(base.parts[part], "made")
        tensors = {key: torch.randn(value.shape, generator=generator) * size for key, value in state.items()}
        values = config_as_json(config)
        contents[part] = AdapterPart(*(chosen.fold(values, tensors) if chosen.fold else (values, tensors)))
    return Adapter(card_for(base, name, contents, method), contents, {})


def demands(
    method: Method, part: str, module: nn.Module, resolve: Callable[..., tuple[str, ...]], folder: Path
) -> dict[str, Any]:
    """Return settings that a method has no default for; adapters that it is to build on are written into a folder."""
    chosen: dict[str, Any] = {}
    for name in method.settings.naming_adapters():
        chosen[name] = []
        for number, parent in enumerate(("houlsby", "parallel_adapter")):
            record = find_method(parent)
            config = record.peft_config(record.settings.model_validate({"size": 3 + number}), resolve)
            bridge.attach(module, config, "parent", what=part)
            state = bridge.read_state(module, "parent")
            bridge.detach(module, "parent")
            generator = torch.Generator().manual_seed(number)
            tensors = {key: 0.2 * torch.randn(value.shape, generator=generator) for key, value in state.items()}
            base = BaseCard(name="toy", family="toy", fingerprint="0", widths={})
            card = AdapterCard(name=parent, base=base, parts={part: PartCard(method=parent)})
            adapter = Adapter(card, {part: AdapterPart(config_as_json(config), tensors)}, {})
            chosen[name].append(str(folder / parent))
            write_adapter(folder / parent, adapter)
    return chosen


def card_for(base: LoadedBase, name: str, parts: Mapping[str, Any], method: str = "lora") -> AdapterCard:
    """Return a card that says that the adapter belongs to the base."""
    facts = base_card(base)
    return AdapterCard(name=name, base=facts, parts={part: PartCard(method=method) for part in parts})


def bits(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return every tensor's exact content as a digest."""
    return {
        key: hashlib.sha256(value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()).hexdigest()
        for key, value in tensors.items()
    }


def content_of(folder: Path) -> dict[str, str]:
    """Return every file and folder below a folder with its content's digest."""
    if not folder.exists():
        return {}
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Return ‖found − expected‖ / ‖expected‖ in float64."""
    found, expected = found.detach().double(), expected.detach().double()
    return float((found - expected).norm() / expected.norm().clamp(min=1e-300))
