"""Which readings a model answers, for people and for machines."""

from __future__ import annotations

from edgernn.cli.wiring import Description
from edgernn.model.interface import Rate, Window, answers_text


def described_stream(window: Window | None, rate: Rate | None) -> Description:
    """What the model answers, as JSON values."""
    rated: Description = {}
    if rate is not None:
        rated["rate"] = {
            "readings": rate.readings, "first": rate.first, "latency": rate.latency,
        }  # fmt: skip
    if window is None:
        return {"kind": "endless", **rated}
    steps = window.steps if rate is None else rate.steps(window.steps)
    return {
        "kind": "window",
        "steps": window.steps,
        "hop": window.hop,
        "steps_per_reading": steps / window.hop,
        **rated,
    }


def stream_text(stream: Description) -> str:
    """The same in words."""
    rate = Rate(**stream["rate"]) if "rate" in stream else None
    if stream["kind"] == "endless":
        answers = answers_text(None, rate) or "an answer to every reading"
        return f"endless: {answers}, the state is carried for ever"
    window = Window(steps=stream["steps"], hop=stream["hop"])
    return (
        f"{answers_text(window, rate)}, each from the zero state: "
        f"{stream['steps_per_reading']:g} steps of the network per reading"
    )


def field_text(found: int | str) -> str:
    """How many readings an answer depends on."""
    if found == "all":
        return "all readings of the stream, through recurrent layers"
    return f"the last {found} readings" if found != 1 else "the last reading"


def state_text(record: Description) -> str:
    """What a stream carries.

    Args:
        record: what `edgernn info` says of a model.
    """
    text = f"state  {record['state_bytes']} bytes per stream"
    stream = record["stream"]
    if stream["kind"] == "endless":
        return f"{text}, with the readings of a step" if "rate" in stream else text
    carried = record["carried_bytes"]
    return (
        f"{text}: {carried} of the readings of a window, which it carries, and "
        f"{record['state_bytes'] - carried} in the network, zero before each window:"
    )
