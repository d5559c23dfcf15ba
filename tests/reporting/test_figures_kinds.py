"""The figures of one benchmark: which there are, what they say, that texts keep apart, and what is undefined."""

import re
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from reporting.figure_evidence import MODELS, evidence_of, scored, sound, spread
from voxbench.reporting.drawing import STYLE, Figure, png, svgs
from voxbench.reporting.evidence import Evidence, Finalist
from voxbench.reporting.figures import figures_of
from voxbench.reporting.figures_values import MOST_DOTS
from voxbench.schema import AGE_GROUPS

COMMON = {"seeds", "differences", "groups", "variants", "curves"}
KEYS = {
    ("gender", "accuracy"): COMMON | {"confusion", "roc", "reliability"},
    ("age_group", "balanced_accuracy"): COMMON | {"confusion", "reliability"},
    ("age_years", "mae"): COMMON | {"estimates", "errors_by_age"},
}


@pytest.fixture(scope="module", params=KEYS, ids=lambda param: param[0])
def kind(request) -> tuple[str, str]:
    return request.param


@pytest.fixture(scope="module")
def evidence(kind) -> Evidence:
    return evidence_of(*kind)


def words(figure: Figure) -> str:
    """Return the texts of a figure's panels, as the page has them."""
    return "\n".join(text for panel in svgs(figure, "x") for text in re.findall(r">([^<>]+)</(?:text|tspan)>", panel))


def test_the_kind_of_the_task_decides_which_figures_there_are(kind, evidence: Evidence) -> None:
    found = figures_of(evidence)
    assert set(found) == KEYS[kind]
    assert [figure.name for figure in found.values()] == list(found)


def test_what_there_is_nothing_to_draw_of_is_left_out(kind) -> None:
    alone = evidence_of(*kind, models=MODELS[:1])
    alone.__dict__.update(groups=alone.groups.iloc[:0], variants=alone.variants.iloc[:0])
    assert set(figures_of(alone)) == KEYS[kind] - {"differences", "groups", "variants"}
    assert all(png(figure) for figure in figures_of(alone).values())


def test_every_figure_says_its_n(evidence: Evidence) -> None:
    for figure in figures_of(evidence).values():
        assert re.search(r"\d (test )?clips|\d seeds", figure.says), figure.name


def test_equal_drawings_give_equal_bytes(kind, evidence: Evidence) -> None:
    for figure, again in zip(figures_of(evidence).values(), figures_of(evidence_of(*kind)).values(), strict=True):
        assert svgs(figure, "x") == svgs(again, "x")


def drawn_texts(canvas: Canvas) -> list[Text]:
    """Return the level and upright texts of a canvas, without the labels of ticks beyond the ends of their axis."""
    axes = [(axis, sorted(axis.get_view_interval())) for each in canvas.axes for axis in (each.xaxis, each.yaxis)]
    hidden = {
        label
        for axis, (low, high) in axes
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not low <= tick.get_loc() <= high
    }
    texts = [text for text in canvas.findobj(Text) if text.get_text() and text not in hidden]
    return [text for text in texts if text.get_visible() and text.get_rotation() in (0, 90)]


def test_no_text_meets_another_a_line_or_the_edge(evidence: Evidence) -> None:
    for figure in figures_of(evidence).values():
        with mpl.rc_context(STYLE):
            canvas = Canvas(figsize=(figure.width, figure.height), layout="constrained")
            figure.panels[-1](canvas)
            canvas.draw_without_rendering()
            boxes = {text: text.get_window_extent() for text in drawn_texts(canvas)}
            frames = [axes.get_window_extent() for axes in canvas.axes if axes.axison]
        paper = canvas.bbox.padded(2)
        for text, box in boxes.items():
            assert paper.contains(*box.min), (figure.name, text)
            assert paper.contains(*box.max), (figure.name, text)
            # Only tiles have words inside of the axes.
            assert figure.name == "confusion" or not any(frame.padded(-2).overlaps(box) for frame in frames), text
        for (text, box), (other, its) in combinations(boxes.items(), 2):
            assert not box.padded(-1).overlaps(its), (figure.name, text, other)


def test_axes_say_where_less_is_better() -> None:
    for metric, said in (("mae", True), ("concordance", False)):
        found = figures_of(evidence_of("age_years", metric))
        assert ("lower is better" in words(found["seeds"])) == said
        assert ("below 0: the first is better" in words(found["differences"])) == said
        assert ("below 0: the variant is better" in words(found["variants"])) == said
        assert "lower is better" in words(found["groups"])


def test_estimates_name_error_and_n_of_every_finalist() -> None:
    evidence = evidence_of("age_years", "mae")
    shown = words(figures_of(evidence)["estimates"])
    for finalist in evidence.finalists:
        assert f"MAE {finalist.tuned.values['mae']:.2f} years, n = 160 clips" in shown
    assert "sex unknown (24 clips)" in shown
    assert "female (68 clips)" in shown


def test_many_estimates_are_counted_in_cells_and_none_is_lost() -> None:
    evidence = evidence_of("age_years", "mae")
    few, many = evidence.finalists[0], scored("age_years", 0.5, 1, speakers=MOST_DOTS)
    evidence.__dict__.update(finalists=(sound(Finalist, **few.__dict__ | {"tuned": many}),))
    figure = figures_of(evidence)["estimates"]
    assert f"n = {4 * MOST_DOTS:,} clips".replace(",", "\u202f") in words(figure)
    assert "median estimate" in figure.says
    assert len(svgs(figure, "x")[0]) < 200_000


def test_rows_without_a_sex_are_drawn() -> None:
    evidence = evidence_of("age_years", "mae")
    for finalist in evidence.finalists:
        finalist.tuned.__dict__["rows"] = finalist.tuned.rows[["speaker"]]
    assert "sex unknown (160 clips)" in words(figures_of(evidence)["estimates"])


def test_errors_by_age_stand_beside_the_constant_and_name_groups_that_are_too_small() -> None:
    shown = words(figures_of(evidence_of("age_years", "mae"))["errors_by_age"])
    assert "training median" in shown
    assert "same-sex" not in shown
    assert "3 speakers,\ntoo few" in shown
    assert all(word in shown for word in AGE_GROUPS)


def test_groups_too_small_have_a_name_and_no_dot() -> None:
    evidence = evidence_of("gender", "accuracy")
    evidence.__dict__["groups"] = evidence.groups[evidence.groups["by"] == "age_group"]
    figure = figures_of(evidence)["groups"]
    shown = words(figure)
    assert len(figure.panels) == 1
    assert "by age group" in shown
    assert "teens\n1 speaker, too few" in shown
    large = int(evidence.groups["low"].notna().sum())
    assert svgs(figure, "x")[0].count("fill: var(--series-0)") == large


@pytest.mark.parametrize("name", ["a$b$ \u202etxt", "x" * 90])
def test_names_of_groups_may_be_anything(name: str) -> None:
    evidence = evidence_of("gender", "accuracy")
    rows = evidence.groups.iloc[:2].assign(by="dialect", group=[name, "plain"])
    many = pd.concat([rows] + [rows.assign(group=f"group {number}") for number in range(9)], ignore_index=True)
    evidence.__dict__["groups"] = many
    shown = words(figures_of(evidence)["groups"])
    assert "9 more,\nin the table" in shown
    assert ("a$b$ \\u202etxt" in shown) == name.startswith("a")
    assert max(map(len, shown.split("\n"))) < 40


def test_the_leaky_split_is_marked() -> None:
    evidence = evidence_of("gender", "accuracy")
    figure = figures_of(evidence)["variants"]
    assert "utterance_split (leaky)" in words(figure)
    assert "leaky split" in figure.says
    evidence.__dict__["variants"] = evidence.variants[evidence.variants["same_test_rows"]]
    assert "leaky" not in words(figures_of(evidence)["variants"]) + figures_of(evidence)["variants"].says


def test_an_undefined_seed_leaves_a_gap_and_its_reason() -> None:
    evidence = evidence_of("gender", "accuracy")
    first = evidence.finalists[0]
    lost = {"accuracy": spread([float("nan"), 0.8, 0.9, 0.7])}
    evidence.__dict__["finalists"] = (sound(Finalist, **first.__dict__ | {"spreads": lost}), *evidence.finalists[1:])
    evidence.tests.loc[0, ["mean_difference", "ci_low", "ci_high", "p_t_holm", "smallest_detectable"]] = np.nan
    found = figures_of(evidence)
    assert "resnet18 has no mean: the ROC needs both classes (1 of 4 seeds)." in found["seeds"].says
    assert png(found["seeds"])
    assert png(found["differences"])


def test_a_comparison_without_interval_is_drawn() -> None:
    evidence = evidence_of("age_years", "mae")
    evidence.variants[["ci_low", "ci_high", "p_t_holm", "smallest_detectable"]] = np.nan
    assert png(figures_of(evidence)["variants"])
