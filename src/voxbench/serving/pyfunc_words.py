"""The served model of words, logged as code: MLflow runs this file to load a registered version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from voxbench.schema import InputError
from voxbench.serving.contract import INPUT, audio_bytes
from voxbench.serving.transcriber import Transcriber, spelt_phrase
from voxbench.serving.word_contract import PHRASE, answer_row, error_row, phrase_of


class WordModel(PythonModel):
    """Answers a table of clips, and phrases where they are given, with transcripts, word timings and decisions."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the network and its settings."""
        self.transcriber = Transcriber(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row for each clip of `model_input`."""
        clips = model_input[INPUT]
        phrases = model_input[PHRASE] if PHRASE in model_input else [None] * len(clips)
        # As objects: a column of numbers would turn what is missing into NaN, which is no JSON.
        return pd.DataFrame([self._answer(*cells) for cells in zip(clips, phrases, strict=True)], dtype=object)

    def _answer(self, clip: object, phrase: object) -> dict[str, object]:
        try:
            given = phrase_of(phrase)
            prompted = None if given is None else spelt_phrase(given)
            heard = self.transcriber(audio_bytes(clip))
            return answer_row(heard, None if prompted is None else self.transcriber.check(heard, prompted))
        except InputError as error:
            return error_row(str(error))


set_model(WordModel())
