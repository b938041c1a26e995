"""The text of `edgernn info` for programs that share states."""

from __future__ import annotations

from edgernn.cli.style import table
from edgernn.cli.wiring import Description


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
