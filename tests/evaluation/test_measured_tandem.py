"""The tandem cost of countermeasure rows: published values, and verifiers of another set."""

import numpy as np
import pytest

from evaluation.rows import DEV, EVAL, SHARED, countermeasure, needs_scores, score_rows, settings
from voxbench.corpora.asv_scores import read_asv_scores
from voxbench.evaluation.intervals import plan_of, trials_with_speakers
from voxbench.evaluation.measuring import find
from voxbench.evaluation.tandem import PUBLISHED, asv_of_file, asv_of_table, published_asv, tandem_metrics
from voxbench.evaluation.trial_metrics import measure_trials
from voxbench.metrics.operating_points import operating_points
from voxbench.metrics.tandem import ASVSPOOF2019_LA, asv_rates, min_tdcf
from voxbench.schema import BONAFIDE, InputError, ScoreKind

# Of the organisers' code on the published files: EER, t-DCF of 2019 and of 2021.
REFERENCE = {
    "air_softmax_asvspoof2019_la_eval.txt": ("eval", EVAL, 0.05057773, 0.120837, 0.175989),
    "air2021_ecapa_ctsf_asvspoof2019_la_dev.txt": ("dev", DEV, 0.00236595, 0.007778, 0.069322),
    "air2021_ecapa_ctsf_asvspoof2019_la_eval.txt": ("eval", EVAL, 0.04147556, 0.112315, 0.168002),
}
ASV = "ASVspoof2019.LA.asv.{}.gi.trl.scores.txt"
LINES = [
    *("bonafide target 3", "bonafide target 4", "bonafide target 5", "bonafide target 0.5"),
    *("bonafide nontarget -3", "bonafide nontarget -2", "bonafide nontarget 1", "bonafide nontarget 2"),
    *("A07 spoof 1.5", "A07 spoof 3.5", "A08 spoof 5.5", "A08 spoof -0.5"),
]


def written(folder, lines=LINES):
    """Return the path of a file of ASV scores."""
    path = folder / "asv.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows(attacks=("A07", "A07", "A08", "A08"), **changes):
    """Return countermeasure rows: as many bona fide ones, and spoofs of these attacks."""
    labels = [1] * len(attacks) + [0] * len(attacks)
    columns = {"attack": [BONAFIDE] * len(attacks) + list(attacks)} if attacks[0] is not None else {}
    scores = np.arange(len(labels)) % 5 + np.array(labels)
    return score_rows(ScoreKind.DETECTION, scores, labels, classes=("spoof", BONAFIDE), **(columns | changes))


@needs_scores
@pytest.mark.parametrize("file", REFERENCE)
def test_published_scores_have_their_published_figures(file):
    part, protocol, *expected = REFERENCE[file]
    scored = countermeasure(file, protocol)
    for asv in (
        asv_of_file(SHARED / "lists" / "asvspoof2019" / ASV.format(part)),
        published_asv(f"asvspoof2019-la-{part}"),
    ):
        found = find(scored, None, asv, settings(task="anti_spoofing", resamples=1, groups=["attack"]))
        assert [each.name for each in found.measured[:3]] == ["eer_asvspoof", "min_tdcf(legacy)", "min_tdcf(revised)"]
        assert [each.value for each in found.measured[:3]] == pytest.approx(expected, abs=6e-7)


@needs_scores
def test_the_verifier_of_the_other_set_is_refused_with_both_counts():
    scored = countermeasure("air2021_ecapa_ctsf_asvspoof2019_la_dev.txt", DEV)
    asv = asv_of_file(SHARED / "lists" / "asvspoof2019" / ASV.format("eval"))
    with pytest.raises(
        InputError, match=r"\(ASVspoof 2019 LA eval\) are of another set .* 0 and 3716 spoofed trials of A01"
    ):
        find(scored, None, asv, settings(task="anti_spoofing", resamples=1))


@needs_scores
def test_published_rates_are_of_the_published_sets():
    for part, spoofs in PUBLISHED.values():
        path = SHARED / "lists" / "asvspoof2019" / ASV.format(part)
        assert asv_of_file(path).asv_set.spoofs == spoofs
        assert asv_of_file(path).rates == ASVSPOOF2019_LA[part]


def test_a_file_of_scores_gives_the_rates_at_its_own_threshold(tmp_path):
    path = written(tmp_path)
    found = asv_of_file(path)
    assert found.rates == asv_rates([3, 4, 5, 0.5], [-3, -2, 1, 2], [1.5, 3.5, 5.5, -0.5])
    assert found.asv_set.spoofs == {"A07": 2, "A08": 2}
    assert found.asv_set.name is None
    assert asv_of_table(read_asv_scores(path), found.asv_set.sha256) == found


def test_a_file_without_one_of_the_three_kinds_is_refused(tmp_path):
    with pytest.raises(InputError, match="the ASV scores have no nontarget trial"):
        asv_of_file(written(tmp_path, [line for line in LINES if "nontarget" not in line]))


def test_sets_are_told_by_attack_or_else_by_their_totals(tmp_path):
    asv = asv_of_file(written(tmp_path))
    assert [each.name for each in tandem_metrics(asv, rows())] == ["min_tdcf(legacy)", "min_tdcf(revised)"]
    with pytest.raises(InputError, match="2 and 1 spoofed trials of A07"):
        tandem_metrics(asv, rows(["A07", "A08", "A08", "A08"]))
    assert tandem_metrics(asv, rows([None] * 4))
    with pytest.raises(InputError, match=r"another set than scores.csv: 4 and 5 spoofed trials; use the dev scores"):
        tandem_metrics(asv, rows([None] * 5))
    with pytest.raises(InputError, match=r"\(asvspoof2019-la-dev\) are of another set than scores.csv: 22296 and 4"):
        tandem_metrics(published_asv("asvspoof2019-la-dev"), rows([None] * 4))


def test_other_scores_and_other_tasks_have_no_tandem_cost(tmp_path):
    asv = asv_of_file(written(tmp_path))
    with pytest.raises(InputError, match="a t-DCF is of countermeasure scores, found scores of value"):
        find(score_rows(ScoreKind.VALUE, [1.0], [2.0]), None, asv, settings())
    with pytest.raises(InputError, match="a t-DCF is of anti-spoofing, found the task speaker_verification"):
        find(rows(), None, asv, settings(task="speaker_verification"))
    with pytest.raises(
        InputError, match=r"no published rates .*'asvspoof2019-la-evl' \(did you mean 'asvspoof2019-la-eval'"
    ):
        published_asv("asvspoof2019-la-evl")


def test_the_interval_is_over_the_speakers_of_the_countermeasure(tmp_path):
    numbers = np.random.default_rng(1)
    labels = np.arange(120) % 2
    scored = score_rows(
        ScoreKind.DETECTION, numbers.normal(size=120) + labels, labels, (np.repeat(list("abcdefghij"), 12),)
    )
    asv = asv_of_file(written(tmp_path, LINES[:8] + ["A07 spoof 3.5"] * 60))
    plan = plan_of(scored, settings().report, settings().evaluation)
    points = operating_points(*scored.columns)
    for each, version in zip(
        measure_trials(tandem_metrics(asv, scored), points, trials_with_speakers(scored), plan, ""),
        ("legacy", "revised"),
        strict=True,
    ):
        assert each.value == min_tdcf(points, None, asv.rates, version=version)
        assert each.interval.low < each.value < each.interval.high
        assert each.interval.clusters == 10


def test_decisions_have_no_tandem_cost(tmp_path):
    scored = score_rows(ScoreKind.DETECTION, [1, 1, 1, 1, 0, 0, 0, 0], [1] * 4 + [0] * 4)
    with pytest.raises(InputError, match="the t-DCF needs scores, not decisions: found 2 distinct"):
        find(scored, None, asv_of_file(written(tmp_path)), settings())
