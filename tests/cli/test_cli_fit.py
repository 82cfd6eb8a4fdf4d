"""`unveil fit`: what it says, what it writes, and that what it wrote repeats it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from tests.cli.conftest import SMALL
from unveil.cli.place import default_out
from unveil.models import load


def config(folder: str) -> dict:
    return yaml.safe_load(Path(folder, "config.yaml").read_text())


def weights(folder: str) -> bytes:
    return Path(folder, "model.safetensors").read_bytes()


def test_everything_is_said_and_written(unveil):
    result = unveil(" ".join(["fit", "--data images.npz", *SMALL[2:], "--epochs 2 --particles 3 --out run"]))
    assert result.status == 0, result.err
    for said in (
        *("images of 1x4x4, 4 levels", "chosen for data of", "Categorical", "parameters", "2 epochs", "batches of 10"),
        *("on cpu", "ELBO", "log-likelihood", "mutual information", "Folder      run"),
    ):
        assert said in result.out
    folder = Path("run")
    written = {path.name for path in folder.iterdir()}
    assert written == {
        "checkpoint", "config.yaml", "data.json", "evaluation.json", "metrics.jsonl", "model.safetensors", "plots"
    }  # fmt: skip
    assert (folder / "plots" / "images.png").read_bytes().startswith(b"\x89PNG")
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2
    assert json.loads((folder / "evaluation.json").read_text())["particles"] == 3


def test_without_a_name_runs_are_named_and_numbered(fit):
    fit("")
    fit("")
    fit("--model CVAE --context label")
    assert {path.name for path in Path("runs").iterdir()} == {"vae-tiny", "vae-tiny-2", "cvae-tiny"}
    assert config("runs/vae-tiny-2")["out"] == "runs/vae-tiny-2"


def test_the_last_of_the_numbered_runs_is_resumed_or_overwritten(fit):
    assert default_out({}, latest=True) == "runs/vae-digits"
    fit("")
    fit("")
    assert "runs/vae-tiny-2 holds a finished run" in fit("--resume").out
    fit("--overwrite --seed 1")
    assert (config("runs/vae-tiny")["seed"], config("runs/vae-tiny-2")["seed"]) == (0, 1)


def test_the_configuration_repeats_the_run_to_the_bit(fit, unveil):
    fit(
        "--out a --model.prior MixtureOfGaussians --model.prior.components 3 --objective BetaELBO "
        "--objective.beta Linear --objective.beta.epochs 2 --lr Cosine --lr.peak 3e-3 --average 0.9 --clip 1 --seed 3"
    )
    assert unveil("fit --config a/config.yaml --out b").status == 0
    assert weights("a") == weights("b")
    assert config("b") == config("a") | {"out": "b"}


def test_the_configuration_holds_every_setting_and_the_numbers_that_were_settled(unveil):
    unveil("fit --data tiny.npz --out run --no-evaluate --epochs 1")
    found = config("run")
    assert found["batch_size"] == 4
    assert found["model.prior"] == "StandardNormal"
    assert found["model.likelihood"] is None
    assert found["objective.closed_form"] is True
    assert not {"resume", "overwrite", "trust", "config"} & set(found)


def test_flags_win_over_the_file_and_another_part_drops_the_options_of_the_one_before(fit, unveil):
    fit("--out a --model.prior VampPrior --model.prior.components 4")
    assert unveil("fit --config a --out b --model.prior MixtureOfGaussians --seed 5").status == 0
    assert config("b")["model.prior.components"] == 50
    assert config("b")["seed"] == 5
    assert config("b")["model.latent_dim"] == 2


def test_a_file_written_by_hand(unveil):
    Path("mine.yaml").write_text(
        "data: tiny.npz\nout: run\nepochs: 1\nlr: 1e-3\nevaluate: false\n"
        "model.encoder: MLP\nmodel.encoder.hidden: [4, 5]\n"
    )
    assert unveil("fit --config mine.yaml").status == 0
    assert config("run")["lr"] == 1e-3
    assert config("run")["model.encoder.hidden"] == [4, 5]


def test_options_of_parts_reach_them(fit):
    fit(
        "--out run --model.prior VampPrior --model.prior.components 7 --model.prior.weighted "
        "--model.posterior DiagonalGaussian --model.posterior.log_variance -3,2 --model.encoder.hidden 5,4"
    )
    model = load("run")
    assert model.prior.pseudo_inputs.shape[0] == 7
    assert model.posterior.log_variance == (-3, 2)
    assert [layer.linear.out_features for layer in model.posterior.net.hidden] == [5, 4]


@pytest.mark.parametrize("given", ["--compile=false", "--no-compile", "--compile no", "--compile --compile false"])
def test_a_flag_can_be_turned_off(fit, given):
    fit(f"--out run {given}")
    assert config("run")["compile"] is False


def test_dashes_do_for_underscores(fit):
    fit("--out run --batch-size 20")
    assert config("run")["batch_size"] == 20


def test_a_condition(fit):
    result = fit("--context label --model CVAE --objective Hybrid --out run")
    assert "one-hot labels of 3 classes" in result.out
    assert load("run").context.features == 3


def test_the_seed_decides_the_weights(fit):
    fit("--out a")
    torch.manual_seed(17)
    fit("--out b")
    fit("--out c --seed 1")
    assert weights("a") == weights("b") != weights("c")


def test_a_run_without_evaluation_is_evaluated_when_resumed(fit, unveil):
    fit("--out run")
    before = weights("run")
    assert unveil("fit --out run --resume --evaluate true --particles 2").status == 0
    assert Path("run/evaluation.json").is_file()
    assert weights("run") == before


def test_overwriting_leaves_nothing_of_the_run_before(fit, unveil):
    unveil(" ".join(["fit", "--data images.npz", *SMALL[2:], "--epochs 1 --particles 2 --out run"]))
    Path("run/mine.txt").write_text("mine")
    fit("--out run --overwrite")
    assert not Path("run/evaluation.json").exists()
    assert not list(Path("run/plots").glob("*"))
    assert Path("run/mine.txt").read_text() == "mine"


def test_parts_of_other_packages_need_trust(unveil, monkeypatch):
    Path("mine.py").write_text(
        "from __future__ import annotations\nfrom unveil.priors import StandardNormal\n"
        "class Mine(StandardNormal):\n    def __init__(self, *args, width: float = 2.0, **kwargs):\n"
        "        super().__init__(*args, **kwargs)\n        self.width = width\n"
    )
    line = " ".join(["fit", *SMALL, "--epochs 1 --no-evaluate --out run --model.prior mine.Mine --model.prior.width 3"])
    refused = unveil(line)
    assert refused.status == 2
    assert "--trust" in refused.err
    monkeypatch.syspath_prepend(".")
    result = unveil(f"{line} --trust")
    assert result.status == 0, result.err
    assert config("run")["model.prior"] == "mine.Mine"
    assert unveil("fit --config run --out again").status == 2
    assert unveil("fit --config run --out again --trust").status == 0
    assert weights("run") == weights("again")
    assert unveil("sample run").status == 2
    assert unveil("sample run --trust").status == 0


def test_a_file_can_not_grant_trust(unveil):
    Path("theirs.yaml").write_text("data: tiny.npz\nmodel.prior: mine.Mine\ntrust: true\n")
    result = unveil("fit --config theirs.yaml --out run")
    assert result.status == 2
    assert "command line only" in result.err


def test_missing_cells_of_a_table_are_marginalised_where_asked_for(unveil):
    rows = ["1.5,,3", "0.5,2.25,", "2.5,1.5,1"] * 20
    Path("table.csv").write_text("\n".join(["a,b,c", *rows]))
    words = "fit --data table.csv --epochs 1 --particles 2 --out run --device cpu"
    refused = unveil(words)
    assert refused.status == 2
    assert "--missing mask" in refused.err
    result = unveil(f"{words} --missing mask")
    assert result.status == 0, result.err
    assert "entries of the training rows are missing" in result.out
    assert Path("run/plots/marginals.png").is_file()
    assert unveil("evaluate run --particles 2").status == 0
