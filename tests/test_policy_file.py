"""The policy file of `voxbench authenticate`: what it may say, and one line for every mistake in it."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tiny import PROJECT
from voxbench.config import policy
from voxbench.config.policy import load_policy
from voxbench.schema import InputError

WHOLE = {
    "verifier": "verify-people/x",
    "countermeasure": "models:/spoof@champion",
    "recognizer": "trained/asr",
    "least_speech_seconds": 1.5,
    "accept": {
        "voice": {"policy": "far-10-percent"},
        "liveness": {"policy": "equal-error"},
        "phrase": {"least_llr": -2},
    },
}


def written(folder, changes=None, without=()):
    content = {name: value for name, value in (WHOLE | (changes or {})).items() if name not in without}
    path = folder / "policy.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump(content, stream)
    return path


def test_a_policy_is_read_as_it_stands(tmp_path):
    found = load_policy(written(tmp_path))
    assert (found.verifier, found.countermeasure, found.recognizer) == tuple(WHOLE.values())[:3]
    assert found.least_speech_seconds == 1.5
    assert (found.accept.voice.policy, found.accept.voice.least_llr) == ("far-10-percent", None)
    assert (found.accept.phrase.policy, found.accept.phrase.least_llr) == (None, -2.0)


def blocks_of(text):
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


def test_the_examples_are_policies(tmp_path):
    """Those of the documentation and of the module, which say the same."""
    shown = [*blocks_of((PROJECT / "docs/phrases.md").read_text(encoding="utf-8")), *blocks_of(policy.__doc__)]
    assert len(shown) == 2
    found = []
    for number, block in enumerate(shown):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        found.append(load_policy(path))
    assert found[0] == found[1]


def rules(**changes):
    return {"accept": WHOLE["accept"] | changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recogniser": "x/y"}, r"unknown key 'recogniser' \(did you mean 'recognizer'\?\)"),
        (rules(phrases={"policy": "bayes"}), r"unknown key 'accept.phrases' \(did you mean 'phrase'\?\)"),
        (rules(voice={"policies": "bayes"}), r"unknown key 'accept.voice.policies' \(did you mean 'policy'\?\)"),
        (rules(voice={}), "accept.voice: found neither, expected one of policy, .* and least_llr"),
        (rules(voice={"policy": "bayes", "least_llr": 1}), "accept.voice: found policy and least_llr, expected one"),
        (
            rules(voice={"least_llr": float("nan")}),
            "accept.voice.least_llr: Input should be a finite number, found nan",
        ),
        (rules(voice={"policy": "Bayes!"}), "accept.voice.policy: .*found 'Bayes!'"),
        (rules(voice=3), "accept.voice: .*found 3"),
        ({"least_speech_seconds": -1}, "least_speech_seconds: .*greater than or equal to 0, found -1"),
        ({"least_speech_seconds": float("inf")}, "least_speech_seconds: .*finite"),
        ({"verifier": ""}, "verifier: .*at least 1 character, found ''"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as refused:
        load_policy(written(tmp_path, changes))
    assert str(refused.value).startswith("the policy policy.yaml: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", list(WHOLE))
def test_nothing_goes_without_saying(tmp_path, name):
    with pytest.raises(InputError, match=f"key '{name}' is missing"):
        load_policy(written(tmp_path, without=[name]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected the keys verifier, countermeasure, recognizer, least_speech_seconds, accept, found None"),
        (b"- 1\n", r"expected the keys .*, found \[1\]"),
        (b"a: [\n", "is not YAML"),
        (b"verifier: a\nverifier: b\n", "is not YAML: .*verifier"),
        (b"verifier: \xff\xfe\n", "cannot be read"),
    ],
)
def test_what_is_no_policy_is_one_line(tmp_path, content, message):
    path = tmp_path / "policy.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        load_policy(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place", ["absent.yaml", "."])
def test_a_file_that_is_not_there_is_named(tmp_path, place):
    with pytest.raises(InputError, match=r"cannot be read: (No such file|Is a directory)"):
        load_policy(tmp_path / Path(place))
