"""Files, folders and hub names; nothing is ever unpickled."""

import io
import pickle
import urllib.error

import datasets
import numpy as np
import pytest
from PIL import Image

from unveil.data import load
from unveil.data.sources import hub

X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
WHOLE = {"validation": "none", "test": "none"}


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize(
    "kind", ["object.npy", "object.npz", "pickle.npy", "pickle.npz", "data.pkl", "data.pt", "folder"]
)
def test_pickled_data_is_refused_and_never_executed(tmp_path, kind):
    sprung, path = tmp_path / "sprung", tmp_path / kind
    trap = np.array([Trap(sprung), None], dtype=object)
    if kind == "object.npy":
        np.save(path, trap, allow_pickle=True)
    elif kind == "object.npz":
        np.savez(path, train=trap, test=X, allow_pickle=True)
    elif kind == "folder":
        path.mkdir()
        (path / "train.pkl").write_bytes(pickle.dumps(trap))
        (path / "folder.py").write_text(f"open({str(sprung)!r}, 'w')")
    else:
        path.write_bytes(pickle.dumps(trap))
    with pytest.raises(ValueError, match=r"^data: expected"):
        load(path)
    assert not sprung.exists()


def test_npz_and_npy_files_are_read(tmp_path, all_x):
    np.save(tmp_path / "a.npy", X)
    np.savez_compressed(tmp_path / "b.npz", train=X, valid=X[:5], test=X[:6])
    np.savez(tmp_path / "c.npz", x=X, y=np.arange(30) % 2)
    assert np.array_equal(all_x(load(tmp_path / "a.npy", **WHOLE).train), X)
    assert [len(split) for split in load(str(tmp_path / "b.npz")).splits.values()] == [30, 5, 6]
    assert load(tmp_path / "c.npz", context="label").context.shape == (2,)
    assert load(tmp_path / "a.npy").name == "a"


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_truncated_files_are_refused(tmp_path, name, share):
    buffer = io.BytesIO()
    np.save(buffer, X) if name == "a.npy" else np.savez_compressed(buffer, train=X, test=X)
    content = buffer.getvalue()
    (tmp_path / name).write_bytes(content[: max(7, int(share * len(content)))])
    with pytest.raises(ValueError, match=r"^data: (cannot read|expected)"):
        load(tmp_path / name)


def test_a_damaged_array_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", train=X, test=X)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[100:140] = bytes(40)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="damaged or incomplete"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.csv", "a.parquet"])
def test_empty_files_are_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match="which is empty"):
        load(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.parquet"])
def test_files_of_another_format_are_refused(tmp_path, name):
    (tmp_path / name).write_text("not what the name says")
    with pytest.raises(ValueError, match=r"^data: (cannot read|expected)"):
        load(tmp_path / name)


def test_other_extensions_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("1")
    with pytest.raises(
        ValueError, match=r"expected a file ending in '\.npz', '\.npy', '\.csv', '\.tsv', '\.parquet', or a folder"
    ):
        load(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["train.npz", "no/such/folder", "./nowhere", "~/no-such-file.npy"])
def test_missing_paths_are_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="which is not there"):
        load(name)


def test_the_nearest_file_is_named(tmp_path):
    np.save(tmp_path / "faces.npy", X)
    with pytest.raises(FileNotFoundError, match=r"did you mean 'faces.npy'"):
        load(tmp_path / "face.npy")


def test_csv_tables_are_read(tmp_path, all_x):
    table = "a,b,label\n" + "".join(f"{row},{row / 7},{'xy'[row % 2]}\n" for row in range(20))
    (tmp_path / "a.csv").write_text(table)
    data = load(tmp_path / "a.csv", context="label", **WHOLE)
    assert np.allclose(all_x(data.train), [[row, row / 7] for row in range(20)])
    assert data.train.rows(slice(2)).context.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert "column 'label' holds labels and is no part of x" in load(tmp_path / "a.csv").describe()[2]


def test_csv_without_names_loses_no_row(tmp_path, all_x):
    (tmp_path / "a.csv").write_text("0.5,2\n3,4\n5,6\n")
    data = load(tmp_path / "a.csv", **WHOLE)
    assert all_x(data.train).tolist() == [[0.5, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,c\n1,x,2020-01-01\n2,y,2020-01-02\n", "other columns: 'b', 'c'"),
        ("a,b\n1,2\n3,\n4,5\n", "NaN or infinity in row 1;"),
        ("a,b\n1,2\n3,nan\n4,inf\n", "NaN or infinity in rows 1, 2;"),
        ("a,b\n", "at least one row"),
        ("a,b\n1,2,3\n", "cannot read"),
        ("a,a\n1,2\n", "columns of different names"),
        ("label\n1\n", "columns of numbers"),
    ],
)
def test_bad_tables_are_refused(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "a.csv")


def test_parquet_tables_are_read(tmp_path, all_x):
    datasets.Dataset.from_dict({"a": [0.5, 1.5, 2.5], "b": [1, 2, 3]}).to_parquet(tmp_path / "a.parquet")
    assert all_x(load(tmp_path / "a.parquet", **WHOLE).train).tolist() == [[0.5, 1.0], [1.5, 2.0], [2.5, 3.0]]


def test_folders_of_tables_and_of_saved_sets_are_read(tmp_path):
    parts = {"train": {"a": [0.5] * 9}, "test": {"a": [1.5] * 3}}
    tables = datasets.DatasetDict({name: datasets.Dataset.from_dict(part) for name, part in parts.items()})
    tables.save_to_disk(tmp_path / "saved")
    (tmp_path / "layout").mkdir()
    for name, table in tables.items():
        table.to_parquet(tmp_path / "layout" / f"{name}-00000-of-00001.parquet")
    for folder in ("saved", "layout"):
        data = load(tmp_path / folder, validation="none")
        assert {name: len(split) for name, split in data.splits.items()} == {"train": 9, "test": 3}
        assert data.name == folder


def test_folders_of_images_are_read_with_their_classes(tmp_path, all_x):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    for row, image in enumerate(pixels):
        folder = tmp_path / "faces" / "ab"[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{row}.png")
    data = load(tmp_path / "faces", context="label", **WHOLE)
    assert str(data.variable) == "3x5x4, 256 levels"
    assert np.array_equal(all_x(data.train), np.moveaxis(pixels[[0, 2, 4, 1, 3, 5]], -1, 1))
    assert data.train.rows(slice(None)).context.argmax(dim=1).tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("content", [None, ("a.xyz", b"1"), ("train.parquet", b"PAR1 and no more")])
def test_folders_without_readable_data_are_refused(tmp_path, content):
    folder = tmp_path / "set"
    folder.mkdir()
    if content:
        (folder / content[0]).write_bytes(content[1])
    with pytest.raises(ValueError, match="expected a folder with data"):
        load(folder)


@pytest.mark.parametrize("name", ["owner/name", "digts"])
def test_hub_names_without_a_network_are_one_clear_sentence(name):
    with pytest.raises(
        ValueError, match=rf"^data: '{name}' is no file or folder here, and .* cannot be reached"
    ) as error:
        load(name)
    assert "\n" not in str(error.value)
    assert ("did you mean 'digits'" in str(error.value)) == (name == "digts")


def test_hub_names_load_what_the_hub_has(monkeypatch):
    table = datasets.Dataset.from_dict({"a": [0.5] * 9})
    monkeypatch.setattr(hub, "reachable", lambda address: True)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(train=table))
    assert load("owner/name").name == "owner/name"


def test_hub_failures_are_one_sentence(monkeypatch):
    def fail(name):
        raise RuntimeError("no such set\nand much more")

    monkeypatch.setattr(hub, "reachable", lambda address: True)
    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(ValueError, match=r"cannot be loaded from the Hugging Face hub: no such set$"):
        load("owner/name")


def test_a_server_that_answers_with_an_error_is_reachable(monkeypatch):
    def refuse(request, timeout):
        raise urllib.error.HTTPError(request.full_url, 403, "forbidden", None, None)

    monkeypatch.setattr(hub.urllib.request, "urlopen", refuse)
    assert hub.reachable("http://127.0.0.1:9")


@pytest.mark.parametrize("name", ["a b", "", "x" * 5000, "a\0b"])
def test_texts_that_are_neither_path_nor_name_are_refused(name):
    with pytest.raises(ValueError, match=r"^data: expected a path"):
        load(name)
