"""Jobs of the inference process, one file each."""

import functools
import sys
from collections.abc import Mapping

from studio.engine.job import Job
from trainers.registry import discover


@functools.cache
def engine_jobs() -> Mapping[str, Job]:
    """Return every job by name."""
    return discover(sys.modules[__name__], "JOB")
