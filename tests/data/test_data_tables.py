"""Hugging Face datasets: images, arrays, numbers and labels."""

import sys

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from unveil.data import load
from unveil.data.sources import tables

WHOLE = {"validation": "none", "test": "none"}
GREY = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)


def images(mode: str, rows: int = 6) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"image": [Image.fromarray(GREY[row]).convert(mode) for row in range(rows)]})


@pytest.mark.parametrize(
    ("mode", "variable"),
    [("L", "1x5x4, 256 levels"), ("RGB", "3x5x4, 256 levels"), ("P", "3x5x4, 256 levels"), ("1", "1x5x4, binary")],
)
def test_images_become_channels_first_levels(mode, variable, all_x):
    data = load(images(mode), **WHOLE)
    assert str(data.variable) == variable
    if mode == "L":
        assert np.array_equal(all_x(data.train)[:, 0], GREY)


def test_dark_image_files_are_8_bit_all_the_same():
    table = datasets.Dataset.from_dict({"image": [Image.fromarray(image // 16) for image in GREY]})
    assert load(table, **WHOLE).variable.levels == 256


def test_images_of_two_values_hint_at_binarization():
    table = datasets.Dataset.from_dict({"image": [Image.fromarray((image > 99) * np.uint8(255)) for image in GREY]})
    assert "binarize='threshold'" in load(table).describe()[0]


def test_images_of_different_sizes_or_kinds_are_refused():
    table = datasets.concatenate_datasets([images("L", 2), images("RGB", 2)])
    with pytest.raises(ValueError, match=r"\(5, 4\) in row 0 and \(5, 4, 3\) in row 2"):
        load(table)


def test_an_image_that_cannot_be_read_is_named():
    broken = [{"bytes": image["bytes"], "path": None} for image in images("L").cast_column("image", raw())["image"]]
    broken[3]["bytes"] = broken[3]["bytes"][:50]
    table = datasets.Dataset.from_dict({"image": broken}).cast_column("image", datasets.Image())
    with pytest.raises(ValueError, match="cannot read the image in row 3"):
        load(table)


def raw() -> datasets.Image:
    return datasets.Image(decode=False)


def test_other_columns_beside_images_are_named_and_not_used():
    table = images("L").add_column("file", list("abcdef")).add_column("label", [0, 1, 2, 0, 1, 2])
    data = load(table)
    assert any("not used: 'file'" in note for note in data.describe())
    assert load(table, context="label").context.shape == (3,)


def test_classes_are_as_many_as_the_source_names():
    features = datasets.Features(a=datasets.Value("float32"), kind=datasets.ClassLabel(names=list("abcde")))
    table = datasets.Dataset.from_dict({"a": [0.5] * 9, "kind": [0, 1, 2] * 3}, features=features)
    assert load(table, context="label").context.shape == (5,)
    assert load(table).variable.shape == (1,)


def test_any_column_can_be_conditioned_on():
    table = datasets.Dataset.from_dict({"a": [0.5] * 9, "b": [0, 1, 2] * 3, "v": [[0.5, 1.0]] * 9})
    assert load(table.remove_columns("v"), context="b").context.shape == (3,)
    assert str(load(table.remove_columns("b"), context="v").context) == "2, real"
    with pytest.raises(ValueError, match="expected 'label' or one of 'a', 'b', 'v', got 'bb'; did you mean 'b'"):
        load(table, context="bb")
    with pytest.raises(ValueError, match="expected a column named 'label', got 'a', 'b', 'v'"):
        load(table, context="label")


def test_a_column_of_arrays_is_x(all_x):
    table = datasets.Dataset.from_dict({"v": [[0.5, 1.0], [2.0, 3.0], [4.0, 5.0]], "label": [0, 1, 0]})
    assert all_x(load(table, **WHOLE).train).tolist() == [[0.5, 1.0], [2.0, 3.0], [4.0, 5.0]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"v": [[1.0], [1.0, 2.0]]}, "ragged rows"),
        ({"v": [[1.0], [2.0]], "a": [1, 2]}, "one column of arrays or columns of numbers, got 'v', 'a'"),
        ({"text": ["a", "b"], "a": [1, 2]}, "other columns: 'text'"),
        ({"a": []}, "at least one row"),
    ],
)
def test_columns_that_are_no_table_of_numbers_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        load(datasets.Dataset.from_dict(columns))


def test_selected_and_shuffled_rows_are_respected(all_x):
    table = datasets.Dataset.from_dict({"a": [row + 0.5 for row in range(9)]}).select([3, 1, 5])
    assert all_x(load(table, **WHOLE).train)[:, 0].tolist() == [3.5, 1.5, 5.5]
    assert all_x(load(table.with_format("torch"), **WHOLE).train)[:, 0].tolist() == [3.5, 1.5, 5.5]


def test_tables_with_a_transform_or_streamed_are_refused():
    table = datasets.Dataset.from_dict({"a": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"apply it with map\(\)"):
        load(table.with_transform(lambda batch: batch))
    with pytest.raises(TypeError, match="got IterableDataset"):
        load(table.to_iterable_dataset())


def test_dicts_of_tables_are_splits():
    table = datasets.Dataset.from_dict({"a": [0.5, 1.5, 2.5]})
    for source in ({"train": table, "test": table}, datasets.DatasetDict(train=table, test=table)):
        assert [len(split) for split in load(source, validation="none").splits.values()] == [3, 3]
    for odd in (np.ones(3), table.to_iterable_dataset()):
        with pytest.raises(TypeError, match=f"for every split, got {type(odd).__name__}"):
            load({"train": table, "test": odd})


@pytest.mark.parametrize(("module", "package"), [("datasets", "datasets"), ("sklearn.datasets", "scikit-learn")])
def test_a_package_that_is_not_installed_is_one_clear_sentence(monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=f"^data: this source needs {package}; run: pip install {package}$"):
        tables.require(module)


def test_columns_keep_their_names_and_every_part_has_the_same():
    train = datasets.Dataset.from_dict({name: [0.5 + k, 1.25, 3.5] * 10 for k, name in enumerate("abc")})
    assert load(train).columns == ("a", "b", "c")
    assert load(train, context="b").columns == ("a", "c")
    turned = train.select_columns(["c", "b", "a"])
    renamed = turned.rename_column("a", "z")
    parts = load(datasets.DatasetDict(train=train, test=turned), validation="none")
    assert torch.equal(parts.test.rows(slice(None)).x, parts.train.rows(slice(None)).x)
    with pytest.raises(ValueError, match=r"expected the columns a, b, c, got others \(lacking: a; unknown: z\)"):
        load(datasets.DatasetDict(train=train, test=renamed))
