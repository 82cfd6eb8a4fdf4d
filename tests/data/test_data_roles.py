"""Columns of a table that are x, and columns that are conditioned on."""

import numpy as np
import pytest

from unveil.data import load

ROWS = "age,price,size\n" + "\n".join(f"{20 + i},{1.5 * i},{i % 7}.25" for i in range(30)) + "\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "houses.csv"
    path.write_text(ROWS)
    return path


def whole(data):
    return data.train.rows(slice(None))


def test_a_target_is_x_and_all_others_are_its_context(table):
    data = load(table, target="price", validation="none", test="none")
    batch = whole(data)
    assert (data.columns, data.variable.shape, data.context.shape) == (("price",), (1,), (2,))
    assert data.format.given == ("age", "size")
    np.testing.assert_allclose(batch.x[:, 0], [1.5 * i for i in range(30)])
    np.testing.assert_allclose(batch.context, [[20 + i, i % 7 + 0.25] for i in range(30)])


def test_a_context_may_be_several_columns_in_the_order_that_was_asked_for(table):
    data = load(table, context="size, age", validation="none", test="none")
    assert (data.columns, data.format.given) == (("price",), ("size", "age"))
    assert whole(data).context[3].tolist() == [3.25, 23.0]


def test_what_is_neither_is_left_out(table):
    data = load(table, target="price", context="size,age", validation="none", test="none")
    assert data.columns == ("price",)
    one = load(table, target="price,age", context="size", validation="none", test="none")
    assert (one.columns, one.context.shape) == (("price", "age"), (1,))


def test_a_whole_number_among_the_context_stays_a_number(table):
    data = load(table, target="price,size", validation="none", test="none")
    assert (data.context.shape, data.context.levels) == ((1,), None)


def test_text_beside_a_target_becomes_classes(tmp_path):
    path = tmp_path / "pets.csv"
    path.write_text("kind,weight\n" + "cat,4.5\ndog,9.25\n" * 10)
    data = load(path, target="weight", context="kind", validation="none", test="none")
    assert (data.columns, data.context.levels, data.format.class_names) == (("weight",), 2, ["cat", "dog"])


def test_rows_that_come_later_are_put_in_order(table, tmp_path):
    data = load(table, target="price", validation="none", test="none")
    other = tmp_path / "other.csv"
    other.write_text("size,price,age\n0.25,3.5,40\n1.25,4.5,41\n")
    later = load(other, target="price", like=data.format)
    assert whole(later).context.tolist() == [[40, 0.25], [41, 1.25]]
    assert whole(later).x.flatten().tolist() == [3.5, 4.5]


def test_rows_that_lack_a_column_are_refused(table, tmp_path):
    data = load(table, target="price", validation="none", test="none")
    other = tmp_path / "other.csv"
    other.write_text("size,price,rooms\n0.25,3.5,4\n1.25,4.5,3\n")
    with pytest.raises(ValueError, match=r"lacking: age; unknown: rooms"):
        load(other, target="price", like=data.format)


def test_the_format_is_written_down_and_read_back(table):
    form = load(table, target="price", validation="none", test="none").format
    again = type(form).from_plain(form.to_plain())
    assert (again.columns, again.given, again.encoding) == (("price",), ("age", "size"), form.encoding)


def test_missing_entries_of_the_target_are_masked_and_of_the_context_refused(tmp_path):
    path = tmp_path / "holes.csv"
    path.write_text("a,b\n" + ",1.5\n2.25,3.5\n" * 10)
    batch = whole(load(path, target="a", missing="mask", validation="none", test="none"))
    assert batch.mask[:2].flatten().tolist() == [False, True]
    with pytest.raises(ValueError, match=r"context: expected a number in every row, got none in some of 'a'"):
        load(path, target="b", missing="mask")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "prize"}, r"target: .*got 'prize'; did you mean 'price'"),
        ({"context": "age,sise"}, r"context: .*got 'sise'; did you mean 'size'"),
        ({"target": "price", "context": "price,age"}, r"target: expected columns that are no context, got 'price'"),
        ({"target": "age,price,size"}, r"target: expected some columns to condition on, got all 3 as x"),
        ({"target": "price,price"}, r"target: expected each column once"),
    ],
)
def test_columns_that_do_not_fit_are_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        load(table, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "a"}, "target: expected a table with named columns"),
        ({"context": "a,b"}, "context: expected None or"),
    ],
)
def test_arrays_have_no_named_columns(options, message):
    with pytest.raises(ValueError, match=message):
        load(np.ones((5, 2)), **options)


def test_columns_without_a_role_may_hold_anything(tmp_path):
    path = tmp_path / "pets.csv"
    path.write_text("kind,weight,age,born\n" + "cat,4.5,3.25,2020-01-01\ndog,9.25,4.5,2021-02-02\n" * 10)
    data = load(path, target="weight", context="age", validation="none", test="none")
    assert (data.columns, whole(data).context[:2].tolist()) == (("weight",), [[3.25], [4.5]])
    both = load(path, target="weight,age", context="kind", validation="none", test="none")
    assert (both.columns, both.format.class_names) == (("weight", "age"), ["cat", "dog"])


class TestFirstLinesThatCount:
    def test_are_the_names_of_columns_of_fractions(self, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text("0,1\n0.5,1.5\n2.5,3.5\n")
        data = load(path, validation="none", test="none")
        assert data.columns == ("0", "1")
        assert any("taken for the columns' names" in note for note in data.describe())

    def test_are_the_names_of_many_columns(self, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text("0,1,2,3\n" + "1,0,0,1\n" * 3)
        data = load(path, validation="none", test="none")
        assert (data.columns, len(data.train)) == (("0", "1", "2", "3"), 3)

    def test_may_be_a_row_of_few_whole_numbers(self, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text("0,1\n1,0\n1,1\n")
        data = load(path, validation="none", test="none")
        assert (data.columns, len(data.train)) == (("f0", "f1"), 3)


def test_a_column_of_labels_may_be_the_target_or_stand_beside_it(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("label,size\n" + "1.5,2.5\n3.5,4.25\n" * 10)
    assert load(path, target="label", validation="none", test="none").format.given == ("size",)
    assert load(path, target="size", validation="none", test="none").format.given == ("label",)


def test_a_single_whole_number_beside_a_target_is_a_number_too(table):
    data = load(table, target="price", context="age", validation="none", test="none")
    assert (data.context.levels, data.format.given) == (None, ("age",))
    assert whole(data).context[:3].tolist() == [[20], [21], [22]]


def test_something_must_be_left_for_x(table):
    with pytest.raises(ValueError, match="context: expected some columns to be left for x, got all 3"):
        load(table, context="age,price,size")


def test_columns_may_be_dropped(tmp_path):
    path = tmp_path / "pets.csv"
    path.write_text("kind,weight,age\n" + "cat,4.5,3.25\ndog,9.25,4.5\n" * 10)
    assert load(path, drop="kind", validation="none", test="none").columns == ("weight", "age")
    assert load(path, drop="kind, age", validation="none", test="none").columns == ("weight",)
    with pytest.raises(ValueError, match="leave them out with drop='kind'"):
        load(path)
    with pytest.raises(ValueError, match=r"drop: expected columns among .*, got 'kin'; did you mean 'kind'"):
        load(path, drop="kin")
    with pytest.raises(ValueError, match="drop: expected columns that have no role, got 'age', which has one"):
        load(path, drop="age", target="age")


def test_whole_numbers_may_be_taken_for_real_ones(tmp_path):
    path = tmp_path / "ages.csv"
    path.write_text("age,size\n" + "20,3\n31,4\n" * 10)
    assert load(path).variable.levels == 32
    data = load(path, real=True, validation="none", test="none")
    assert (data.variable.levels, data.train.stored.x[1].tolist()) == (None, [31, 4])
    assert load(path, like=data.format).variable.levels is None
    with pytest.raises(ValueError, match="real: expected False where grey values are binarized"):
        load(path, real=True, binarize="threshold")


@pytest.mark.parametrize(("mark", "word", "name"), [(";", "semicolons", "t.csv"), ("\t", "tabs", "t.tsv")])
def test_other_marks_between_columns_are_understood_and_said(tmp_path, mark, word, name):
    path = tmp_path / name
    path.write_text(f"a{mark}b\n" + f"1.5{mark}2.5\n" * 5)
    data = load(path, validation="none", test="none")
    assert (data.columns, data.train.stored.x[0].tolist()) == (("a", "b"), [1.5, 2.5])
    assert any(word in note for note in data.describe())


def test_columns_of_few_values_are_told_of(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{i}.5,{i % 3}\n" for i in range(60)))
    assert any(note.startswith("b: three values only among real numbers") for note in load(path).describe())


@pytest.mark.parametrize("options", [{"drop": "age"}, {"real": True}, {"target": "age"}])
def test_data_that_is_loaded_already_takes_no_roles(table, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected no option for data that is loaded already"):
        load(load(table), **options)


def test_columns_of_few_values_at_first_and_many_later_are_not_told_of(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{i}.5,{0 if i < 1100 else i}.25\n" for i in range(1200)))
    assert not any("values only" in note for note in load(path, validation="none", test="none").describe())
