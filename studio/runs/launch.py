"""What a launcher such as torchrun or `accelerate launch` says of this process, in the environment; no torch here."""

from collections.abc import Mapping
from dataclasses import dataclass

from trainers.errors import UserError
from trainers.processes import ALONE, Processes

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_OTHER_LAUNCHERS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")


@dataclass(frozen=True)
class Launch:
    """One process of those that were started together."""

    processes: Processes = ALONE
    local_rank: int = 0
    """Its number on this machine, which is the number of its GPU."""
    local_count: int = 1
    """How many of them are on this machine."""
    note: str = ""
    """What the launcher was asked for and did not do; mostly nothing."""


def launch_of(environment: Mapping[str, str]) -> Launch:
    """Read what torch's own convention says: RANK of WORLD_SIZE, and the same on this machine.

    Raises:
        UserError: the numbers do not fit each other, or a launcher that does not set them started several processes.
    """
    several = [name for name in _OTHER_LAUNCHERS if environment.get(name, "1") != "1"]
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        if several:
            raise UserError(
                f"{several[0]} is {environment[several[0]]}, so several processes were started, and they cannot find "
                "each other. Start them with torchrun --nproc_per_node N -m studio …"
            )
        return Launch(note=_single_note(environment))
    found = {name: environment.get(name, environment[name.removeprefix("LOCAL_")]) for name in _NAMES}
    if not all(value.isdecimal() for value in found.values()):
        shown = ", ".join(f"{name}={value}" for name, value in found.items())
        raise UserError(f"The launcher's environment says {shown}; numbers from 0 are expected.")
    rank, count, local_rank, local_count = (int(value) for value in found.values())
    if not (rank < count and local_rank < local_count):
        raise UserError(f"The launcher's environment says RANK={rank} of WORLD_SIZE={count}; ranks count from 0.")
    return Launch(Processes(rank, count), local_rank, local_count)


def _single_note(environment: Mapping[str, str]) -> str:
    """Say that `accelerate launch` was asked for several processes and started one, which it does without a word.

    It sets an address for processes to meet whenever several were asked for, on a CPU too, where it starts one alone.
    """
    if "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_ADDR" in environment:
        return (
            "Note: accelerate launch was asked for several processes and started this one alone, as it does without "
            "--multi_gpu or on a CPU. For several, use torchrun --nproc_per_node N -m studio …"
        )
    return ""
