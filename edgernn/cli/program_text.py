"""What `edgernn info` says of programs that share states, for people."""

from __future__ import annotations

from edgernn.cli.text_tables import text_table
from edgernn.cli.wiring import Description


def programs_text(record: Description) -> str:
    """A line for every program, every shared state and every handover, and the sums.

    Args:
        record: what `edgernn info` says of a set of programs.
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
        rows = [("shared states", "", "programs")]
        for shared in record["shared_states"]:
            state = states[shared["name"]]
            form = f"int16 [{state['units']}]  {state['format']}"
            rows.append((f"  {shared['name']}", form, ", ".join(shared["programs"])))
        lines += ["", *text_table(rows, "<24", "<24", "")]
    if record["handovers"]:
        rows = [("handovers", "begins with", "fraction bits less")]
        rows += [
            (f"  {h['program']}.{h['state']}", f"{h['source']}.{h['value']}", str(h["shift"]))
            for h in record["handovers"]
        ]
        lines += ["", *text_table(rows, "<24", "<24", "")]
    state = f"{record['state_bytes']} bytes of state per stream; what they share counts once"
    if "weights_bytes" in record:
        size = record["weights_bytes"] + record["constants_bytes"]
        state = f"{size} bytes of weights and constants, {state}"
    first = record["programs"][0]["name"]
    return "\n".join(
        [
            *lines,
            "",
            f"all programs  {state}",
            f"about one program: edgernn info {record['file']} --program {first}",
        ]
    )


def _program_lines(record: Description) -> list[str]:
    """Size and layers of every program; layers of another one in brackets.

    Files for runtimes say nothing of layers.
    """
    rows = [("program", "precision", "in -> out", "parameters", "MACs", "layers")]
    elsewhere = {(shared["program"], shared["name"]) for shared in record.get("shared_layers", ())}
    for program in record["programs"]:
        name, shape = program["name"], f"{len(program['inputs'])} -> {len(program['outputs'])}"
        names = [
            f"({layer['name']})" if (name, layer["name"]) in elsewhere else layer["name"]
            for layer in program.get("layers", ())
        ]
        sizes = (str(program.get(what, "")) for what in ("parameters", "macs"))
        rows.append((f"  {name}", program["precision"], shape, *sizes, ", ".join(names)))
    return text_table(rows, "<24", "<10", ">12", ">12", ">10", "")
