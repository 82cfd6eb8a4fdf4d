"""Sequences of different lengths as one array."""

import numpy as np
import pytest
import torch

from unveil.data import padded


def test_the_shorter_ones_end_in_nan():
    found = padded([np.arange(6).reshape(3, 2), torch.ones(1, 2)])
    assert found.dtype == torch.double
    assert found[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert found[1, 0].tolist() == [1, 1]
    assert found[1, 1:].isnan().all()


def test_they_may_be_as_long_as_another_set():
    assert padded([[1, 2], [3]], length=4).shape == (2, 4)
    with pytest.raises(ValueError, match="length: expected at least 2, the longest sequence's, got 1"):
        padded([[1, 2], [3]], length=1)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], "sequences: expected arrays of at least one axis, got 0"),
        ([1.0, 2.0], "sequences: expected arrays of at least one axis"),
        ([np.ones((2, 2)), np.ones((2, 3))], r"sequences: expected observations of one shape, got \(2,\), \(3,\)"),
    ],
)
def test_other_things_are_refused(sequences, message):
    with pytest.raises(ValueError, match=message):
        padded(sequences)
