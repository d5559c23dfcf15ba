"""The served model of pairs, logged as code: MLflow runs this file to load a registered version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from voxbench.schema import InputError
from voxbench.serving.contract import audio_bytes
from voxbench.serving.pair_contract import ENROLL, TEST, answer_row, clips_of, error_row
from voxbench.serving.verifier import Speech, Verifier, template_of, unique

Found = TypeVar("Found")


class PairModel(PythonModel):
    """Answers a table of pairs, a person's clips and a recording, with scores, decisions and errors."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the network and its settings."""
        self.verifier = Verifier(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row for each pair of `model_input`."""
        pairs = zip(model_input[ENROLL], model_input[TEST], strict=True)
        # As objects: a column of numbers would turn what is missing into NaN, which is no JSON.
        return pd.DataFrame([self._answer(enroll, test) for enroll, test in pairs], dtype=object)

    def _answer(self, enroll: object, test: object) -> dict[str, object]:
        try:
            enrolled = _of(ENROLL, lambda: unique([self.verifier.embed(clip) for clip in clips_of(enroll)]))
            heard: Speech = _of(TEST, lambda: self.verifier.embed(audio_bytes(test)))
            return answer_row(self.verifier.compare([template_of(enrolled)], heard)[0], enrolled, heard)
        except InputError as error:
            return error_row(str(error))


def _of(side: str, find: Callable[[], Found]) -> Found:
    """Return what `find` returns; its error names the side."""
    try:
        return find()
    except InputError as error:
        raise InputError(f"{side}: {error}") from error


set_model(PairModel())
