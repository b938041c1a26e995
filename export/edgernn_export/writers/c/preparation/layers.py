"""Which optional layers a model has around it in C: preparation, decisions, a head that learns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from edgernn.errors import DeclarationError, UnsupportedModelError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.preparation.adaptation import adaptation_front
from edgernn_export.writers.c.preparation.decisions import decisions_front, device_decisions
from edgernn_export.writers.c.preparation.front import CFront
from edgernn_export.writers.c.preparation.readings import readings_front
from edgernn_export.writers.c.preparation.sound import sound_front

_CURE = (
    "export to c: leave preparation and decisions out of the C with --network-only, or with "
    "network_only=True."
)


def model_layers(model: IntegerModel, prefix: str) -> CFront:
    """The layers of a model's preparation, its decisions and its head that learns.

    Args:
        model: the integer model.
        prefix: of files and symbols.

    Raises:
        UnsupportedModelError: a device cannot do all of them; names all reasons.
    """
    makers: list[Callable[[], CFront]] = []
    preparation, decisions = model.preparation, model.decisions
    if preparation is not None:
        audio = preparation.audio
        if audio is None:
            makers.append(lambda: readings_front(model, preparation, prefix))
        else:
            makers.append(lambda: sound_front(model, audio, prefix))
    if decisions is not None and decisions.decisions:
        makers.append(
            lambda: decisions_front(
                device_decisions(decisions, model.output), model.output.width, prefix
            )
        )
    adaptation = model.adaptation
    if adaptation is not None:
        makers.append(lambda: adaptation_front(model, adaptation, prefix))
    fronts: list[CFront] = []
    reasons: list[str] = []
    for make in makers:
        try:
            fronts.append(make())
        except (UnsupportedModelError, DeclarationError) as error:
            reasons += error.reasons
    if reasons:
        raise UnsupportedModelError([*reasons, _CURE])
    return _joined(fronts)


def _joined(parts: Sequence[CFront]) -> CFront:
    """Several layers as one."""
    return CFront(
        types=_once(name for part in parts for name in part.types),
        declarations="".join(part.declarations for part in parts),
        headers=_once(name for part in parts for name in part.headers),
        sources=_once(name for part in parts for name in part.sources),
        functions="".join(part.functions for part in parts),
        checks=tuple(check for part in parts for check in part.checks),
        tests={name: text for part in parts for name, text in part.tests.items()},
    )


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
