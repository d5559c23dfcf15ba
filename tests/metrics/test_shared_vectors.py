"""Every shared vector of a metric has a test, and this says where."""

import json
from collections import Counter
from pathlib import Path

import pytest

from metrics.detection_cases import VECTORS, needs_vectors

HERE = Path(__file__).parent
TESTED = {
    "eer": ("test_detection.py", 6),
    "auc": ("test_detection.py", 6),
    "det": ("test_detection.py", 1),
    "mindcf": ("test_bayes.py", 6),
    "actdcf": ("test_bayes.py", 6),
    "cllr": ("test_bayes.py", 8),
    "pav": ("test_bayes.py", 2),
    "tdcf": ("test_tandem.py", 6),
    "tdcf_coefficients": ("test_tandem.py", 1),
    "classes": ("test_classification.py", 2),
    "value": ("test_regression.py", 1),
    "wer_cer": ("test_text.py", 5),
    "wer_cer_corpus": ("test_text.py", 1),
    "paired": ("test_significance.py", 1),
    "holm": ("test_significance.py", 1),
    "asnorm": ("test_score_normalisation.py", 1),
    "aam_softmax": ("../tasks/test_margins.py", 2),
}


@needs_vectors
def test_no_vector_is_left_out():
    found = Counter(each["metric"] for each in json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"])
    assert found == {metric: count for metric, (_, count) in TESTED.items()}


@pytest.mark.parametrize("metric", TESTED)
def test_the_file_that_is_named_reads_them(metric):
    assert f'"{metric}"' in (HERE / TESTED[metric][0]).read_text(encoding="utf-8")
