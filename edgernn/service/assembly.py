"""From a configuration to the parts of a service, with everything that is wrong at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from edgernn.connections.arrival import ReadingSource, ResultSink
from edgernn.connections.registry import make_sink, make_source
from edgernn.errors import ConfigError, DeclarationError, EdgeRnnError
from edgernn.service.config.settings import ServeConfig
from edgernn.service.pipeline import Pipeline
from edgernn.store.state_store import StateStore

#: Models inside the package, by name.
_PACKAGED: Final = {"demo": "demo.edgernn"}


@dataclass(slots=True, kw_only=True)
class ServiceParts:
    """What a service is made of; nothing is connected yet.

    Attributes:
        pipeline: has the model open.
        sources: in the order of the file.
        sinks: in the order of the file.
    """

    pipeline: Pipeline
    sources: list[ReadingSource]
    sinks: list[ResultSink]


def assemble(config: ServeConfig, found_errors: Sequence[str] = ()) -> ServiceParts:
    """Make the parts of a service.

    Args:
        config: as `read_config` returned it.
        found_errors: errors that were found in it.

    Raises:
        ConfigError: with that, and everything that is wrong with the model, the declarations, the
            sources and the sinks.
    """
    errors = list(found_errors)
    name = config.file.name
    pipeline = None
    try:
        _declared(config)
    except ConfigError as error:
        errors += error.reasons
    if not any(error.startswith(f"{name}, [model]") for error in errors):
        try:
            pipeline = make_pipeline(config)
        except ConfigError:  # a declaration: it was reported above
            pass
        except DeclarationError as error:
            errors += [f"{name}: {reason}" for reason in error.reasons]
        except (EdgeRnnError, OSError) as error:
            errors.append(f"{name}, [model] {_sentence(error)}")
    # Without a pipeline nobody knows the channels, and columns are not compared with them.
    channels = pipeline.channels if pipeline is not None else ()
    sources = []
    for index, table in enumerate(config.sources, start=1):
        sources.append(make_source(table, f"{name}, [[source]] {index}", channels, errors))
    sinks = []
    for index, table in enumerate(config.sinks, start=1):
        sinks.append(make_sink(table, f"{name}, [[sink]] {index}", errors))
    for kind, parts in (("source", sources), ("sink", sinks)):
        names = Counter(part.name for part in parts if part is not None)
        errors += [
            f"{name}, [[{kind}]]: expected a different name for each, got '{one}' {count} times. "
            f'Add name = "…" to all but one.'
            for one, count in names.items()
            if count > 1
        ]
    if errors or pipeline is None:
        if pipeline is not None:
            pipeline.close()
        raise ConfigError(errors)
    return ServiceParts(
        pipeline=pipeline,
        sources=[source for source in sources if source is not None],
        sinks=[sink for sink in sinks if sink is not None],
    )


def model_path(config: ServeConfig) -> Path:
    """The file of the model; a relative path is relative to the configuration."""
    given = config.model.path
    if given in _PACKAGED:
        return Path(str(resources.files("edgernn") / "data" / _PACKAGED[given]))
    return config.file.parent / given


def make_pipeline(
    config: ServeConfig,
    *,
    saved: Callable[[list[str]], Mapping[str, bytes]] | None = None,
) -> Pipeline:
    """The pipeline of a configuration.

    Args:
        config: as `read_config` returned it.
        saved: as in `Pipeline`.

    Raises:
        ConfigError: [preparation] or a [[decision]] is wrong.
        DeclarationError: they do not fit the model.
        EdgeRnnError, OSError: the model cannot be opened.
    """
    preparation, decisions = _declared(config)
    model, streams = config.model, config.streams
    return Pipeline(
        model_path(config),
        backend=model.backend,  # type: ignore[arg-type]
        on_bad_reading=model.on_bad_reading,  # type: ignore[arg-type]
        warm_up=model.warm_up,  # type: ignore[arg-type]
        softmax=model.softmax,
        capacity=streams.capacity if config.store.path else None,
        idle_s=streams.idle_s,
        preparation=preparation,
        decisions=decisions,
        saved=saved,
    )


def open_store(config: ServeConfig, pipeline: Any) -> StateStore | None:
    """The store of a configuration; None where states are not kept.

    Args:
        config: as `read_config` returned it.
        pipeline: of the model.

    Raises:
        StoreError: damaged, in use, or of another model.
    """
    if not config.store.path:
        return None
    return StateStore(
        config.store.path,
        pipeline.interface.model_sha256,
        durable=config.store.durable,  # type: ignore[arg-type]
        model_name=pipeline.interface.name,
        migrate=config.store.migrate,
    )


def _declared(config: ServeConfig) -> tuple[Any, Any]:
    """What the configuration declares in the place of what the model records."""
    if config.preparation is None and not config.decisions:
        return None, None
    from edgernn.decide.decisions import Decisions
    from edgernn.prepare.preparation import Preparation

    name, errors = config.file.name, list[str]()
    preparation = decisions = None
    try:
        if config.preparation is not None:
            preparation = Preparation.from_table(dict(config.preparation), f"{name}, [preparation]")
    except DeclarationError as error:
        errors += error.reasons
    try:
        if config.decisions:
            tables = [dict(table) for table in config.decisions]
            whole = {"decisions": tables, "softmax": config.model.softmax}
            decisions = Decisions.from_table(whole, f"{name}, [[decision]]")
    except DeclarationError as error:
        errors += error.reasons
    if errors:
        raise ConfigError(errors)
    return preparation, decisions


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"path: expected a model, got {error.strerror} ('{error.filename}')."
    return str(error)
