"""Counting tasks: classes from one person up, sexes in any order, and the numbers that classes stand for."""

import numpy as np
import pandas as pd
import pytest
import torch

from tasks.settings import learning
from voxbench.corpora import read_corpus
from voxbench.tasks import tasks

SIZES = {"speaker_count_2": 2, "speaker_count": 3, "speaker_count_4": 4, "speaker_count_5": 5}


@pytest.mark.parametrize(("name", "most"), SIZES.items())
def test_people_are_counted_from_one_up(name, most):
    task = tasks[name]
    assert task.classes == tuple(str(number) for number in range(1, most + 1))
    assert task.counts == {"people": tuple(range(1, most + 1))}
    assert task.head(7, learning(), np.arange(most))[1].out_features == most
    assert task.subject == "speaker count"


def test_up_to_three_people_have_nine_compositions():
    task = tasks["sex_composition"]
    assert task.classes == ("F", "M", "FF", "FM", "MM", "FFF", "FFM", "FMM", "MMM")
    assert task.counts == {
        "women": (1, 0, 2, 1, 0, 3, 2, 1, 0),
        "men": (0, 1, 0, 1, 2, 0, 1, 2, 3),
        "people": (1, 1, 2, 2, 2, 3, 3, 3, 3),
    }


@pytest.mark.parametrize(("name", "classes"), [("sex_composition_2", 5), ("sex_composition_5", 20)])
def test_women_and_men_make_up_the_people_of_each_composition(name, classes):
    counts = tasks[name].counts
    assert len(set(zip(counts["women"], counts["men"], strict=True))) == classes == len(tasks[name].classes)
    assert (np.add(counts["women"], counts["men"]) == counts["people"]).all()


def test_the_order_of_the_letters_is_of_no_effect():
    manifest = pd.DataFrame({"extra_sexes": ["MMF", "FMM", "MFM", "F", "MF"]})
    task = tasks["sex_composition"]
    assert task.labelled(manifest).all()
    assert [task.classes[number] for number in task.targets(manifest)] == ["FMM", "FMM", "FMM", "F", "FM"]


@pytest.mark.parametrize(
    ("name", "column", "words", "known"),
    [
        ("speaker_count", "extra_count", ["1", "3", "4", "0", "", None], [True, True, False, False, False, False]),
        ("speaker_count_5", "extra_count", ["5", "6", "1.0"], [True, False, False]),
        ("sex_composition", "extra_sexes", ["FMF", "FFFF", "X", "", None], [True, False, False, False, False]),
    ],
)
def test_what_is_no_class_is_unlabelled(name, column, words, known):
    manifest = pd.DataFrame({column: pd.Series(words, dtype=object)})
    assert tasks[name].labelled(manifest).tolist() == known


def test_the_reader_of_mixtures_gives_what_the_tasks_read(tmp_path):
    table = ["path,split,sources,sexes", "train/0.flac,train,a+b+c,MFM", "train/1.flac,train,b,F"]
    (tmp_path / "mixtures.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    extra = [utterance.extra for utterance in read_corpus("mixtures", tmp_path)]
    manifest = pd.DataFrame([{f"extra_{key}": value for key, value in row.items()} for row in extra])
    assert tasks["speaker_count"].targets(manifest).tolist() == [2, 0]
    assert tasks["sex_composition"].targets(manifest).tolist() == [7, 0]


def test_the_answer_is_the_likeliest_number():
    task = tasks["speaker_count"]
    scores = task.scores(torch.tensor([[[0.0, 0.0, 2.0]]]))
    assert list(scores) == ["p_1", "p_2", "p_3"]
    assert task.answer({name: float(values[0]) for name, values in scores.items()}) == "3"
