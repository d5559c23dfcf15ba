"""The manifest, written in pieces: every row arrives, in order, and nothing stays behind."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from voxbench.corpora import manifest as manifest_module
from voxbench.corpora.exclusions import Exclusions
from voxbench.corpora.manifest import RowsWriter, complete, count_labels, read_columns, take_census
from voxbench.schema import InputError, Split, Utterance

FACTS = {
    "source_sha256": "ab",
    "audio_sha256": "cd",
    "source_rate_hz": 16000,
    "source_seconds": 2.5,
    "kept_seconds": 2.0,
    "clipped_fraction": 0.0,
}
ROWS = 11


def utterance(number, **changes):
    about = {"gender": "female", "session": f"s{number // 2}", "extra": {"dialect": str(number % 3)}}
    return Utterance(f"{number}.wav", Path("/secret") / f"{number}.wav", f"p{number // 4}", **(about | changes))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(manifest_module, "ROWS_AT_ONCE", 4)


def written(folder, utterances, keep=None, columns=None):
    """Write a manifest of utterances and return it, and what `count_labels` says."""
    path = folder / "rows"
    census = take_census(utterances)
    keep = np.ones(census.found, bool) if keep is None else np.array(keep)
    with RowsWriter(path, census.extras) as rows:
        for each in utterances:
            rows.add(each, FACTS)
        rows.close()
        counted = count_labels(path, keep, ["gender", "text"])
        complete(path, folder / "manifest.parquet", keep, columns or {})
    assert sorted(found.name for found in folder.iterdir()) == ["manifest.parquet"]
    return pd.read_parquet(folder / "manifest.parquet"), counted


def test_rows_arrive_in_order_with_their_facts(tmp_path):
    table, _ = written(tmp_path, [utterance(number) for number in range(ROWS)])
    assert table["id"].tolist() == [f"{number}.wav" for number in range(ROWS)]
    assert table["speaker"].tolist() == [f"p{number // 4}" for number in range(ROWS)]
    assert table["extra_dialect"].tolist() == [str(number % 3) for number in range(ROWS)]
    assert table[list(FACTS)].drop_duplicates().to_dict("records") == [FACTS]
    assert "path" not in table
    assert b"/secret" not in (tmp_path / "manifest.parquet").read_bytes()


def test_what_only_some_rows_have_is_unknown_in_the_others(tmp_path):
    rows = [
        utterance(0, text="yes", extra={}),
        utterance(1, age_years=30.5, speakers=("a", "b"), split=Split.TEST, extra={"codec": "alaw"}),
    ]
    table, _ = written(tmp_path, rows)
    assert table["text"].tolist()[0] == "yes"
    assert table[["age_years", "extra_codec", "split"]].isna().to_numpy().tolist() == [[True] * 3, [False] * 3]
    assert table["speakers"].map(lambda names: names is None).tolist() == [True, False]
    assert table["speakers"][1].tolist() == ["a", "b"]
    assert (table["split"][1], table["extra_codec"][1]) == ("test", "alaw")


def test_columns_are_added_and_rows_left_out_by_their_number(tmp_path):
    kept = [number for number in range(ROWS) if number % 4 != 1]
    split = pd.Series([f"part{number}" for number in kept], index=kept)
    table, (labels, seconds) = written(
        tmp_path,
        [utterance(number, gender=None if number < 3 else "male", split=Split.TRAIN) for number in range(ROWS)],
        keep=[number in kept for number in range(ROWS)],
        columns={"split": split, "split_utterance": split.str.upper()},
    )
    assert table["id"].tolist() == [f"{number}.wav" for number in kept]
    assert table["split"].tolist() == [f"part{number}" for number in kept]
    assert table["split_utterance"].tolist() == [f"PART{number}" for number in kept]
    assert (labels, seconds) == ({"gender": len(kept) - 2, "text": 0}, 2.5 * len(kept))


def test_equal_rows_give_equal_bytes(tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        written(folder, [utterance(number) for number in range(ROWS)])
    assert len({(folder / "manifest.parquet").read_bytes() for folder in folders}) == 1


def test_columns_can_be_read_alone(tmp_path):
    written(tmp_path, [utterance(number) for number in range(ROWS)])
    assert read_columns(tmp_path / "manifest.parquet", ["speaker", "id", "id"]).columns.tolist() == ["speaker", "id"]


def test_an_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), RowsWriter(tmp_path / "rows", ()) as rows:
        rows.add(utterance(0), {"source_rate_hz": 1 // 0})
    assert list(tmp_path.iterdir()) == []


def test_the_census_counts_what_is_there():
    rows = (utterance(number, split=[None, Split.TRAIN, Split.TEST][number % 3]) for number in range(ROWS))
    census = take_census(rows)
    assert (census.found, census.unsplit, census.extras) == (ROWS, 4, ("dialect",))
    assert take_census(iter(())).found == 0


def test_the_census_refuses_a_speaker_of_two_genders():
    with pytest.raises(InputError, match=r"'p0' is labelled female \(0.wav\) and male \(3.wav\)"):
        take_census(utterance(number, gender="male" if number == 3 else "female") for number in range(ROWS))


def test_exclusions_are_listed_with_any_name_and_counted(tmp_path):
    with Exclusions(tmp_path / "excluded.csv") as excluded:
        excluded.add("a.wav", "p", "unsplit", "in none")
        excluded.add('b "x",\n.wav', "p", "silent", "all 3 samples equal 0")
        excluded.add("c;é.wav", "q", "silent", "all 5 samples equal 0")
        assert (excluded.unusable, dict(excluded.reasons)) == (2, {"unsplit": 1, "silent": 2})
        excluded.check(found=4, most=0.5)
        with pytest.raises(InputError, match="2 of 4 recordings are unusable") as refused:
            excluded.check(found=4, most=0.49)
        assert len(pd.read_csv(tmp_path / "excluded.csv")) == 3, "listed before it is refused"
    assert "all 3 samples equal 0" in str(refused.value)
    listed = pd.read_csv(tmp_path / "excluded.csv", keep_default_na=False)
    assert listed["id"].tolist() == ["a.wav", 'b "x",\n.wav', "c;é.wav"]
    assert listed["reason"].tolist() == ["unsplit", "silent", "silent"]
