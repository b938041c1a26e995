"""The text of `edgernn info` for programs that share states."""

from __future__ import annotations

from dataclasses import asdict

from edgernn.cli.style import table
from edgernn.cli.wiring import Description
from edgernn.model.program_sets.passes import buffer_bytes
from edgernn.model.program_sets.program_set import LinkedProgram, LinkedPrograms


def described_chunk(programs: LinkedPrograms[LinkedProgram]) -> Description:
    """The passes of a network that answers whole chunks, as JSON values."""
    plan = programs.chunk
    assert plan is not None
    return {
        "min_steps": plan.min_steps,
        "max_steps": plan.max_steps,
        "sequence": plan.sequence,
        "buffer_bytes": buffer_bytes(programs),
        "passes": [
            {"program": one.program, "direction": one.direction.value,
             "reads": [asdict(read) for read in one.reads]}
            for one in plan.passes
        ],
    }  # fmt: skip


def programs_text(record: Description) -> str:
    """Tables of programs, shared states and initial states, and the sums.

    Args:
        record: the facts about a set of programs.
    """
    lines = [
        f"{record['name']}  {len(record['programs'])} programs  {record['file']}, "
        f"{record['file_bytes']} bytes",
        f"sha256 of the set  {record['sha256']}",
        "",
        *_program_lines(record),
    ]
    if record["shared_states"]:
        states = {s["name"]: s for program in record["programs"] for s in program["states"]}
        rows = []
        for shared in record["shared_states"]:
            state = states[shared["name"]]
            form = f"int16 [{state['units']}]  {state['format']}"
            rows.append((shared["name"], form, ", ".join(shared["programs"])))
        lines += ["", *table(("shared state", "format", "programs"), rows, "<<<")]
    if record["handovers"]:
        rows = [
            (f"{h['program']}.{h['state']}", f"{h['source']}.{h['value']}", str(h["shift"]))
            for h in record["handovers"]
        ]
        lines += ["", *table(("initial state", "taken from", "bits shifted right"), rows, "<<>")]
    if "chunk" in record:
        lines += ["", *_chunk_lines(record["chunk"])]
    for program in record["programs"]:
        if "decoding" in program:
            lines += ["", decoding_text(program, of_several=True)]
    state = f"{record['state_bytes']} bytes of state per stream; shared states count once"
    if "weights_bytes" in record:
        size = record["weights_bytes"] + record["constants_bytes"]
        state = f"{size} bytes of weights and constants, {state}"
    first = record["programs"][0]["name"]
    return "\n".join(
        [
            *lines,
            "",
            f"all programs  {state}",
            f"Describe one program with: edgernn info {record['file']} --program {first}",
        ]
    )


def decoding_text(record: Description, *, of_several: bool = False) -> str:
    """What writes rows of tokens with a model that scores them.

    Args:
        record: the facts about the model.
        of_several: it is one of several programs.
    """
    count = record["decoding"]["tokens"]
    if of_several:
        use = f"edgernn.decoding with program={record['name']!r}"
        return f"decoding  {record['name']} scores the next of {count} tokens: {use}"
    return f"decoding  scores the next of {count} tokens: edgernn generate, or edgernn.decoding"


def _chunk_lines(chunk: Description) -> list[str]:
    """Lengths of chunks, and every pass with what it reads."""
    low, high = chunk["min_steps"], chunk["max_steps"]
    steps = f"{high}" if low == high else f"{low} to {high}"
    answer = "one output per step" if chunk["sequence"] else "one output"
    rows = [
        (one["program"], one["direction"], ", ".join(_read(read) for read in one["reads"]))
        for one in chunk["passes"]
    ]
    return [
        f"answers chunks of {steps} steps, {answer}; {chunk['buffer_bytes']} bytes between passes",
        "",
        *table(("pass", "direction", "reads"), rows, "<<<"),
    ]


def _read(read: Description) -> str:
    """What a pass reads."""
    if not read["value"]:
        return "readings"
    return f"{'last ' * read['last']}{read['source']}.{read['value']}"


def _program_lines(record: Description) -> list[str]:
    """Size and layers of every program; layers of another program in brackets.

    Files for runtimes do not contain the layers.
    """
    rows = []
    elsewhere = {(shared["program"], shared["name"]) for shared in record.get("shared_layers", ())}
    for program in record["programs"]:
        name, shape = program["name"], f"{len(program['inputs'])} -> {len(program['outputs'])}"
        names = [
            f"({layer['name']})" if (name, layer["name"]) in elsewhere else layer["name"]
            for layer in program.get("layers", ())
        ]
        sizes = (str(program.get(what, "")) for what in ("parameters", "macs"))
        rows.append((name, program["precision"], shape, *sizes, ", ".join(names)))
    headings = ("program", "precision", "in -> out", "parameters", "MACs", "layers")
    return table(headings, rows, "<<>>><")
