"""Bytes by storage: views, storages that end, addresses that come again."""

from __future__ import annotations

import torch

from hydratron.planner.memory import Event, MemoryTrace, peaks


def test_views_are_one_storage_until_the_last_has_gone() -> None:
    trace = MemoryTrace()
    whole = torch.zeros(10)
    part = whole[2:].view(2, 4)
    trace.moment = ("forward", "a")
    for tensor in (whole, part, whole.detach()):
        trace.see(tensor)
    assert trace.events == [Event(0, 40, ("forward", "a"))]
    assert trace.numbers([part]) == {0}
    trace.moment = ("backward", "b")
    del whole, tensor
    assert len(trace.events) == 1
    del part
    assert trace.events[1:] == [Event(0, -40, ("backward", "b"))]


def test_an_address_that_comes_again_is_another_storage() -> None:
    trace = MemoryTrace()
    addresses = set()
    for _ in range(20):
        tensor = torch.zeros(1000)
        trace.see(tensor)
        addresses.add(tensor.untyped_storage()._cdata)
        del tensor
    assert len(addresses) < 20
    came = [event.storage for event in trace.events if event.size > 0]
    went = [event.storage for event in trace.events if event.size < 0]
    assert len(set(came)) == 20
    assert went == came


def test_nothing_is_no_storage() -> None:
    trace = MemoryTrace()
    trace.see(torch.zeros(0))
    assert trace.events == []


def test_a_closed_trace_sees_no_end() -> None:
    trace = MemoryTrace()
    tensor = torch.zeros(10)
    trace.see(tensor)
    trace.close()
    del tensor
    assert len(trace.events) == 1


def test_the_peak_of_a_moment_is_by_category() -> None:
    a, b = ("forward", "a"), ("forward", "b")
    events = [
        Event(0, 100, a),
        Event(1, 50, a),
        Event(1, -50, a),
        Event(2, 30, b),
        Event(3, 5, a),
        Event(2, -30, b),
    ]
    categories = {0: "weights", 1: "temporary"}
    assert peaks(events, categories) == {
        a: {"weights": 100, "temporary": 50},
        b: {"weights": 100, "temporary": 0, "activations": 30},
    }
    # What came before counts, though its moments do not.
    assert peaks(events, categories, first=3) == {
        a: {"weights": 100, "temporary": 0, "activations": 35},
        b: {"weights": 100, "temporary": 0, "activations": 30},
    }
