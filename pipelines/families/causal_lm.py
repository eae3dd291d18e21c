"""Causal language models of transformers: Llama, Qwen, Mistral, GPT-2 and every other that AutoModelForCausalLM loads.

The pocket language model is of this family. Weights are read from safetensors alone, and no code that a base brings is
run unless that is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.families._family import Family, LoadedBase, Part
from pipelines.families._language import language_targets
from pipelines.fingerprint import fingerprint_of_folder
from pipelines.weight_files import variant_of
from trainers.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import nn

PART = "language_model"
_UNKNOWN_LENGTH = 2048
_LIMIT_LENGTH = 1 << 20
PLAIN_TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ 'Assistant:' }}{% generation %}{{ ' ' + message['content'] + eos_token }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ message['role'] | capitalize + ': ' + message['content'] + '\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""What a base without a chat template is talked to with."""


class CausalLanguageModel:
    """A loaded base of this family; see `TextBase` for what its members promise."""

    family = "causal_lm"

    def __init__(
        self, name: str, folder: Path, device: torch.device, dtype: torch.dtype, *, with_code: bool = False
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if not with_code and not (folder / "config.json").is_file():
            raise UserError(f"The base {name!r} has no config.json.")
        _check_files(name, folder, with_code)
        self.name = name
        self.device, self.dtype = device, dtype
        self.fingerprint = fingerprint_of_folder(folder, (".",))
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=with_code, local_files_only=True, use_fast=True
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise UserError(_no_tokenizer(name, folder)) from error
        self.model: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            trust_remote_code=with_code,
            local_files_only=True,
            use_safetensors=True,
            variant=variant_of(folder),
            dtype=dtype,
            attn_implementation="sdpa" if not with_code else None,
        )
        self.model.requires_grad_(False).eval().to(device)
        config = self.model.config
        _check_tokenizer(name, self.tokenizer, self.model)
        self._targets = language_targets(self.model)  # found now, while the model is bare
        self.own_template = bool(self.tokenizer.chat_template)
        if not self.own_template:
            self.tokenizer.chat_template = PLAIN_TEMPLATE
        if self.tokenizer.pad_token_id is None:  # padding is masked everywhere, so any token will do
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.context_tokens = _context_tokens(config, self.tokenizer)
        self.stop_numbers: Sequence[int] = _stop_numbers(self.model, self.tokenizer)
        self.widths: Mapping[str, int] = {
            "language_width": int(config.hidden_size),
            "language_layers": int(config.num_hidden_layers),
            "vocabulary": int(self.model.get_input_embeddings().weight.shape[0]),
        }

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {PART: self.model}

    def targets(self, part: str, wanted: Sequence[str]) -> tuple[str, ...]:
        return self._targets(wanted)

    def new_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self.model.config)

    def token_ids(self, part: str, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids)


def _check_files(name: str, folder: Path, with_code: bool) -> None:
    """Refuse what the library would refuse with a page of text, or read by unpickling."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if isinstance(config, dict) and "auto_map" in config and not with_code:
        from transformers import AutoConfig

        try:  # many models that transformers has by now still name the code that they once came with
            AutoConfig.for_model(str(config.get("model_type")))
        except ValueError as error:
            raise UserError(
                f"The base {name!r} needs Python code that it brings itself, and running it can do anything to this "
                "computer. If you trust it, give --trust-remote-code."
            ) from error
    if not any(folder.glob("*.safetensors")):
        others = sorted(path.name for path in (*folder.glob("*.bin"), *folder.glob("*.pt*"), *folder.glob("*.gguf")))
        found = f" It holds {', '.join(others[:3])}, which is not read." if others else ""
        raise UserError(f"The base {name!r} holds no .safetensors file.{found}")


def _no_tokenizer(name: str, folder: Path) -> str:
    """Say that a base's tokenizer cannot be read; the library says so in a page that does not name the file."""
    found = sorted(path.name for path in (*folder.glob("*token*"), *folder.glob("vocab*"), *folder.glob("merges*")))
    held = f"Of its files {', '.join(found)} one is broken or missing." if found else "It holds no tokenizer file."
    return (
        f"The tokenizer of the base {name!r} cannot be read. {held} Put the tokenizer.json and tokenizer_config.json "
        "that belong to the model beside its config.json."
    )


def _check_tokenizer(name: str, tokenizer: Any, model: Any) -> None:
    rows = int(model.get_input_embeddings().weight.shape[0])
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= rows:
        raise UserError(
            f"The tokenizer does not fit the base {name!r}: it numbers its tokens up to {highest}, and the model knows "
            f"{rows}. Take the tokenizer files that belong to the model."
        )
    if tokenizer.eos_token_id is None:
        raise UserError(f"The tokenizer of the base {name!r} has no end-of-text token, so no answer could end.")


def _context_tokens(config: Any, tokenizer: Any) -> int:
    found = [
        int(value)
        for value in (getattr(config, "max_position_embeddings", None), tokenizer.model_max_length)
        if isinstance(value, int) and 0 < value <= _LIMIT_LENGTH
    ]
    return min(found, default=_UNKNOWN_LENGTH)


def _stop_numbers(model: Any, tokenizer: Any) -> tuple[int, ...]:
    stated = getattr(model.generation_config, "eos_token_id", None)
    numbers = [*(stated if isinstance(stated, list) else [stated]), tokenizer.eos_token_id]
    return tuple(dict.fromkeys(int(number) for number in numbers if number is not None))


def _recognise(folder: Path) -> bool:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    names = config.get("architectures") if isinstance(config, dict) else None
    return isinstance(names, list) and any(
        isinstance(name, str) and name.endswith(("ForCausalLM", "LMHeadModel")) for name in names
    )


def _load(name: str, folder: Path, device: torch.device, dtype: torch.dtype) -> LoadedBase:
    return CausalLanguageModel(name, folder, device, dtype)


def _load_with_code(name: str, folder: Path, device: torch.device, dtype: torch.dtype) -> LoadedBase:
    return CausalLanguageModel(name, folder, device, dtype, with_code=True)


def _tiny(folder: Path) -> None:
    """Write a random Llama: 2 layers, width 32, byte-level tokens, a chat template with marked answers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from pipelines.families._tiny import write_chat_tokenizer

    size = write_chat_tokenizer(folder)
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    tokens = {"vocab_size": size, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = LlamaConfig(**small, **tokens, num_key_value_heads=2, max_position_embeddings=256)
    LlamaForCausalLM(config).save_pretrained(folder, safe_serialization=True)


FAMILY = Family(
    name="causal_lm",
    title="causal language model of transformers",
    recognise=_recognise,
    load=_load,
    tiny=_tiny,
    parts=(Part(PART, "Language model", trained_by_default=True),),
    role="text",
    files=("*.safetensors", "*.txt", "*.model", "*.jinja"),
    load_with_code=_load_with_code,
)
