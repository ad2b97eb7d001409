"""What the time of an event becomes."""

from __future__ import annotations

import math

import pytest
import torch

from hf_mlc.modeling.event_time import log_buckets, places_from_last, sinusoid


def test_buckets_are_powers_of_two_a_quarter_of_them_below_1():
    # 8 buckets: none | below 1 | 1 | 2, 3 | 4 ... 7 | 8 ... 15 | 16 ... 31 | 32 and more
    gaps = torch.tensor([0.0, 1e-9, 0.99, 1.0, 1.99, 2.0, 3.0, 4.0, 31.9, 32.0, 1e9])
    assert log_buckets(gaps, 8).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 6, 7, 7]
    assert log_buckets(torch.tensor([0.0, 2**-6.5, 2**-6, 2**23 - 1, 2**23]), 32).tolist() == [0, 1, 2, 30, 31]
    assert log_buckets(torch.tensor([0.0, 0.1, 100.0]), 2).tolist() == [0, 1, 1]


def test_the_sinusoid_is_that_of_the_equation():
    found = sinusoid(torch.tensor([[0.0, 3.0]]), 4)
    assert found.shape == (1, 2, 4)
    assert found[0, 0].tolist() == [0.0, 1.0, 0.0, 1.0]  # time 0 is a time
    expected = [math.sin(3), math.cos(3), math.sin(3 / 100), math.cos(3 / 100)]
    assert found[0, 1].tolist() == pytest.approx(expected, abs=1e-6)


def test_places_are_counted_from_the_last_event_wherever_padding_stands():
    mask = torch.tensor([[1, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]]).bool()
    places = places_from_last(mask)
    assert places[0, :3].tolist() == [2, 1, 0]
    assert places[1, [1, 3]].tolist() == [1, 0]
    assert (places >= 0).all()
