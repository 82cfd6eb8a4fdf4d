"""Arrays, tensors, pairs and dicts of them; labels as context."""

import numpy as np
import pytest
import torch

from unveil.data import load
from unveil.variables import Variable

X = np.random.default_rng(0).normal(size=(30, 4))
Y = np.arange(30) % 3
WHOLE = {"validation": "none", "test": "none"}


def contexts(data) -> np.ndarray:
    return data.train.rows(slice(None)).context.numpy()


def test_the_default_is_the_embedded_digits():
    data = load()
    assert repr(data) == "Data('digits': 1x8x8, 17 levels; train 1,437, validation 180, test 180)"
    assert data.context is None
    assert data.train.batch(slice(3)).x.shape == (3, 1, 8, 8)
    assert repr(load("digits")) == repr(data)


@pytest.mark.parametrize("source", [X, torch.from_numpy(X), X.tolist(), torch.from_numpy(X).requires_grad_(), (X, Y)])
def test_arrays_tensors_and_lists_are_the_same_source(source, all_x):
    assert np.array_equal(all_x(load(source, **WHOLE).train), X.astype(np.float32))


@pytest.mark.parametrize("dtype", [">f4", "<f8", "f2", "longdouble", "u2", "i8"])
def test_every_real_dtype_is_read(dtype, all_x):
    x = (np.abs(X) * 300).astype(dtype)
    assert np.array_equal(all_x(load(x, **WHOLE).train), x.astype(np.float32))


def test_bfloat16_tensors_are_read():
    x = torch.from_numpy(X).bfloat16()
    assert torch.equal(load(x, **WHOLE).train.rows(slice(None)).x, x.float())


@pytest.mark.parametrize(
    "source",
    [
        {"train": X, "test": X},
        {"train": (X, Y), "test": (X, Y)},
        {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y},
        {"train_images": X, "train_labels": Y, "test_images": X, "test_labels": Y},
        {"x": X, "y": Y},
        {"images": X, "labels": Y},
        {"anything": X},
    ],
)
def test_dicts_name_splits_and_roles(source):
    assert list(load(source).splits) == ["train", "validation", "test"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "at least one array"),
        ({"train": X, "foo": X}, "rename 'foo'"),
        ({"y": Y, "labels": Y}, "rename 'labels'"),
        ({"x": X, "test": X}, "got both"),
        ({"train": X, "y_test": Y}, "observations beside 'y_test'"),
        ({"val": X, "valid": X, "train": X}, "rename 'valid'"),
        ([[1, 2], [3]], "ragged rows"),
        (np.zeros((0, 3)), r"got shape \(0, 3\)"),
        (np.zeros((3, 0)), r"got shape \(3, 0\)"),
        (np.array(3.0), "a single number"),
        ([], "at least one row"),
        ((X, Y[:-1]), "30 rows and 29 labels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        load(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.array([{}, {}]), "Python objects"),
        (X + 1j, "complex128"),
        ([["a"], ["b"]], "dtype <U1"),
        ((X, Y, X), "tuple of 3"),
        (3.5, "got float"),
        (object(), "got object"),
        (torch.eye(3).to_sparse(), r"pass value\.to_dense"),
        ((X, 3), "y: expected an array"),
    ],
)
def test_what_holds_no_numbers_is_refused(source, message):
    with pytest.raises(TypeError, match=f"^data.*{message}"):
        load(source)


@pytest.mark.parametrize("y", [Y, Y[:, None], Y.astype(np.float64), np.array(["a", "b", "c"])[Y], Y.tolist()])
def test_labels_become_one_hot(y):
    data = load((X, y), context="label", **WHOLE)
    assert data.context.shape == (3,)
    assert np.array_equal(contexts(data), np.eye(3)[Y])


def test_vectors_of_numbers_stay_as_they_are():
    data = load((X, X[:, :2]), context="label", **WHOLE)
    assert str(data.context) == "2, real"
    assert np.allclose(contexts(data), X[:, :2])
    assert load((X, X[:, 0]), context="label").context.shape == (1,)


def test_contexts_follow_their_rows_when_rows_are_held_out():
    data = load((np.arange(30.0) + 0.5, Y), context="label")
    for split in data.splits.values():
        batch = split.rows(slice(None))
        assert torch.equal(batch.context.argmax(dim=1), batch.x[:, 0].long() % 3)


@pytest.mark.parametrize(("y", "variable"), [(Y - 1, Variable((1,))), (10**9 * (1 + Y), Variable((3,), levels=2))])
def test_whole_numbers_that_number_no_classes_are_numbers_or_names(y, variable):
    data = load((X, y), context="label", test="none", validation="none")
    assert data.context == variable
    context = data.train.rows(slice(None)).context
    codes = context[:, 0] + 1 if variable.levels is None else context.argmax(1)
    assert torch.equal(codes.long(), torch.from_numpy(Y).long())


def test_digits_are_conditioned_on_by_label():
    assert load(context="label").context.shape == (10,)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (X, "expected labels in data"),
        ((np.arange(10_001.0), np.arange(10_001) * 3), "at most 10,000 classes, got 10,001"),
        ((np.arange(10_001.0), np.arange(10_001)), "at most 10,000 classes, got 10,001"),
        ((X, np.where(Y == 1, np.nan, Y)), "NaN or infinity in rows 1, 4, 7"),
        ({"train": (X, Y), "test": (X, Y + 1)}, r"'test'\): .* \(e\.g\. 3\) in rows 2, 5, 8"),
        ({"train": (X, Y.astype(str)), "test": (X, (Y + 1).astype(str))}, "e.g. '3'"),
        ({"x_train": X, "y_train": Y, "x_test": X}, r"'test'\): expected labels"),
        ((X, X[:, :, None]), r"shape \(30, 4, 1\)"),
    ],
)
def test_contexts_that_do_not_fit_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        load(source, context="label")


def test_arrays_have_no_columns_to_condition_on():
    with pytest.raises(ValueError, match=r"got 'lable'; did you mean 'label'"):
        load((X, Y), context="lable")


def test_loaded_data_is_returned_as_it_is():
    data = load()
    assert load(data, seed=5) is data
    with pytest.raises(ValueError, match=r"^validation: .* loaded already"):
        load(data, validation=0.5)
