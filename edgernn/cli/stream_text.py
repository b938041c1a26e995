"""How a model streams, as JSON values and as text."""

from __future__ import annotations

from edgernn.cli.wiring import Description
from edgernn.model.interface import Rate, Window, answers_text


def described_stream(window: Window | None, rate: Rate | None) -> Description:
    """How the model streams, as JSON values."""
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
    """The same as text."""
    rate = Rate(**stream["rate"]) if "rate" in stream else None
    if stream["kind"] == "endless":
        answers = answers_text(None, rate) or "one output per reading"
        return f"endless: {answers}; the state is kept from reading to reading"
    window = Window(steps=stream["steps"], hop=stream["hop"])
    return (
        f"{answers_text(window, rate)}; each window starts from the zero state: "
        f"{stream['steps_per_reading']:g} network steps per reading"
    )


def field_text(found: int | str) -> str:
    """The number of readings that an output depends on."""
    if found == "all":
        return "all readings of the stream (recurrent layers)"
    return f"the last {found} readings" if found != 1 else "the last reading"


def state_text(record: Description) -> str:
    """The state of a stream.

    Args:
        record: the facts about a model.
    """
    text = f"state  {record['state_bytes']} bytes per stream"
    stream = record["stream"]
    if stream["kind"] == "endless":
        return f"{text}, including the readings of a step" if "rate" in stream else text
    carried = record["carried_bytes"]
    return (
        f"{text}: {carried} for the readings of a window, and {record['state_bytes'] - carried} "
        "for the network, which starts from zero in each window:"
    )
