"""Old names of the documentation: they work for one more version, with a deprecation warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

#: Former name of a module -> its present name.
MODULES: Final = {
    "edgernn_export.distillation": "edgernn_export.compress.distillation",
    "edgernn_export.pruning": "edgernn_export.compress.pruning",
    "edgernn_export.qat": "edgernn_export.compress.qat",
    "edgernn_export.search.recipes": "edgernn_export.search.recipe_trainer",
    "edgernn_export.structured": "edgernn_export.compress.structured",
    "edgernn_export.writers.onnx_float": "edgernn_export.writers.onnx.float_operators",
}
#: Former module and name of a function that went elsewhere than its module -> its module.
FUNCTIONS: Final = {
    ("edgernn_export.distillation", "distill"): "edgernn_export.training",
    ("edgernn_export.qat", "train_integers"): "edgernn_export.training",
}


class _FormerModule(Loader):
    """Makes a module that passes every name on to where it is now."""

    def create_module(self, spec: ModuleSpec) -> None:  # noqa: ARG002 (the protocol has it)
        return None

    def exec_module(self, module: ModuleType) -> None:
        former = module.__name__

        def passed_on(name: str) -> Any:
            return getattr(import_module(FUNCTIONS.get((former, name), MODULES[former])), name)

        module.__getattr__ = passed_on  # type: ignore[method-assign]


class _FormerNames(MetaPathFinder):
    """Finds the modules of `MODULES`."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 (as target: the protocol has it)
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname not in MODULES:
            return None
        names = [f"{name} of {new}" for (old, name), new in FUNCTIONS.items() if old == fullname]
        warnings.warn(
            f"{fullname} is now {', '.join([MODULES[fullname], *names])}; the old name will be "
            "removed in the next version.",
            DeprecationWarning,
            stacklevel=2,
        )
        return ModuleSpec(fullname, _FormerModule())


def install() -> None:
    """Let the former names be imported; once, however often it is called."""
    if not any(isinstance(finder, _FormerNames) for finder in sys.meta_path):
        sys.meta_path.append(_FormerNames())
