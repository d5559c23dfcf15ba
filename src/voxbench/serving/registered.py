"""A registered model's own folder, as the finetune stage wrote it, found through MLflow."""

from __future__ import annotations

from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from voxbench.schema import InputError

REGISTERED = "models:/"
ARTIFACT = "model"


def registered_folder(uri: str) -> Path:
    """Return the folder of `models:/NAME@ALIAS` or `models:/NAME/VERSION` in the store that is connected.

    Raises `InputError` for a model that is not there, or one that this project did not register.
    """
    try:
        place = Path(mlflow.artifacts.download_artifacts(uri))
        served = Model.load(str(place)).flavors["python_function"]["artifacts"][ARTIFACT]["path"]
    except MlflowException as error:
        raise InputError(f"{uri}: {str(error).splitlines()[0].rstrip('.')}; see the models in `mlflow ui`") from error
    except KeyError as error:
        raise InputError(f"{uri} was not registered by voxbench: name a model of its own") from error
    return place / served
