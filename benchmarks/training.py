"""Training images/s of the same VAE (784-512-16, batch 100, float32): unveil's fit, a bare loop, pythae's trainer."""

from __future__ import annotations

import argparse
from functools import partial

from peers import binary_images, train_bare, train_pythae, train_unveil
from rounds import interleave, report

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    x = binary_images(10_000)
    cases = {
        "unveil": partial(train_unveil, x, options.epochs),
        "bare loop": partial(train_bare, x, options.epochs),
        "pythae": partial(train_pythae, x, options.epochs),
        "pythae, validated": partial(train_pythae, x, options.epochs, validated=True),
    }
    report(interleave(cases, options.rounds), "images/s", subject="unveil")
