"""Every task, whatever it asks: whole, learnable, and consistent from targets to answers."""

import numpy as np
import pandas as pd
import pytest
import torch

from tasks.settings import learning
from voxbench.metrics import measure, metrics_of
from voxbench.schema import InputError, ScoreKind
from voxbench.tasks import tasks
from voxbench.transcripts.alphabet import decode, encode

NUMBERS = ["1", "2", None, "2", "1"]
SEXES = ["F", "MF", None, "FF", "M"]
LABELS = {
    "gender": ["female", "male", None, "male", "female"],
    "age_group": ["teens", "sixties+", None, "fourties", "fifties"],
    "age_years": [17.0, 63.5, None, 44.0, 51.0],
    "extra_count": NUMBERS,
    "extra_sexes": SEXES,
    "speaker": ["ann", "bob", None, "cyd", "ann"],
    "attack": ["bonafide", "A07", None, "A07", "bonafide"],
    "text": ["Good day!", "it's ten", None, "it's TEN", "да"],
}
COLUMN = {"speaker count": "extra_count", "sex composition": "extra_sexes", "speaker": "speaker"}
COLUMN |= {"spoofing": "attack", "words": "text"}
ALONE = [name for name in tasks if not tasks[name].pairs]
WORDS = [name for name in tasks if tasks[name].score_kind is ScoreKind.TEXT]
PAIRS = [name for name in tasks if tasks[name].pairs]


def some_targets(task):
    """Return twelve targets with every class or four speakers among them, or as many ages or words."""
    if task.name in WORDS:
        return encode(["abcdefghijklmnopqrstuvwxyz'", "абвгдежзийклмнопрстуфхцчшщъыьэюя", "a b", "i'm"] * 3)
    if task.pairs:
        return np.arange(12) % 4
    return np.arange(12) % len(task.classes) if task.classes else np.linspace(15.0, 75.0, 12)


def embeddings(task, rows=12):
    """Return what the heads get: an embedding of a clip, or one for each of seventy frames."""
    shape = (rows, 70, 6) if task.name in WORDS else (rows, 6)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", list(tasks))
def test_every_task_leads_from_targets_to_a_loss_that_its_head_learns_from(name):
    task = tasks[name]
    assert task.name == name
    assert task.subject
    assert bool(task.classes) == (task.score_kind in (ScoreKind.CLASSES, ScoreKind.DETECTION))
    assert bool(task.unit) == (task.score_kind is ScoreKind.VALUE)
    targets = some_targets(task)
    head = task.head(6, learning(), targets)
    outputs = head(embeddings(task))
    loss = task.loss(targets, learning())(outputs, torch.tensor(targets), 0.0)
    loss.backward()
    assert loss.ndim == 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())


@pytest.mark.parametrize("name", ALONE)
def test_every_task_of_one_recording_leads_from_outputs_to_an_answer(name):
    task = tasks[name]
    head = task.head(6, learning(), some_targets(task))
    outputs = head(embeddings(task))
    crops = torch.stack([outputs] if name in WORDS else [outputs, outputs.flip(0)], dim=1).detach()
    columns = task.scores(crops)
    assert tuple(columns) == task.score_columns
    kind = object if name in WORDS else np.float64
    assert all(values.shape == (12,) and values.dtype == kind for values in columns.values())
    answers = {task.answer({name: values[row] for name, values in columns.items()}) for row in range(12)}
    assert all(answer and "\n" not in answer for answer in answers)


@pytest.mark.parametrize("name", list(tasks))
def test_every_task_knows_its_labelled_rows_and_their_targets(name):
    manifest = pd.DataFrame(LABELS)
    task = tasks[name]
    assert task.labelled(manifest).tolist() == [True, True, False, True, True]
    targets = task.targets(manifest[task.labelled(manifest)])
    assert targets.shape[0] == 4
    labels = manifest[COLUMN.get(task.subject, name)]
    assert len(np.unique(targets, axis=0)) == labels.str.lower().nunique() if name in WORDS else labels.nunique()


@pytest.mark.parametrize("name", PAIRS)
def test_a_task_of_pairs_has_no_score_of_one_recording(name):
    assert tasks[name].score_kind is ScoreKind.DETECTION
    assert tasks[name].classes == ("nontarget", "target")
    with pytest.raises(InputError, match="one recording has no score of verification: a trial of two has"):
        tasks[name].scores(torch.zeros(1, 1, 6))


@pytest.mark.parametrize("name", ALONE)
def test_every_tasks_scores_can_be_measured(name):
    task = tasks[name]
    targets = some_targets(task)
    outputs = task.head(6, learning(), targets)(embeddings(task)).detach()
    table = np.stack(list(task.scores(outputs[:, None]).values()), axis=1)
    columns = [targets, table if task.score_kind is ScoreKind.CLASSES else table[:, 0]]
    if task.score_kind is ScoreKind.DETECTION:
        columns.reverse()
    if name in WORDS:
        columns[0] = decode(targets)
    values, undefined = measure(task.score_kind, *columns, ordered=task.ordered)
    assert {*values, *undefined} == {metric.name for metric in metrics_of(task.score_kind, ordered=task.ordered)}
    assert len(values) > len(undefined)


@pytest.mark.parametrize("name", list(tasks))
def test_no_task_takes_a_manifest_without_labels_for_labelled(name):
    manifest = pd.DataFrame({column: pd.Series([None, None], dtype=object) for column in LABELS})
    assert not tasks[name].labelled(manifest).any()


@pytest.mark.parametrize("name", list(tasks))
def test_a_manifest_without_the_column_has_no_labels(name):
    manifest = pd.DataFrame({"gender": ["female"], "age_group": ["teens"], "age_years": [16.0]})
    assert tasks[name].labelled(manifest).tolist() == [name in manifest]


@pytest.mark.parametrize("name", list(tasks))
def test_only_classes_have_an_order_and_what_they_count_has_a_number_for_each(name):
    task = tasks[name]
    assert task.ordered <= bool(task.classes)
    assert all(len(numbers) == len(task.classes) for numbers in task.counts.values())


def test_ages_and_numbers_of_people_are_ordered_and_sexes_are_not():
    assert [name for name in tasks if tasks[name].ordered and "count" not in name] == ["age_group"]
    assert tasks["speaker_count"].ordered
    assert not tasks["sex_composition"].ordered
    assert not tasks["gender"].ordered


def test_tasks_of_one_subject_can_be_held_against_each_other():
    assert tasks["age_group"].subject == tasks["age_years"].subject != tasks["gender"].subject


def test_an_unknown_task_names_the_closest():
    with pytest.raises(InputError, match=r"unknown task 'gander' \(did you mean 'gender'\?\)"):
        tasks["gander"]
