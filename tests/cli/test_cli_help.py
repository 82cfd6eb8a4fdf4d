"""Help comes at once and says everything."""

from __future__ import annotations

import time
from dataclasses import fields

import pytest

from unveil.cli.documented import arguments
from unveil.cli.options import EvaluateOptions, FitOptions, PartsOptions, SampleOptions

RECORDS = {"fit": FitOptions, "evaluate": EvaluateOptions, "sample": SampleOptions, "parts": PartsOptions}


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["evaluate", "-h"], ["nonsense"], ["fit", "stray"]])
def test_neither_help_nor_a_slip_of_the_pen_waits_for_torch(shell, words):
    code = "import sys; from unveil.cli import main; main(sys.argv[1:]); sys.exit(sum(m in sys.modules for m in HEAVY))"
    start = time.monotonic()
    process = shell(["-c", f"HEAVY = ['torch', 'accelerate', 'jsonargparse', 'rich', 'matplotlib']; {code}", *words])
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert time.monotonic() - start < 2, "it takes 0.1 s where nothing else runs"


@pytest.mark.parametrize("command", RECORDS)
def test_every_flag_of_a_command_is_on_its_page(unveil, command):
    page = unveil(f"{command} --help")
    assert page.status == 0
    described = arguments(RECORDS[command])
    for field in fields(RECORDS[command]):
        assert described[field.name]
        assert any(form in page.out for form in (f"--{field.name}", f"]{field.name}", field.name.upper()))
    assert max(map(len, page.out.splitlines())) <= 100


def test_no_words_and_unknown_commands(unveil):
    assert "unveil fit" in unveil("").out
    result = unveil("fti")
    assert (result.status, result.err) == (2, "unveil: unknown command 'fti'; did you mean fit?\n")


def test_version(unveil):
    from unveil import __version__

    assert unveil("--version").out == f"unveil {__version__}\n"
