"""A tandem fitted and judged: hand-worked decisions, what may change no number, and what must."""

from dataclasses import astuple, replace

import numpy as np
import pandas as pd
import pytest

from evaluation.rows import DEMO
from evaluation.tandem_trials import tandem_trials
from voxbench.config.decisions import Bayes, Decisions, EerPoint
from voxbench.evaluation.sasv import (
    CASCADE,
    FUSION,
    SYSTEMS,
    VERIFIER,
    fit_tandem,
    rules_of,
    shown_scores,
    system_scores,
)
from voxbench.evaluation.sasv_measuring import measure_tandem
from voxbench.metrics.calibration import fit_affine
from voxbench.metrics.equal_error import eer, eer_asvspoof
from voxbench.metrics.spoofing_aware import KEYS, REJECTED, fused
from voxbench.metrics.tandem import ASVSPOOF_COSTS, a_dcf, asv_rates, min_tdcf, sasv_eer
from voxbench.metrics.trial_bootstrap import trials_of, weighted_values
from voxbench.metrics.uncertainty import cluster_weights
from voxbench.metrics.weighted_detection import weighted_eer
from voxbench.schema import InputError
from voxbench.seeding import generator

CALIBRATION = DEMO.decisions.calibration.model_copy(update={"ridge": 0.001})
SETTINGS = Decisions(
    calibration=CALIBRATION,
    policies={"equal": EerPoint(), "bayes": Bayes(p_target=0.5, c_miss=1.0, c_fa=1.0)},
    policy="bayes",
)
REPORT = DEMO.report.model_copy(update={"resamples": 200})


def thinned(seed):
    """Return trials in which recordings make claims of different number."""
    whole = tandem_trials(seed)
    is_left_out = (whole["key"] == "nontarget") & (np.random.default_rng(seed).random(len(whole)) < 0.4)
    return whole[~is_left_out].reset_index(drop=True)


DEVELOPMENT, TEST = thinned(1), thinned(2)


def found(development=DEVELOPMENT, test=TEST, settings=SETTINGS):
    fit = fit_tandem(development, settings)
    return measure_tandem(fit, system_scores(fit, test), REPORT, DEMO.evaluation)


@pytest.fixture(scope="module")
def findings():
    return found()


def of_kind(scored, column):
    return [scored.loc[scored["key"] == key, column].to_numpy() for key in KEYS]


def values(measured):
    return {each.name: each.value for each in measured}


def by_hand(rule, scored):
    """Return what a rule's thresholds accept, decided anew from both ratios."""
    asv, cm = scored["asv_llr"], scored["cm_llr"]
    limits = rule.thresholds
    own = {
        VERIFIER: asv,
        "sum": asv + cm,
        CASCADE: asv.where(cm >= limits.get("cm", 0), REJECTED),
        FUSION: -np.log(0.0095 / 0.0595 * np.exp(-asv) + 0.05 / 0.0595 * np.exp(-cm)),
    }
    if rule.system in limits:
        return own[rule.system] >= limits[rule.system]
    return (asv >= limits["asv"]) & (cm >= limits.get("cm", -np.inf))


def test_both_ratios_are_fitted_on_what_they_tell_apart():
    """The verifier's on claims of bona fide speech, the countermeasure's on recordings, each once."""
    fit = fit_tandem(DEVELOPMENT, SETTINGS)
    claims, once = DEVELOPMENT[DEVELOPMENT["key"] != "spoof"], DEVELOPMENT.drop_duplicates("test")
    for decision, rows, column, positive in ((fit.asv, claims, "asv", ["target"]), (fit.cm, once, "cm", KEYS[:2])):
        labels = rows["key"].isin(positive).astype(int)
        expected = fit_affine(rows[column], labels, p_target=0.5, ridge=0.001)
        assert decision.rows == len(rows)
        assert (decision.calibration.scale, decision.calibration.offset) == pytest.approx(
            (expected.scale, expected.offset)
        )


@pytest.mark.parametrize("policy", SETTINGS.policies)
def test_every_rule_accepts_what_its_thresholds_say(policy):
    findings = found(settings=SETTINGS.model_copy(update={"policy": policy}))
    scored = findings.scored
    assert {(each.rule.system, each.rule.name) for each in findings.ruled} == {
        *((system, policy) for system in (VERIFIER, CASCADE) for policy in SETTINGS.policies),
        *((system, "least a-DCF") for system in SYSTEMS),
    }
    assert findings.ruled[0].rule.name == policy
    gates = {each.rule.thresholds["cm"] for each in findings.ruled if each.rule.system == CASCADE}
    assert len(gates) == len(SETTINGS.policies), "the cascade that is a score has the gate of the chosen policy"
    for each in findings.ruled:
        accepted = by_hand(each.rule, scored)
        assert each.rule.accepted_N.tolist() == accepted.tolist(), each.rule
        target, nontarget, spoof = (accepted[scored["key"] == key].mean() for key in KEYS)
        assert [one.value for one in each.errors] == pytest.approx([1 - target, nontarget, spoof])
        cost = 0.9405 * (1 - target) + 0.095 * nontarget + 0.5 * spoof
        assert each.a_dcf.value == pytest.approx(cost / 0.595)


def test_systems_have_the_metrics_of_the_plain_functions(findings):
    for system, measured in findings.systems.items():
        target, nontarget, spoof = of_kind(findings.scored, system)
        against = [np.concatenate([target, other]) for other in (nontarget, spoof)]
        labels = [np.repeat([1, 0], [len(target), len(other)]) for other in (nontarget, spoof)]
        own = values(measured)
        assert own["sasv_eer"] == pytest.approx(sasv_eer(target, nontarget, spoof))
        assert own["sv_eer"] == pytest.approx(eer(against[0], labels[0]))
        assert own["spf_eer"] == pytest.approx(eer(against[1], labels[1]))
        assert own["min_a_dcf"] == pytest.approx(a_dcf(target, nontarget, spoof, ASVSPOOF_COSTS))
        assert own["a_dcf"] >= own["min_a_dcf"] - 1e-12
    assert values(findings.systems[FUSION])["min_a_dcf"] < values(findings.systems[VERIFIER])["min_a_dcf"]


def test_the_countermeasure_is_judged_by_recordings_behind_this_verifier(findings):
    once = TEST.drop_duplicates("test")
    is_bonafide = (once["key"] != "spoof").astype(int)
    rates = asv_rates(*of_kind(TEST, "asv"))
    own = values(findings.countermeasure)
    assert own["eer_asvspoof"] == pytest.approx(eer_asvspoof(once["cm"], is_bonafide))
    for version in ("legacy", "revised"):
        assert own[f"min_tdcf({version})"] == pytest.approx(min_tdcf(once["cm"], is_bonafide, rates, version=version))
    assert astuple(findings.rates) == pytest.approx(astuple(rates))


def test_intervals_hold_their_values_and_differences_are_paired(findings):
    for measured in (*findings.systems.values(), findings.countermeasure):
        for each in measured:
            assert each.interval.low <= each.value <= each.interval.high
            assert each.interval.clusters == 8
    mine, theirs = (values(findings.systems[name]) for name in (FUSION, VERIFIER))
    for each in findings.differences[FUSION]:
        assert each.value == pytest.approx(mine[each.name] - theirs[each.name])
    assert findings.differences[FUSION][-1].interval.high < 0
    assert "both sides" in findings.resampled


def test_intervals_draw_people_of_both_sides(findings):
    claims = TEST[TEST["key"] != "spoof"]
    trials = trials_of(claims["asv"], (claims["key"] == "target").astype(int), claims["enroll"], claims["speaker"])
    draws = cluster_weights(8, 200, generator(REPORT.seed, "evaluate", "tandem"))
    (values_R,) = weighted_values([weighted_eer], trials, draws)
    own = next(each for each in findings.systems[VERIFIER] if each.name == "sv_eer")
    bounds = np.nanquantile(values_R, [(1 - REPORT.level) / 2, (1 + REPORT.level) / 2])
    assert (own.interval.low, own.interval.high) == pytest.approx(tuple(bounds))


def test_a_system_does_not_differ_from_itself():
    """With a countermeasure that lets everything pass far above its threshold, the cascade is the verifier."""
    test = TEST.assign(cm=TEST["cm"] + 100)
    one = found(test=test)
    assert [each.value for each in one.differences[CASCADE][:4]] == pytest.approx([0.0] * 4, abs=1e-12)
    for each in one.differences[CASCADE][:4]:
        assert (each.interval.low, each.interval.high) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_the_order_of_the_trials_changes_nothing(findings):
    again = found(DEVELOPMENT.sample(frac=1, random_state=3), TEST.sample(frac=1, random_state=4))
    pd.testing.assert_frame_equal(again.scored, findings.scored)
    for system, measured in findings.systems.items():
        for one, other in zip(measured, again.systems[system], strict=True):
            assert other.value == pytest.approx(one.value, abs=1e-9)
            assert other.interval.low == pytest.approx(one.interval.low, abs=1e-9)


def test_test_trials_change_nothing_that_is_fitted():
    fit = fit_tandem(DEVELOPMENT, SETTINGS)
    draws = np.random.default_rng(5)
    spoiled = TEST.assign(key=draws.permutation(TEST["key"]), asv=draws.permutation(TEST["asv"]))
    before, after = (
        [dict(rule.thresholds) for rule in rules_of(fit, system_scores(fit, each))] for each in (TEST, spoiled)
    )
    assert before == after
    other = fit_tandem(tandem_trials(9), SETTINGS)
    assert [dict(rule.thresholds) for rule in rules_of(other, system_scores(other, TEST))] != before


@pytest.mark.parametrize("change", [np.exp, lambda scores: 3 * scores - 7, lambda scores: scores**3])
def test_a_rising_map_of_the_countermeasure_leaves_its_tandem_cost(findings, change):
    moved = found(DEVELOPMENT.assign(cm=change(DEVELOPMENT["cm"])), TEST.assign(cm=change(TEST["cm"])))
    for one, other in zip(findings.countermeasure, moved.countermeasure, strict=True):
        assert (one.name, other.value) == (other.name, pytest.approx(one.value))
        assert other.interval.low == pytest.approx(one.interval.low)


def test_an_affine_map_of_a_score_leaves_every_number(findings):
    """As far as the ridge, which weighs in standard deviations, lets it."""
    moved = found(DEVELOPMENT.assign(asv=5 * DEVELOPMENT["asv"] + 2), TEST.assign(asv=5 * TEST["asv"] + 2))
    for one, other in zip(findings.ruled, moved.ruled, strict=True):
        assert [each.value for each in one.errors] == pytest.approx([each.value for each in other.errors])


def test_without_who_is_heard_claimed_people_are_drawn_and_that_is_said():
    one = found(DEVELOPMENT.drop(columns="speaker"), TEST.drop(columns="speaker"))
    assert any("too narrow" in note for note in one.notes)
    assert "resamples of speakers." in one.resampled
    assert not found().notes


def test_a_verifier_that_no_spoof_passes_leaves_the_tandem_cost_undefined_with_a_reason():
    test = TEST.assign(asv=TEST["asv"].where(TEST["key"] != "spoof", -50.0))
    one = found(test=test)
    costs = [each for each in one.countermeasure if each.name == "min_tdcf(legacy)"]
    assert [(each.value, "accepts some targets and spoofs" in each.reason) for each in costs] == [(None, True)]


@pytest.mark.parametrize(("column", "who"), [("asv", "verifier"), ("cm", "countermeasure")])
def test_scores_that_fall_are_refused(column, who):
    with pytest.raises(InputError, match=rf"the {who}'s scores cannot be calibrated.*do not rise"):
        fit_tandem(DEVELOPMENT.assign(**{column: -DEVELOPMENT[column]}), SETTINGS)


def test_a_quality_is_left_out_and_named():
    weighed = SETTINGS.model_copy(update={"calibration": CALIBRATION.model_copy(update={"quality": "kept_seconds"})})
    fit, plain = fit_tandem(DEVELOPMENT, weighed), fit_tandem(DEVELOPMENT, SETTINGS)
    assert fit.thresholds == plain.thresholds
    assert "kept_seconds" in fit.notes[0]


def test_the_fusion_of_the_file_is_that_of_its_ratios_and_the_rejected_have_no_score(findings):
    shown = shown_scores(findings.scored)
    gate = findings.fit.cm.thresholds["bayes"].value
    assert shown[CASCADE].isna().tolist() == (shown["cm_llr"] < gate).tolist()
    assert 0 < shown[CASCADE].isna().sum() < len(shown)
    assert shown[FUSION].to_numpy() == pytest.approx(fused(shown["asv_llr"], shown["cm_llr"], findings.fit.share))


def test_few_draws_give_no_interval_but_the_reason():
    evaluation = DEMO.evaluation.model_copy(update={"draws": 100})
    fit = fit_tandem(DEVELOPMENT, SETTINGS)
    one = measure_tandem(fit, system_scores(fit, TEST), REPORT, evaluation)
    assert one.systems[FUSION][0].interval is None
    assert "draws allowed" in one.systems[FUSION][0].reason


def test_a_mistaken_rule_would_be_seen(findings):
    """The check by hand above tells a rule with other thresholds from the one that decided."""
    each = next(one for one in findings.ruled if one.rule.system == CASCADE)
    other = replace(each.rule, thresholds={"asv": 0.0, "cm": 3.0})
    assert by_hand(other, findings.scored).tolist() != each.rule.accepted_N.tolist()
