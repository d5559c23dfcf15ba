"""Angular margins against the shared vectors, by hand, and their laws."""

import json
import math
import os
from pathlib import Path

import pytest
import torch

from voxbench.tasks.margins import angular_margin

SHARED = Path(os.environ.get("VOXBENCH_SHARED", "/nonexistent"))
VECTORS = SHARED / "vectors" / "metric_vectors.json"
RULES = {"mm": "chord", "mmm": "touching"}


@pytest.mark.skipif(not VECTORS.is_file(), reason="VOXBENCH_SHARED does not name the folder with the shared vectors")
def test_the_shared_vectors():
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]
    vectors = [each for each in vectors if each["metric"] == "aam_softmax"]
    assert {each["inputs"]["fallback"] for each in vectors} == set(RULES)
    for vector in vectors:
        given, expected = vector["inputs"], vector["expected"]
        cosine, labels = torch.tensor(given["cosine"], dtype=torch.float64), torch.tensor(given["labels"])
        logits = angular_margin(cosine, labels, given["margin"], given["scale"], RULES[given["fallback"]])
        torch.testing.assert_close(logits, torch.tensor(expected["logits"], dtype=torch.float64), rtol=0, atol=1e-6)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        assert loss.item() == pytest.approx(expected["loss"], abs=1e-6)


def test_the_true_class_gets_the_cosine_of_a_larger_angle():
    angles = torch.tensor([[0.3, 1.0], [2.0, 0.7]], dtype=torch.float64)
    logits = angular_margin(angles.cos(), torch.tensor([0, 1]), margin=0.2, scale=2.0, beyond="chord")
    expected = [[2 * math.cos(0.5), 2 * math.cos(1.0)], [2 * math.cos(2.0), 2 * math.cos(0.9)]]
    torch.testing.assert_close(logits, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("beyond", ["chord", "touching"])
def test_what_is_asked_falls_with_the_angle_all_the_way(beyond):
    angles = torch.linspace(0, math.pi, 2001, dtype=torch.float64)[:, None]
    asked = angular_margin(angles.cos(), torch.zeros(2001, dtype=torch.int64), 0.3, 1.0, beyond)[:, 0]
    assert (asked.diff() < 0).all()
    if beyond == "touching":
        assert asked.diff().abs().max() < 0.003


def test_no_margin_changes_nothing():
    cosine = torch.tensor([[1.0, -1.0, 0.2]], dtype=torch.float64)
    assert torch.equal(angular_margin(cosine, torch.tensor([0]), 0.0, 1.0, "chord"), cosine)


def test_gradients_are_finite_where_an_embedding_lies_on_its_class():
    cosine = torch.tensor([[1.0, -1.0], [0.5, 1.0]], requires_grad=True)
    angular_margin(cosine, torch.tensor([0, 1]), 0.2, 30.0, "chord").sum().backward()
    assert torch.isfinite(cosine.grad).all()
