"""Attention over the steps of a sequence: Attention, AdditiveAttention, MultiHeadAttention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from edgernn.cells.memories import MAX_KEY_WIDTH
from edgernn.graph.attention import MAX_SLOTS
from edgernn.model.formats import FloatArray
from edgernn.model.merges import MergeOperation
from edgernn_export.float_model.memories import FloatAttention, FloatMemory
from edgernn_export.float_model.model import FloatDense
from edgernn_export.float_model.program_sets.programs import FloatHandover
from edgernn_export.keras_reader.findings import Context, Findings, class_of, owner_of
from edgernn_export.keras_reader.flows import Flow, beside, refuse_ahead, unknown
from edgernn_export.keras_reader.graph import Call
from edgernn_export.keras_reader.joined_layers import JoinedLayers
from edgernn_export.keras_reader.layers.config import check_config, finite, weight
from edgernn_export.keras_reader.layers.layer_parts import DensePart, MergePart

#: Arguments of calls that change nothing, or are read here.
_KNOWN: Final = ("use_causal_mask", "training", "memory")
_LINK: Final = "memory"
_FREE: Final = ("use_scale", "dropout", "seed")
_FREE_OF_HEADS: Final = (
    "num_heads", "key_dim", "value_dim", "dropout", "use_bias", "output_shape",
)  # fmt: skip
_NO_SCORES: Final = (
    "Build the model without return_attention_scores and copy the weights; "
    "edgernn_export.attention_shares gives the shares of the integer model."
)


@dataclass(slots=True, kw_only=True, eq=False)
class Link:
    """A memory that one stream fills and attention of another one reads.

    Attributes:
        filler: the call that fills it: attention without its query.
        filled: the layers that it made, one for each head.
        reading: the layers of attention that read them, in the same order.
    """

    filler: Call
    filled: list[FloatMemory] = field(default_factory=list)
    reading: list[FloatMemory] = field(default_factory=list)


def link_of(call: Call) -> Link | None:
    """The memory between streams that a call fills or reads, if any."""
    found = (call.arguments or {}).get(_LINK)
    return found if isinstance(found, Link) else None


def linked(call: Call) -> Link:
    """Part a call of attention from the stream whose rows it reads.

    It keeps its query; another call of the same layer gets the rest.
    """
    filler = Call(layer=call.layer, inputs=call.inputs[1:], mask=call.mask)
    link = Link(filler=filler)
    call.inputs = call.inputs[:1]
    call.arguments = {**(call.arguments or {}), _LINK: link}
    filler.arguments = dict(call.arguments)
    return link


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What attention is given.

    Attributes:
        query: a flow; None where another stream has it.
        key, value: flows; None where another stream fills the memory.
        causal: a step attends to itself and to those before it.
        link: the memory between streams; None where one stream fills and reads it.
    """

    query: Flow | None
    key: Flow | None
    value: Flow | None
    causal: bool
    link: Link | None = None

    @property
    def flows(self) -> tuple[Flow, ...]:
        """What there is, in the order of the attributes."""
        return tuple(f for f in (self.query, self.key, self.value) if f is not None)


def attended(call: Call, flows: list[Flow], made: JoinedLayers, context: Context) -> Flow:
    """What a call of attention makes of flows: the means of the value's steps.

    Args:
        call: of attention.
        flows: query, value and, where that is another, key.
        made: takes the layers.
        context: receives reasons.
    """
    layer, owner, findings = call.layer, owner_of(call.layer), context.findings
    heads = class_of(layer) == "MultiHeadAttention"
    fixed: dict[str, tuple[Any, ...]] = {"score_mode": ("dot",)}
    cures = {"score_mode": "Train with AdditiveAttention, or with score_mode='dot'."}
    if heads:
        fixed, cures = {"attention_axes": (None, (1,), 1), "use_gate": (False,)}, {}
    free = _FREE_OF_HEADS if heads else _FREE
    good = check_config(layer, layer.get_config(), context, free=free, fixed=fixed, cures=cures)
    causal = _causal(call, owner, findings)
    made.refuse_softmax(owner, flows)
    if not good or causal is None or any(flow.shape is None for flow in flows):
        return unknown(owner)
    link = link_of(call)
    if link is not None and call is not link.filler and not link.filled:
        return unknown(owner)  # what fills the memory was refused
    query = None if link is not None and call is link.filler else flows[0]
    value, *other = [*(flows if query is None else flows[1:]), None]
    key = other[0] if other and other[0] is not None else value
    given = _Given(query=query, key=key, value=value, causal=causal, link=link)
    if not _fits(owner, given, findings):
        return unknown(owner)
    found = _heads(layer, given, made, context) if heads else _one(layer, given, made, context)
    if found.shape is None or query is None or link is not None:
        return found
    ahead = not causal and not query.last_step_alone and len(query.shape or ()) == 2
    return replace(found, ahead=owner if ahead else query.ahead)


def _causal(call: Call, owner: str, findings: Findings) -> bool | None:
    """Whether a call has a causal mask; None if it has an argument that nothing supports."""
    good, arguments = True, call.arguments or {}
    for name, value in arguments.items():
        several = value if isinstance(value, (list, tuple)) and value else [value]
        if name in _KNOWN or value is False or all(one is None for one in several):
            continue
        cure = _NO_SCORES if name == "return_attention_scores" else "Train without this argument."
        findings.add(owner, "a call with a query, a value and a key", f"{name}={value!r:.60}", cure)
        good = False
    if call.mask is not None:
        cure = "Train without masks: pass whole sequences."
        findings.add(owner, "a call without masks", "a tensor as a mask", cure)
        good = False
    link = link_of(call)
    wanted = (2, 3) if link is None else (1, 2) if call is link.filler else (1,)
    if link is not None and arguments.get("use_causal_mask"):
        cure = "Train without use_causal_mask: the other stream ends before this one begins."
        findings.add(owner, "attention to another stream without a causal mask", "one", cure)
        good = False
    if len(call.inputs) not in wanted:
        cure = "Pass [query, value] or [query, value, key]."
        findings.add(owner, "a query and a value", f"{len(call.inputs)} tensors", cure)
        good = False
    return bool(arguments.get("use_causal_mask")) if good else None


def _fits(owner: str, given: _Given, findings: Findings) -> bool:
    """Note what a memory of bounded length cannot do."""
    before = len(findings.reasons)
    shapes = [flow.shape or () for flow in given.flows]
    if any(len(shape) != 2 for shape in shapes):
        findings.add(
            owner,
            "a query, a key and a value with a time axis",
            f"shapes {', '.join(str((None, *shape)) for shape in shapes)}",
            "Add a Reshape((1, features)) before the query for its last step.",
        )
        return False
    if given.key is not None and given.value is not None:
        _check_rows(owner, given.key, given.value, findings)
    if given.link is not None or given.query is None or given.value is None:
        return len(findings.reasons) == before
    queries, steps = (given.query.shape or (0,))[0], (given.value.shape or (0,))[0]
    if queries not in (steps, 1):
        findings.add(
            owner,
            "as many steps of query, key and value, or one of the query",
            f"{queries} of the query and {steps}",
            "Attend to another stream as a decoder does: its query is the stream's own state.",
        )
    if len({str(flow.grid) for flow in given.flows}) > 1:
        cure = "Give all branches the same strides, kernel sizes and padding."
        findings.add(owner, "query, key and value at the same readings", "others", cure)
    if given.causal and queries == 1:
        findings.add(
            owner,
            "a causal mask of queries at every step",
            "one with a single query, which sees the first step alone",
            "Train without use_causal_mask: the last step sees all others anyway.",
        )
    return len(findings.reasons) == before


def _check_rows(owner: str, key: Flow, value: Flow, findings: Findings) -> None:
    """Note rows that no memory holds."""
    steps = (value.shape or (0,))[0]
    if steps is None or not 2 <= steps <= MAX_SLOTS:
        findings.add(
            owner,
            f"a fixed number of 2 to {MAX_SLOTS} steps to attend to",
            "any number" if steps is None else f"{steps}",
            f"Rebuild it with keras.Input((steps, features)) of at most {MAX_SLOTS} steps and copy "
            "the weights, or let strides or pooling make fewer steps.",
        )
    if (key.shape or (0,))[0] != steps:
        got = f"{(key.shape or (0,))[0]} and {steps}"
        cure = "Attend to keys and values of the same steps."
        findings.add(owner, "as many steps of the key as of the value", got, cure)
    for flow in (key, value):
        refuse_ahead(findings, owner, flow)


def _one(layer: Any, given: _Given, made: JoinedLayers, context: Context) -> Flow:
    """Attention or AdditiveAttention."""
    owner = owner_of(layer)
    additive = class_of(layer) == "AdditiveAttention"
    widths = [flow.width for flow in (given.query, given.key) if flow is not None]
    if given.link is not None and given.query is not None:
        widths += [memory.width for memory in given.link.filled]
    width = widths[0]
    if set(widths) != {width} or width > MAX_KEY_WIDTH:
        context.findings.add(
            owner,
            f"queries and keys of the same width, {MAX_KEY_WIDTH} at most",
            " and ".join(map(str, widths)),
            "Add a linear Dense layer before the wider one.",
        )
        return unknown(owner)
    factor = np.ones(width)
    if layer.use_scale:
        scale = weight(layer.scale)
        if not finite(layer, context, scale=scale):
            return unknown(owner)
        factor = np.broadcast_to(scale, (width,))
    return _joined(str(layer.name), owner, given, made, factor, additive)


def _joined(
    name: str,
    owner: str,
    given: _Given,
    made: JoinedLayers,
    factor: FloatArray,
    additive: bool,
) -> Flow:
    """Add the layer of one head."""
    link = given.link

    def ready(flow: Flow | None, what: str) -> list[Flow]:
        return [] if flow is None else [_settled(flow, owner, f"{name}_{what}", made)]

    query, value = ready(given.query, "query"), ready(given.value, "value")
    tied = given.key is given.value and not additive
    row = value if tied else [*ready(given.key, "key"), *value]
    rows: dict[str, Any]
    if given.value is not None and given.key is not None:
        steps = (given.value.shape or (0,))[0]
        assert steps is not None  # checked before
        score = "additive" if additive else "dot"
        sizes = {"slots": steps, "width": given.key.width, "units": given.value.width}
        rows = {**sizes, "tied": tied, "score": score}
    else:
        assert link is not None  # the rows are those of another stream
        filled = link.filled[len(link.reading)]
        fields = ("slots", "width", "units", "tied", "score")
        rows = {field: getattr(filled, field) for field in fields}
    layer: FloatMemory
    if not query:
        layer = FloatMemory(name=f"{name}_memory", **rows)
    else:
        layer = FloatAttention(name=name, factor=factor, appends=bool(row), **rows)
    if link is not None:
        (link.reading if query else link.filled).append(layer)
    flows = [*query, *row]
    route = tuple(part for flow in flows for part in flow.route)
    put = made.held(layer, route, flows[0])
    return beside(flows[:1], layer.units, put, MergePart(owner=owner))


def _settled(flow: Flow, owner: str, name: str, made: JoinedLayers) -> Flow:
    """The values of a flow, whose scaling a layer has taken up where there is one."""
    if flow.pending is None:
        return flow
    # The sum of them and of nothing at all.
    return made.merged(owner, name, [flow, flow], MergeOperation.SUM, (1.0, 0.0))


def _heads(layer: Any, given: _Given, made: JoinedLayers, context: Context) -> Flow:
    """MultiHeadAttention: projections, attention of each head, a projection of all of them."""
    owner, name = owner_of(layer), str(layer.name)
    config = layer.get_config()
    count, width = config["num_heads"], config["key_dim"]
    dense = {part: _projection(layer, part) for part in ("query", "key", "value", "output")}
    flat = {f"{part} {i}": v for part, both in dense.items() for i, v in enumerate(both)}
    if not finite(layer, context, **flat):
        return unknown(owner)
    if width > MAX_KEY_WIDTH:
        cure = "Train with a smaller key_dim."
        context.findings.add(owner, f"key_dim of {MAX_KEY_WIDTH} at most", f"{width}", cure)
        return unknown(owner)
    outputs = []
    for head in range(count):
        suffix = f"_{head}" if count > 1 else ""

        def projected(
            part: str, flow: Flow | None, head: int = head, suffix: str = suffix
        ) -> Flow | None:
            if flow is None:
                return None
            kernel, bias = dense[part]  # [I, heads, D], [heads, D]
            made.uses.owner = (id(layer), part, head)
            return _dense(f"{name}_{part}{suffix}", owner, kernel[:, head], bias[head], flow, made)

        own = _Given(
            query=projected("query", given.query),
            key=projected("key", given.key),
            value=projected("value", given.value),
            causal=given.causal,
            link=given.link,
        )
        factor = np.full(width, 1.0 / np.sqrt(width))
        outputs.append(_joined(f"{name}{suffix}", owner, own, made, factor, additive=False))
    joint = outputs[0] if count == 1 else made.concatenated(owner, outputs)
    if given.query is None:  # what the memory holds, for another stream
        return joint
    kernel, bias = dense["output"]  # [heads, D, O], [O]
    made.uses.owner = (id(layer), "output", 0)
    kernel = kernel.reshape(-1, kernel.shape[-1])
    return _dense(f"{name}_output", owner, kernel, bias.ravel(), joint, made)


def _dense(
    name: str, owner: str, kernel: FloatArray, bias: FloatArray, flow: Flow, made: JoinedLayers
) -> Flow:
    layer = FloatDense(name=name, kernel=kernel.T, bias=bias, use_bias=bool(np.any(bias)))
    return made.added(flow, DensePart(owner=owner, layer=layer))


def _projection(layer: Any, part: str) -> tuple[FloatArray, FloatArray]:
    """Kernel and bias of one of the projections, as Keras stores them."""
    stored = getattr(layer, "weights", None)
    names = f"{part}_dense/kernel", f"{part}_dense/bias"
    if isinstance(stored, dict):
        kernel, bias = stored[names[0]], stored.get(names[1])
    else:
        own = getattr(layer, f"_{part}_dense")
        kernel, bias = weight(own.kernel), None if own.bias is None else weight(own.bias)
    if bias is None:
        bias = np.zeros(kernel.shape[-1] if part == "output" else kernel.shape[1:])
    return kernel, bias


def refuse_stateful(made: JoinedLayers, owner: str) -> None:
    """Note a network with attention that keeps its state between calls."""
    attends = any(isinstance(layer, FloatMemory) for layer in made.layers)
    if attends and made.stateful:
        made.findings.add(
            owner,
            "stateful=False in a network with attention",
            "stateful=True",
            "Keras attends to the steps of one call alone: build it with stateful=False, copy the "
            "weights and pass windows.",
        )


def with_filler(call: Call, links: Mapping[int, Link]) -> list[Call]:
    """A call, behind the one that fills the memory that it reads, if there is one."""
    link = links.get(id(call))
    return [call] if link is None else [link.filler, call]


def fills(call: Call) -> bool:
    """Whether a call fills a memory that another stream reads."""
    link = link_of(call)
    return link is not None and call is link.filler


def memory_handovers(
    links: Sequence[Link], remembering: Mapping[int, tuple[str, int]]
) -> Iterator[FloatHandover]:
    """What readers of memories take over, state by state."""
    for link in links:
        for filled, reading in zip(link.filled, link.reading, strict=True):
            if id(reading) not in remembering:
                continue  # it leads to no output
            (program, layer), (source, source_layer) = (
                remembering[id(one)] for one in (reading, filled)
            )
            for state in range(len(filled.state_widths)):
                yield FloatHandover(
                    program=program,
                    layer=layer,
                    state=state,
                    source=source,
                    source_layer=source_layer,
                    source_state=state,
                )
