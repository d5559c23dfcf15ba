"""What the report says of probes: which comes closest, is the network better, and what needs no voice."""

from dataclasses import replace

import numpy as np
import pytest

from reporting.reading import rows_of
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.probes import Probe, Probes, probes
from voxbench.reporting.quantities import DASH
from voxbench.reporting.scored import Bootstrap, score
from voxbench.reporting.tables_results import results_table
from voxbench.reporting.verdict import judge


def probe_of(evidence: Evidence, name: str, scores: np.ndarray) -> Probe:
    """Return a probe that answers so on the benchmark's test rows."""
    tuned, chance = evidence.finalists[0].tuned, evidence.baselines[0]
    bound, scored = Bootstrap(evidence.name, evidence.settings, evidence.metric), score_like(evidence, scores)
    assert len(tuned.truth) == len(scores)
    return Probe(name, "knows this", scored, bound(name, scored), bound.gain(name, scored, chance.name, chance.scored))


def score_like(evidence: Evidence, scores: np.ndarray):
    tuned = evidence.finalists[0].tuned
    return score(evidence.task, tuned.truth, scores, tuned.rows)


def truth_of(evidence: Evidence) -> np.ndarray:
    truth = evidence.finalists[0].tuned.truth
    return np.eye(len(evidence.task.classes))[truth] if evidence.task.classes else truth


def wrong_of(evidence: Evidence) -> np.ndarray:
    truth = truth_of(evidence)
    return np.roll(truth, 1, axis=1) if evidence.task.classes else truth + 90


def chance_of(evidence: Evidence) -> np.ndarray:
    return evidence.baselines[0].scored.scores


def staged(evidence: Evidence, network: np.ndarray, **probes: np.ndarray) -> Evidence:
    """Return the evidence, had every finalist and the probes given these answers."""
    finalists = tuple(replace(each, tuned=score_like(evidence, network)) for each in evidence.finalists)
    found = tuple(probe_of(evidence, f"{name} probe", scores) for name, scores in probes.items())
    return replace(evidence, finalists=finalists, probes=Probes(found, {}))


def test_every_probe_stands_in_the_table_or_its_reason_does(any_evidence: Evidence) -> None:
    table, probes = results_table(any_evidence), any_evidence.probes
    rows, name = rows_of(table), any_evidence.metric.name
    assert [probe.name for probe in probes.found] == ["silence probe", "channel probe"]
    for probe in probes.found:
        assert rows[probe.name][1] == "probe"
        assert probe.says in table.says
        interval = probe.bounds[name].interval
        assert interval.estimate == probe.scored.values[name]
    assert rows["duration probe"][1:] == ("probe", *[DASH] * (len(table.columns) - 2))
    assert "duration probe: the manifest has no column kept_seconds: prepare the corpus again" in table.notes
    assert "A baseline never listens" in table.says
    assert "knows a few numbers alone: the silence probe knows" in table.says


def test_the_closest_probe_is_the_best_on_the_test_rows(any_evidence: Evidence) -> None:
    truth, chance = truth_of(any_evidence), chance_of(any_evidence)
    close = staged(any_evidence, chance, silence=chance, duration=truth, channel=chance)
    assert close.closest_probe is close.probes.found[1]
    assert "Of 3 probes, which know a few numbers of a recording, the duration probe comes closest" in " ".join(
        judge(close).sentences
    )


def test_a_network_that_hears_what_the_probe_knows_is_not_shown_to_hear_more(any_evidence: Evidence) -> None:
    truth, chance = truth_of(any_evidence), chance_of(any_evidence)
    same = staged(any_evidence, truth, silence=truth, channel=chance)
    said = judge(same)
    assert same.beats_baseline, "a baseline that never listens is beaten, and that is not enough"
    assert same.probe_gain.interval.low == same.probe_gain.interval.high == 0
    assert "is not shown to hear more than the silence gives away" in " ".join(said.sentences)
    assert f"{same.validated.model}, chosen on validation, is not shown to beat a probe that knows" in said.headline
    assert "never listens" not in said.headline


def test_a_network_that_hears_more_says_so(any_evidence: Evidence) -> None:
    more = staged(any_evidence, truth_of(any_evidence), silence=wrong_of(any_evidence))
    said = judge(more)
    assert "The silence probe gets" in " ".join(said.sentences)
    assert "it hears more than that" in " ".join(said.sentences)
    assert "is not shown to beat" not in said.headline
    assert not any("Labels can be told" in warning for warning in said.warnings), "what is always wrong is no leak"


def test_a_network_below_the_probe_is_worse_than_what_it_knows(any_evidence: Evidence) -> None:
    worse = staged(any_evidence, wrong_of(any_evidence), channel=truth_of(any_evidence))
    assert "it is worse than what the channel alone gives away" in " ".join(judge(worse).sentences)


@pytest.mark.parametrize("name", ["age_evidence", "age_group_evidence", "inherited_evidence"])
def test_a_probe_better_than_chance_is_warned_of(name: str, request: pytest.FixtureRequest) -> None:
    evidence: Evidence = request.getfixturevalue(name)
    chance = chance_of(evidence)
    leaky = staged(evidence, chance, silence=chance, channel=truth_of(evidence))
    [warning] = [each for each in judge(leaky).warnings if "Labels can be told" in each]
    assert warning.startswith("Labels can be told from the channel alone: the channel probe gets ")
    assert f"better than the {leaky.baselines[0].name} by" in warning
    assert "may have learnt the channel of these recordings" in warning


def test_where_voices_are_counted_probes_are_baselines_and_no_leak(age_group_evidence: Evidence) -> None:
    leaky = staged(age_group_evidence, chance_of(age_group_evidence), silence=truth_of(age_group_evidence))
    assert any("Labels can be told" in warning for warning in judge(leaky).warnings)
    counted = replace(leaky, task=replace(leaky.task, counts={"people": tuple(range(len(leaky.task.classes)))}))
    assert not any("Labels can be told" in warning for warning in judge(counted).warnings)
    assert "the silence probe" in " ".join(judge(counted).sentences).lower()


def test_a_lucky_speaker_is_no_leak(age_evidence: Evidence) -> None:
    tuned, scores = age_evidence.finalists[0].tuned, chance_of(age_evidence).copy()
    lucky = tuned.speakers == tuned.speakers[0]
    scores[lucky] = tuned.truth[lucky]
    one = staged(age_evidence, truth_of(age_evidence), silence=scores)
    assert one.probes.found[0].over_chance.interval.estimate > 0
    assert not any("Labels can be told" in warning for warning in judge(one).warnings)


def test_without_probes_nothing_is_said(any_evidence: Evidence) -> None:
    none = replace(any_evidence, probes=Probes((), {}))
    said = judge(none)
    assert none.closest_probe is None
    assert none.probe_gain.reason == "there is no probe"
    assert "probe" not in " ".join((said.headline, *said.sentences, *said.warnings))
    assert "probe" not in results_table(none).says
    assert "probe" not in " ".join(row.cells[1] for row in results_table(none).rows)


@pytest.mark.parametrize("kinds", [(), ("duration",)])
def test_probes_are_switched_off_in_the_settings(any_evidence: Evidence, kinds: tuple[str, ...]) -> None:
    settings = any_evidence.settings.model_copy(update={"probes": kinds})
    bound = Bootstrap(any_evidence.name, settings, any_evidence.metric)
    labelled = any_evidence.account.labelled.assign(kept_seconds=2.0)
    tuned = replace(any_evidence.finalists[0].tuned, rows=any_evidence.finalists[0].tuned.rows.assign(kept_seconds=2.0))
    found = probes(any_evidence.task, labelled, tuned, any_evidence.baselines[0], bound)
    assert [probe.name for probe in found.found] == [f"{kind} probe" for kind in kinds]
    assert found.reasons == {}
