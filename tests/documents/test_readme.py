"""What the documents tell a user to type works."""

import re

import pytest

from tests.support.documents import ROOT, blocks, commands, links, run_command, run_python
from tests.support.models.programs import pair

DOCUMENTS = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
RUNNABLE = (
    "README.md",
    "docs/tutorials/quickstart.md",
    "docs/tutorials/raspberry-pi.md",
    "docs/guides/adaptation.md",
    "docs/guides/bare-tflite.md",
    "docs/guides/benchmark.md",
    "docs/guides/cells.md",
    "docs/guides/coming-from-cmsis-nn.md",
    "docs/guides/coming-from-edge-impulse.md",
    "docs/guides/coming-from-tflite.md",
    "docs/guides/evaluate.md",
    "docs/guides/onnx-float.md",
    "docs/guides/streaming.md",
)
#: Those with commands that the quick start has, too.
LONG = ("docs/guides/benchmark.md", "docs/guides/evaluate.md")
#: Their blocks of text show what the commands before them print.
PRINTED = ("docs/tutorials/quickstart.md",)
#: Their pages are run by tests/documents/test_examples.py.
EXAMPLES = "docs/examples/"
#: Run elsewhere, by what.
ELSEWHERE = {
    "make demo": "the target's one line, `edgernn demo`, is run by tests/documents/test_demo.py",
    "make test": "this is it",
    **{
        f"pip install {what}": "tests/packaging/test_wheel.py installs the wheel that this builds"
        for what in (".", "'.[tflite]'", "'.[export]'")
    },
    "pip install '.[onnx-import]'": "tests/packaging/test_onnx_import.py",
    "pip install '.[torch]'": "the same with torch, which the tests are run with",
    "make check": ".ci/run",
    "make test-fast": "make test runs the same tests",
    "make test-device": "make test",
    "edgernn info turbine.edgernn": "tests/documents/test_networks_document.py",
    **{
        f"edgernn run turbine.edgernn --input readings.{kind} --output answers.{kind}": (
            "tests/documents/test_networks_document.py"
        )
        for kind in ("csv", "jsonl")
    },
    **{
        f"edgernn {command}": "tests/documents/test_programs_document.py"
        for command in (
            "info pair.edgernn",
            "info pair.edgernn --program decode",
            "verify pair.edgernn",
            "run pair.edgernn --program encode --input readings.csv",
            "simulate pair.edgernn --target nucleo-f446",
            "export pair.edgernn --to tflite,onnx,c",
            "verify pair.tflite --model pair.edgernn",
            "export pair.edgernn --program decode --to onnx",
        )
    },
    **{
        f"edgernn {command}": "tests/documents/test_simulate_document.py"
        for command in (
            "simulate model.edgernn --target nucleo-f446",
            "simulate model.edgernn --target nrf52840-dk --emulate",
            "targets",
            "simulate model.edgernn --target nucleo-f446,nrf52840-dk,pico,esp32-c3,esp32 --emulate",
            "simulate model.edgernn --target nucleo-f446 --emulate --input readings.csv",
            "simulate model.edgernn --target nucleo-f446 --emulate --input readings.csv --steps 10",
            "simulate model.edgernn --board my-board.toml --emulate",
        )
    },
    **{
        f"edgernn compare small.edgernn large.edgernn{rest}": (
            "tests/documents/test_compare_document.py"
        )
        for rest in ("", " --target nucleo-f446,esp32-c3")
    },
    "edgernn export mill.edgernn --to c --core cortex-m4 -o build/": (
        "tests/documents/test_networks_from_keras.py"
    ),
    "edgernn simulate mill.edgernn --target cortex-m4 --emulate": (
        "tests/documents/test_networks_from_keras.py"
    ),
}
#: Documents whose programs need more than a shell: the tests that run them.
PROGRAMS = {
    "docs/guides/activations.md": "tests/documents/test_activations_document.py",
    "docs/guides/add-a-cell.md": "tests/documents/test_add_a_cell_document.py",
    "docs/guides/attention.md": "tests/documents/test_attention_document.py",
    "docs/guides/bidirectional.md": "tests/documents/test_bidirectional_document.py",
    "docs/guides/compare.md": "tests/documents/test_compare_document.py",
    "docs/guides/convolutions.md": "tests/documents/test_convolutions_document.py",
    "docs/guides/decisions.md": "tests/documents/test_preparation_document.py",
    "docs/guides/distillation.md": "tests/documents/test_distillation_document.py",
    "docs/guides/from-onnx.md": "tests/documents/test_from_onnx_document.py",
    "docs/guides/from-tflite.md": "tests/documents/test_from_tflite_document.py",
    "docs/guides/from-weights.md": "tests/documents/test_from_weights_document.py",
    "docs/guides/from-pytorch.md": "tests/documents/test_from_pytorch_document.py",
    "docs/guides/generate.md": "tests/documents/test_generate_document.py",
    "docs/guides/inspect.md": "tests/documents/test_inspect_document.py",
    "docs/guides/long-memory.md": "tests/documents/test_long_memory_document.py",
    "docs/guides/networks.md": "tests/documents/test_networks_document.py",
    "docs/guides/preparation.md": "tests/documents/test_preparation_document.py",
    "docs/guides/programs.md": "tests/documents/test_programs_document.py",
    "docs/guides/pruning.md": "tests/documents/test_pruning_document.py",
    "docs/guides/qat.md": "tests/documents/test_qat_document.py",
    "docs/guides/recipes.md": "tests/documents/test_recipes_document.py",
    "docs/guides/scikit-learn.md": "tests/documents/test_scikit_learn_document.py",
    "docs/guides/search.md": "tests/documents/test_search_document.py",
    "docs/guides/simulate.md": "tests/documents/test_simulate_document.py",
    "docs/guides/audio.md": "tests/documents/test_audio_document.py",
    "docs/guides/kafka.md": "tests/documents/test_engines_documents.py",
    "docs/guides/many-streams.md": "tests/documents/test_many_streams_document.py",
    "docs/guides/spark.md": "tests/documents/test_engines_documents.py",
    "docs/guides/sources-and-sinks.md": "tests/documents/test_connections_documents.py",
    "docs/guides/structured.md": "tests/documents/test_structured_document.py",
    "docs/guides/tokens.md": "tests/documents/test_tokens_document.py",
    "docs/guides/train-in-pytorch.md": "tests/documents/test_train_in_pytorch_document.py",
    "docs/recipes/text.md": "tests/documents/test_text_recipes_document.py",
    "docs/guides/variable-lengths.md": "tests/documents/test_variable_lengths_document.py",
    "docs/guides/windows.md": "tests/documents/test_windows_document.py",
    "docs/recipes/prices.md": "tests/documents/test_prices_document.py",
    "docs/recipes/audio.md": "tests/documents/test_sound_recipes_document.py",
    "docs/recipes/translation.md": "tests/documents/test_translation_document.py",
}
#: Tests that take the commands of a page from the page, and run or parse each.
COMMANDS = {
    "docs/guides/audio.md": "tests/documents/test_audio_document.py",
    "docs/guides/bidirectional.md": "tests/documents/test_bidirectional_document.py",
    "docs/guides/deploy.md": "tests/documents/test_deploy_document.py",
    "docs/guides/from-onnx.md": "tests/documents/test_from_onnx_document.py",
    "docs/guides/from-tflite.md": "tests/documents/test_from_tflite_document.py",
    "docs/guides/from-weights.md": "tests/documents/test_from_weights_document.py",
    "docs/guides/from-pytorch.md": "tests/documents/test_from_pytorch_document.py",
    "docs/guides/generate.md": "tests/documents/test_generate_document.py",
    "docs/guides/inspect.md": "tests/documents/test_inspect_document.py",
    "docs/guides/preparation.md": "tests/documents/test_preparation_document.py",
    "docs/guides/serve.md": "tests/documents/test_serve_document.py",
    "docs/guides/spark.md": "tests/documents/test_engines_documents.py",
    "docs/recipes/prices.md": "tests/documents/test_prices_document.py",
    "docs/recipes/text.md": "tests/documents/test_text_recipes_document.py",
    "docs/recipes/audio.md": "tests/documents/test_sound_recipes_document.py",
    "docs/recipes/payments.md": "tests/documents/test_payments_document.py",
    "docs/recipes/translation.md": "tests/documents/test_translation_document.py",
}
#: Run here with less training: a fixture runs the demo once for all documents.
SHORTENED = {"edgernn demo": "edgernn demo --epochs 1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the demo was run, beside which lie programs."""
    made = tmp_path_factory.mktemp("user")
    done = run_command(SHORTENED["edgernn demo"], made)
    assert done.returncode == 0, done.stderr
    pair().save(made / "pair.edgernn")
    return made


def missing_lines(block, printed):
    """Lines of a block that no command printed; numbers and spaces may differ."""

    def words(line):
        return re.sub(r"[-+]?\d[\d.,]*|[\s–<-]+", "", line)

    seen = {words(line) for line in printed.splitlines()} | {"...", ""}
    # Instruction sets differ from machine to machine.
    return [
        line
        for line in block.splitlines()
        if words(line) not in seen and not line.startswith("native (")
    ]


def steps(document):
    """Files to save, Python programs and commands in the order of the document."""
    for block in blocks(document):
        if block.title:
            yield block.title, block.text
        elif block.language == "python":
            yield "python", block.text
        elif block.language == "text":
            yield "text", block.text
        elif block.language == "bash":
            joined = block.text.replace("\\\n", " ")
            yield from (("bash", line) for line in joined.splitlines() if line.strip())


@pytest.mark.slow
@pytest.mark.tf
@pytest.mark.parametrize(
    "document",
    [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in RUNNABLE],
)
def test_every_step_runs(document, folder):
    ran, printed = 0, ""
    for language, text in steps(document):
        if text in ELSEWHERE or text in SHORTENED:
            continue
        if language == "text":
            assert document not in PRINTED or missing_lines(text, printed) == []
            continue
        if language not in ("python", "bash"):
            (folder / language).write_text(text, encoding="utf-8")
            continue
        done = (run_python if language == "python" else run_command)(text, folder)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        if "verify" in text:
            assert done.stdout.splitlines()[-1] == "differing values: 0"
        printed += done.stdout + done.stderr
        ran += 1
    assert ran >= 1


@pytest.mark.slow
@pytest.mark.tf
def test_readme_programs_and_command_line_give_the_same_forecasts(folder):
    workstation, device, _ = [b.text for b in blocks("README.md") if b.language == "python"]
    assert run_python(workstation, folder).returncode == 0
    said = run_python(device, folder).stdout.split()
    readings = r"printf '0.3\n0.1\n-0.2\n0.4\n'"
    piped = run_command(f"{readings} | edgernn run build/model.edgernn", folder).stdout.split()
    printed = [float(word.strip("[]")) for word in said if word.strip("[]")]
    # The command line gives the digits that the output's step bears.
    half_unit = 0.5 * 10.0 ** -len(piped[0].partition(".")[2])
    assert printed == pytest.approx([float(line) for line in piped], abs=1.01 * half_unit)
    assert len(printed) == 4


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if d not in RUNNABLE and not d.startswith(EXAMPLES)]
)
def test_commands_outside_the_runnable_documents_are_known(document):
    unknown = [c for c in commands(document) if c not in ELSEWHERE]
    if document in COMMANDS:
        assert unknown
        assert f'"{document}"' in (ROOT / COMMANDS[document]).read_text(encoding="utf-8")
    else:
        assert unknown == []
    programs = [b for b in blocks(document) if b.language == "python"]
    if document in PROGRAMS:
        assert programs
        assert f'"{document}"' in (ROOT / PROGRAMS[document]).read_text(encoding="utf-8")
    else:
        assert programs == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    folder = (ROOT / document).parent
    assert [target for target in links(document) if not (folder / target).exists()] == []


def test_targets_run_elsewhere_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in (command for command in ELSEWHERE if command.startswith("make ")):
        assert f"\n{command.removeprefix('make ')}:" in makefile
    assert "\n\t.venv/bin/edgernn demo\n" in makefile
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "target check environments\n    set -- test\nfi\n" in run
    assert '    make "${target}"\n' in run
    assert "\ntest: tools .venv/.dev native test-device " in makefile
