"""Rebuild the pages in docs/results/ from the stored figures.

Without arguments it rebuilds all pages. With --check it writes nothing and fails if a page is
out of date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks import demo_accuracy
from benchmarks.accuracy import report as accuracy
from benchmarks.compression import report as compression
from benchmarks.pages import (
    adaptation,
    arithmetic,
    device_layers,
    fraud,
    heavy_tails,
    instructions,
    keys,
    learning,
    mqtt,
    recipes,
    silero,
    sound,
    speed,
    stored_weights,
    summary,
)
from benchmarks.pages.markdown import PAGES, stored

#: Page -> its text, from the stored figures.
TEXTS: Final[dict[str, Callable[[], str]]] = {
    "accuracy": lambda: accuracy.page(stored("accuracy"), stored("drift")),
    "compression": compression.page,
    "instructions": lambda: instructions.page(stored("instructions")),
    "device_layers": lambda: device_layers.page(stored("device_layers")),
    "speed": speed.page,
    "keys": lambda: keys.page(stored("keys")),
    "sparse": lambda: stored_weights.sparse_page(stored("sparse")),
    "int4": lambda: stored_weights.int4_page(stored("int4")),
    "heavy_tails": lambda: heavy_tails.page(stored("heavy_tails")),
    "arithmetic": lambda: arithmetic.page(stored("arithmetic")),
    "adaptation": lambda: adaptation.page(stored("adaptation")),
    "mqtt": lambda: mqtt.page(stored("mqtt")),
    "learning": lambda: learning.page(stored("learning")),
    "sound": lambda: sound.page(stored("sound")),
    "fraud": lambda: fraud.page(stored("fraud")),
    "silero": lambda: silero.page(stored("silero")),
    "recipes": lambda: recipes.page(recipes.measured()),
    "demo": lambda: demo_accuracy.page(stored("demo_accuracy")),
    "summary": summary.page,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0 on success, 1 if ``--check`` finds a page out of date."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=", ".join(TEXTS))
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    args = parser.parse_args(argv)
    unknown = [page for page in args.pages if page not in TEXTS]
    if unknown:
        parser.error(f"PAGE: expected one of {', '.join(TEXTS)}, got {', '.join(unknown)}.")
    old = [page for page in args.pages or TEXTS if not _current(page, write=not args.check)]
    for page in old if args.check else ():
        print(
            f"docs/results/{page}.md: expected the text of its stored figures, got another. "
            f"Run: python -m benchmarks.pages {page}"
        )
    return int(args.check and bool(old))


def _current(page: str, *, write: bool) -> bool:
    """Whether a page has the text of its figures; write it if it has not."""
    path, text = PAGES / f"{page}.md", TEXTS[page]()
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return True
    if write:
        path.write_text(text, encoding="utf-8")
    return False


if __name__ == "__main__":
    sys.exit(main())
