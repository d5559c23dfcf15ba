"""The served model, logged as code: MLflow runs this file to load a registered version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from voxbench.schema import AudioError
from voxbench.serving.contract import INPUT, answer_row, audio_bytes, error_row
from voxbench.serving.predictor import Predictor


class VoiceModel(PythonModel):
    """Answers a table of clips with a table of labels, scores, quality figures and errors."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the network and its settings."""
        self.predictor = Predictor(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row for each clip of `model_input`."""
        # As objects: a column of numbers would turn what is missing into NaN, which is no JSON.
        return pd.DataFrame([self._answer(cell) for cell in model_input[INPUT]], dtype=object)

    def _answer(self, cell: object) -> dict[str, object]:
        try:
            return answer_row(self.predictor(audio_bytes(cell)))
        except AudioError as error:
            return error_row(error, self.predictor.task)


set_model(VoiceModel())
