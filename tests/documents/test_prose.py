"""Texts that people read follow prose_rules.toml: plain English, no word-for-word translations."""

import tomllib
from pathlib import Path

import pytest

from tests.documents.prose import ROOT, SUFFIXES, findings, findings_in, main, rules

PAIRS = Path(__file__).with_name("prose_before_after.toml")
#: What is checked: a folder or file, and which files of it.
AREAS = {
    "README.md": "*",
    "docs": "*.md",
    "edgernn": "*.py",
    "export": "*.py",
    "firmware_sim": "*.py",
    "edgernn/native": "edgernn_*.h",
    "export/edgernn_export/writers/c/package_files": "*.*",
}


def texts():
    for area, pattern in AREAS.items():
        place = ROOT / area
        for path in sorted(place.rglob(pattern)) if place.is_dir() else [place]:
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in SUFFIXES:
                yield name, path


def pairs():
    return tomllib.loads(PAIRS.read_text(encoding="utf-8"))["pair"]


def test_texts_follow_the_rules():
    found = [
        f"{name}:{finding.line}: {finding.phrase} -> {finding.use}"
        for name, path in texts()
        for finding in findings_in(path)
    ]
    assert found == []


def test_every_rule_has_a_suggestion():
    assert [rule.find.pattern for rule in rules() if not rule.use.strip()] == []


def test_there_are_fifty_pairs():
    assert len({pair["before"] for pair in pairs()}) >= 50


def test_rewritten_sentences_follow_the_rules():
    found = {pair["after"]: findings(pair["after"]) for pair in pairs()}
    assert {after: hits for after, hits in found.items() if hits} == {}


def test_former_sentences_are_found_or_gone():
    unfound = [pair["before"] for pair in pairs() if not findings(pair["before"])]
    assert 2 * len(unfound) < len(pairs()), "too many former sentences follow the rules"
    everything = {
        name: " ".join(path.read_text(encoding="utf-8").split()) for name, path in texts()
    }
    still = [(name, old) for name, text in everything.items() for old in unfound if old in text]
    assert still == []


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".md", "Codes stand\nbehind the header."),
        (".py", 'def f():\n    """Codes stand\n    behind the header."""\n'),
        (".py", 'raise ValueError(f"codes stand " f"behind {x}")\n'),
        (".h", "/* Codes stand\n * behind the header. */\n"),
    ],
)
def test_phrases_are_found_across_line_ends(tmp_path, suffix, text, capsys):
    path = tmp_path / f"text{suffix}"
    path.write_text(text, encoding="utf-8")
    assert main([str(path)]) == 1
    assert "stand behind -> " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".md", "Run `as it is` and\n```python\nx = 'as it is'\n```\n[here](as-it-is.md)"),
        (".py", "# codes stand behind the header\nx = 'stand behind'\n"),
        (".h", 'const char *x = "codes stand behind";\n'),
        (".md", "The file is as it is known.\n\nThere"),
    ],
)
def test_code_is_left_alone(tmp_path, suffix, text):
    path = tmp_path / f"text{suffix}"
    path.write_text(text, encoding="utf-8")
    assert findings_in(path) == []
