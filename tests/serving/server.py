"""The server of MLflow itself, started as a user starts it, and asked over HTTP."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager


def ask(port, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{path}", data, {"Content-Type": "application/json"}, method="POST" if data else "GET"
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def predictions(body):
    """Return the answers of a body that every JSON parser can read, not Python's alone."""

    def refuse(word):
        raise AssertionError(f"JSON has no {word}")

    return json.loads(body, parse_constant=refuse)["predictions"]


@contextmanager
def started(root, benchmark, folder):
    """Start `mlflow models serve` for a project's champion on a free port, give the port, and stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log"
    words = ["models", "serve", "-m", f"models:/{benchmark}@champion", "--env-manager", "local"]
    words += ["-p", str(port), "-w", "1"]
    store = f"sqlite:///{root / 'mlflow.db'}"
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = os.environ | {"MLFLOW_TRACKING_URI": store, "MLFLOW_REGISTRY_URI": store, "PATH": path}
    environment.pop("PYTHONPATH", None)  # the model brings its own code
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            env=environment,
            cwd=log.parent,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        _wait(process, port, log)
        yield port
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 15)
            process.wait(30)


def _wait(process, port, log):
    deadline = time.monotonic() + 600  # a busy machine takes long to start it
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            if ask(port, "ping")[0] == 200:
                return
        except OSError:
            time.sleep(0.3)
