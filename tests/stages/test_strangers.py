"""Whom a network knows of another corpus, on manifests of a few rows."""

import pandas as pd
import pytest

from voxbench.stages.strangers import COLUMNS, acquaintance

TRAINED = [
    ("ann", "ann/1", "a1", "train"),
    ("bob", "bob/1", "b1", "valid"),
    ("cat", "cat/1", "c1", "test"),
]


def manifest(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def met(*listed, one_folder=False, trained=tuple(TRAINED)):
    found = acquaintance(manifest(*trained), manifest(*listed), one_folder=one_folder)
    return sorted(found.known), sorted(found.namesakes)


OTHERS = [("ann", "x/1", "x1", "test"), ("bob", None, "x2", "train"), ("cat", "x/3", "x3", "train"), ("dan",) * 4]


def test_names_alone_say_nothing_but_are_told():
    assert met(*OTHERS) == ([], ["ann", "bob"])


def test_in_one_folder_names_are_people_and_those_of_the_test_are_strangers():
    assert met(*OTHERS, one_folder=True) == (["ann", "bob"], [])
    assert met(*TRAINED, one_folder=True) == (["ann", "bob"], [])


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_shared_recording_shows_that_the_source_is_one_whatever_its_split(split):
    trained = [*TRAINED, ("eve", "eve/1", "e1", split)]
    own = ["fay"] if split != "test" else []
    assert met(*OTHERS, ("fay", None, "e1", "test"), trained=trained) == (["ann", "bob", *own], [])


def test_a_shared_session_of_one_name_does_too_but_not_that_of_two_names_nor_a_missing_one():
    assert met(*OTHERS, ("cat", "cat/1", "x9", "test")) == (["ann", "bob"], [])
    assert met(*OTHERS, ("dan", "cat/1", "x9", "test")) == ([], ["ann", "bob"])
    nameless = [("bob", None, "b1", "valid")]
    assert met(("bob", None, "x", "test"), trained=nameless) == ([], ["bob"])


def test_who_was_trained_on_is_known_by_a_recording_that_was_not():
    trained = [*TRAINED, ("ann", "ann/2", "a2", "test")]
    assert met(("una", None, "a2", "test"), trained=trained) == (["una"], [])
