"""Peaks of memory: they rise with what is held, and can be taken anew."""

import sys

import pytest
import torch

from recbole_tema.training import memory

CPU = torch.device("cpu")
MIB = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_a_peak_is_that_since_it_was_begun():
    memory.begin_peaks(CPU)
    before = memory.host_peak()
    held = bytearray(b"x" * (200 * MIB))
    high = memory.host_peak()
    assert high - before > 190 * MIB
    del held
    assert memory.host_peak() >= high, "a peak stays"
    memory.begin_peaks(CPU)
    assert memory.host_peak() < high - 150 * MIB


def test_where_there_is_no_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_PROCESS", tmp_path / "absent")
    memory.begin_peaks(CPU)
    first = memory.host_peak()
    assert first > 50 * MIB, "Python and torch alone are larger"
    assert first % 1024 == 0


def test_without_a_gpu_there_is_none_to_measure():
    assert memory.gpu_peak(CPU) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_what_an_earlier_run_has_freed_is_not_the_next_ones():
    memory.begin_peaks(CPU)
    before = memory.host_peak()
    blocks = [torch.zeros(256) for _ in range(200_000)]  # a kilobyte each, from the heap
    high = memory.host_peak()
    assert high - before > 190 * MIB
    pin = blocks.pop()  # at the heap's end, so that nothing goes back by itself
    del blocks
    memory.begin_peaks(CPU)
    assert memory.host_peak() < high - 150 * MIB
    del pin
