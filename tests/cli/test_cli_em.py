"""`unveil fit` of what EM can fit: mixtures, factor analysis, hidden Markov models."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from unveil.inference import em
from unveil.models import GaussianMixture, load
from unveil.variables import Variable

MIXTURE = "fit --model GaussianMixture --data real.npy --model.components 3 --device cpu"


@pytest.fixture
def done(unveil):
    """Run a command line, which must work."""

    def run(words: str):
        result = unveil(words)
        assert result.status == 0, result.err
        return result

    return run


def files(folder: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def metrics(folder: str) -> list[dict]:
    return [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]


def test_everything_is_said_and_written(done):
    result = done(f"{MIXTURE} --out run")
    for said in (
        *("GaussianMixture", "expectation maximisation", "double precision on cpu, seed 0", "up to 1,000 steps"),
        *("converged after", "the best of 8 starts", "exact", "Folder      run"),
    ):
        assert said in result.out
    written = {path.name for path in Path("run").iterdir()}
    assert written == {
        "checkpoint", "config.yaml", "data.json", "evaluation.json", "metrics.jsonl", "model.safetensors", "plots"
    }  # fmt: skip
    bounds = [record["objective"] for record in metrics("run")]
    assert all(after >= before - 1e-9 for before, after in pairwise(bounds))
    assert [record["step"] for record in metrics("run")] == list(range(len(bounds)))
    found = json.loads(Path("run/evaluation.json").read_text())
    model = load("run")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    assert "exact" in json.dumps(found["log_likelihood"])


def test_it_is_the_fit_of_the_library(done):
    done(f"{MIXTURE} --validation none --test none --starts 3 --steps 40 --seed 5 --no-evaluate --out run")
    x = torch.from_numpy(np.load("real.npy")).float()
    model = GaussianMixture(Variable((3,)), components=3)
    found = em.fit(model, x, starts=3, steps=40, seed=5, progress=False)
    assert [record["objective"] for record in metrics("run")] == pytest.approx(found.bounds, abs=1e-12)
    assert torch.equal(load("run").log_prob(x), model.log_prob(x))


def test_evaluate_and_sample_work_on_it(done):
    done(f"{MIXTURE} --no-evaluate --out run")
    result = done("evaluate run --json")
    found = json.loads(result.out)
    x = torch.from_numpy(np.load("real.npy"))
    assert found["log_likelihood"]["bound"] == "exact"
    assert found["elbo"]["value"] == pytest.approx(found["log_likelihood"]["value"])
    assert load("run").log_prob(x).min() < found["log_likelihood"]["value"] < load("run").log_prob(x).max()
    done("sample run")


@pytest.mark.parametrize(
    ("words", "data"),
    [
        ("--model BernoulliMixture --model.components 2", "tiny.npz"),
        ("--model CategoricalMixture --model.components 2", "images.npz"),
        ("--model MixtureModel --model.components 2", "real.npy"),
        ("--model GaussianMixture --model.components 2 --model.covariance Diagonal", "real.npy"),
        ("--model MixtureOfFactorAnalysers --model.components 2", "real.npy"),
        ("--model FactorAnalysis --model.latent_dim 1", "real.npy"),
        ("--model ProbabilisticPCA --model.latent_dim 1", "real.npy"),
    ],
)
def test_every_model_is_repeated_from_its_configuration(done, words, data):
    done(f"fit {words} --data {data} --starts 2 --steps 30 --no-evaluate --out a")
    done("fit --config a/config.yaml --out b")
    assert Path("a/model.safetensors").read_bytes() == Path("b/model.safetensors").read_bytes()
    one, other = (yaml.safe_load(Path(folder, "config.yaml").read_text()) for folder in "ab")
    assert other == one | {"out": "b"}
    assert one["steps"] == 30


@pytest.mark.parametrize(
    ("model", "data"), [("BernoulliMixture", "tiny.npz"), ("MixtureOfFactorAnalysers", "real.npy")]
)
def test_models_of_several_kinds_are_judged(done, model, data):
    done(f"fit --model {model} --model.components 2 --data {data} --starts 2 --steps 30 --particles 2 --out run")
    assert json.loads(Path("run/evaluation.json").read_text())["log_likelihood"]["bound"] == "exact"


def test_sequences(done):
    random = np.random.default_rng(0)
    np.save("sequences.npy", random.normal(size=(40, 6, 2)))
    done("fit --model GaussianHMM --model.states 2 --data sequences.npy --starts 2 --steps 20 --out run")
    assert load("run").sample(3).shape == (3, 1, 6, 2)


def test_missing_cells_are_marginalised(done):
    rows = ["1.5,,3", "0.5,2.25,", "2.5,1.5,1", "0.1,0.2,0.3"] * 10
    Path("table.csv").write_text("\n".join(["a,b,c", *[f"{row}{n}" for n, row in enumerate(rows)]]))
    done(
        "fit --data table.csv --missing mask --model GaussianMixture --model.components 1 --starts 1 --no-evaluate "
        "--out run"
    )
    assert load("run").family.means.isfinite().all()


def test_a_model_with_a_pathwise_gradient_can_be_fitted_by_it(done):
    words = "fit --model ProbabilisticPCA --model.latent_dim 1 --data real.npy --by gradient --epochs 2 --no-evaluate"
    result = done(f"{words} --device cpu --out run")
    assert "epochs" in result.out
    assert "expectation maximisation" not in result.out
    assert load("run").log_prob(torch.zeros(2, 3)).isfinite().all()


def test_a_gradient_that_does_not_exist_is_refused(unveil):
    result = unveil(f"{MIXTURE} --by gradient --out run")
    assert result.status == 2
    assert "no reparametrised draw" in result.err
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fit --model VAE --data real.npy --by em", "--by: em fits"),
        (f"{MIXTURE} --by magic", "got 'magic'"),
        (f"{MIXTURE} --steps 0", "--steps: expected at least 1, got 0"),
        (f"{MIXTURE} --starts -1", "--starts: expected at least 0, got -1"),
        (f"{MIXTURE} --tolerance -1", "--tolerance: expected at least 0, got -1"),
        (f"{MIXTURE} --model.components 0", "components: expected at least 1, got 0"),
        ("fit --model GaussianMixture --data tiny.npz", "expects real numbers"),
        ("fit --model BernoulliMixture --data real.npy", "a BernoulliMixture expects binary data"),
        ("fit --model GaussianMixture --data tiny.npz --context label", "context"),
    ],
)
def test_what_does_not_go_together_is_refused_and_nothing_is_written(unveil, words, message):
    result = unveil(f"{words} --out run")
    assert result.status == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert not Path("run").exists()


def test_a_finished_run_is_left_as_it_is(done, unveil):
    done(f"{MIXTURE} --steps 40 --no-evaluate --out run")
    before = files("run")
    assert unveil(f"{MIXTURE} --out run").status == 2
    assert (
        "holds a finished run; it is left as it is"
        in done(f"{MIXTURE} --steps 40 --no-evaluate --out run --resume").out
    )
    assert files("run") == before
    assert unveil(f"{MIXTURE} --out run --resume --model.components 2").status == 2
    assert files("run") == before


def test_a_run_is_overwritten_where_that_is_asked_for(done):
    done(f"{MIXTURE} --steps 40 --no-evaluate --out run")
    before = files("run")[Path("run/model.safetensors")]
    done(f"{MIXTURE} --steps 40 --no-evaluate --out run --overwrite --model.components 2")
    assert load("run").family.components == 2
    assert files("run")[Path("run/model.safetensors")] != before


def test_control_c_saves_and_the_run_goes_on(done, unveil, monkeypatch):
    words = f"{MIXTURE} --starts 1 --steps 30 --tolerance 0 --no-evaluate"
    done(f"{words} --out whole")
    maximize, left = GaussianMixture.maximize, [6]

    def interrupted(self, statistics):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        maximize(self, statistics)

    with monkeypatch.context() as patch:
        patch.setattr(GaussianMixture, "maximize", interrupted)
        result = unveil(f"{words} --out run")
    assert result.status == 130
    assert "unveil fit --config run/config.yaml --resume" in result.out
    cut = metrics("run")
    done("fit --config run/config.yaml --resume")
    found = metrics("run")
    assert found[: len(cut)] == cut
    assert [record["step"] for record in found] == list(range(len(found)))
    expected = [record["objective"] for record in metrics("whole")]
    assert [record["objective"] for record in found] == pytest.approx(expected, abs=1e-9)


def test_stepwise_em_is_said(done):
    result = done(f"{MIXTURE} --batch_size 16 --steps 10 --no-evaluate --out run")
    assert "stepwise, batches of 16" in result.out


def test_more_components_than_rows_are_refused_before_anything_is_written(unveil, scratch):
    np.save("few.npy", np.random.default_rng(0).normal(size=(6, 2)))
    result = unveil("fit --model GaussianMixture --data few.npy --out run")
    assert result.status == 2
    assert "--model.components: expected at most as many as there are rows" in result.err
    assert not (scratch / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"{MIXTURE} --epochs 3", "--epochs: expectation maximisation has no use for it"),
        (f"{MIXTURE} --objective.beta 2", "--objective.beta: expectation maximisation has no use for it"),
        ("fit --model DirichletProcessMixture --data real.npy --lr 0.1", "--lr: coordinate ascent has no use for it"),
        (
            "fit --data real.npy --starts 3",
            "--starts: gradient ascent has no use for it; leave it out, or fit by turns",
        ),
    ],
)
def test_settings_of_another_way_are_refused_before_anything_is_written(unveil, words, said):
    result = unveil(f"{words} --out run")
    assert result.status == 2
    assert said in result.err
    assert not Path("run").exists()


def test_a_configuration_that_was_written_down_holds_settings_of_all_ways(done):
    done(f"{MIXTURE} --out run --no-evaluate")
    done("fit --config run/config.yaml --out again")


def test_regression_of_one_column_on_the_others(done):
    x = np.random.default_rng(0).normal(size=(60, 3))
    rows = np.column_stack([x, x @ [1.0, -2.0, 0.0] + 0.1])
    Path("table.csv").write_text("a,b,c,y\n" + "\n".join(",".join(map(str, row)) for row in rows.tolist()) + "\n")
    result = done("fit --model BayesianLinearRegression --data table.csv --target y --device cpu --out run")
    assert "context: 3 real numbers (a, b, c), as given" in result.out
    np.testing.assert_allclose(load("run").weights, [1, -2, 0], atol=1e-3)
    later = done("evaluate run --data table.csv --split train --json")
    assert json.loads(later.out)["log_likelihood"]["bound"] == "exact"


def test_troubles_are_told_once_and_without_a_place_in_the_code(done):
    Path("flat.csv").write_text("a,b\n" + "\n".join(f"{i % 7}.5,1.25" for i in range(60)) + "\n")
    result = done("fit --model GaussianMixture --data flat.csv --model.components 2 --device cpu --out run")
    assert result.out.count("try fewer components") == 1
    assert "UserWarning" not in result.err
    assert ".py" not in result.err


def test_what_a_file_asks_for_is_not_passed_over_either(unveil):
    Path("mine.yaml").write_text("model: GaussianMixture\ndata: real.npy\nlr: 0.5\n")
    result = unveil("fit --config mine.yaml --out run")
    assert result.status == 2
    assert "--lr: expectation maximisation has no use for it" in result.err


def test_starts_of_topics_are_refused_before_anything_is_written(unveil):
    np.save("counts.npy", np.random.default_rng(0).integers(0, 300, (40, 5)))
    result = unveil("fit --model LatentDirichletAllocation --data counts.npy --starts 6 --out run")
    assert result.status == 2
    assert "--starts: expected 1 for a LatentDirichletAllocation, which remembers every row, got 6" in result.err
    assert not Path("run").exists()


def test_whole_numbers_are_predicted_as_real_ones_where_asked(unveil, done):
    rows = np.random.default_rng(0).integers(20, 60, (60, 2))
    Path("ages.csv").write_text("age,size\n" + "\n".join(f"{a},{b}.5" for a, b in rows) + "\n")
    refused = unveil("fit --model BayesianLinearRegression --data ages.csv --target age --out run")
    assert "or load the data as real numbers: --real" in refused.err
    assert "exact" in done("fit --model BayesianLinearRegression --data ages.csv --target age --real --out run").out


def test_nothing_is_resumed_from_nothing(unveil):
    result = unveil("fit --resume --out nowhere")
    assert result.status == 2
    assert "--resume: expected a run in nowhere to go on with, or --model and --data" in result.err
