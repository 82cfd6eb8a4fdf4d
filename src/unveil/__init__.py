"""Deep latent-variable models in interchangeable parts.

Every name is imported when it is first used, so that ``import unveil`` costs nothing::

    import unveil as uv

    data = uv.data.load("digits")
    model = uv.VAE(data.variable, latent_dim=16)
    run = uv.fit(model, data)
    print(uv.evaluate(model, data.test))
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Batch": "unveil.variables",
    "BayesianGaussianMixture": "unveil.models",
    "BayesianLinearRegression": "unveil.models",
    "BernoulliMixture": "unveil.models",
    "CVAE": "unveil.models",
    "CategoricalHMM": "unveil.models",
    "CategoricalMixture": "unveil.models",
    "Data": "unveil.data",
    "DirichletProcessMixture": "unveil.models",
    "Estimate": "unveil.evaluation",
    "FactorAnalysis": "unveil.models",
    "FlowModel": "unveil.models",
    "GSNN": "unveil.models",
    "GaussianHMM": "unveil.models",
    "GaussianMixture": "unveil.models",
    "Glow": "unveil.models",
    "HiddenMarkov": "unveil.models",
    "IAF": "unveil.models",
    "LatentDirichletAllocation": "unveil.models",
    "Learner": "unveil.training",
    "MAF": "unveil.models",
    "MixtureModel": "unveil.models",
    "MixtureOfFactorAnalysers": "unveil.models",
    "Model": "unveil.models",
    "NICE": "unveil.models",
    "NSF": "unveil.models",
    "ProbabilisticPCA": "unveil.models",
    "RealNVP": "unveil.models",
    "Run": "unveil.training",
    "Trace": "unveil.models",
    "VAE": "unveil.models",
    "Variable": "unveil.variables",
    "evaluate": "unveil.evaluation",
    "fit": "unveil.training",
    "load": "unveil.models",
    "save": "unveil.models",
}
_MODULES = (
    "components",
    "data",
    "distributions",
    "evaluation",
    "flows",
    "gradients",
    "inference",
    "likelihoods",
    "models",
    "nets",
    "objectives",
    "plots",
    "posteriors",
    "priors",
    "training",
)

__all__ = [*_HOMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"unveil.{name}")
    raise AttributeError(f"module 'unveil' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
