"""Scoring embeddings by files of other people: what is read, what it gives, and every leak refused."""

import numpy as np
import pandas as pd
import pytest

from evaluation.score_files import DETECTION, VALUE, read, refused, written
from voxbench.evaluation.back_ends import NO_BACK_END, BackEndFiles, read_back_end, read_enrolments
from voxbench.metrics.plda import PldaSettings
from voxbench.metrics.trial_scores import fit_back_end, score_trials
from voxbench.schema import InputError

OPTIONS = ("centre", "cohort", "top", "plda", "plda_dimensions", "plda_iterations", "speakers", "enrolments")
NAMES = [f"{speaker}/v/{clip}.wav" for speaker in "abc" for clip in range(3)]
OTHERS = [f"o{speaker:02}/v/{clip}.wav" for speaker in range(10) for clip in range(3)]
D = 5
PAIRS = [(one, other) for one in range(9) for other in range(one + 1, 9)]


def embeddings(folder, file, names, seed, speakers=None):
    """Write embeddings in the form that the file's ending says, and return its path and the vectors."""
    vectors = np.random.default_rng(seed).normal(size=(len(names), D)).astype(np.float32)
    if file.endswith(".parquet"):
        table = {"utterance": names, "embedding": list(vectors)} | ({"speaker": speakers} if speakers else {})
        pd.DataFrame(table).to_parquet(folder / file)
    else:
        np.save(folder / file, vectors)
        written(folder, file.replace(".npy", ".txt"), "".join(f"{name}\n" for name in names))
    return folder / file, vectors


@pytest.fixture
def trials(tmp_path):
    """Return the paths of embeddings and of a list of all pairs, and the vectors."""
    scores, vectors = embeddings(tmp_path, "e.npy", NAMES, 1)
    lines = [f"{int(NAMES[a][0] == NAMES[b][0])} {NAMES[a]} {NAMES[b]}\n" for a, b in PAIRS]
    return scores, written(tmp_path, "t.txt", "".join(lines)), vectors


def files(**given):
    return BackEndFiles(**(dict.fromkeys(OPTIONS) | given))


def scored(scores, labels, **given):
    return read(DETECTION, scores, labels, back_end=read_back_end(files(**given)))


def message_of(given):
    with pytest.raises(InputError) as raised:
        read_back_end(files(**given))
    return str(raised.value)


@pytest.mark.parametrize("ending", ["npy", "parquet"])
def test_it_is_what_the_metrics_compute(tmp_path, trials, ending):
    scores, labels, vectors = trials
    path, others = embeddings(tmp_path, f"o.{ending}", OTHERS, 2)
    speakers = [name.partition("/")[0] for name in OTHERS]
    enroll, test = np.array(PAIRS).T
    asked = {"plda": path, "plda_dimensions": 3, "plda_iterations": 4}
    for given, options in (
        ({"centre": path}, {"centre": True, "top": None, "plda": None}),
        ({"cohort": path, "top": 4}, {"centre": False, "top": 4, "plda": None}),
        ({"centre": path, "cohort": path, "top": 4} | asked, {"centre": True, "top": 4, "plda": PldaSettings(3, 4)}),
    ):
        expected = score_trials(fit_back_end(others, speakers, **options), vectors, enroll, test)
        rows = scored(scores, labels, **given)
        assert rows.columns[0].tolist() == expected.tolist()
        assert rows.columns[1].tolist() == [int(NAMES[a][0] == NAMES[b][0]) for a, b in PAIRS]


def test_each_part_comes_from_its_own_file(tmp_path):
    (one, first), (two, second) = (embeddings(tmp_path, f"o{seed}.npy", OTHERS, seed) for seed in (2, 3))
    cohort = fit_back_end(second, [name[:3] for name in OTHERS], centre=False, top=4, plda=None).cohort_KD
    found = read_back_end(files(centre=one, cohort=two, top=4)).back_end
    np.testing.assert_array_equal(found.mean_D, first.astype(float).mean(axis=0))
    np.testing.assert_array_equal(found.cohort_KD, cohort)


def test_the_page_says_what_was_done(tmp_path, trials):
    path, _ = embeddings(tmp_path, "o.npy", OTHERS, 2)
    notes = scored(*trials[:2], centre=path, cohort=path, top=4, plda=path, plda_dimensions=3, plda_iterations=2).notes
    starts = (
        "scores are log-likelihood ratios of a PLDA of embeddings of 5 dimensions",
        "the mean of the 30 embeddings of o.npy (sha256 ",
        "PLDA of 3 dimensions, fitted in 2 iterations on 30 embeddings of o.npy (sha256 ",
        "AS-norm: the 4 closest of 10 speakers of o.npy (sha256 ",
    )
    assert all(note.startswith(start) for note, start in zip(notes, starts, strict=False))
    assert not any("nobody says" in note for note in notes)


def test_speakers_of_a_column_a_file_or_a_folder(tmp_path):
    names = [name.replace("/", "-") for name in OTHERS]
    of_column, _ = embeddings(tmp_path, "c.parquet", names, 2, [f"x{place % 3}" for place in range(30)])
    plain, _ = embeddings(tmp_path, "p.npy", names, 2)
    folder, _ = embeddings(tmp_path, "f.npy", OTHERS, 2)
    listed = written(tmp_path, "utt2spk", "".join(f"{name} x{place % 5}\n" for place, name in enumerate(names)))
    for given, count in (
        ({"cohort": of_column}, 3),
        ({"cohort": plain, "speakers": listed}, 5),
        ({"cohort": folder}, 10),
    ):
        assert len(read_back_end(files(**given, top=2)).back_end.cohort_KD) == count
    assert "nobody names the speakers of --cohort" in message_of({"cohort": plain, "top": 2})
    assert message_of({"cohort": folder, "top": 2, "speakers": listed}).startswith("--speakers lacks 30 of the 30 rec")
    # The mean alone needs no speakers.
    assert read_back_end(files(centre=plain)).back_end.mean_D is not None


def test_what_two_files_say_differently_is_refused(tmp_path):
    path, _ = embeddings(tmp_path, "p.npy", OTHERS, 2)
    listed = written(tmp_path, "u.txt", "a x\nb x\na y\n")
    assert message_of({"cohort": path, "top": 2, "speakers": listed}).endswith("a is of x and of y; correct one")
    wide = written(tmp_path, "w.txt", "a x y\n")
    assert "has 3 columns; expected two without a header" in message_of({"centre": path, "speakers": wide})


@pytest.mark.parametrize("option", [{"centre"}, {"cohort", "top"}, {"plda", "plda_dimensions", "plda_iterations"}])
def test_people_of_the_trials_are_a_leak(tmp_path, trials, option):
    given = {"top": 2, "plda_dimensions": 2, "plda_iterations": 1}
    for names, message in (
        ([*OTHERS[:-1], "b/v/1.wav"], "has 1 recordings of "),
        ([*OTHERS[:-1], "b/other/7.wav"], "has 1 of the 3 speakers of the trials (b): leave them out of it"),
    ):
        path, _ = embeddings(tmp_path, "leak.npy", names, 2)
        asked = {name: given.get(name, path) for name in option}
        found = refused(DETECTION, *trials[:2], back_end=read_back_end(files(**asked)))
        assert message in found
        assert found.startswith("--")


def test_speakers_that_nobody_knows_are_said_to_be_unknown(tmp_path, trials):
    path, _ = embeddings(tmp_path, "o.npy", [name.replace("/", "-") for name in OTHERS], 2)
    notes = scored(*trials[:2], centre=path).notes
    assert "nobody says whether --centre are of other people than the trials" in notes


def test_templates_of_several_clips(tmp_path, trials):
    scores, _, vectors = trials
    listed = written(tmp_path, "enrolments.txt", "A a/v/0.wav\nB b/v/0.wav\nA a/v/1.wav\n")
    labels = written(tmp_path, "l.txt", "1 A a/v/2.wav\n0 B a/v/2.wav\n0 A b/v/2.wav\n")
    rows = scored(scores, labels, enrolments=listed)
    unit = vectors / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    templates = [unit[0] + unit[1], unit[3]]
    expected = [templates[t] @ unit[clip] / np.linalg.norm(templates[t]) for t, clip in ((0, 2), (1, 2), (0, 5))]
    np.testing.assert_allclose(rows.columns[0], expected, atol=1e-14)
    assert "2 templates of 3 clips of enrolments.txt (sha256 " in " ".join(rows.notes)
    assert "4 of 9 embeddings occur in no trial" in rows.notes


@pytest.mark.parametrize(
    ("enrolments", "message"),
    [
        ("A a/v/2.wav\nB b/v/0.wav\n", "test a/v/2.wav is a clip of its template A, and so in 1 trials"),
        ("A a/v/0.wav\n", "no enrolment of 1 templates of l.txt (B), but of A; expected a line"),
        ("A a/v/0.wav\nB x/v/0.wav\n", "has no embedding of 1 recordings of --enrolments (x/v/0.wav)"),
    ],
)
def test_templates_that_do_not_fit(tmp_path, trials, enrolments, message):
    listed = written(tmp_path, "enrolments.txt", enrolments)
    labels = written(tmp_path, "l.txt", "1 A a/v/2.wav\n0 B a/v/2.wav\n")
    assert message in refused(DETECTION, trials[0], labels, back_end=read_back_end(files(enrolments=listed)))


def test_enrolments_are_read_strictly(tmp_path):
    assert read_enrolments(written(tmp_path, "a.csv", "A,x y\nB,z\nA,w\n")) == {"A": ["x y", "w"], "B": ["z"]}
    with pytest.raises(InputError, match="A has the clip x twice"):
        read_enrolments(written(tmp_path, "b.txt", "A x\nA x\n"))
    with pytest.raises(InputError, match="a recording is empty"):
        read_enrolments(written(tmp_path, "c.csv", "A,x\nA,\n"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cohort": "x"}, "--cohort without --top: give --cohort, --top, or none"),
        ({"top": 3}, "--top without --cohort"),
        ({"plda": "x", "plda_iterations": 3}, "--plda without --plda-dimensions"),
        ({"plda_dimensions": 3}, "--plda-dimensions without --plda:"),
        ({"speakers": "x"}, "--speakers x is of --centre, --cohort or --plda"),
    ],
)
def test_options_that_belong_together(given, message):
    with pytest.raises(InputError) as raised:
        files(**given)
    assert message in str(raised.value)


def test_scores_and_other_files_are_no_embeddings(tmp_path, trials):
    path, _ = embeddings(tmp_path, "o.npy", OTHERS, 2)
    given = read_back_end(files(centre=path))
    plain = written(tmp_path, "s.csv", "id,score,label\nu,1,1\nv,0,0\n")
    assert "holds scores, and --centre, --cohort, --plda" in refused(DETECTION, plain, back_end=given)
    ages = written(tmp_path, "a.csv", "truth,predicted\n1,2\n")
    assert "are of embeddings" in refused(VALUE, ages, back_end=given)
    assert "holds no embeddings" in message_of({"centre": plain})
    pd.DataFrame({"utterance": ["a"]}).to_parquet(tmp_path / "n.parquet")
    assert "holds no embeddings" in message_of({"centre": tmp_path / "n.parquet"})
    narrow = tmp_path / "narrow.npy"
    np.save(narrow, np.ones((2, 3)))
    written(tmp_path, "narrow.txt", "x/1\ny/1\n")
    found = refused(DETECTION, *trials[:2], back_end=read_back_end(files(centre=narrow)))
    assert "have 5 dimensions, but the mean that is subtracted 3" in found
    np.save(path, np.zeros((30, D)))
    assert "o.npy row 1 (o00/v/0.wav): an embedding of length 0 has no direction, and so have 30" in message_of(
        {"centre": path}
    )


def test_nothing_asked_is_the_cosine(trials):
    scores, labels, _ = trials
    assert scored(scores, labels).columns[0].tolist() == read(DETECTION, scores, labels).columns[0].tolist()
    assert NO_BACK_END.notes == ()
