"""Who wins a search, and which studies can be searched at all."""

import pandas as pd
import pytest

from stages.pipeline import BENCHMARK
from training.recipes import job, recipe
from voxbench.schema import InputError
from voxbench.training.jobs import Finished
from voxbench.training.search import Trial, families, winners


@pytest.fixture
def tried(featured, tmp_path):
    """Return a function from (model, value, loss, pruned) rows to trials."""

    def make(*rows):
        trials = []
        for number, (model, value, loss, pruned) in enumerate(rows):
            one = job(featured, tmp_path / str(number), recipe(featured, model))
            one.folder.mkdir()
            frame = pd.DataFrame({"epoch": [0], "valid_loss": [loss], "valid_accuracy": [value]})
            frame.to_csv(one.folder / "history.csv", index=False)
            finished = Finished(one, 0, pruned, 0, 1, 10, "random", "f", None)
            trials.append(Trial(number, "cnn", {}, finished, value))
        return trials

    return make


@pytest.mark.parametrize(("greater", "expected"), [(True, [1, 4]), (False, [0, 2])])
def test_winners_are_the_best_trials_of_distinct_models(tried, greater, expected):
    trials = tried(
        ("resnet18", 0.6, 0.5, False),
        ("resnet18", 0.9, 0.5, False),
        ("alexnet", 0.7, 0.5, False),
        ("resnet18", 0.8, 0.5, False),
        ("alexnet", 0.8, 0.5, False),
    )
    assert [winner.number for winner in winners(trials, 2, greater)] == expected


@pytest.mark.parametrize("greater", [True, False])
def test_ties_go_to_the_lower_loss_and_then_to_the_name(tried, greater):
    by_loss = tried(("resnet18", 0.9, 0.4, False), ("alexnet", 0.9, 0.5, False), ("vgg16", 0.9, 0.3, False))
    assert [winner.finished.job.recipe.model for winner in winners(by_loss, 2, greater)] == ["vgg16", "resnet18"]


def test_a_full_tie_goes_to_the_first_name(tried):
    equal = tried(("resnet18", 0.9, 0.4, False), ("alexnet", 0.9, 0.4, False))
    assert [winner.finished.job.recipe.model for winner in winners(equal, 1, True)] == ["alexnet"]
    assert [winner.number for winner in winners(equal[::-1], 1, True)] == [1]


def test_pruned_and_diverged_trials_win_nothing(tried):
    trials = tried(("resnet18", 0.99, 0.1, True), ("alexnet", None, float("nan"), False), ("vgg16", 0.5, 0.9, False))
    assert [winner.finished.job.recipe.model for winner in winners(trials, 1, True)] == ["vgg16"]
    with pytest.raises(
        InputError, match=r"only 1 of the 2 wanted finalists completed \(vgg16\); raise the study's trials"
    ):
        winners(trials, 2, True)


def test_no_complete_trial_at_all_is_said(tried):
    with pytest.raises(InputError, match=r"only 0 of the 1 wanted finalists completed \(none\)"):
        winners(tried(("resnet18", 0.99, 0.1, True)), 1, True)


def test_families_keep_the_order_of_the_study(featured):
    assert families("own", featured.params.study(BENCHMARK)) == {
        "cnn": ["mobilenet_v2", "resnet18"],
        "lstm": ["bilstm_h128_l1", "bilstm_h128_l2"],
    }


@pytest.mark.parametrize(
    ("models", "changes", "message"),
    [
        (["resnet81", "bilstm_h128_l1"], {}, r"unknown model 'resnet81' \(did you mean 'resnet18'\?\)"),
        (["resnet18"], {}, r"studies\.own\.finalists wants 1 lstm model\(s\), but it names 0"),
        (["resnet18", "bilstm_h128_l1"], {"finalists": {"cnn": 2, "lstm": 1}}, r"wants 2 cnn model\(s\).* names 1"),
        (
            ["resnet18", "alexnet", "bilstm_h128_l1"],
            {"trials": {"cnn": 1, "lstm": 1}},
            r"studies\.own\.trials\.cnn is 1, fewer than its 2 candidates",
        ),
        (
            ["resnet18", "resnet18", "bilstm_h128_l1"],
            {"finalists": {"cnn": 2, "lstm": 1}},
            r"studies\.own names 'resnet18' twice",
        ),
        (
            ["resnet18", "bilstm_h128_l1"],
            {"finalists": {"cnn": 1}, "trials": {"cnn": 3}},
            r"studies\.own names lstm models \(bilstm_h128_l1\), but its finalists have no lstm",
        ),
    ],
)
def test_a_study_that_cannot_be_searched_is_refused(featured, models, changes, message):
    study = featured.params.study(BENCHMARK).model_copy(update={"models": tuple(models)} | changes)
    with pytest.raises(InputError, match=message):
        families("own", study)
