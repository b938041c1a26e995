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
    sizes = record["weights_bytes"] + record["constants_bytes"], record["state_bytes"]
    first = record["programs"][0]["name"]
    return "\n".join(
        [
            *lines,
            "",
            "all programs  {} bytes of weights and constants, {} bytes of state per stream; what "
            "they share counts once".format(*sizes),
            f"about one program: edgernn info {record['file']} --program {first}",
        ]
    )


def _program_lines(record: Description) -> list[str]:
    """Size and layers of every program; layers of another one in brackets."""
    rows = [("program", "precision", "in -> out", "parameters", "MACs", "layers")]
    elsewhere = {(shared["program"], shared["name"]) for shared in record["shared_layers"]}
    for program in record["programs"]:
        names = [
            f"({layer['name']})" if (program["name"], layer["name"]) in elsewhere else layer["name"]
            for layer in program["layers"]
        ]
        shape = f"{len(program['inputs'])} -> {len(program['outputs'])}"
        sizes = str(program["parameters"]), str(program["macs"])
        rows.append((f"  {program['name']}", program["precision"], shape, *sizes, ", ".join(names)))
    return text_table(rows, "<24", "<10", ">12", ">12", ">10", "")
