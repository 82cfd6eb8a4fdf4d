"""Mistakes get one message that says what to do, status 2, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

FLAGS = [
    ("fit --modl VAE", "unknown option --modl; did you mean --model?"),
    ("fit --epoch 3", "unknown option --epoch; did you mean --epochs?"),
    ("fit epochs 3", "unexpected word 'epochs'; did you mean --epochs?"),
    ("fit --model VEA", "--model: unknown model 'VEA'; did you mean VAE?"),
    ("fit --model vae", "--model: unknown model 'vae'; did you mean VAE?"),
    ("fit --model.prior VampPrio", "--model.prior: unknown prior 'VampPrio'; did you mean VampPrior?"),
    ("fit --model.prior MLP", "--model.prior: unknown prior 'MLP'; expected one of ConditionalGaussian, "),
    ("fit --model.latent_dm 3", "--model.latent_dm: VAE has no option 'latent_dm'; did you mean latent_dim?"),
    ("fit --model.prior.components 3", "StandardNormal has no option 'components'; see `unveil parts StandardNormal`"),
    ("fit --model.encoder.hidden 3", "--model.encoder is chosen from the data; choose the part itself first"),
    ("fit --model.encoder MLP --model.encoder.hiden 3", "MLP has no option 'hiden'; did you mean hidden?"),
    ("fit --model.latent_dim 3.5", "--model.latent_dim: expected a whole number, got '3.5'"),
    ("fit --model.encoder MLP --model.encoder.hidden 3,a", "--model.encoder.hidden: expected whole numbers"),
    ("fit --objective BetaELBO --objective.beta Liner", "unknown schedule 'Liner'; did you mean Linear?"),
    ("fit --compile maybe", "unexpected word 'maybe'"),
    ("fit --compile=maybe", "--compile: expected true or false, got 'maybe'"),
    ("fit --epochs", "--epochs: expected a whole number, got nothing"),
    ("fit --lr Constant", "--lr.level: expected a number, got nothing"),
    ("fit --lr nan", "--lr: "),
    ("fit --data digits --resume --overwrite", "--resume: expected without overwrite, got both"),
    ("fit --config none.yaml", "--config: no such file 'none.yaml'"),
    ("fit --model.prior os.getcwd", "--model.prior: os.getcwd is not of this package"),
    ("evaluate", "RUN: expected the folder of a run or a .safetensors file, got nothing"),
    ("evaluate nowhere", "RUN: expected the folder of a run or a .safetensors file, got 'nowhere'; it is not there"),
    ("sample nowhere", "RUN: expected the folder of a run"),
]
RANGES = [
    ("--model.latent_dim 0", "--model.latent_dim: expected at least 1, got 0"),
    ("--batch_size 0", "--batch_size: expected at least 1, got 0"),
    ("--epochs 0", "--epochs: expected at least 1, got 0"),
    ("--epochs -1", "--epochs: expected at least 1, got -1"),
    ("--particles 0", "--particles: expected at least 1, got 0"),
    ("--limit 0", "--limit: expected at least 1, got 0"),
    ("--objective IWAE --objective.particles 0", "--objective.particles: expected at least 1, got 0"),
    ("--model.prior VampPrior --model.prior.components 0", "--model.prior.components: expected at least 1, got 0"),
    ("--lr -1", "--lr: expected a positive number, got -1.0"),
    ("--lr 0", "--lr: expected a positive number, got 0.0"),
    ("--lr Cosine --lr.peak -1", "--lr: peak, end: expected a positive peak"),
    ("--objective BetaELBO --objective.beta -1", "--objective.beta: expected a number of at least 0"),
    ("--objective FreeBits --objective.nats -1", "--objective.nats: expected a free rate of at least 0, got -1.0"),
    ("--clip -1", "--clip: expected a positive number, got -1.0"),
    ("--average 1", "--average: expected a decay in [0, 1)"),
    ("--patience 0", "--patience: expected at least 1, got 0"),
    ("--seed -1", "--seed: "),
    ("--device cuda:9", "--device: cuda:9 is asked for"),
    ("--device gpu", "--device: expected cpu, cuda or cuda:N, got 'gpu'"),
    ("--precision float23", "--precision: expected one of float32"),
    ("--gradient DReG", "--gradient: DReG is the gradient of the importance-weighted bound"),
    ("--gradient StickingTheLanding", "--objective.closed_form false"),
    ("--model CVAE", "--context: a CVAE expects something to be conditioned on"),
    ("--context lable", "--context: expected None or 'label' (y) for arrays, got 'lable'; did you mean 'label'?"),
    ("--model.likelihood OptimalGaussian", "--model.likelihood: OptimalGaussian expects real numbers, got 2 levels"),
    ("--binarize treshold", "--binarize: expected None or one of 'threshold'"),
    ("--validation 100", "expected to leave at least 1 of 60 rows to train on"),
    ("--model GSNN --context label --model.prior VampPrior", "a VampPrior is the same for all examples"),
]
DATA = [
    ("none.npz", "--data: expected an existing file or folder, got 'none.npz', which is not there"),
    ("empty.npz", "--data: expected a file with data, got 'empty.npz', which is empty"),
    ("text.npz", "--data: expected NumPy's file format, got 'text.npz', which is not"),
    ("cut.npz", "--data: cannot read 'cut.npz': it is damaged or incomplete"),
    ("pickled.npy", "--data: expected plain numbers in 'pickled.npy', got Python objects"),
    ("nan.npy", "expected finite numbers, got NaN or infinity in rows 3, 7"),
    ("out_of_range.npz", "expected binary as in the training part, got other values (from 0 to 5) in rows"),
    ("owner/name", "the Hugging Face hub cannot be reached"),
    ("", "--data: "),
]


@pytest.fixture
def bad_data() -> None:
    random = np.random.default_rng(0)
    Path("empty.npz").touch()
    Path("text.npz").write_text("hello")
    Path("cut.npz").write_bytes(Path("tiny.npz").read_bytes()[:300])
    np.save("pickled.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    holes = random.normal(size=(60, 3))
    holes[3, 1], holes[7, 0] = np.nan, np.inf
    np.save("nan.npy", holes)
    test = np.arange(30).reshape(6, 5) % 6
    np.savez("out_of_range.npz", train=random.integers(0, 2, (50, 5)), test=test)


def refused(unveil, words: str, message: str) -> None:
    before = sorted(Path().rglob("*"))
    result = unveil(words)
    assert result.status == 2
    assert result.out == ""
    assert result.err.startswith("unveil: ")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(("words", "message"), FLAGS)
def test_flags_and_names(unveil, words, message):
    refused(unveil, words, message)


@pytest.mark.parametrize(("words", "message"), RANGES)
def test_numbers_and_combinations(unveil, words, message):
    refused(unveil, f"fit --data tiny.npz --out run --epochs 1 {words}", message)


@pytest.mark.parametrize(("data", "message"), DATA)
@pytest.mark.usefixtures("bad_data")
def test_data(unveil, data, message):
    refused(unveil, f"fit --data={data} --out run --epochs 1", message)


def test_pixels_that_a_likelihood_can_not_have(unveil):
    message = "--model.likelihood: Bernoulli expects data of 2 levels 0, 1, ..., got real numbers"
    refused(unveil, "fit --data real.npy --out run --model.likelihood Bernoulli", message)


CONFIGS = [
    ("model.latent: 3", "model.latent in bad.yaml: VAE has no option 'latent'; did you mean latent_dim?"),
    ("epochs: many", "epochs in bad.yaml: expected a whole number, got 'many'"),
    ("model: {name: VAE}", "model in bad.yaml: expected one value, got a mapping"),
    ("[1, 2", "--config: can't read 'bad.yaml'"),
    ("just words", "--config: expected lines such as `epochs: 10` in 'bad.yaml'"),
    ("overwrite: true", "overwrite in bad.yaml: expected on the command line only"),
]


@pytest.mark.parametrize(("text", "message"), CONFIGS)
def test_files_of_settings(unveil, text, message):
    Path("bad.yaml").write_text(text + "\n")
    refused(unveil, "fit --config bad.yaml --data tiny.npz --out run", message)


def test_a_folder_that_holds_a_run(unveil, fit):
    fit("--out run")
    refused(unveil, "fit --data tiny.npz --out run", "--out: run holds a run already; add --resume to go on with it")
    refused(unveil, "fit --config run", "--overwrite to start anew")


def test_a_folder_that_can_not_be(unveil):
    Path("file").touch()
    refused(unveil, "fit --data tiny.npz --out file", "--out: expected a folder, got the file file")
    refused(unveil, "fit --data tiny.npz --out file/run", "Not a directory")
    refused(unveil, "fit --data tiny.npz --out=", "--out: expected a folder, got an empty text")


def test_a_folder_of_other_files(unveil):
    Path("home").mkdir()
    Path("home/evaluation.json").write_text("mine")
    Path("home/letter.txt").write_text("mine")
    for more in ("", " --overwrite", " --resume"):
        refused(
            unveil, f"fit --data tiny.npz --out home{more}", "--out: expected a new or empty folder, or one of a run"
        )
    assert sorted(file.name for file in Path("home").iterdir()) == ["evaluation.json", "letter.txt"]


def test_a_loss_that_is_not_finite(unveil):
    result = unveil("fit --data real.npy --out run --epochs 50 --lr 1e30 --no-evaluate")
    assert result.status == 1
    assert "the loss is not finite at step" in result.err
    assert "--clip 1" in result.err


def test_a_bug_keeps_its_traceback(unveil, monkeypatch):
    def broken(*args: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("unveil.training.loop.Loop.step", broken)
    with pytest.raises(ValueError, match="a bug"):
        unveil("fit --data tiny.npz --out run --epochs 1")
