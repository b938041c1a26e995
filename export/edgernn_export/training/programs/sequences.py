"""How recipes learn to write rows of tokens: taught token by token, scored by whole rows."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.errors import TrainingError
from edgernn.model.formats import PrecisionName
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.datasets import Dataset, Part
from edgernn_export.networks.front_door import read_several_streams
from edgernn_export.quantizer.program_sets.programs import quantize_programs
from edgernn_export.training.best_weights import keep_best_class
from edgernn_export.training.loop import TrainingResult, best_epoch
from edgernn_export.training.networks import clipping, repeatable_keras
from edgernn_export.training.programs.teaching import (
    batch_count,
    batches,
    partly_written,
    read_before,
    row_steps,
)
from edgernn_export.training.programs.written_rows import (
    DECODER,
    ENCODER,
    TokenRow,
    float_rows,
    integer_rows,
)
from edgernn_export.training.recipe import Network, Recipe

#: Rows that may be longer than any of the train part, by this many tokens.
_SPARE: Final = 5

BuildNetworks = Callable[[Recipe, Network, Dataset], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceMethod:
    """The method of a recipe that reads a sequence, or a vector, and writes a row of tokens.

    Training is teacher forcing: the decoder reads the row that it should write. The epoch is chosen
    by greedy decoding of the validation part, and models are scored by greedy and beam search.

    Attributes:
        width: beams of the search that gives the metric.
        tokens: the encoder reads tokens; else readings.
        taught: makes the network that is trained where it is another one than that of
            `Recipe.build`, with the same weights: such as one that masks padding.
        own_share: of the tokens that the decoder reads in the last epoch, the share that it chose
            itself, in place of what it should have written (scheduled sampling, Bengio et al.
            2015); it rises from 0 in the first epoch. 0 is teacher forcing alone.
        validated_rows: rows of the validation part, evenly spread, that choose the epoch.
    """

    width: int = 3
    tokens: bool = True
    taught: BuildNetworks | None = None
    own_share: float = 0.0
    validated_rows: int = 1000

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 0.0 <= self.own_share <= 1.0:
            raise TrainingError(
                f"method own_share: expected a share from 0 to 1, got {self.own_share!r:.40}."
            )

    def train(
        self,
        recipe: Recipe,
        seed: int,
        *,
        data: Dataset,
        network: Network,
        progress: bool | None,
    ) -> tuple[Any, TrainingResult]:
        """Train with AdamW on a cosine, and keep the epoch that is best by the validation part.

        Args:
            recipe: with the epochs and the learning rate of this training.
            seed: of initial weights, dropout and order.
            data: the recipe's data set.
            network: its size.
            progress: show a bar on stderr; None where it is a terminal.

        Returns:
            The network of `Recipe.build`, and a record.
        """
        plan = recipe.training
        keras = repeatable_keras(seed)
        model = recipe.build(recipe, network, data)
        fitted = model if self.taught is None else self.taught(recipe, network, data)
        updates = plan.epochs * batch_count(data.train, plan.batch)
        fitted.compile(
            optimizer=keras.optimizers.AdamW(
                keras.optimizers.schedules.CosineDecay(plan.learning_rate, updates),
                weight_decay=plan.weight_decay,
                **clipping(plan.clip_norm, plan.clip_value),
            ),
            loss=keras.losses.SparseCategoricalCrossentropy(),
        )
        judged = _spread(data.validation, self.validated_rows)

        def validate() -> float:
            model.set_weights(fitted.get_weights())
            return _exact(self._rows(model, data, judged, width=1), judged)

        keeper = keep_best_class()(
            model,
            validate,
            rising=data.rising,
            others=(),
            given=False,
            last=plan.keep == "last",
            epochs=plan.epochs,
            title=f"{recipe.name} seed {seed}",
            progress=progress,
        )
        rng, begin_s = np.random.default_rng(seed), time.perf_counter()
        for epoch in range(plan.epochs):
            share = self.own_share * epoch / max(1, plan.epochs - 1)
            for (source, before), y, weights in batches(
                data.train, plan.batch, rng, tokens=self.tokens
            ):
                read = before
                if share > 0.0:
                    chosen = fitted.predict_on_batch([source, before]).argmax(axis=-1)
                    read = partly_written(before, chosen, share, rng)
                fitted.train_on_batch([source, read], y, sample_weight=weights)
            keeper.on_epoch_end(epoch)
        keeper.on_train_end()
        return model, TrainingResult(
            recipe=recipe.name,
            network=network,
            seed=seed,
            epochs=plan.epochs,
            best_epoch=best_epoch(recipe, keeper),
            metric=data.metric,
            validation=keeper.best,
            start_validation=None,
            history=tuple(keeper.history),
            parameters=sum(math.prod(v.shape) for v in model.trainable_weights),
            updates=updates,
            seconds=time.perf_counter() - begin_s,
        )

    def quantized(
        self, recipe: Recipe, network: Any, data: Dataset, precision: PrecisionName, seed: int
    ) -> ProgramSet:
        """The programs of a trained network, calibrated on rows of the train part.

        Args:
            recipe: what the network learnt.
            network: a `keras.Model`.
            data: the recipe's data set.
            precision: of the programs.
            seed: of the training, which the programs record.
        """
        part = _every(data.train, data.calibration_stride)
        rows, written = part.target[..., 0], row_steps(part)
        programs = read_several_streams(network)
        before = [
            read_before(row[:steps])[:, None] for row, steps in zip(rows, written, strict=True)
        ]
        sources = [x[:steps] for x, steps in zip(part.x, part.steps, strict=True)]
        named = {ENCODER: data.input_names, DECODER: None}
        named_programs = tuple(
            program if names is None else replace(program, input_names=names)
            for program, names in zip(programs.programs, named.values(), strict=True)
        )
        return quantize_programs(
            replace(programs, programs=named_programs),
            {ENCODER: sources, DECODER: before},
            precision,
            name=recipe.name,
            seeds=[("training", seed)],
        )

    def evaluate(self, model: Any, data: Dataset, part: Part) -> dict[str, float]:
        """Shares of rows that are exactly right.

        Args:
            model: a `keras.Model`, `FloatPrograms`, a `ProgramSet`, or the path of a .keras or
                .edgernn file.
            data: the recipe's data set.
            part: of it.

        Returns:
            "exact_words" of the beam search, and "exact_words_greedy".
        """
        opened = _opened(model)
        searched, greedy = (self._rows(opened, data, part, width=n) for n in (self.width, 1))
        return {
            "exact_words": _exact(searched, part),
            "exact_words_greedy": _exact(greedy, part),
        }

    def naive(self, data: Dataset) -> dict[str, dict[str, float]]:
        """Metrics of a rule without a model over the test part, by its name.

        A source that the train part has gives the row that is most frequent with it there, any
        other source the most frequent row of all.
        """
        known: dict[bytes, Counter[TokenRow]] = {}
        everything: Counter[TokenRow] = Counter()
        for source, row in zip(_keys(data.train), _truth(data.train), strict=True):
            known.setdefault(source, Counter())[row] += 1
            everything[row] += 1
        found = [known.get(source, everything).most_common(1)[0][0] for source in _keys(data.test)]
        right = _exact(found, data.test)
        return {"the train part by heart": {"exact_words": right, "exact_words_greedy": right}}

    def _rows(self, model: Any, data: Dataset, part: Part, *, width: int) -> list[TokenRow]:
        most = int(row_steps(data.train).max()) + _SPARE
        if isinstance(model, ProgramSet):
            return integer_rows(model, part, width=width, max_tokens=most)
        return float_rows(read_several_streams(model), part, width=width, max_tokens=most)


def _opened(model: Any) -> Any:
    """A model that may be given as a file."""
    if not isinstance(model, (str, PathLike)):
        return model if isinstance(model, ProgramSet) else read_several_streams(model)
    path = Path(model)
    if path.suffix == ".edgernn":
        return ProgramSet.load(path)
    if path.suffix == ".keras":
        return read_several_streams(path)
    raise TrainingError(f"evaluate: expected a .keras or .edgernn file, got '{path.name}'.")


def _every(part: Part, stride: int) -> Part:
    """Rows of a part, evenly spaced."""
    lengths = None if part.lengths is None else part.lengths[::stride]
    return replace(
        part,
        x=part.x[::stride],
        target=part.target[::stride],
        base=part.base[::stride],
        lengths=lengths,
    )


def _spread(part: Part, most: int) -> Part:
    return _every(part, max(1, -(-len(part.x) // most)))


def _keys(part: Part) -> list[bytes]:
    return [x[:steps].tobytes() for x, steps in zip(part.x, part.steps, strict=True)]


def _truth(part: Part) -> list[TokenRow]:
    """Rows of tokens without their ends."""
    rows = part.target[..., 0].astype(int)
    return [
        tuple(row[: steps - 1].tolist()) for row, steps in zip(rows, row_steps(part), strict=True)
    ]


def _exact(found: Sequence[TokenRow], part: Part) -> float:
    return float(np.mean([one == row for one, row in zip(found, _truth(part), strict=True)]))
