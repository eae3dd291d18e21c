"""Learned tokens for a whole part; what prompt methods share.

On a CLIP text encoder they stand behind the start token; prompts keep the encoder's limit, so the last words of a full
prompt make room for them. On a UNet they join the text that every cross-attention sees, in the conditional and in the
unconditional half alike. A causal language model reads them before the words. While it learns, a prompt may be what a
small network makes of other tokens; the network is folded away when the adapter is saved.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.method import Folded
from trainers.tuners.hosts import features
from trainers.tuners.keys import Rows, extend
from trainers.tuners.prompt_language import install_language, is_language_model
from trainers.tuners.sidecar import Live, Sidecar, SidecarKind, Uninstall


def prompt_tokens(own: Mapping[str, Tensor]) -> Tensor:
    """Return the tokens [p, d] from a prompt's parameters."""
    if "tokens" in own:
        return own["tokens"]
    inner = own["start"]
    lstm = {name.removeprefix("lstm_"): value for name, value in own.items() if name.startswith("lstm_")}
    if lstm:
        with torch.device("meta"):  # a shape without weights; drawing some would disturb the random numbers
            shape = nn.LSTM(inner.shape[1], lstm["weight_hh_l0"].shape[1], num_layers=2, bidirectional=True)
        inner = torch.func.functional_call(shape, lstm, (inner,))[0]
    inner = functional.relu(functional.linear(inner, own["first"], own["first_bias"]))
    return own["shift"] + functional.linear(inner, own["second"], own["second_bias"])


def fold_prompt(config: dict[str, Any], tensors: dict[str, Tensor]) -> Folded:
    """Replace the network by the tokens that it makes."""
    (host,) = {key.rpartition(".")[0] for key in tensors}
    own = {key.rpartition(".")[2]: tensor for key, tensor in tensors.items()}
    settings = {**config["settings"], "encoder": "none", "hidden": 0}
    return {**config, "settings": settings}, {f"{host}.tokens": prompt_tokens(own).contiguous()}


def _fresh(host: nn.Module, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    tokens = _first_tokens(host, settings["length"])
    if settings["encoder"] == "none":
        return {"tokens": tokens}
    d, hidden = tokens.shape[1], settings["hidden"]
    own = {"start": torch.randn(len(tokens), d), "shift": tokens}
    inner = d
    if settings["encoder"] == "lstm":
        lstm = nn.LSTM(d, hidden, num_layers=2, bidirectional=True)
        own |= {f"lstm_{name}": value for name, value in lstm.state_dict().items()}
        inner = 2 * hidden
    return {
        **own,
        "first": torch.randn(hidden, inner) * inner**-0.5,
        "first_bias": torch.zeros(hidden),
        "second": 0.02 * torch.randn(d, hidden) * hidden**-0.5,
        "second_bias": torch.zeros(d),
    }


def _first_tokens(host: nn.Module, length: int) -> Tensor:
    """Return tokens to begin with.

    A UNet's context begins with small noise, a language model's prompt with words drawn from the vocabulary. A text
    encoder's begins near the mean of all words: words drawn at random are things to draw, and on the pocket base they
    took the prompt's own noun out of 12 pictures of 12.
    """
    crossings = _crossings(host)
    if crossings:
        return 0.02 * torch.randn(length, features(crossings[0].to_k)[0])
    words = _vocabulary(host).detach().float()
    if is_language_model(host):
        return words[torch.randint(len(words), (length,))].cpu()
    return (words.mean(dim=0) + 0.1 * words.std() * torch.randn(length, words.shape[1]).to(words.device)).cpu()


def _install(host: nn.Module, sidecar: Sidecar) -> Uninstall:
    crossings = _crossings(host)
    if not crossings and is_language_model(host):
        return install_language(host, sidecar, lambda live: prompt_tokens(live.parameters))
    if not crossings:
        return _install_text(host, sidecar)
    ends = [extend(crossing, _context_rows(crossing, sidecar)) for crossing in crossings]
    return lambda: [end() for end in ends].clear()


def _crossings(host: nn.Module) -> list[Any]:
    return [
        module for module in host.modules() if getattr(module, "is_cross_attention", None) and hasattr(module, "to_k")
    ]


def _context_rows(crossing: Any, sidecar: Sidecar) -> Callable[[], list[Rows]]:
    """Return what gives the keys and values that appended context tokens would have, whatever adapters are on them."""

    def rows() -> list[Rows]:
        return [_projected(crossing, live) for live in sidecar.live()]

    return rows


def _projected(crossing: Any, live: Live) -> Rows:
    tokens = prompt_tokens(live.parameters)[None].to(crossing.to_k.weight.dtype)
    return Rows(crossing.to_k(tokens)[0], crossing.to_v(tokens)[0], live.weight)


def _vocabulary(host: Any) -> Tensor:
    """Return the vectors of all words [n, d]."""
    language = not _crossings(host) and is_language_model(host)
    table = host.get_input_embeddings() if language else _embeddings(host).token_embedding
    return table.weight


def _embeddings(host: nn.Module) -> Any:
    for module in host.modules():
        if hasattr(module, "token_embedding") and hasattr(module, "position_embedding"):
            return module
    kinds = "a CLIP text encoder, a UNet with cross-attention or a causal language model"
    raise ValueError(f"{type(host).__name__} is not {kinds}.")


def _install_text(host: nn.Module, sidecar: Sidecar) -> Uninstall:
    embeddings = _embeddings(host)
    pending: list[Tensor] = []  # the tokens of the pass that is running

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        live = sidecar.live()
        if len(live) != 1 or live[0].weight != 1:
            return None
        pending.append(prompt_tokens(live[0].parameters))
        return _with_places(embeddings, pending[0], args, kwargs)

    def embed(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not pending:
            return None
        ids = kwargs["input_ids"]
        words = embeddings.token_embedding(ids)
        tokens = pending[-1].to(words.dtype).expand(len(words), -1, -1)
        words = torch.cat([words[:, :1], tokens, words[:, 1 + tokens.shape[1] :]], dim=1)
        return args, {**kwargs, "inputs_embeds": words}

    def after(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        if pending:
            pending.clear()
            return None
        live = sidecar.live()
        return _mixed(host, embeddings, live, pending, (args, kwargs), output) if live and output is not None else None

    handles = [
        host.register_forward_pre_hook(before, with_kwargs=True),
        embeddings.register_forward_pre_hook(embed, with_kwargs=True),
        host.register_forward_hook(after, with_kwargs=True, always_call=True),
    ]
    return lambda: [handle.remove() for handle in handles].clear()


def _mixed(host: Any, embeddings: Any, live: Sequence[Live], pending: list[Tensor], called: Any, output: Any) -> Any:
    """Return base + Σ wᵢ (promptedᵢ − base) for every tensor of the output."""
    changed = {key: value for key, value in _tensors(output).items() if isinstance(value, Tensor)}
    total = dict(changed)
    for adapter in live:
        pending.append(prompt_tokens(adapter.parameters))
        try:
            args, kwargs = _with_places(embeddings, pending[-1], *called)
            prompted = _tensors(type(host).forward(host, *args, **kwargs))
        finally:
            pending.clear()
        for key, plain in changed.items():
            if prompted[key].shape != plain.shape:
                raise ValueError("A prompt is weighed against the base on inputs padded to the encoder's limit.")
            total[key] = total[key] + adapter.weight * (prompted[key] - plain)
    for name, value in output.items():
        own = (
            [total[name, number] for number in range(len(value))] if isinstance(value, tuple) else total.get((name, 0))
        )
        output[name] = tuple(own) if isinstance(own, list) else value if own is None else own
    return output


def _tensors(output: Any) -> dict[tuple[str, int], Any]:
    """Return a model's outputs by name and number; one may be a tuple, such as the states behind every layer."""
    return {
        (name, number): one
        for name, value in output.items()
        for number, one in enumerate(value if isinstance(value, tuple) else (value,))
    }


def _with_places(embeddings: Any, tokens: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the arguments with places for the tokens behind the start token, cut at the limit with the end kept."""
    names = ("input_ids", "attention_mask", "position_ids")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    ids, count = given["input_ids"], len(tokens)
    limit = embeddings.position_embedding.num_embeddings
    if count + 2 > limit:
        raise ValueError(f"A prompt of {count} tokens leaves no room in the encoder's {limit}.")
    longer = torch.cat([ids[:, :1], torch.zeros_like(ids[:, :1]).expand(-1, count), ids[:, 1:]], dim=1)[:, :limit]
    end = ids.max(dim=1).values  # CLIP's end token has the highest number
    lost = ~(longer == end[:, None]).any(dim=1)
    longer[lost, -1] = end[lost]
    given["input_ids"] = longer
    mask = given.get("attention_mask")
    if mask is not None:
        given["attention_mask"] = torch.cat([torch.ones_like(mask[:, :1]).expand(-1, count), mask], dim=1)[:, :limit]
    return (), given


KIND = SidecarKind("prompt", _fresh, install=_install)
