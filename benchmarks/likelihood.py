"""Images/s of log p(x) by importance sampling with 1,000 particles: unveil, a bare loop, pythae's get_nll."""

from __future__ import annotations

import argparse
from functools import partial

from peers import binary_images, likelihood_bare, likelihood_pythae, likelihood_unveil
from rounds import interleave, report

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--particles", type=int, default=1000)
    options = parser.parse_args()
    x = binary_images(options.images)
    cases = {
        "unveil": partial(likelihood_unveil, x, options.particles),
        "bare loop": partial(likelihood_bare, x, options.particles),
        "pythae get_nll": partial(likelihood_pythae, x, options.particles),
    }
    report(interleave(cases, options.rounds), "images/s", subject="unveil")
