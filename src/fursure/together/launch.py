"""The environment of a process → which one it is of those that `torchrun` started."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """One process of several; alone, where nobody started others."""

    rank: int = 0  # the first one reads, fits, prints and writes
    size: int = 1  # processes in all
    local_rank: int = 0  # among those of this host
    local_size: int = 1

    def cores(self, allowed: int) -> int:
        """Return how many of the cores ``allowed`` on this host are this process's share."""
        return max(1, allowed // self.local_size)


def launched(environment: Mapping[str, str] = os.environ) -> Launched:
    """Return what `torchrun`, or whoever sets the same variables, says of this process."""
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        return Launched()
    return Launched(
        rank=int(environment["RANK"]),
        size=int(environment["WORLD_SIZE"]),
        local_rank=int(environment.get("LOCAL_RANK", "0")),
        local_size=int(environment.get("LOCAL_WORLD_SIZE", "1")),
    )
