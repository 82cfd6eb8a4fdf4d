"""``unveil fit``: say what was resolved, fit, evaluate, write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unveil.cli.configuration import CONFIG, config_text
from unveil.cli.errors import breakdowns, in_flags, user_errors
from unveil.cli.job import Job, make_job
from unveil.cli.line import read
from unveil.cli.options import FitOptions
from unveil.cli.screen import block, described_model, is_main_process, say
from unveil.files import write_text

if TYPE_CHECKING:
    from unveil.training import Run

EVALUATION, PLOTS = "evaluation.json", "plots"
INTERRUPTED = 130


def fit(words: list[str]) -> int:
    """Run the command.

    Returns:
        The exit status.
    """
    job = make_job(read(words, FitOptions))
    from unveil.training.fit import leave_processes

    options, folder = job.options, job.folder.path
    if job.finished:
        other = f" It has {job.unlike}: for another run, add --overwrite or choose another --out." * bool(job.unlike)
        say(f"{folder} holds a finished run; it is left as it is.{other}")
    else:
        prepare(job)
        started = f"Nothing to resume in {folder}: a new run\n\n" * (options.resume and not job.folder.resumable)
        say(f"{started}{summary(job)}\n")
    with breakdowns(job.config):
        run = job.way.run(job.model, job.data, job.folder)
    leave_processes()  # from here on the main process works alone
    if not run.finished:
        say(f"\nInterrupted and saved. To go on:\n  unveil fit --config {folder / CONFIG} --resume")
        return INTERRUPTED
    if is_main_process():
        conclude(run, job)
    return 0


def prepare(job: Job) -> None:
    """Make the folder ready, and write the configuration down; a run that is gone on with has its own."""
    job.way.accelerator.wait_for_everyone()  # until every process has seen the folder as it was
    folder, options = job.folder, job.options
    configuration = folder.path / CONFIG
    if not is_main_process() or (options.resume and folder.resumable and configuration.is_file()):
        return
    pictures = list((folder.path / PLOTS).glob("*.png")) if folder.holds_a_run and not options.resume else []
    with user_errors(job.config):
        folder.claim(resume=options.resume, overwrite=options.overwrite)
        write_text(configuration, config_text(job.config, notes(job)))
    for picture in pictures:
        picture.unlink(missing_ok=True)


def notes(job: Job) -> list[str]:
    """What a reader of the configuration wants to know."""
    from unveil import __version__

    again = f"unveil fit --config {job.folder.path / CONFIG} --out ANOTHER"
    return [f"unveil {__version__}; to repeat this run: {again}", *data_notes(job)]


def data_notes(job: Job) -> list[str]:
    """What was decided on the data, in the words of the command line."""
    return [in_flags(note, job.config) for note in job.data.describe()]


def summary(job: Job) -> str:
    """What was resolved."""
    return "\n".join([
        block("Data", data_notes(job)),
        block("Model", described_model(job.model, job.chosen)),
        block("Training", job.way.described()),
        block("Folder", [str(job.folder.path)]),
    ])  # fmt: skip


def conclude(run: Run, job: Job) -> None:
    """Evaluate, draw, and say where everything is."""
    folder = job.folder.path
    if not job.finished:
        say(f"\nFitted in {clock(run.seconds)}{best(run)}")
        if run.summary:
            say(block("", run.summary.splitlines()))
    if job.options.evaluate and not (folder / EVALUATION).is_file():
        judge(run, job)
    files = (CONFIG, "model.safetensors", "data.json", "metrics.jsonl", EVALUATION)
    written = [file for file in files if (folder / file).is_file()]
    written += [f"{PLOTS}/{picture.name}" for picture in sorted((folder / PLOTS).glob("*.png"))]
    say("\n" + block("Written", [f"to {folder}: {', '.join(written)}"]))


def judge(run: Run, job: Job) -> None:
    """Evaluate the model on rows that it has not seen, and draw the plots."""
    from unveil import plots
    from unveil.cli import evaluate

    folder, name = job.folder.path, evaluate.judging_split(run.data)
    split = run.data.split(name)
    evaluation = evaluate.judge(run.model, split, job.options)
    plots.save_all(run, evaluation, folder)
    evaluate.write_evaluation(folder / EVALUATION, evaluation)
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
