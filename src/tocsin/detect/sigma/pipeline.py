"""Processing pipelines of pySigma: YAML files that rename rules' fields, add conditions, change log sources."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml
from sigma.exceptions import SigmaError
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule

from tocsin.detect.sigma.logsource import RAW, Mapping
from tocsin.model.errors import BadInput

__all__ = ["Piped", "piped"]


class Piped(Mapping, frozen=True):
    """RAW after a pipeline: its fields are the events' own."""

    pipeline: ProcessingPipeline | None = None

    def prepared(self, rule: SigmaRule) -> SigmaRule:
        """The rule as the pipeline makes it.

        Raises:
            SigmaError: the pipeline refuses the rule.
        """
        if self.pipeline is not None:
            self.pipeline.apply(rule)
        return rule


def piped(paths: Iterable[Path]) -> Mapping:
    """The mapping for rules on events as they stand, after these pipelines in the order of their priorities.

    Raises:
        BadInput: a file cannot be read, or is no pipeline.
    """
    pipelines = [_read(path) for path in paths]
    if not pipelines:
        return RAW
    whole = sum(sorted(pipelines, key=lambda pipeline: pipeline.priority), start=ProcessingPipeline())
    return Piped(classes=RAW.classes, others=RAW.others, pipeline=whole)


def _read(path: Path) -> ProcessingPipeline:
    try:
        return ProcessingPipeline.from_yaml(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except (
        SigmaError,
        yaml.YAMLError,
        UnicodeDecodeError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise BadInput(f"{path}: no pipeline: {error}") from error
