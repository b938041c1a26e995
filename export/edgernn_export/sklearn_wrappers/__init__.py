"""Estimators of scikit-learn that train a recurrent network and answer as the device will.

    from edgernn_export import EdgeRNNClassifier, EdgeRNNRegressor

Importing this package does not load scikit-learn; its modules do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgernn.errors import BackendUnavailable
from edgernn.install import hint

if TYPE_CHECKING:
    from edgernn_export.sklearn_wrappers.estimators import EdgeRNNClassifier, EdgeRNNRegressor

__all__ = ["EdgeRNNClassifier", "EdgeRNNRegressor"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import an estimator on its first use.

        Raises:
            BackendUnavailable: scikit-learn is not installed.
        """
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            return getattr(import_module(f"{__name__}.estimators"), name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "sklearn":
                raise
            raise BackendUnavailable(
                f"{name}: expected scikit-learn to be installed, got an environment without it. "
                f"Install it with: {hint('sklearn')}"
            ) from error
