"""Which rows are train, validation and test: none is in two splits, and seeds decide."""

import numpy as np
import pytest

from unveil.data import load

NUMBERED = np.arange(100.0)[:, None] + 0.5


def rows(data) -> dict[str, list[int]]:
    return {name: split.rows(slice(None)).x[:, 0].int().tolist() for name, split in data.splits.items()}


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, (80, 10, 10)),
        ({"validation": 0.25, "test": 5}, (70, 25, 5)),
        ({"validation": "last:30"}, (60, 30, 10)),
        ({"validation": "last:30", "test": "last:20"}, (50, 30, 20)),
        ({"validation": "none"}, (90, 10)),
        ({"validation": "none", "test": "none"}, (100,)),
    ],
)
def test_splits_are_disjoint_and_cover_all_rows(options, sizes):
    parts = rows(load(NUMBERED, **options))
    assert tuple(map(len, parts.values())) == sizes
    assert sorted(row for part in parts.values() for row in part) == list(range(100))


def test_the_seed_decides_which_rows_are_held_out():
    assert rows(load(NUMBERED, seed=3)) == rows(load(NUMBERED, seed=3))
    assert rows(load(NUMBERED, seed=3))["test"] != rows(load(NUMBERED, seed=4))["test"]


def test_rows_keep_their_order_within_a_split():
    for part in rows(load(NUMBERED)).values():
        assert part == sorted(part)


def test_the_last_rows_are_the_last_rows():
    parts = rows(load(NUMBERED, validation="last:30"))
    assert parts["validation"] == list(range(70, 100))


def test_the_test_rows_do_not_depend_on_the_validation_rows():
    assert rows(load(NUMBERED))["test"] == rows(load(NUMBERED, validation=0.5))["test"]


@pytest.mark.parametrize("name", ["validation", "valid", "val"])
def test_existing_splits_are_used_under_their_usual_names(name):
    data = load({"train": NUMBERED[:50], name: NUMBERED[50:60], "test": NUMBERED[60:]})
    assert rows(data) == {"train": list(range(50)), "validation": list(range(50, 60)), "test": list(range(60, 100))}


def test_several_parts_without_a_test_part_hold_out_validation_only():
    data = load({"train": NUMBERED[:50], "validation": NUMBERED[50:60]})
    assert data.test is None
    assert "test: none" in data.describe()[1]
    assert list(rows(load({"train": NUMBERED[:50], "test": NUMBERED[50:60]}))) == ["train", "validation", "test"]


def test_a_part_that_one_split_names_is_free_for_no_other():
    parts = {"train": NUMBERED[:50], "test": NUMBERED[50:]}
    assert load(parts, validation="test").test is None
    with pytest.raises(ValueError, match=r"test: .* no other split uses.*validation uses"):
        load(parts, validation="test", test="test")
    with pytest.raises(ValueError, match=r"validation: .* no other split uses.*train uses"):
        load(parts, validation="train")


def test_unused_parts_are_named():
    data = load({"train": NUMBERED[:50], "val": NUMBERED[50:60], "test": NUMBERED[60:]}, validation=5)
    assert "not used: 'validation'" in data.describe()[1]


@pytest.mark.parametrize("choice", [0, -1, 0.0, 1.0, 1.5, True, "last:", "last:0", "last:x", "lsat:10", "elsewhere"])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_choices_that_mean_nothing_are_refused(split, choice):
    with pytest.raises(ValueError, match=f"^{split}: expected"):
        load(NUMBERED, **{split: choice})


def test_the_nearest_part_is_named():
    with pytest.raises(ValueError, match="did you mean 'test'"):
        load({"train": NUMBERED, "test": NUMBERED}, validation="tset")


@pytest.mark.parametrize("options", [{"validation": 100}, {"validation": 95}, {"validation": "last:1000"}])
def test_leaving_nothing_to_train_on_is_refused(options):
    with pytest.raises(ValueError, match="expected to leave at least 1 of 100 rows to train on"):
        load(NUMBERED, **options)


def test_a_table_too_small_to_split_is_refused_until_told_otherwise():
    with pytest.raises(ValueError, match="pass 'none'"):
        load(NUMBERED[:2])
    assert len(load(NUMBERED[:1], validation="none", test="none").train) == 1


@pytest.mark.parametrize("seed", [-1, 1.5, True, None])
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    with pytest.raises(ValueError, match=r"^seed: expected"):
        load(NUMBERED, seed=seed)


def test_parts_without_a_training_part_are_refused():
    with pytest.raises(ValueError, match="expected a part named 'train', got 'validation', 'test'"):
        load({"val": NUMBERED, "test": NUMBERED})
