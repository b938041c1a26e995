"""What callbacks share that change weights after every batch."""

from __future__ import annotations

from typing import Any

from edgernn.errors import PruningError
from edgernn_export.keras_reader.findings import owner_of


class AfterBatch:
    """A count of batches, and the one model that all of them belong to.

    Attributes:
        model: set by Keras.
        step: batches done.
    """

    model: Any
    step: int
    _bound: Any

    def _check_model(self, effect: str, cure: str) -> None:
        """Refuse several batches at once, and another model than that of the earlier fit.

        Args:
            effect: what happens after every batch, for the message.
            cure: what to do for another model.

        Raises:
            PruningError: the model is refused.
        """
        if getattr(self.model, "steps_per_execution", 1) != 1:
            raise PruningError(
                f"{owner_of(self.model)}: expected steps_per_execution=1, got "
                f"{self.model.steps_per_execution}. {effect} after every batch; compile the "
                "model with steps_per_execution=1."
            )
        if self._bound is not None and self._bound is not self.model:
            raise PruningError(
                f"{owner_of(self.model)}: expected the model of the earlier fit, got another. "
                f"{cure}"
            )

    def _count_batch(self) -> None:
        """One batch more; its weights are in the model from here on."""
        self.step += 1
        # Under JAX the weights live outside the model during fit, until a callback asks for them.
        getattr(self.model, "jax_state_sync", _nothing)()


def callback_type(name: str, behaviour: type, package: str) -> Any:
    """A `keras.callbacks.Callback` of this name; loads Keras.

    Args:
        name: of the class.
        behaviour: all of it except the base class.
        package: where users import it from.
    """
    import keras

    bases = (behaviour, keras.callbacks.Callback)
    return type(name, bases, {"__doc__": behaviour.__doc__, "__module__": package})


def _nothing() -> None:
    """Other backends keep the weights in the model."""
