"""Real MNIST, where a folder of real data is there."""

import datasets
import numpy as np
import pytest
import torch

from unveil.data import load
from unveil.data.binarize import binarized


@pytest.fixture(scope="module")
def folder(real_data):
    return real_data / "mnist"


@pytest.fixture(scope="module")
def mnist(folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield load(folder, validation="last:10000", context="label")


def test_static_mnist_has_the_published_means(real_data):
    data = load(real_data / "mnist_static" / "mnist_static.npz")
    means = [split.stored.x.double().mean().item() for split in data.splits.values()]
    assert means == pytest.approx([0.130562, 0.131127, 0.132512], abs=1e-6)
    assert repr(data) == "Data('mnist_static': 1x28x28, binary; train 50,000, validation 10,000, test 10,000)"


def test_the_folder_holds_the_rows_of_the_hub_in_their_order(mnist, folder):
    assert str(mnist.variable) == "1x28x28, 256 levels"
    assert [len(split) for split in mnist.splits.values()] == [50_000, 10_000, 10_000]
    tables = datasets.load_dataset(str(folder))
    for split, part, first in ((mnist.train, "train", 0), (mnist.validation, "train", 50_000), (mnist.test, "test", 0)):
        for row in (0, 1, 4321, 9999):
            example, batch = tables[part][first + row], split.rows(torch.tensor([row]))
            assert np.array_equal(batch.x[0, 0].numpy(), np.asarray(example["image"]))
            assert batch.context[0].argmax() == example["label"]


def test_fixed_test_is_the_convention_of_the_vampprior_paper(mnist, all_x):
    drawn, _ = binarized(mnist.splits, 256, "fixed_test")
    np.random.seed(777)
    for name in ("validation", "test"):
        expected = np.random.binomial(1, all_x(mnist.split(name)).astype(np.float32) / 255.0)
        assert np.array_equal(all_x(drawn[name]), expected)
    assert len(drawn["train"]) == 50_000
