"""Logistic regression, the probe that reads a head."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from jaxtyping import Float

from sycolens.errors import SampleError

SLACK: Final = 1.0
"""Inverse strength of the penalty, scikit-learn's C, at its default as in ITI."""
Array = np.ndarray[Any, np.dtype[np.float64]]


def fit_logistic(features: Float[Array, "case feature"], classes: Float[Array, " case"]) -> Float[Array, " weight"]:
    """Weights and, last, intercept that minimize |w|²/2 + C times the summed log loss; the intercept is not penalized.

    Raises:
        SampleError: the solver does not converge.

    >>> import numpy as np
    >>> weights = fit_logistic(np.array([[1.0], [-1.0]]), np.array([1.0, -1.0]))
    >>> [round(abs(float(weight)), 3) for weight in weights]
    [0.675, 0.0]
    """
    # It takes seconds to import.
    from scipy.optimize import minimize
    from scipy.special import expit

    def loss(weights: Array) -> tuple[float, Array]:
        margins = classes * (features @ weights[:-1] + weights[-1])
        slope = -SLACK * classes * expit(-margins)
        penalty = np.append(weights[:-1], 0.0)
        value = SLACK * np.logaddexp(0, -margins).sum() + penalty @ penalty / 2
        return value, np.append(slope @ features, slope.sum()) + penalty

    found = minimize(loss, np.zeros(features.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    if not found.success:
        raise SampleError(f"A probe could not be fitted to {len(classes)} replies: {found.message}")
    return np.asarray(found.x)
