"""What one part of a benchmark brought, and how its time and memory are taken."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Measured:
    """One part.

    Attributes:
        cases, all_cases: how many were ranked, and how many there are.
        seconds, cpu_seconds: wall-clock and processor time.
        imported_mib, peak_mib: peak memory of the part's process, after its imports and at its end.
        notes: what else there is to say about this part.
    """

    cases: int = 0
    all_cases: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    imported_mib: float = 0.0
    peak_mib: float = 0.0
    notes: dict[str, float] = field(default_factory=dict)

    def for_all(self, amount: float) -> float:
        """In proportion, where only a part of the cases was ranked."""
        return amount * self.all_cases / self.cases

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Take the time of a block."""
        start, cpu_start = time.perf_counter(), time.process_time()
        yield
        self.seconds = time.perf_counter() - start
        self.cpu_seconds = time.process_time() - cpu_start


def peak_mib() -> float:
    """Peak resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
