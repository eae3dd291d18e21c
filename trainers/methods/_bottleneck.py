"""What the methods of bottleneck adapters share; the adapters themselves are in `trainers.tuners.kinds.bottleneck`."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from trainers.errors import UserError
from trainers.method import MethodSettings, ResolveTargets
from trainers.methods._own import sidecar_config
from trainers.registry import Late
from trainers.wording import count_of

ADAPTER_DROP = Late("trainers.tuners.kinds.bottleneck:AdapterDrop")
LIVE_WEIGHT = "w times what the adapter adds to its host's output, exactly"


class BottleneckSettings(MethodSettings):
    """What all bottleneck adapters can be told."""

    size: int = Field(16, ge=1, le=4096, description="Width of the bottleneck. More learns more and stores more.")
    activation: Literal["relu", "silu", "gelu"] = Field("relu", description="The function inside the bottleneck.")
    scale: float = Field(1.0, gt=0, le=100, description="Factor on what the adapter adds.")
    skip_first: int = Field(
        0, ge=0, le=1000, description="AdapterDrop: leave the adapter out of the first blocks, for speed."
    )
    drop_up_to: int = Field(
        0,
        ge=0,
        le=1000,
        description="AdapterDrop: in every training step leave it out of the first n blocks, n drawn from 0 to "
        "this, so that blocks can be dropped later.",
    )


def bottleneck_config(settings: BottleneckSettings, resolve: ResolveTargets, hosts: Sequence[str], **more: Any) -> Any:
    """Return the PEFT config of adapters on kinds of hosts.

    Raises:
        UserError: AdapterDrop would leave no block with an adapter.
    """
    blocks = resolve(("block",))
    for name in ("skip_first", "drop_up_to"):
        count = getattr(settings, name)
        if count and count >= len(blocks):
            raise UserError(
                f"{name} {count} leaves no adapter: the base has {count_of(len(blocks), 'block')}, so take fewer."
            )
    skipped = tuple(f"{block}." for block in blocks[: settings.skip_first])
    targets = [path for path in resolve(tuple(hosts)) if not (skipped and path.startswith(skipped))]
    kept = settings.model_dump(mode="json", include={"size", "activation", "scale"})
    return sidecar_config("bottleneck", targets, {**kept, "blocks": list(blocks), **more})
