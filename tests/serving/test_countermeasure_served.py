"""A served countermeasure: the score of evaluation, its ratio, and the decision as its label."""

import json

import pytest

from stages.judging_networks import two_kinds, write_network
from voxbench.serving.contract import answer_row, signature
from voxbench.serving.predictor import Predictor
from voxbench.tasks import tasks


@pytest.fixture(scope="module", params=["bilstm_h128_l1", "m5"])
def served(tmp_path_factory, request):
    workspace = two_kinds(tmp_path_factory.mktemp("served"))
    return workspace, write_network(workspace, "anti_spoofing", request.param)


def test_every_answer_has_the_score_of_its_evaluation_and_the_decision_as_its_label(served):
    workspace, written = served
    predictor = Predictor(written.folder)
    labels = set()
    for row in written.table.to_dict("records"):
        answer = answer_row(predictor((workspace.root / "raw" / row["id"]).read_bytes()))
        assert answer["score"] == pytest.approx(row["score"], abs=1e-5)
        assert answer["label"] == answer["decision"]
        assert answer["label"] == ("bonafide" if answer["llr"] >= answer["threshold"] else "spoof")
        json.dumps(answer, allow_nan=False)
        labels.add(answer["label"])
    assert labels == {"bonafide", "spoof"}


def test_a_network_without_a_decision_has_no_label(served):
    workspace, written = served
    predictor = Predictor(written.folder)
    undecided = predictor.decision.model_copy(update={"calibration": None, "thresholds": {}, "reason": "too few rows"})
    predictor.decision = undecided
    (name,) = written.table["id"].head(1)
    answer = answer_row(predictor((workspace.root / "raw" / name).read_bytes()))
    assert (answer["label"], answer["undecided"]) == (None, "too few rows")
    assert isinstance(answer["score"], float)


def test_the_signature_has_one_score():
    names = [column.name for column in signature(tasks["anti_spoofing"]).outputs]
    assert names[:2] == ["label", "score"]
    assert "p_bonafide" not in names
