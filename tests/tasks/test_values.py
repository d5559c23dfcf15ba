"""Value tasks: an output in the unit of the targets, a loss free of it, and the mean over crops."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.settings import learning
from voxbench.schema import InputError, ScoreKind
from voxbench.tasks import tasks
from voxbench.tasks.values import ValueHead, value

AGE = tasks["age_years"]
TARGETS = np.array([20.0, 30.0, 40.0, 70.0])  # mean 40, deviation sqrt((400 + 100 + 0 + 900) / 4) = sqrt(350)


def test_age_is_a_value_in_years():
    assert (AGE.score_kind, AGE.classes, AGE.unit) == (ScoreKind.VALUE, (), "years")
    assert AGE.score_columns == ("predicted",)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_rows_without_a_number_are_unlabelled(missing):
    manifest = pd.DataFrame({"age_years": [31.5, missing, 0.0]})
    assert AGE.labelled(manifest).tolist() == [True, False, True]
    targets = AGE.targets(manifest[AGE.labelled(manifest)])
    assert (targets.tolist(), targets.dtype) == ([31.5, 0.0], np.float64)


def test_the_head_answers_in_the_unit_of_its_training_targets():
    head = AGE.head(2, learning(), TARGETS)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0, -2.0]]))
        head.linear.bias.fill_(0.5)
    outputs_B = head(torch.tensor([[0.0, 0.25], [0.5, 0.0]]))
    assert outputs_B.tolist() == pytest.approx([40.0, 40 + 350**0.5], rel=1e-6)


def test_the_scale_goes_with_the_weights_and_is_not_learned():
    head = AGE.head(3, learning(dropout=0.4), TARGETS)
    state = head.state_dict()
    assert (float(state["mean"]), float(state["std"])) == pytest.approx((40, 350**0.5), rel=1e-6)
    assert {name for name, _ in head.named_parameters()} == {"linear.weight", "linear.bias"}
    other = AGE.head(3, learning(dropout=0.4), np.array([1.0, 3.0]))
    other.load_state_dict(state)
    embedding_BD = torch.randn(4, 3)
    assert torch.equal(other.eval()(embedding_BD), head.eval()(embedding_BD))


def test_the_head_drops_inputs_in_training_only():
    head = ValueHead(50, 0.5, TARGETS)
    assert head.dropout.p == 0.5
    embedding_BD = torch.ones(8, 50)
    assert len(set(head(embedding_BD).tolist())) > 1
    assert len(set(head.eval()(embedding_BD).tolist())) == 1


def test_the_loss_is_the_squared_error_in_deviations_of_the_training_targets():
    loss = AGE.loss(TARGETS, learning())
    outputs, targets = torch.tensor([45.0, 10.0]), torch.tensor([40.0, 25.0], dtype=torch.float64)
    assert float(loss(outputs, targets, 0.0)) == pytest.approx((25 + 225) / 350 / 2, rel=1e-6)


@given(factor=st.floats(0.01, 1000), shift=st.floats(-1000, 1000))
def test_the_loss_does_not_depend_on_the_unit(factor, shift):
    outputs, targets = torch.tensor([22.0, 65.0]).double(), torch.tensor([30.0, 40.0]).double()
    years = float(AGE.loss(TARGETS, learning())(outputs, targets, 0.0))
    other = AGE.loss(factor * TARGETS + shift, learning())(factor * outputs + shift, factor * targets + shift, 0.0)
    assert float(other) == pytest.approx(years, rel=1e-4)


@pytest.mark.parametrize(
    "build", [lambda targets: AGE.head(3, learning(), targets), lambda targets: AGE.loss(targets, learning())]
)
@pytest.mark.parametrize("targets", [[30.0], [30.0, 30.0, 30.0]])
def test_one_value_cannot_be_learned(build, targets):
    with pytest.raises(InputError, match=f"all {len(targets)} training targets are 30: there is nothing to learn"):
        build(np.array(targets))


def test_values_have_no_classes_to_even_out():
    with pytest.raises(InputError, match=r"training\.balance .* task 'age_years' has none: set it to 'none'"):
        AGE.loss(TARGETS, learning(balance="loss"))


def test_scores_are_the_mean_of_the_crops():
    outputs_NK = torch.tensor([[20.0, 30.0, 70.0], [1.0, 1.0, 1.0]])
    (values,) = AGE.scores(outputs_NK).values()
    assert (values.tolist(), values.dtype) == ([40.0, 1.0], np.float64)


def test_scores_of_one_crop_are_the_outputs():
    outputs_N1 = torch.tensor([[20.25], [30.5]])
    assert AGE.scores(outputs_N1)["predicted"].tolist() == [20.25, 30.5]


@pytest.mark.parametrize(("predicted", "answer"), [(33.4, "33 years"), (33.6, "34 years"), (-0.7, "-1 years")])
def test_an_answer_has_a_unit(predicted, answer):
    assert AGE.answer({"predicted": predicted}) == answer


def test_tasks_differ_by_their_own_arguments():
    height = value("height", "height_cm", unit="cm", subject="height")
    manifest = pd.DataFrame({"height_cm": [170.0, 181.0], "age_years": [20.0, 30.0]})
    assert height.targets(manifest).tolist() == [170.0, 181.0]
    assert (height.name, height.subject, height.answer({"predicted": 170.2})) == ("height", "height", "170 cm")
