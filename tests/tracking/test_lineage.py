"""Tags that lead back: against git itself, in a repository made for the test."""

import hashlib
import subprocess

import pytest

from voxbench.tracking.lineage import lineage_tags


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Return a folder under git with one commit, and a function that runs git in it."""
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)

    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    (tmp_path / "params.yaml").write_text("a: 1\n")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    return tmp_path, git


def test_a_clean_tree_is_named_by_its_revision(repository):
    root, git = repository
    assert lineage_tags(root) == {
        "git.revision": git("rev-parse", "HEAD"),
        "git.changed": "false",
        "dvc.experiment": "none",
        "dvc.lock": "none",
    }


def test_a_changed_file_is_noticed_and_a_new_one_is_not(repository):
    root, _ = repository
    (root / "notes.txt").write_text("untracked")
    assert lineage_tags(root)["git.changed"] == "false"
    (root / "params.yaml").write_text("a: 2\n")
    assert lineage_tags(root)["git.changed"] == "true"


def test_the_experiment_and_the_lock_are_named(repository, monkeypatch):
    root, _ = repository
    monkeypatch.setenv("DVC_EXP_NAME", "muddy-snail")
    (root / "dvc.lock").write_text("schema: '2.0'\n")
    tags = lineage_tags(root)
    assert tags["dvc.experiment"] == "muddy-snail"
    assert tags["dvc.lock"] == hashlib.sha256(b"schema: '2.0'\n").hexdigest()[:16]


def test_no_commit_and_no_git_are_no_error(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert lineage_tags(tmp_path)["git.revision"] == "none"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lineage_tags(tmp_path)["git.revision"] == "none"
