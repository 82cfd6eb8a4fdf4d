"""The flags of each command: a field is a flag, its annotation the type, its default the default.

Nothing here imports torch: annotations are looked up when a command runs, and help is made of the words alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from unveil.cli.registry import ModelFactory
    from unveil.data import Data, Format
    from unveil.gradients import Gradient
    from unveil.objectives import Objective, Schedule
    from unveil.training.settings import Settings

PASSING = ("out", "resume", "overwrite", "trust")
"""What belongs to one invocation; all but ``out`` stay out of the configuration that is written down."""

VAE: Any = "VAE"
PATHWISE: Any = "Pathwise"
"""Parts by their names, which are looked up when a command runs."""


class Choice(NamedTuple):
    """A part by its name, with options: a default that imports nothing."""

    name: str
    options: dict[str, Any]

    def __str__(self) -> str:
        return self.name


WARMED_UP: Any = Choice("BetaELBO", {"beta": Choice("WarmUp", {})})
"""The ELBO, whose rate is priced in over the first tenth of training: what :func:`unveil.fit` does by default."""


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Data and its splits.

    Args:
        data: A path (.npz, .npy, .csv, .parquet, a folder), a name on the Hugging Face hub, or digits.
        validation: Validation rows: a split's name, a share, a count, last:N or none.
        test: Test rows, likewise.
        binarize: Make grey values binary: threshold, fixed_test or redrawn_test.
        context: What to condition on: label, or the name of a column; several columns of numbers as age,income.
        target: The columns of a table that are x, where not all are; the others are the context.
        real: Take whole numbers for real ones (ages, ratings, prices).
        drop: Columns of a table to leave out, separated by commas.
        missing: What NaN is (an empty cell of a table): refuse for a mistake, mask to marginalise it.
        split_seed: Decides which rows are held out, where none are given.
    """

    data: str = "digits"
    validation: int | float | str | None = None
    test: int | float | str | None = None
    binarize: str | None = None
    context: str | None = None
    target: str | None = None
    real: bool = False
    drop: str | None = None
    missing: str = "refuse"
    split_seed: int = 0

    def load(self, like: Format | None = None) -> Data:
        """Load the data, read as other data was if that is said."""
        from unveil import data

        return data.load(
            self.data,
            validation=self.validation,
            test=self.test,
            binarize=self.binarize,
            context=self.context,
            target=self.target,
            real=self.real,
            drop=self.drop,
            missing=self.missing,
            like=like,
            seed=self.split_seed,
        )


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Model (`unveil parts` lists what there is).

    Args:
        model: The model.
        objective: What is maximised.
        gradient: How its gradient is estimated.
    """

    model: ModelFactory = VAE
    objective: Objective = WARMED_UP
    gradient: Gradient = PATHWISE


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Training.

    Args:
        epochs: Passes over the training rows; by default as many as make about 3,000 steps.
        batch_size: Rows per step and process; 100 by default, fewer for fewer than 1,000 rows; all by turns.
        lr: The learning rate: the peak of a cosine, or a schedule.
        seed: Decides every random number.
        device: cpu, cuda, cuda:1, ...; the best there is by default.
        precision: Of matrix products: float32 or bfloat16.
        compile: Compile the nets.
        average: The decay of a moving average of the weights, 0 for none.
        clip: The largest norm of the gradient.
        patience: End after so many epochs without a better validation bound.
        checkpoint_seconds: The longest time between two checkpoints.
    """

    epochs: int | None = None
    batch_size: int | None = None
    lr: float | Schedule = 1e-3
    seed: int = 0
    device: str | None = None
    precision: str = "float32"
    compile: bool = False
    average: float = 0.0
    clip: float | None = None
    patience: int | None = None
    checkpoint_seconds: float = 60.0

    def settings(self) -> Settings:
        """These options as the training loop takes them."""
        from unveil.training.settings import Settings

        return Settings(**{field.name: getattr(self, field.name) for field in fields(TrainingOptions)})


@dataclass(frozen=True, kw_only=True)
class TurnsOptions:
    """EM and coordinate ascent (mixtures, factor analysis, hidden Markov models, Bayesian models).

    Args:
        by: How to fit: em, cavi (coordinate ascent) or gradient; by default what the model allows, in this order.
        starts: Starts to try, the best of which is kept; as many as the model needs by default.
        steps: The largest number of steps, each a pass over the training rows.
        tolerance: End when so many nats per row are left to gain, as far as the last gains tell.
    """

    by: str | None = None
    starts: int | None = None
    steps: int = 1000
    tolerance: float = 1e-5


@dataclass(frozen=True, kw_only=True)
class JudgingOptions:
    """Evaluation at the end.

    Args:
        evaluate: Judge by the test rows (the validation rows where there are none), and draw the plots.
        particles: Importance samples per row; 1,000 by default, down to 100 for more than 1,000 rows; 5 for a flow of
            whole numbers.
        limit: Rows that are evaluated, a fixed random choice; all by default. q(z) is over all rows all the same.
        naive: Estimate the log-likelihood by naive Monte Carlo from the prior, too: it shows why it fails, and takes as
            long as importance sampling.
    """

    evaluate: bool = True
    particles: int | None = None
    limit: int | None = None
    naive: bool = True


@dataclass(frozen=True, kw_only=True)
class FitOptions(JudgingOptions, TurnsOptions, TrainingOptions, ModelOptions, DataOptions):
    """The run's folder.

    Args:
        out: Where everything is written; runs/MODEL-DATA, numbered where that is taken, by default.
        resume: Go on from the folder's checkpoint, with its settings; start where there is none.
        overwrite: Start anew in a folder that holds a run.
        trust: Allow parts of other packages, such as --model.prior mine.MyPrior: their code is run.
    """

    out: str | None = None
    resume: bool = False
    overwrite: bool = False
    trust: bool = False


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(DataOptions):
    """What to evaluate.

    Args:
        run: The folder of a run, or a .safetensors file.
        data: What to judge by; what the run was fitted to by default.
        split: The rows: test by default, validation where there are none; or train.
        particles: Importance samples per row; 1,000 by default, down to 100 for more than 1,000 rows; 5 for a flow of
            whole numbers.
        limit: Rows that are evaluated, a fixed random choice; all by default. q(z) is over all rows all the same.
        naive: Estimate the log-likelihood by naive Monte Carlo from the prior, too.
        seed: Decides every random number.
        device: cpu, cuda, cuda:1, ...; the best there is by default.
        json: Print one JSON object and nothing else.
        trust: Allow parts of other packages: their code is run.
    """

    run: str
    data: str = ""
    split: str | None = None
    particles: int | None = None
    limit: int | None = None
    naive: bool = True
    seed: int = 0
    device: str | None = None
    json: bool = False
    trust: bool = False


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """What to draw.

    Args:
        run: The folder of a run, or a .safetensors file.
        size: How many.
        out: A .png (images), .csv (tables) or .npz file; samples.png, .csv or .npz in the run's folder by default.
        context: What to condition on: the number of a class, or numbers 0.5,1,...; every class in turn by default.
        temperature: Multiplies the spread of the latents' distributions; 1 is the model itself.
        mean: Give the mean of p(x | z) instead of a draw from it.
        seed: Decides every random number.
        device: cpu, cuda, cuda:1, ...; the best there is by default.
        trust: Allow parts of other packages: their code is run.
    """

    run: str
    size: int = 64
    out: str | None = None
    context: str | None = None
    temperature: float | None = None
    mean: bool = False
    seed: int = 0
    device: str | None = None
    trust: bool = False


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What to show.

    Args:
        demo: em: EM on two moons and on digits, animated; beside a net's posterior; approximating densities.
        out: The folder that pictures go to; runs/demo-NAME by default.
        seed: Decides every random number.
    """

    demo: str = "em"
    out: str | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class PartsOptions:
    """What to show.

    Args:
        name: A part, whose options to list, or a kind of part, such as prior; everything by default.
    """

    name: str | None = None
