"""A callback that acts on the student while the distiller is fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from edgernn.errors import DistillationError
from edgernn_export.keras_reader.findings import owner_of


class Forwarder:
    """All of `OnStudent` but its base class, so that Keras loads on use only.

    Callbacks that look for layers find the student's through the distiller. Those that need the
    student itself, as its chain of layers, are wrapped: ``OnStudent(callback)``. Whenever the
    callback acts the student has the distiller's optimizer.

    Args:
        callback: a keras.callbacks.Callback.
    """

    model: Any

    def __init__(self, callback: Any) -> None:
        super().__init__()
        self.callback = callback

    @property
    def finished(self) -> bool:
        """Whether the callback has finished its work; True if it does not report that."""
        return bool(getattr(self.callback, "finished", True))

    def set_model(self, model: Any) -> None:
        """Give the callback the student of a distiller.

        Raises:
            DistillationError: the model has no student.
        """
        student = getattr(model, "student", None)
        if student is None:
            raise DistillationError(
                f"{owner_of(model)}: expected a Distiller, got a model without a student. Pass "
                "the inner callback to this model's fit."
            )
        parent: Any = super()
        parent.set_model(model)
        self.callback.set_model(student)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Give the callback the parameters of fit."""
        parent: Any = super()
        parent.set_params(params)
        self.callback.set_params(params)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Begin with a student that has not been stopped."""
        self.model.student.stop_training = False
        with _lent(self.model):
            self.callback.on_train_begin(logs)


@contextmanager
def _lent(distiller: Any) -> Iterator[None]:
    """The student with the distiller's optimizer and steps per execution."""
    student = distiller.student
    own = getattr(student, "optimizer", None), student.steps_per_execution
    student.optimizer = distiller.optimizer
    student.steps_per_execution = distiller.steps_per_execution
    try:
        yield
    finally:
        student.optimizer, student.steps_per_execution = own


def _forward(hook: str) -> Callable[..., None]:
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        with _lent(self.model):
            getattr(self.callback, hook)(*args, **kwargs)
        if self.model.student.stop_training:
            self.model.stop_training = True

    call.__name__ = hook
    return call


@cache
def on_student_class() -> type[Forwarder]:
    """`OnStudent`: a `Forwarder` that is a `keras.callbacks.Callback`."""
    import keras

    base = keras.callbacks.Callback
    hooks = {name for name in dir(base) if name.startswith("on_")} - set(vars(Forwarder))
    body = {hook: _forward(hook) for hook in hooks}
    return type(
        "OnStudent",
        (Forwarder, base),
        {"__doc__": Forwarder.__doc__, "__module__": __package__, **body},
    )
