"""The command line: help with an example for every command, and one line for every mistake."""

import shlex
import shutil
import subprocess
import sys

import pytest

from stages.pipeline import BENCHMARK, CORPUS, HEIR, build_featured, copy_of
from tiny import tiny_params, tiny_workspace, write_params, write_table_corpus
from voxbench import __version__
from voxbench.cli import COMMANDS, build_parser, main
from voxbench.options import OPTIONS

ROWS = {"corpus": CORPUS, "study": BENCHMARK, "benchmark": BENCHMARK}


@pytest.fixture
def project(tmp_path):
    """Return a workspace with a corpus, and nothing computed."""
    return tiny_workspace(tmp_path)


@pytest.fixture
def featured_copy(tmp_path_factory, tmp_path):
    """Return a workspace with features that a test may change."""
    featured = build_featured(tmp_path_factory.getbasetemp())
    return copy_of(featured, tmp_path / "copy")


def complaint(root, capfd, *words):
    """Run a command that must fail, and return the one line that it prints."""
    capfd.readouterr()
    assert main(["--params", str(root / "params.yaml"), *words]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"voxbench {words[0]}: ")
    return lines[0]


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_with_an_example_that_works(name, capsys):
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert COMMANDS[name].purpose.split(",")[0] in text
    examples = [line for line in text.splitlines() if line.startswith("example: voxbench ")]
    assert len(examples) == (1 if COMMANDS[name].also is None else 2)
    for example in examples:
        arguments = build_parser().parse_args(shlex.split(example.removeprefix("example: voxbench ")))
        assert arguments.run is COMMANDS[name].run


def test_the_commands_are_the_stages_and_what_a_user_does_between_them():
    stages = ["synthesize", "prepare", "mix", "features", "select", "finetune", "repeat", "ablate", "cross", "report"]
    assert {*stages, "evaluate", "profile", "weights"} <= set(COMMANDS)


def test_the_overview_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"    {name}" in text for name in COMMANDS)


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"voxbench {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["prepared", "x"],
        ["prepare"],
        ["report", "x"],
        ["cross", "x"],
        ["ablate"],
        ["weights"],
        ["weights", "fetch"],
        ["weights", "fetsh", "resnet18"],
        ["evaluate", "--kind", "value", "--scores", "x"],
        ["evaluate", "--kind", "values", "--scores", "x", "--output", "y"],
    ],
)
def test_wrong_usage_is_status_2(words, capsys):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert "usage: voxbench" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(COMMANDS))
def test_without_a_configuration_it_says_where_it_looked(tmp_path, capfd, name):
    words = [name, *shlex.split(COMMANDS[name].example)]
    assert f"no configuration at {tmp_path / 'params.yaml'}" in complaint(tmp_path, capfd, *words)


def test_a_misspelt_key_is_named_with_its_neighbour(project, capfd):
    params = tiny_params()
    params["training"]["learning_rat"] = params["training"].pop("learning_rate")
    write_params(project.root, params)
    line = complaint(project.root, capfd, "prepare", CORPUS)
    assert "unknown key 'training.learning_rat' (did you mean 'learning_rate'?)" in line
    assert "key 'training.learning_rate' is missing" in line


@pytest.mark.parametrize("content", ["", "- 1\n", "a: [\n", "training: 3\n"])
def test_a_configuration_that_is_none_is_one_line(tmp_path, capfd, content):
    (tmp_path / "params.yaml").write_text(content)
    assert "params.yaml" in complaint(tmp_path, capfd, "prepare", CORPUS)


def test_a_configuration_that_is_no_text_is_one_line(tmp_path, capfd):
    (tmp_path / "params.yaml").write_bytes(b"training: \xff\xfe\n")
    assert "params.yaml" in complaint(tmp_path, capfd, "prepare", CORPUS)


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if set(command.arguments) & ROWS.keys()])
def test_an_unknown_row_is_named_with_the_rows_there_are(project, capfd, name):
    needed = shlex.split(COMMANDS[name].example)[1:] if any(each.required for each in OPTIONS.get(name, ())) else []
    line = complaint(project.root, capfd, name, "gender-tinny", *needed)
    assert "'gender-tinny'" in line
    assert ROWS[COMMANDS[name].arguments[0]] in line or name in ("synthesize", "mix"), "tiny has no such rows"


def test_a_missing_corpus_root_is_named_with_its_key(project, capfd):
    shutil.rmtree(project.root / "raw")
    line = complaint(project.root, capfd, "prepare", CORPUS)
    assert f"corpus root {project.root / 'raw'} is not a folder" in line
    assert "root in params.yaml" in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reader": "tabel"}, "'tabel' (did you mean 'table'?)"),
        ({"root": "params.yaml"}, "is not a folder"),
        ({"root": "."}, "no metadata.csv in"),
    ],
)
def test_a_corpus_that_cannot_be_read_is_one_line(project, capfd, change, message):
    params = tiny_params()
    params["corpora"][CORPUS] |= change
    write_params(project.root, params)
    assert message in complaint(project.root, capfd, "prepare", CORPUS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda params: params["studies"][BENCHMARK].update(models=["resnet81", "bilstm_h128_l1"]),
            "unknown model 'resnet81' (did you mean 'resnet18'?)",
        ),
        (lambda params: params["studies"][BENCHMARK].update(task="gander"), "unknown task 'gander'"),
        (lambda params: params["studies"][BENCHMARK].update(metric="accurate"), "unknown metric 'accurate'"),
        (lambda params: params["studies"][BENCHMARK].update(metric="mae"), "metric 'mae' is not for classes scores"),
        (
            lambda params: params["studies"][BENCHMARK].update(trials={"cnn": 1, "lstm": 3}),
            "studies.gender-tiny.trials.cnn is 1",
        ),
        (lambda params: params["studies"][BENCHMARK].update(models=["resnet18"]), "wants 1 lstm model(s)"),
        (
            lambda params: params["selection"]["space"]["dropout"].update(low=0.6, high=0.7),
            "training.dropout is 0.5, outside selection.space.dropout",
        ),
        (lambda params: params["selection"]["space"]["dropout"].update(low=0.0, log=True), "selection.space.dropout"),
        (lambda params: params["selection"]["space"]["dropout"].update(high=1.5), "selection.space.dropout"),
    ],
)
def test_a_study_that_cannot_be_searched_is_one_line(featured_copy, capfd, change, message):
    root = featured_copy.root
    params = tiny_params()
    change(params)
    write_params(root, params)
    assert message in complaint(root, capfd, "select", BENCHMARK)


@pytest.mark.parametrize(
    ("command", "name", "missing"),
    [
        ("features", CORPUS, f"prepare@{CORPUS}"),
        ("select", BENCHMARK, f"features@{CORPUS}"),
        ("finetune", BENCHMARK, f"select@{BENCHMARK}"),
        ("repeat", BENCHMARK, f"select@{BENCHMARK}"),
        ("ablate", BENCHMARK, f"select@{BENCHMARK}"),
        ("finetune", HEIR, f"select@{BENCHMARK}"),
    ],
)
def test_a_stage_before_its_time_names_the_one_it_needs(project, capfd, command, name, missing):
    line = complaint(project.root, capfd, command, name)
    assert missing in line or missing.replace("@", " ") in line


def test_a_report_before_its_time_is_one_line(project, capfd):
    assert "run " in complaint(project.root, capfd, "report")


def test_crossing_before_its_time_names_the_stage_it_needs(featured_copy, capfd):
    assert "run `dvc repro finetune@" in complaint(featured_copy.root, capfd, "cross")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("resnet81", "'resnet81' (did you mean 'resnet18'?)"),
        ("bilstm_h128_l1", "'bilstm_h128_l1' has no ImageNet weights"),
    ],
)
def test_weights_that_nobody_publishes_are_one_line_and_no_file(project, capfd, model, message):
    assert message in complaint(project.root, capfd, "weights", "fetch", "mobilenet_v2", model)
    assert not (project.root / "data").exists()


def test_a_study_with_weights_that_are_not_there_says_how_to_get_them(featured_copy, capfd):
    params = tiny_params()
    params["training"]["weights"] = "imagenet"
    write_params(featured_copy.root, params)
    assert "`voxbench weights fetch " in complaint(featured_copy.root, capfd, "select", BENCHMARK)


def test_a_faulty_corpus_is_one_line(tmp_path, capfd):
    write_table_corpus(tmp_path / "raw", speakers=12, clips=1)
    with (tmp_path / "raw" / "metadata.csv").open("a", encoding="utf-8") as stream:
        stream.write("s00/0.wav,s00,female,22\n")
    write_params(tmp_path, tiny_params())
    assert "path 's00/0.wav' occurs twice" in complaint(tmp_path, capfd, "prepare", CORPUS)


def test_success_is_status_0_and_says_what_was_done(project, capfd):
    assert main(["--params", str(project.root / "params.yaml"), "prepare", CORPUS]) == 0
    assert "found 48, kept 48" in capfd.readouterr().out


def test_the_module_is_the_command(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:0] = {sys.path!r}; import runpy; "
            "sys.argv = ['voxbench', 'prepare', 'x']; runpy.run_module('voxbench', run_name='__main__')",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("voxbench prepare: no configuration at params.yaml")
    assert done.stderr.count("\n") == 1
