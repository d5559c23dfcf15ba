"""The search, with pretended training runs: their curve is a function of the settings, their file is real."""

import hashlib
from dataclasses import replace
from itertools import islice
from math import isnan
from statistics import median

import pandas as pd
import pytest

from training.recipes import job, recipe
from voxbench.artifacts import digest
from voxbench.training.jobs import Finished
from voxbench.training.search import Search, winners

CANDIDATES = ["mobilenet_v2", "resnet18", "alexnet"]


class PretendedRuns:
    """Writes `history.csv` of every job it is asked for and remembers the rounds."""

    def __init__(self, diverging=()):
        self.rounds = []
        self.diverging = diverging

    def __call__(self, jobs):
        self.rounds.append(list(jobs))
        for one in jobs:
            curve, pruned, prune = self.curve(one), False, replace(one.pruning)
            for epoch, value in enumerate(curve):
                pruned = pruned or (not isnan(value) and prune(epoch, value))
                if pruned:
                    curve = curve[: epoch + 1]
                    break
            one.folder.mkdir(parents=True, exist_ok=True)
            loss = float("nan") if one.recipe.model in self.diverging else 0.5
            metric = f"valid_{one.metric}"
            rows = [{"epoch": epoch, "valid_loss": loss, metric: value} for epoch, value in enumerate(curve)]
            pd.DataFrame(rows).to_csv(one.folder / "history.csv", index=False)
            yield Finished(one, len(curve) - 1, pruned, 0, 10, 100, "random", "f", 1.0)

    @staticmethod
    def curve(one):
        """Return a curve that any change of the settings changes."""
        words = f"{one.recipe.model} {one.recipe.training.learning_rate!r} {one.recipe.training.dropout!r}"
        draw = int(hashlib.sha256(words.encode()).hexdigest()[:8], 16) / 16**8
        return [0.4 + 0.1 * epoch + 0.3 * draw for epoch in range(3)]


@pytest.fixture
def selection(featured):
    return featured.params.selection.model_copy(update={"round_size": 4, "prune_percentile": 50.0})


@pytest.fixture
def search(featured, selection, tmp_path):
    """Return a function that begins the search anew in the same folder, as a stage that runs again does."""

    def begin(seed=1, trials=11, metric="accuracy", **changes):
        base = job(featured, tmp_path / "select", recipe(featured, "alexnet", seed=seed), metric=metric)
        altered = selection.model_copy(update=changes)
        return Search("cnn", CANDIDATES, trials, altered, base, tmp_path / "o" / "journal")

    return begin


def facts(trials):
    return [
        (
            trial.number,
            trial.finished.job.folder.name,
            trial.settings,
            trial.state,
            trial.value,
            trial.finished.job.recipe,
        )
        for trial in trials
    ]


def test_every_candidate_runs_once_with_the_base_settings_before_the_sampler_chooses(featured, search):
    trials = list(search()(PretendedRuns()))
    assert [trial.finished.job.recipe.model for trial in trials[:3]] == CANDIDATES
    training = featured.params.training
    base = {"learning_rate": training.learning_rate, "dropout": training.dropout}
    assert [trial.settings for trial in trials[:3]] == [base] * 3
    assert all(trial.settings != base for trial in trials[3:])


def test_the_sampler_stays_inside_the_space_and_only_changes_what_it_may(featured, search, selection):
    space = selection.space
    for trial in search()(PretendedRuns()):
        one = trial.finished.job.recipe
        assert space.learning_rate.low <= one.training.learning_rate <= space.learning_rate.high
        assert space.dropout.low <= one.training.dropout <= space.dropout.high
        assert trial.settings == {"learning_rate": one.training.learning_rate, "dropout": one.training.dropout}
        training = featured.params.training
        assert one.training.model_copy(update={key: getattr(training, key) for key in trial.settings}) == training
        assert one.model in CANDIDATES


def test_trials_are_numbered_run_in_rounds_and_each_has_a_folder_of_its_own(search):
    runs = PretendedRuns()
    trials = list(search()(runs))
    assert [trial.number for trial in trials] == list(range(11))
    assert [len(asked) for asked in runs.rounds] == [4, 4, 3]
    names = [trial.finished.job.folder.name for trial in trials]
    assert names[0] == "cnn-00-mobilenet_v2"
    assert len(set(names)) == 11


def test_a_search_from_scratch_repeats_itself(search):
    assert facts(search()(PretendedRuns())) == facts(search()(PretendedRuns()))


@pytest.mark.parametrize("trial", [0, 1, 3, 4, 5, 8, 10])
def test_a_search_interrupted_at_any_trial_ends_as_if_it_had_not_been(search, trial):
    whole = facts(search()(PretendedRuns()))
    interrupted = search()(PretendedRuns())
    list(islice(interrupted, trial))
    interrupted.close()
    assert facts(search()(PretendedRuns())) == whole


def test_another_seed_searches_elsewhere(search):
    ours, theirs = (facts(search(seed)(PretendedRuns())) for seed in (1, 2))
    assert [trial[2] for trial in ours[:3]] == [trial[2] for trial in theirs[:3]]
    assert all(mine[2] != other[2] for mine, other in zip(ours[3:], theirs[3:], strict=True))


def test_the_sampler_learns_from_what_it_is_told(search):
    """With another outcome of the first ten trials, the eleventh is another one."""

    class Reversed(PretendedRuns):
        @staticmethod
        def curve(one):
            return [1.5 - value for value in PretendedRuns.curve(one)]

    sizes = {"round_size": 16, "trials": 32, "prune_percentile": 100.0}
    ours, theirs = (facts(search(**sizes)(runs)) for runs in (PretendedRuns(), Reversed()))
    assert [trial[2] for trial in ours[:16]] == [trial[2] for trial in theirs[:16]], "one round knows nothing yet"
    assert [trial[2] for trial in ours[16:]] != [trial[2] for trial in theirs[16:]]


def test_the_first_round_is_not_pruned_and_later_ones_know_the_complete_runs_before_them(search):
    runs = PretendedRuns()
    trials = list(search()(runs))
    assert [trial.state for trial in trials[:4]] == ["complete"] * 4
    assert any(trial.state == "pruned" for trial in trials), "the pretended runs must give the pruner work"
    complete = [
        (trial.number, tuple(trial.finished.history["valid_accuracy"])) for trial in trials if trial.state == "complete"
    ]
    for number, asked in enumerate(runs.rounds):
        known = tuple(curve for trial, curve in complete if trial < 4 * number)
        assert all(one.pruning.curves == known for one in asked)


def test_where_less_is_better_the_low_curves_live_and_win(search):
    runs = PretendedRuns()
    trials = list(search(trials=16, metric="mae")(runs))
    assert not any(one.pruning.greater_is_better for asked in runs.rounds for one in asked)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned, "the pretended runs must give the pruner work"
    for trial in pruned:
        curve = trial.finished.history["valid_mae"]
        rivals = [rival[curve.size - 1] for rival in trial.finished.job.pruning.curves]
        assert curve.min() > median(rivals)
    complete = [trial.value for trial in trials if trial.state == "complete"]
    assert winners(trials, 1, greater_is_better=False)[0].value == min(complete)


def test_the_sampler_seeks_what_the_metric_calls_better(search):
    """Under a metric and its opposite, equal values send the sampler to other places."""
    sizes = {"round_size": 12, "trials": 20, "prune_percentile": 100.0}
    most, least = (facts(search(metric=metric, **sizes)(PretendedRuns())) for metric in ("accuracy", "mae"))
    assert [trial[2] for trial in most[:12]] == [trial[2] for trial in least[:12]]
    assert [trial[2] for trial in most[12:]] != [trial[2] for trial in least[12:]]


def test_a_diverged_trial_is_noted_and_the_search_goes_on(search):
    trials = list(search()(PretendedRuns(diverging=("resnet18",))))
    assert len(trials) == 11
    assert (trials[1].state, trials[1].value) == ("diverged", None)
    assert {trial.state for trial in trials if trial.finished.job.recipe.model != "resnet18"} <= {"complete", "pruned"}


def test_a_metric_without_a_value_is_a_failed_trial_and_not_a_crash(search):
    """The correlation of a network that says one word only has no value."""

    class Undefined(PretendedRuns):
        @staticmethod
        def curve(one):
            return [float("nan")] * 3

    assert {trial.state for trial in search()(Undefined())} & {"complete", "pruned"} == set()


def test_an_epoch_without_a_value_does_not_move_the_others(search):
    class LateValues(PretendedRuns):
        @staticmethod
        def curve(one):
            return [float("nan"), 0.5, 0.6]

    runs = LateValues()
    assert {trial.state for trial in search()(runs)} == {"complete"}
    history = runs.rounds[1][0].pruning
    assert digest(history.content())
    for epoch, value, pruned in ((0, 0.1, False), (1, 0.49, True), (1, 0.51, False), (2, 0.59, True)):
        assert replace(history)(epoch, value) == pruned, (epoch, value)
