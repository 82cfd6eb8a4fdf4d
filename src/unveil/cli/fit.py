"""``unveil fit``: resolve, say what was resolved, fit, evaluate, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unveil.cli.configuration import CONFIG, config_text, merge, read_config, write_config
from unveil.cli.errors import UsageError, at_least_one, spoken, user_errors
from unveil.cli.line import Settings, read
from unveil.cli.options import PASSING, FitOptions
from unveil.cli.place import default_out
from unveil.cli.screen import block, brief, described_model, is_main_process, say

if TYPE_CHECKING:
    from unveil.cli.resolve import Resolved
    from unveil.data import Data
    from unveil.models import Model
    from unveil.training import Run
    from unveil.training.folder import Folder
    from unveil.training.settings import Settings as TrainingSettings

EVALUATION, PLOTS = "evaluation.json", "plots"
INTERRUPTED = 130


@dataclass(frozen=True)
class Plan:
    """A run, with nothing left open.

    Args:
        options: What was asked for.
        settings: The training's numbers, settled.
        config: All settings as plain data, as they are written down.
        data: The data.
        model: The model, not yet trained.
        folder: Where everything goes.
    """

    options: FitOptions
    settings: TrainingSettings
    config: dict[str, Any]
    data: Data
    model: Model
    folder: Folder


def fit(words: list[str]) -> int:
    """Run the command.

    Returns:
        The exit status.
    """
    from unveil.training import fit as train

    plan = make_plan(words)
    say(summary(plan))
    if plan.folder.holds_a_run and plan.folder.finished and plan.options.resume:
        say(block("", [f"{plan.folder.path} is finished; it is left as it is"]))
    else:
        prepare(plan)
    say()
    options = plan.options
    with user_errors(plan.config):  # a checkpoint that is damaged, or of another run
        run = train(
            plan.model, plan.data, objective=options.objective, gradient=options.gradient, out=plan.folder.path,
            resume=options.resume, **vars(plan.settings),
        )  # fmt: skip
    end_processes()
    if not run.finished:
        say(f"\nInterrupted and saved. To go on:\n  unveil fit --config {plan.folder.path / CONFIG} --resume")
        return INTERRUPTED
    conclude(run, plan)
    return 0


def make_plan(words: list[str]) -> Plan:
    """Everything that can go wrong before the first step does so here, and leaves nothing behind."""
    settings, where = layered(read(words, FitOptions))
    from unveil.cli.resolve import Resolved
    from unveil.training.folder import Folder

    resolved = Resolved(FitOptions, settings, where, trust=bool(settings.get("trust")))
    with user_errors(resolved.config):
        options = resolved.options(FitOptions)
        at_least_one(particles=options.particles, limit=options.limit)
        folder = Folder(options.out)
        refuse_taken(folder, options)
        data = options.load()
        model = make_model(options, data)
        rehearse(model, options, data)
        training = options.settings().resolved(len(data.train), processes())
    return Plan(options, training, to_write(resolved, training), data, model, folder)


def layered(line: Settings) -> tuple[Settings, Callable[[str], str]]:
    """The settings of flags, over those of ``--config``, over those of a run that is resumed; and where each is from."""
    file = line.pop("config", None)
    if file is True:
        raise UsageError("--config: expected a file, got nothing")
    given = read_config(str(file)) if file else {}
    settings = merge(given, line)
    if settings.get("out") in (None, "null"):
        settings["out"] = default_out(settings, latest="resume" in line or "overwrite" in line)
    own = Path(str(settings["out"])) / CONFIG
    resumed = read_config(own) if settings.get("resume") and own.is_file() else {}

    def where(key: str) -> str:
        if key in line or key not in {**given, **resumed}:
            return f"--{key}"
        return f"{key} in {file if key in given else own}"

    return merge(resumed, settings), where


def refuse_taken(folder: Folder, options: FitOptions) -> None:
    """Refuse a folder that holds a run, unless it is clear what shall become of that."""
    if options.resume and options.overwrite:
        raise UsageError("--resume, --overwrite: expected one of the two, got both")
    if folder.path.exists() and not folder.path.is_dir():
        raise UsageError(f"--out: expected a folder, got the file {folder.path}")
    if folder.holds_a_run and not (options.resume or options.overwrite):
        raise UsageError(
            f"--out: {folder.path} holds a run already; add --resume to go on with it, --overwrite to start anew, or "
            "choose another --out"
        )


def make_model(options: FitOptions, data: Data) -> Model:
    """The model with its initial weights, which the seed decides."""
    import torch

    from unveil.config import describe

    torch.manual_seed(options.seed)
    model = options.model(data.variable, data.context)
    describe(model)  # raises a TypeError now, rather than when the fitted model is saved
    return model


def rehearse(model: Model, options: FitOptions, data: Data) -> None:
    """Make the loss of two rows, so that parts that don't go together say so before anything is written."""
    import torch

    from unveil.training import Learner

    generator = torch.Generator().manual_seed(0)
    learner = Learner(model, options.objective, options.gradient).eval()
    learner(data.train.batch(slice(0, 2), generator), generator)
    learner.train()


def processes() -> int:
    """How many processes train together."""
    from accelerate import PartialState

    return int(PartialState().num_processes)


def end_processes() -> None:
    """Part from the other processes, if there are any: from here on the main one works alone."""
    from accelerate import PartialState

    if processes() > 1:
        PartialState().destroy_process_group()


def to_write(resolved: Resolved, settings: TrainingSettings) -> dict[str, Any]:
    """The configuration that repeats the run: every setting, with the numbers that were settled for this data."""
    config = {key: value for key, value in resolved.config.items() if key == "out" or key not in PASSING}
    return config | {"epochs": settings.epochs, "batch_size": settings.batch_size}


def prepare(plan: Plan) -> None:
    """Make the folder ready, and write the configuration down unless a checkpoint is gone on from."""
    from accelerate import PartialState

    PartialState().wait_for_everyone()  # until every process has seen the folder as it was
    options, folder = plan.options, plan.folder
    if not is_main_process() or (options.resume and folder.resumable):
        return
    replaced = [folder.path / EVALUATION, *(folder.path / PLOTS).glob("*.png")] if folder.holds_a_run else []
    with user_errors(plan.config):
        folder.claim(resume=options.resume, overwrite=options.overwrite)
        for file in replaced:
            file.unlink(missing_ok=True)
        write_config(folder.path / CONFIG, config_text(plan.config, notes(plan)))


def notes(plan: Plan) -> list[str]:
    """What a reader of the configuration wants to know."""
    from unveil import __version__

    again = f"unveil fit --config {plan.folder.path / CONFIG} --out ANOTHER"
    return [f"unveil {__version__}; to repeat this run: {again}", *spoken_notes(plan.data, plan.config)]


def spoken_notes(data: Data, config: Mapping[str, Any]) -> list[str]:
    """What was decided on the data, in the words of the command line."""
    return [spoken(note, config) for note in data.describe()]


def summary(plan: Plan) -> str:
    """What was resolved."""
    options, settings = plan.options, plan.settings
    lr = brief(settings.lr) if settings.lr is not None else ""
    sizes = f"batches of {settings.batch_size}" + (f" in each of {processes()} processes" if processes() > 1 else "")
    training = [
        f"{brief(options.objective)} by {brief(options.gradient)} gradients",
        f"{settings.epochs} epochs, {sizes}, learning rate {lr}",
        f"{settings.precision} on {settings.device}, seed {settings.seed}",
    ]
    return "\n".join([
        block("Data", spoken_notes(plan.data, plan.config)),
        block("Model", described_model(plan.model, plan.config)),
        block("Training", training),
        block("Folder", [str(plan.folder.path)]),
    ])  # fmt: skip


def conclude(run: Run, plan: Plan) -> None:
    """Evaluate, draw, and say where everything is."""
    if not is_main_process():
        return
    options, folder = plan.options, plan.folder.path
    say(f"\nFitted in {clock(run.seconds)}{best(run)}")
    if options.evaluate and not (folder / EVALUATION).is_file():
        judge(run, plan)
    written = [file for file in (CONFIG, "model.safetensors", "metrics.jsonl", EVALUATION) if (folder / file).is_file()]
    say(f"\nWritten to {folder}: {', '.join([*written, *(f'{PLOTS}/' for _ in (1,) if (folder / PLOTS).is_dir())])}")


def judge(run: Run, plan: Plan) -> None:
    """Evaluate the model on rows that it has not seen, and draw the plots."""
    from unveil import plots
    from unveil.cli.evaluate import judging_split, write_evaluation
    from unveil.evaluation import evaluate

    options, folder = plan.options, plan.folder.path
    name = judging_split(run.data)
    split = run.data.split(name).to(run.model.device)
    evaluation = evaluate(
        run.model, split, particles=options.particles, limit=options.limit, seed=options.seed, progress=True
    )
    write_evaluation(folder / EVALUATION, evaluation)
    plots.save_all(run, evaluation, folder / PLOTS)
    say(f"\nOn the {len(split):,} {name} rows:\n\n{evaluation}")


def best(run: Run) -> str:
    """The best validation bound, in words."""
    bounds = [(record["validation"], record["epoch"]) for record in run.metrics if "validation" in record]
    if not bounds:
        return ""
    value, epoch = max(bounds)
    return f"; best validation bound {value:.2f} nats, at epoch {epoch} of {run.metrics[-1]['epoch']}, is kept"


def clock(seconds: float) -> str:
    """A time in the unit that it is read in."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
