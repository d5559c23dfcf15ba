"""Any table, written in each format, is read as the same rows."""

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluation.score_files import CLASSES, DETECTION, TEXT, VALUE, columns_of, read

BETWEEN = {"s.csv": ",", "s.tsv": "\t", "s.txt": " "}
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
NAME = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C", "Cs"), exclude_characters='"'), min_size=1)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
EACH = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def formats(folder, frame, names=BETWEEN):
    """Write a table in each format and yield its path."""
    for name in names:
        frame.to_csv(folder / name, sep=BETWEEN[name], index=False)
        yield folder / name
    frame.to_parquet(folder / "s.parquet")
    yield folder / "s.parquet"


@EACH
@given(st.lists(st.tuples(NAME, NUMBERS, st.booleans()), min_size=1, max_size=8, unique_by=lambda row: row[0].strip()))
def test_scores_of_detection(tmp_path, rows):
    names, scores, labels = zip(*rows, strict=True)
    frame = pd.DataFrame({"id": names, "score": scores, "label": np.array(labels, dtype=int)})
    for path in formats(tmp_path, frame.sample(frac=1, random_state=1)):
        whole = read(DETECTION, path)
        found = pd.DataFrame(dict(zip(("score", "label"), columns_of(whole), strict=True)), index=whole.rows["id"])
        assert found.loc[list(names), "score"].tolist() == list(scores)
        assert found.loc[list(names), "label"].tolist() == [int(label) for label in labels]
        frame[["label", "id"]].iloc[::-1].to_csv(tmp_path / "labels.csv", index=False)
        frame[["score", "id"]].to_parquet(tmp_path / "scores.parquet")
        apart = read(DETECTION, tmp_path / "scores.parquet", tmp_path / "labels.csv")
        assert columns_of(apart) == (list(scores), [int(label) for label in labels])
    np.save(tmp_path / "s.npy", np.array(scores))
    np.save(tmp_path / "l.npy", np.array(labels))
    assert columns_of(read(DETECTION, tmp_path / "s.npy", tmp_path / "l.npy")) == columns_of(apart)


@EACH
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 9), st.integers(1, 9)), min_size=1))
def test_probabilities(tmp_path, rows):
    truth_N, counts_NC = np.array(rows)[:, 0], np.array(rows, dtype=float)[:, 1:]
    probabilities_NC = counts_NC / counts_NC.sum(axis=1, keepdims=True)
    frame = pd.DataFrame({"truth": [("a", "b", "c d")[place].replace(" ", "_") for place in truth_N]})
    frame = frame.assign(**{f"p_{word}": probabilities_NC[:, place] for place, word in enumerate(("a", "b", "c_d"))})
    for path in formats(tmp_path, frame):
        found = read(CLASSES, path)
        assert found.classes == ("a", "b", "c_d")
        assert columns_of(found) == (truth_N.tolist(), probabilities_NC.tolist())
    np.save(tmp_path / "s.npy", probabilities_NC)
    np.save(tmp_path / "l.npy", truth_N)
    assert columns_of(read(CLASSES, tmp_path / "s.npy", tmp_path / "l.npy")) == columns_of(found)


@EACH
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=8))
def test_values(tmp_path, rows):
    frame = pd.DataFrame(rows, columns=["truth", "predicted"])
    for path in formats(tmp_path, frame):
        assert columns_of(read(VALUE, path)) == (frame["truth"].tolist(), frame["predicted"].tolist())


@EACH
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=8))
def test_transcripts(tmp_path, rows):
    frame = pd.DataFrame(rows, columns=["reference", "hypothesis"])
    for path in formats(tmp_path, frame, names=["s.csv"]):
        assert columns_of(read(TEXT, path)) == (frame["reference"].tolist(), frame["hypothesis"].tolist())
