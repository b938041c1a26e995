"""What the C of a model that scores tokens has for `edgernn_decode.h` (NUMERICS.md section 13).

Decoding is a loop of the firmware around the model's step. The model adds the constants that turn
its output codes into scores of one scale, and these into costs.
"""

from __future__ import annotations

from dataclasses import replace

from edgernn.decoding.token_costs import score_factors, score_multiplier
from edgernn.decoding.token_stream import scores_tokens, token_scores
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.constants import (
    array,
    check_array,
    check_member,
    check_no_array,
)
from edgernn_export.writers.c.preparation.front import CFront


def with_decoding(front: CFront, model: IntegerModel, prefix: str) -> CFront:
    """The layers around a model with the constants of its scores, if it scores tokens.

    The constants count in the check of the model.

    Args:
        front: the layers without them.
        model: the integer model.
        prefix: of the model's symbols.
    """
    interface = model.interface()
    if not scores_tokens(interface):
        return front
    own, tokens = token_scores(interface)
    scales = model.output.scale[own]
    factors, of = score_factors(scales), score_multiplier(float(scales.max()))
    name = f"{prefix}_scoring"
    values, text = "0", ""
    checks = [check_member(f"{name}.multiplier", of.value), check_member(f"{name}.shift", of.shift)]
    if factors is None:
        checks.append(check_no_array("int16_t", f"{name}.factors"))
    else:
        values = f"{prefix}_score_factors"
        text = array("int16_t", values, factors)
        checks.append(check_array("int16_t", f"{name}.factors", values, factors))
    upper = prefix.upper()
    return replace(
        front,
        types=(*front.types, "edgernn_decode.h"),
        declarations=f"""{front.declarations}
/* The next token, from the outputs y + {upper}_SCORES_FIRST: see edgernn_decode.h. */
#define {upper}_SCORES_FIRST {own.start}
extern const edgernn_scoring {name};
""",
        sources=(*front.sources, "edgernn_decode.c"),
        functions=f"""{front.functions}\
{text}const edgernn_scoring {name} = {{{tokens}, {of.value}, {of.shift}, {values}}};

""",
        checks=(*front.checks, *checks),
    )
