"""The irrigation alarm: how good are the decisions that a forecast of the margin gives?

An alarm says that a bed will be at its refill point in 24 hours. It is judged against the same
decision made from the margin that was measured 24 hours later.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.decide.decisions import Decisions
from edgernn.decide.threshold import Threshold
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.splits import Part

#: On after three hours at or below the refill point, off after three hours 1 % above it.
ALARM: Final = Decisions(
    decisions=(
        Threshold(
            name="irrigate", of="margin_24h", below=True, on=0.0, off=1.0, on_readings=3,
            off_readings=3,
        ),
    )
)  # fmt: skip
Flags = npt.NDArray[np.bool_]


def decided(margins: FloatArray) -> Flags:
    """The alarm of every stream.

    Args:
        margins: float64 [B, T], VWC % above the refill point.

    Returns:
        bool [B, T].
    """
    bound = ALARM.bound(inputs=(), outputs=("margin_24h",))
    flags = []
    for stream_margins in margins:
        stream = bound.stream()
        flags.append([stream.push(None, None, [m])["irrigate"] for m in stream_margins.tolist()])
    return np.array(flags, dtype=np.bool_)


def alarm_scores(margins: FloatArray, part: Part) -> dict[str, float]:
    """Precision and recall over hours, and how early the alarm comes.

    Args:
        margins: float64 [B, T], the forecast of the margin in 24 hours.
        part: its last target is the margin in 24 hours, its first and last input give the present
            margin.

    Returns:
        "alarm_precision", "alarm_recall" and "alarm_f1" over the hours that count; "dry_beds",
        beds that become dry in them: their present margin turns the decision on; "alarms_before",
        the share of these for which the alarm was on beforehand; "lead_h", the median of the hours
        between both, 0 for a bed without an alarm before; of no beds, 0.
    """
    alarm, truth = decided(margins), decided(part.target[..., -1])
    counted = part.counted
    both = float(np.sum(alarm & truth & counted))
    precision = both / max(float(np.sum(alarm & counted)), 1.0)
    recall = both / max(float(np.sum(truth & counted)), 1.0)
    leads = lead_hours(alarm, decided(part.x[..., 0] - part.x[..., -1]), counted)
    return {
        "alarm_precision": precision,
        "alarm_recall": recall,
        "alarm_f1": 2.0 * precision * recall / max(precision + recall, 1e-9),
        "dry_beds": float(len(leads)),
        "alarms_before": float(np.mean([lead > 0 for lead in leads])) if leads else 0.0,
        "lead_h": float(np.median(leads)) if leads else 0.0,
    }


def lead_hours(alarm: Flags, dry: Flags, counted: Flags) -> list[int]:
    """Hours by which alarms come before the dryness that they announce.

    Args:
        alarm: bool [B, T], decided from the forecast.
        dry: bool [B, T], decided from the present margin.
        counted: bool [B, T]; beds that become dry elsewhere are left out.

    Returns:
        One number per bed and time that it becomes dry: since when the alarm is on without a break;
        0 where it is off or comes later.
    """
    leads = []
    for on, is_dry, counts in zip(alarm, dry, counted, strict=True):
        for start in np.flatnonzero(is_dry[1:] & ~is_dry[:-1]) + 1:
            if counts[start]:
                silent = np.flatnonzero(~on[: start + 1])
                leads.append(int(start - (silent[-1] + 1 if len(silent) else 0)))
    return [max(lead, 0) for lead in leads]
