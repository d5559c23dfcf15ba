"""MLflow's own server, asked how many people talk in a clip of three, and of which sex they are."""

import numpy as np
import pytest

from serving.clips import base64_text, encoded
from serving.server import ask, predictions, started
from stages.counting import COUNT, SEXES, crowd
from voxbench.serving.predictor import Predictor
from voxbench.tasks import tasks
from voxbench.tracking.store import connect

COUNTED = {COUNT: ["people"], SEXES: ["women", "men", "people"]}


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", COUNTED)
def test_a_clip_of_three_overlapping_voices_returns_counts_with_probabilities(counted, benchmark, tmp_path):
    clips = [encoded(crowd(sexes, np.random.default_rng(9))) for sexes in ("FMF", "M")]
    with started(counted.root, benchmark, tmp_path) as port:
        texts = [*map(base64_text, clips), base64_text(b"no audio")]
        status, body = ask(port, "invocations", {"dataframe_records": [{"audio": text} for text in texts]})
    assert status == 200, body
    *answers, refused = predictions(body)
    model = connect(counted.root).get_model_version_by_alias(benchmark, "champion").tags["model"]
    predictor, task = Predictor(counted.models(benchmark) / model), tasks[counted.params.benchmark(benchmark).task]
    for answer, clip in zip(answers, clips, strict=True):
        shares = [answer[name] for name in task.score_columns]
        assert sum(shares) == pytest.approx(1, abs=1e-9)
        assert shares == pytest.approx(list(predictor(clip).scores.values()), abs=1e-9)
        assert answer["label"] == task.classes[int(np.argmax(shares))]
        for kind in COUNTED[benchmark]:
            assert answer[kind] == task.counts[kind][task.classes.index(answer["label"])]
            assert answer[f"expected_{kind}"] == pytest.approx(np.dot(shares, task.counts[kind]), abs=1e-9)
        assert answer["error"] is None
    assert refused["error"].startswith("unreadable")
    assert {value for name, value in refused.items() if name != "error"} == {None}
    assert list(refused) == list(answers[0])
