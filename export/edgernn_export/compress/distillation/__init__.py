"""Knowledge distillation: a small network learns from the answers of a large one.

    from edgernn_export.compress.distillation import Distiller

    distiller = Distiller(student, teacher, task="classes")
    distiller.compile("adam", loss=loss)
    distiller.fit(x, y, epochs=20)
    distiller.student.save("student.keras")

Importing this package loads NumPy only; `Distiller`, a `keras.Model`, and `OnStudent`, a
`keras.callbacks.Callback`, load Keras when they are first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgernn_export.compress.distillation.distiller import distiller_class
from edgernn_export.compress.distillation.losses import TASKS
from edgernn_export.compress.distillation.student_callback import on_student_class

if TYPE_CHECKING:
    from edgernn_export.compress.distillation.distiller import Distillation as Distiller
    from edgernn_export.compress.distillation.student_callback import Forwarder as OnStudent

__all__ = ["TASKS", "Distiller", "OnStudent"]


def __getattr__(name: str) -> Any:
    """Load Keras with the first use of a class."""
    if name == "Distiller":
        return distiller_class()
    if name == "OnStudent":
        return on_student_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
