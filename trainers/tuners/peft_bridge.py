"""All that this project knows of PEFT's internals: attach, weigh, detach, read and write one adapter on one module.

PEFT injects a tuner layer around (or beside) each target; tuners of different kinds on one target nest. `attach` counts
the matches, `detach` puts the very module objects back that were there before, so the base is bit-identical afterwards.
Keys on disk are PEFT's own (``base_model.model.<path>.lora_A.weight``), so that plain PEFT loads them, and the same
whatever else is attached.
"""

import copy
import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from peft import get_peft_model_state_dict
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import set_peft_model_state_dict
from torch import Tensor, nn

from trainers.adapter import KEY_PREFIX
from trainers.errors import UserError
from trainers.tuners.injection import inject, widen
from trainers.tuners.kinds import register_kinds
from trainers.tuners.live_weights import forget_scale, remember_scale, weigh
from trainers.tuners.sidecar import Sidecar, unhook
from trainers.wording import count_of

NEW_WORDS = "textual_inversion"
"""The kind of sidecar that holds new words."""
_IGNORED_FIELDS = frozenset(
    {
        *("peft_type", "peft_version", "task_type", "base_model_name_or_path", "revision", "inference_mode"),
        *("init_lora_weights", "init_weights", "fan_in_fan_out", "auto_mapping"),
    }
)


@dataclass(frozen=True)
class Attached:
    """What attaching one adapter to one module did."""

    matched: tuple[str, ...]
    """Paths of the modules that carry the adapter."""
    trainable: int
    """Number of the adapter's parameters that are trained."""
    total: int
    """Number of the base module's parameters."""


def config_from_json(values: Mapping[str, Any], *, what: str) -> Any:
    """Build a PEFT config from checked plain values (see `trainers.adapter`).

    Raises:
        UserError: PEFT does not know the type, or a field.
    """
    kind = values.get("peft_type")
    register_kinds()
    if kind not in PEFT_TYPE_TO_CONFIG_MAPPING:
        raise UserError(f"The adapter config of {what} has the peft_type {kind!r}, which PEFT does not know.")
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING[kind]
    kept = {"feedforward_modules"}  # IA3 tells an empty list from none
    kept |= {field.name for field in dataclasses.fields(config_class) if isinstance(field.default, int | float)}
    # An empty value means PEFT's default, whatever PEFT makes of it; how the weights began does not matter, because
    # they are in the file; and no name of a base in it is ever followed.
    given = {k: v for k, v in values.items() if k not in _IGNORED_FIELDS and (v or k in kept)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return config_class(**given)
    except (TypeError, ValueError) as error:
        raise UserError(f"The adapter config of {what} cannot be used: {error}.") from error


def attach(module: nn.Module, config: Any, adapter: str, *, what: str) -> Attached:
    """Attach a fresh adapter to a module; it is active at weight 1 and trainable, in float32. The base is frozen.

    Args:
        config: a PEFT config; it is copied, because PEFT edits the one it is given.
        adapter: the adapter's name on this module.
        what: how a user calls the module, for messages.

    Raises:
        UserError: no module matches the config's targets, or one cannot carry the method. Layers may have been wrapped
            before the failure; `detach` unwraps them.
    """
    total = sum(parameter.numel() for parameter in module.parameters())
    # PEFT's tuners compare a new config with every other one on the module, also with those of another method, and
    # some refuse a second; the layers keep the adapters apart by themselves.
    others = module.__dict__.pop("peft_config", {})
    try:
        with warnings.catch_warnings():  # PEFT warns of a second adapter on one module, which is meant
            warnings.simplefilter("ignore")
            inject(copy.deepcopy(config), module, adapter)
    except (TypeError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        reason = f"the setting {reason} is missing." if isinstance(error, KeyError) else reason
        raise UserError(
            f"The adapter cannot be attached to the {what}: {reason} Its layers are called "
            f"{', '.join(_leaf_names(module))}."
        ) from error
    finally:
        own_configs = module.__dict__.get("peft_config", {})
        if others or own_configs:
            module.peft_config = {**others, **own_configs}
    held = {path: layer for path, layer in tuner_layers(module) if _holds(layer, adapter)}
    if not held:
        raise UserError(f"The adapter {adapter!r} attached to no layer of the {what}.")
    own = adapter_parameters(module, adapter)
    for parameter in own.values():
        parameter.data = parameter.data.float()
    for layer in held.values():
        widen(layer, adapter)
        remember_scale(layer, adapter)
        # A new layer believes that it is trained, whatever its surroundings do: dropout would blur every picture.
        layer.train(module.training)
    return Attached(tuple(held), sum(p.numel() for p in own.values() if p.requires_grad), total)


def detach(module: nn.Module, adapter: str) -> None:
    """Take one adapter off a module; layers that carry no other adapter become the original objects again."""
    for path, layer in reversed(list(tuner_layers(module))):  # the innermost of nested layers first: its path holds
        if not _holds(layer, adapter):
            continue
        layer.set_adapter([name for name in layer.active_adapters if name != adapter])
        layer.delete_adapter(adapter)
        forget_scale(layer, adapter)
        if adapters_of(layer):
            continue
        parent_path, _, leaf = path.rpartition(".")
        parent = module.get_submodule(parent_path)
        if isinstance(layer, Sidecar):
            unhook(parent, layer)
        else:
            setattr(parent, leaf, layer.base_layer)
    configs: dict[str, Any] = getattr(module, "peft_config", {})
    configs.pop(adapter, None)
    if not configs and hasattr(module, "peft_config"):
        del module.peft_config


def set_weights(module: nn.Module, weights: Mapping[str, float]) -> None:
    """Set the live weight of every adapter on a module.

    An adapter at weight 0, or not named, is off and costs nothing: the base's own arithmetic runs, bit for bit.
    """
    weigh(module, {name: weight for name, weight in weights.items() if weight != 0})


def drop_first_blocks(module: nn.Module, adapter: str, count: int) -> int:
    """Leave an adapter of our own out of the first blocks of a part, and let it act in all others (AdapterDrop).

    Returns the number of blocks that it can be left out of: none of other methods, and for bottleneck adapters all but
    the last, because with none at all nothing would be left to train.
    """
    most = 0
    for path, layer in tuner_layers(module):
        if isinstance(layer, Sidecar) and _holds(layer, adapter):
            blocks = layer.settings[adapter].get("blocks", ())[:-1]
            most = max(most, len(blocks))
            dropped = tuple(f"{block}." for block in blocks[:count])
            off = bool(dropped) and canonical(path).startswith(dropped)
            layer.silent = layer.silent | {adapter} if off else layer.silent - {adapter}
    return most


def words_displaced(module: nn.Module) -> int:
    """Return how many places of the text encoder's limit the active prompts take from the words."""
    lengths = [
        int(live.settings["length"])
        for _, layer in tuner_layers(module)
        if isinstance(layer, Sidecar) and layer.kind.name == "prompt"
        for live in layer.live()
    ]
    return max(lengths, default=0)


def new_words(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the words that active adapters add to a text encoder, in small letters, and their negative numbers.

    The vectors of all active adapters are numbered -1, -2, ... in the encoder's own order. Where two adapters bring the
    same word, it stands for the vectors of both, in a row.
    """
    found: dict[str, tuple[int, ...]] = {}
    count = 0
    for _, layer in tuner_layers(module):
        if isinstance(layer, Sidecar) and layer.kind.name == NEW_WORDS:
            for live in layer.live():
                word = f"<{live.settings['word']}>".lower()
                own = len(live.parameters["vectors"])
                found[word] = (*found.get(word, ()), *range(-1 - count, -1 - count - own, -1))
                count += own
    return found


def adapter_parameters(module: nn.Module, adapter: str) -> dict[str, nn.Parameter]:
    """Return the parameters of one adapter by their path in the module, also those that are never trained.

    One that several layers share is given once, by its first path.
    """
    found: dict[str, nn.Parameter] = {}
    seen: set[int] = set()
    for path, layer in tuner_layers(module):
        for name, parameter in _own_parameters(path, layer, adapter):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                found[name] = parameter
    return found


def read_state(module: nn.Module, adapter: str) -> dict[str, Tensor]:
    """Return copies of an adapter's tensors under the keys that PEFT writes."""
    return {canonical(KEY_PREFIX + name): tensor.detach().clone() for name, tensor in _state(module, adapter).items()}


def load_state(module: nn.Module, adapter: str, state: Mapping[str, Tensor], *, what: str) -> None:
    """Fill an attached adapter with tensors under PEFT's keys; each must find its place, and each place its tensor.

    Raises:
        UserError: keys are missing or left over, or a shape differs.
    """
    places = {canonical(KEY_PREFIX + name): name for name in _state(module, adapter)}
    expected = {name: tensor.shape for name, tensor in read_state(module, adapter).items()}
    missing = sorted(expected.keys() - state.keys())
    extra = sorted(state.keys() - expected.keys())
    wrong = sorted(name for name in expected.keys() & state.keys() if expected[name] != state[name].shape)
    if missing or extra or wrong:
        examples = (missing or extra or wrong)[:2]
        raise UserError(
            f"The adapter {adapter!r} does not fit the {what}: {len(expected) - len(missing) - len(wrong)} of "
            f"{count_of(len(expected), 'tensor')} match, {len(missing)} missing, {len(extra)} left over, {len(wrong)} "
            f"of another shape (for example {', '.join(examples)}). Load the base that it was trained on."
        )
    with warnings.catch_warnings():  # PEFT warns of random matrices that are drawn again, which is meant
        warnings.simplefilter("ignore")
        tensors = {places[name]: tensor for name, tensor in state.items()}
        set_peft_model_state_dict(module, tensors, adapter_name=adapter)


def tuner_layers(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield (path, tuner layer) for every layer that carries an adapter, outer layers first."""
    for path, layer in module.named_modules():
        if isinstance(layer, BaseTunerLayer):
            yield path, layer


def canonical(path: str) -> str:
    """Return a path or key as it is when nothing else is attached: without the names of outer tuner layers."""
    return path.replace(".base_layer.", ".")


def _state(module: nn.Module, adapter: str) -> dict[str, Tensor]:
    own_layers = tuple(f"{path}." for path, layer in tuner_layers(module) if _holds(layer, adapter))
    # PEFT would add the base's own matrix to a delta of the output layer or the table of words.
    state = get_peft_model_state_dict(module, adapter_name=adapter, save_embedding_layers=False)
    return {name: tensor for name, tensor in state.items() if name.startswith(own_layers)}


def _own_parameters(path: str, layer: Any, adapter: str) -> Iterator[tuple[str, nn.Parameter]]:
    for group in layer.adapter_layer_names:
        holder = getattr(layer, group)
        if adapter not in holder:
            continue
        item = holder[adapter]
        if isinstance(item, nn.Parameter):
            yield f"{path}.{group}.{adapter}", item
        else:
            for name, parameter in item.named_parameters():
                yield f"{path}.{group}.{adapter}.{name}", parameter


def adapters_of(layer: Any) -> set[str]:
    """Return the names of the adapters on a tuner layer."""
    return {name for group in layer.adapter_layer_names for name in getattr(layer, group)}


def _holds(layer: Any, adapter: str) -> bool:
    return adapter in adapters_of(layer)


def _leaf_names(module: nn.Module) -> list[str]:
    kinds = (nn.Linear, nn.Conv2d)
    names = {path.rpartition(".")[2] for path, layer in module.named_modules() if isinstance(layer, kinds)}
    return sorted(name for name in names if not name.isdigit())


def rank_allocator(module: nn.Module, config: Any, adapter: str) -> Any:
    """Return PEFT's rank allocator of AdaLoRA for an attached adapter."""
    from peft.tuners.adalora.layer import RankAllocator

    return RankAllocator(module, config, adapter)
