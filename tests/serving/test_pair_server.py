"""MLflow's own server, asked whether recordings are of one person, and asked badly."""

import json

import pytest

from serving.clips import bad_clips, base64_text
from serving.server import ask, predictions, started
from stages.verification import VERIFY
from voxbench.serving.pair_contract import COLUMNS
from voxbench.serving.verifier import Verifier, template_of
from voxbench.tracking.store import connect

pytestmark = pytest.mark.slow
CELLS = {
    "null": (None, "empty"),
    "a number": (7, "empty"),
    "an object": ({"a": 1}, "empty"),
    "nothing": ("", "empty"),
    "no list": ("[]", "empty"),
    "numbers": ("[1, 2]", "empty"),
    "a cut list": ('["', "unreadable: neither base64 nor a JSON list"),
    "a deep list": ("[" * 100_000, "unreadable: neither base64 nor a JSON list"),
    "no base64": ("not base64!", "unreadable: neither audio nor base64"),
    "foreign letters": ("äöü", "unreadable: neither audio nor base64"),
}


@pytest.fixture(scope="module")
def port(verified, tmp_path_factory):
    with started(verified.root, VERIFY, tmp_path_factory.mktemp("server")) as port:
        yield port


@pytest.fixture(scope="module")
def clips(verified):
    """Return recordings of one person in two sessions, and at the end one of somebody else."""
    names = ("s01/0-0", "s01/0-1", "s01/1-0", "s09/0-0")
    return [(verified.root / "raw" / f"{name}.wav").read_bytes() for name in names]


def invoked(port, **form):
    status, body = ask(port, "invocations", form)
    assert status == 200, body
    rows = predictions(body)
    assert all(tuple(row) == COLUMNS for row in rows)
    return rows


def test_a_pair_gets_the_comparison_of_the_verifier_in_every_form_of_request(verified, clips, port):
    model = connect(verified.root).get_model_version_by_alias(VERIFY, "champion").tags["model"]
    verifier = Verifier(verified.models(VERIFY) / model)
    heard = [verifier.embed(clip) for clip in clips]
    one, two, *tests = map(base64_text, clips)
    rows = [{"enroll": cell, "test": test} for test in tests for cell in ([one, two], one)]
    texts = [row | {"enroll": json.dumps(row["enroll"])} if isinstance(row["enroll"], list) else row for row in rows]
    table = {"columns": ["enroll", "test"], "data": [list(row.values()) for row in rows]}
    answers = invoked(port, dataframe_records=rows)
    assert answers == invoked(port, dataframe_split=table)
    assert answers == invoked(port, inputs=texts) == invoked(port, instances=texts)
    sides = [(template_of(heard[:count]), test) for test in heard[2:] for count in (2, 1)]
    for answer, (template, test) in zip(answers, sides, strict=True):
        expected = verifier.compare([template], test)[0]
        assert answer["score"] == pytest.approx(expected.score, abs=1e-6)
        assert answer["llr"] == pytest.approx(expected.verdict.llr, abs=1e-5)
        assert (answer["decision"], answer["policy"]) == (expected.verdict.decision, expected.verdict.policy)
        assert answer["enroll_clips"] == len(template.clips_KD)
        assert (answer["test_kept_seconds"], answer["error"]) == (test.kept_seconds, None)
    assert answers[0]["score"] > answers[2]["score"]


def test_what_cannot_be_judged_is_a_row_with_its_reason_and_leaves_the_others_alone(clips, port):
    good = base64_text(clips[0])
    cells = CELLS | {name: (base64_text(data), reason) for name, (data, reason) in bad_clips().items()}
    (expected,) = invoked(port, dataframe_records=[{"enroll": good, "test": good}])
    assert expected["error"] is None
    for side, other in (("enroll", "test"), ("test", "enroll")):
        rows = [{side: cell, other: good} for cell, _ in cells.values()]
        *answers, last = invoked(port, dataframe_records=[*rows, {side: good, other: good}])
        assert last == expected
        for answer, (name, (_, reason)) in zip(answers, cells.items(), strict=True):
            told = answer.pop("error")
            # A side that is one recording takes no list.
            assert told.startswith(f"{side}: {reason if side == 'enroll' or '[' not in str(cells[name][0]) else ''}")
            assert "\n" not in told
            assert set(answer.values()) == {None}


@pytest.mark.parametrize("form", ["dataframe_records", "inputs", "instances"])
def test_a_request_that_is_no_table_of_pairs_is_refused_as_wrong_and_is_no_failure_of_the_server(clips, port, form):
    good = base64_text(clips[0])
    for rows in ([], [{"enroll": good}], [{"audio": good}], "no rows", 7):
        status, body = ask(port, "invocations", {form: rows})
        assert status == 400, body
    assert invoked(port, dataframe_records=[{"enroll": good, "test": good}])[0]["error"] is None
