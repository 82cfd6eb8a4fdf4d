"""Split, Data and epoch_order: rows in memory, drawn and ordered by explicit seeds alone."""

import pytest
import torch

from unveil.data import Data, Redraw, Split, epoch_order, load
from unveil.variables import Batch, Variable


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def grey() -> Split:
    x = torch.arange(0, 12, dtype=torch.uint8).reshape(4, 3) * 20
    return Split(Batch(x=x, context=torch.eye(4, dtype=torch.uint8)), Redraw(220.0))


def test_rows_come_out_floating_with_their_numbers():
    split = Split(Batch(x=torch.arange(6, dtype=torch.uint8).reshape(3, 2)))
    batch = split.rows(torch.tensor([2, 0]))
    assert batch.x.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert batch.x.dtype == torch.get_default_dtype()
    assert batch.index.tolist() == [2, 0]


@pytest.mark.parametrize("index", [slice(1, 3), torch.tensor([1, 2]), torch.tensor([False, True, True, False])])
def test_slices_numbers_and_masks_select_the_same_rows(grey, index):
    batch = grey.rows(index)
    assert batch.index.tolist() == [1, 2]
    assert batch.context.argmax(dim=1).tolist() == [1, 2]


@pytest.mark.usefixtures("double_precision")
def test_rows_follow_the_default_floating_point_type(grey):
    assert grey.rows(slice(2)).x.dtype == torch.float64
    assert grey.batch(slice(2), seeded(0)).x.dtype == torch.float64
    assert grey.batch(slice(2), seeded(0)).context.dtype == torch.float64


def test_several_observed_variables_are_indexed_together():
    split = Split(Batch(x={"image": torch.zeros(3, 2, dtype=torch.uint8), "label": torch.arange(3)}))
    batch = split.batch(torch.tensor([2]))
    assert batch["label"].tolist() == [2.0]
    assert len(split) == 3


def test_a_drawn_batch_is_binary_and_new_each_time(grey):
    generator = seeded(0)
    many = torch.zeros(64, dtype=torch.long) + 1
    first, second = grey.batch(many, generator).x, grey.batch(many, generator).x
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first, second)


def test_a_drawn_batch_depends_on_the_generator_alone(grey):
    assert torch.equal(grey.batch(slice(None), seeded(3)).x, grey.batch(slice(None), seeded(3)).x)


def test_draws_have_the_probabilities_that_rows_returns(grey):
    generator, draws = seeded(1), 4000
    mean = sum(grey.batch(slice(None), generator).x for _ in range(draws)) / draws
    p = grey.rows(slice(None)).x
    assert torch.all((mean - p).abs() <= 5 * (p * (1 - p) / draws).sqrt())
    assert mean[0, 0] == 0
    assert mean[3, 2] == 1


def test_drawing_without_a_generator_is_refused(grey):
    with pytest.raises(ValueError, match=r"generator: .* pass torch\.Generator"):
        grey.batch(slice(None))


def test_a_split_without_rows_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        Split(Batch(x=torch.zeros(0, 2)))


def test_a_split_of_several_variables_cannot_be_redrawn():
    with pytest.raises(ValueError, match="several: a, b"):
        Split(Batch(x={"a": torch.zeros(2), "b": torch.zeros(2)}), Redraw(1.0))


def test_data_names_the_splits_that_are_there():
    split = Split(Batch(x=torch.zeros(2, 1)))
    data = Data("toy", Variable((1,)), None, train=split, test=split)
    assert list(data.splits) == ["train", "test"]
    with pytest.raises(ValueError, match="split: expected one of 'train', 'test', got 'tset'; did you mean 'test'"):
        data.split("tset")
    with pytest.raises(ValueError, match="got 'validation'"):
        data.split("validation")
    assert data.split("test") is split


def test_data_moves_with_all_its_splits():
    data = load().to("meta")
    assert {split.device.type for split in data.splits.values()} == {"meta"}


def test_epoch_order_is_a_permutation_that_depends_on_seed_and_epoch_alone():
    order = epoch_order(100, seed=1, epoch=2)
    assert sorted(order.tolist()) == list(range(100))
    assert order.dtype == torch.int64
    torch.manual_seed(5)
    assert torch.equal(order, epoch_order(100, seed=1, epoch=2))
    assert not torch.equal(order, epoch_order(100, seed=1, epoch=3))
    assert not torch.equal(order, epoch_order(100, seed=2, epoch=2))
    assert not torch.equal(order, epoch_order(100, seed=2, epoch=1))


def test_epoch_order_stays_what_it_was_when_runs_were_saved():
    assert epoch_order(8, seed=0, epoch=1).tolist() == [1, 3, 7, 6, 0, 4, 2, 5]


@pytest.mark.parametrize("bad", [{"n": 0}, {"seed": -1}, {"epoch": -1}])
def test_epoch_order_refuses_what_numbers_no_epoch(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))}: expected"):
        epoch_order(**{"n": 3, "seed": 0, "epoch": 0, **bad})
