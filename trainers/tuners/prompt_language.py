"""Learned tokens in front of what a causal language model reads: [P; E(x)].

P tokens never see the words, so what the words see of them depends on the adapter alone: the keys and values of P in
every layer. They are found by one pass of P through the model, at positions 0 to p − 1, and join every attention like a
prefix; the words move up by p positions. Logits equal those of the joined sequence, while masks, padding, the cache,
beams and streaming stay those of the words. Only the last token's own guess of the first word is never asked for.
"""

import contextlib
import inspect
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from trainers.tuners.keys import Rows, extend
from trainers.tuners.sidecar import Live, Sidecar, Uninstall

Layers = dict[int, tuple[Tensor, Tensor]]
"""By the number of the layer: keys [p, k] and values [p, v]."""
Tokens = Callable[[Live], Tensor]


def is_language_model(host: nn.Module) -> bool:
    """Return whether a part is a causal language model of transformers whose positions can be given."""
    makes = hasattr(host, "base_model") and hasattr(host, "get_input_embeddings") and hasattr(host, "config")
    return makes and "position_ids" in inspect.signature(type(host).forward).parameters and bool(_attentions(host))


def install_language(host: nn.Module, sidecar: Sidecar, tokens: Tokens) -> Uninstall:
    """Let a language model read a sidecar's tokens; `tokens` gives an adapter's [p, d]."""
    reading = _Reading(host, sidecar, tokens)
    ends = [extend(attention, reading.provider(attention.layer_idx)) for attention in _attentions(host)]
    handles = [
        host.register_forward_pre_hook(reading.before, with_kwargs=True),
        host.register_forward_hook(reading.after, always_call=True),
    ]

    def uninstall() -> None:
        for end in ends:
            end()
        for handle in handles:
            handle.remove()

    return uninstall


@dataclass
class _Reading:
    """The tokens' keys and values in the pass that is running."""

    host: Any
    sidecar: Sidecar
    tokens: Tokens
    recorded: dict[str, Layers] = field(default_factory=dict)
    recording: bool = False
    # A cache holds words that have seen the tokens as they were: while it lives, it is continued with the same.
    by_cache: "weakref.WeakKeyDictionary[Any, dict[str, Layers]]" = field(default_factory=weakref.WeakKeyDictionary)

    def live(self) -> dict[str, Live]:
        """Return the adapters that act, by name."""
        live = {} if self.recording else self.sidecar.live_by_name()
        return {name: one for name, one in live.items() if one.weight > 0}

    def provider(self, layer: int) -> Callable[[], list[Rows]]:
        """Return what gives the rows of one attention layer."""

        def rows() -> list[Rows]:
            return [
                Rows(*self.recorded[name][layer], live.weight)
                for name, live in self.live().items()
                if name in self.recorded
            ]

        return rows

    def before(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Find the rows, and move the words up behind the longest prompt."""
        live = self.live()
        if not live:
            return None
        given = inspect.signature(type(self.host).forward).bind_partial(self.host, *args).arguments
        given.pop("self")
        given |= kwargs
        cache = given.get("past_key_values")
        length = max(int(one.settings["length"]) for one in live.values())
        known = self.by_cache.get(cache, {}) if cache is not None and cache.get_seq_length() else {}
        self.recorded = {name: known.get(name) or self._record(one, length) for name, one in live.items()}
        if cache is not None and not torch.is_grad_enabled():
            self.by_cache[cache] = self.recorded
        return (), {**given, "position_ids": self._positions(given, cache) + length}

    def after(self, *_: Any) -> None:
        """Forget the rows, but for a backward that will compute layers again (gradient checkpointing)."""
        if not self.recording and not torch.is_grad_enabled():
            self.recorded = {}

    def _record(self, live: Live, end: int) -> Layers:
        """Return what every layer makes of an adapter's tokens, the last of which stands before position `end`."""
        table = self.host.get_input_embeddings().weight
        tokens = self.tokens(live)[None].to(table.dtype)
        places = torch.arange(end - tokens.shape[1], end, device=tokens.device)[None]
        with self._alone():
            read = self.host.base_model(inputs_embeds=tokens, position_ids=places, use_cache=True)
        cache = read.past_key_values
        return {number: (_rows(layer.keys), _rows(layer.values)) for number, layer in enumerate(cache.layers)}

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Silence all prompts; and no training mode, in which gradient checkpointing would keep no keys and values."""
        training = [module for module in self.host.modules() if module.training]
        self.recording = True
        for module in training:
            module.training = False
        try:
            yield
        finally:
            self.recording = False
            for module in training:
                module.training = True

    def _positions(self, given: dict[str, Any], cache: Any) -> Tensor:
        if given.get("position_ids") is not None:
            return given["position_ids"]
        words = given["input_ids"] if given.get("input_ids") is not None else given["inputs_embeds"]
        seen = cache.get_seq_length() if cache is not None else 0
        return torch.arange(seen, seen + words.shape[1], device=words.device)[None]


def _rows(states: Tensor) -> Tensor:
    """Join the heads of keys or values [1, heads, p, width] to [p, heads · width]."""
    return states[0].transpose(0, 1).flatten(1)


def _attentions(host: nn.Module) -> list[Any]:
    return [
        module
        for module in host.modules()
        if type(module).__name__.endswith("Attention")
        and hasattr(module, "layer_idx")
        and not getattr(module, "is_cross_attention", False)
    ]
