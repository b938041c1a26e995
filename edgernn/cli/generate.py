"""`edgernn generate`: text from a model that scores the next token."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import Any, Final, cast

from edgernn.cli.arguments import (
    RUNTIME_NAMES,
    add_model_argument,
    add_program_argument,
    model_path,
)
from edgernn.decoding.beams import beam
from edgernn.decoding.loops import Choice, Decoded, chosen_tokens, likeliest, sampler
from edgernn.decoding.token_stream import TokenStream
from edgernn.errors import DecodingError, EdgeRnnError
from edgernn.model.border.symbols import Symbols
from edgernn.session.loading import load
from edgernn.session.program_session import ProgramSession
from edgernn.session.session import Session

HELP: Final = """Generate text with a model that reads a token and scores the next one.

The model reads the prompt, then chooses a token, reads it, and so on. Text appears on stdout as it
is generated, after the prompt.

Each token is drawn by its probability. --temperature below 1 favors likely tokens, and 0 always
takes the likeliest. --top-k draws only among the likeliest tokens. --beam searches for the
likeliest text of the whole length instead, and prints it at the end.

The same model, options and seed give the same text on every back-end and in the C export.

A model has symbols if it was quantized with symbols=. For a model without symbols, and with
--tokens, the prompt and the output are token numbers, separated by spaces.
"""
EXAMPLES: Final = """examples:
  edgernn generate char_lm.edgernn --prompt "ROMEO:" --length 300
  edgernn generate char_lm.edgernn --prompt "ROMEO:" --temperature 0.7 --top-k 20 --seed 3
  edgernn generate char_lm.edgernn --prompt "ROMEO:" --temperature 0
  edgernn generate char_lm.edgernn --prompt "ROMEO:" --length 40 --beam 4 --json
  edgernn generate letters.edgernn --tokens --prompt "3 7 1" --length 20 --end 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_model_argument(parser)
    add_program_argument(
        parser, "in a file with several programs: use this one, from its initial states"
    )
    parser.add_argument("--prompt", metavar="TEXT", help="text that the model reads first")
    parser.add_argument(
        "--length", type=int, default=200, metavar="N",
        help="most tokens to generate (default: 200)",
    )  # fmt: skip
    parser.add_argument(
        "--temperature", type=float, metavar="T",
        help="0.001 to 100, or 0 for the likeliest token (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--top-k", type=int, metavar="K", help="draw among the K likeliest tokens (default: all)"
    )
    parser.add_argument(
        "--seed", type=int, metavar="S", help="seed of the random numbers (default: 0)"
    )
    parser.add_argument(
        "--beam", type=int, metavar="WIDTH", help="search with 1 to 64 rows instead of drawing"
    )
    parser.add_argument(
        "--length-penalty", type=float, metavar="A",
        help="with --beam: rank by bits divided by length to this power, 0 to 4 (default: 0)",
    )  # fmt: skip
    parser.add_argument("--end", metavar="SYMBOL", help="stop at this symbol (or token number)")
    parser.add_argument(
        "--tokens", action="store_true", help="read and write token numbers, not symbols"
    )
    parser.add_argument(
        "--backend", default="auto", help="native, reference, tflite or onnx (default: as in run)"
    )


def main(args: argparse.Namespace) -> int:
    """Print the text as it is generated."""
    _check(args)
    with _opened(args) as session:
        letters = _letters(args, session)
        first = _encoded("--prompt", args.prompt, letters)
        end = None if args.end is None else _single(args.end, letters)
        if args.beam is not None:
            penalty = 0.0 if args.length_penalty is None else args.length_penalty
            rows = beam(
                session, first=first, end=end, max_tokens=args.length, width=args.beam,
                length_penalty=penalty,
            )  # fmt: skip
            if not args.json:
                print(_text([*first, *rows[0].tokens], letters))
        else:
            stream = TokenStream(session)
            tokens = chosen_tokens(stream, first, end, args.length, _choice(args, stream))
            rows = (_streamed(tokens, first, end, letters, quiet=args.json),)
        if args.json:
            print(json.dumps(_record(args.prompt, rows, letters), ensure_ascii=False))
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse options that have no effect together."""
    if args.prompt is None:
        raise EdgeRnnError("--prompt: expected a text for the model to read first, got none.")
    drawing = {"--top-k": args.top_k, "--seed": args.seed}
    searching = {"--length-penalty": args.length_penalty}
    useless: dict[str, Any] = {}
    if args.beam is not None:
        useless = {"--temperature": args.temperature, **drawing}
    elif args.temperature == 0:
        useless = {**drawing, **searching}
    else:
        useless = searching
    given = [option for option, value in useless.items() if value is not None]
    if given:
        why = (
            "with --beam nothing is drawn" if args.beam is not None
            else "it needs --beam" if given[0] in searching
            else "at the temperature 0 nothing is drawn"
        )  # fmt: skip
        raise EdgeRnnError(f"{given[0]}: expected no such option, got one; {why}. Remove it.")


def _opened(args: argparse.Namespace) -> Session:
    options: dict[str, Any] = {"program": args.program} if args.program else {}
    backend: Any = args.backend
    if args.backend in RUNTIME_NAMES:
        backend, runtime = RUNTIME_NAMES[args.backend]
        options |= {"runtime": runtime} if runtime else {}
    opened = cast("Session | ProgramSession", load(model_path(args), backend, **options))
    if isinstance(opened, Session):
        return opened
    opened.close()
    raise EdgeRnnError(
        f"--program: expected one of {', '.join(opened.programs)}, got none. This command runs one "
        "program of the file; to encode first, use edgernn.decoding in Python."
    )


def _letters(args: argparse.Namespace, session: Session) -> Symbols | None:
    """The symbols of the model; None where tokens are numbers."""
    return None if args.tokens else session.interface.symbols


def _choice(args: argparse.Namespace, stream: TokenStream) -> Choice:
    if args.temperature == 0:
        return likeliest
    temperature = 1.0 if args.temperature is None else args.temperature
    return sampler(stream, temperature, args.top_k or 0, args.seed or 0)


def _encoded(option: str, text: str, letters: Symbols | None) -> list[int]:
    """The tokens of a prompt."""
    if letters is not None:
        return letters.encode(text)
    try:
        return [int(word) for word in text.split()]
    except ValueError as error:
        raise DecodingError(
            f"{option}: expected token numbers separated by spaces, got {text!r:.60}. A text needs "
            "a model with symbols (quantize(..., symbols=))."
        ) from error


def _single(symbol: str, letters: Symbols | None) -> int:
    tokens = _encoded("--end", symbol, letters)
    if len(tokens) != 1:
        raise DecodingError(f"--end: expected one symbol of the model, got {symbol!r:.40}.")
    return tokens[0]


def _streamed(
    tokens: Iterable[int],
    first: list[int],
    end: int | None,
    letters: Symbols | None,
    *,
    quiet: bool,
) -> Decoded:
    """Print tokens as they come."""
    found: list[int] = []
    ended = False
    if not quiet:
        _write(_text(first, letters))
    for token in tokens:
        ended = token == end
        if ended:
            break
        found.append(token)
        if not quiet:
            _write(_text([token], letters) if letters else f" {token}")
    if not quiet:
        _write("\n")
    return Decoded(tokens=tuple(found), ended=ended)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _text(tokens: Iterable[int], letters: Symbols | None) -> str:
    return " ".join(map(str, tokens)) if letters is None else letters.decode(tokens)


def _record(prompt: str, rows: tuple[Decoded, ...], letters: Symbols | None) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "rows": [
            {
                "text": _text(row.tokens, letters),
                "tokens": list(row.tokens),
                "ended": row.ended,
                "bits": row.bits,
            }
            for row in rows
        ],
    }
