"""Rows of mixtures in `params.yaml`: what they amount to as corpora, and what is refused."""

from pathlib import Path

import pytest

from stages.mixtures import CORPUS, SOURCE, row
from tiny import PROJECT, tiny_params, write_params
from voxbench.config import load_params
from voxbench.config.profiles import apply_profile
from voxbench.schema import InputError


def params_of(folder, change=lambda params: None, **changes):
    """Return the tiny project's parameters with one row of mixtures, `changes` of it, and any other change."""
    params = tiny_params()
    params["corpora"][SOURCE]["cleaning"] |= {"silence_q": 0.0}
    params["mixtures"] = {CORPUS: row(params["corpora"][SOURCE]["features"]) | changes}
    change(params)
    return load_params(write_params(folder, params))


def test_later_stages_see_a_corpus(tmp_path):
    params = params_of(tmp_path)
    mixed, source = params.corpus(CORPUS), params.corpus(SOURCE)
    assert mixed.features == params.mixture(CORPUS).features != source.features
    assert (mixed.reader, mixed.splitting.by, mixed.licence) == ("mixtures", "official", source.licence)
    assert mixed.cleaning == source.cleaning.model_copy(update={"min_seconds": 0.5})
    assert list(params.prepared) == [SOURCE, CORPUS]
    assert list(params.corpora) == [SOURCE]


def test_whole_recordings_are_as_long_as_those_of_the_source_at_least(tmp_path):
    params = params_of(tmp_path, seconds=None)
    assert params.corpus(CORPUS).cleaning == params.corpus(SOURCE).cleaning


def test_a_benchmark_may_be_on_mixtures_that_fill_its_crops(tmp_path):
    def change(params):
        params["benchmarks"]["gender-tiny"]["corpus"] = CORPUS

    assert params_of(tmp_path, change).benchmark("gender-tiny").corpus == CORPUS
    with pytest.raises(
        InputError,
        match=rf"crop_seconds is 0.5, longer than the shortest clip of corpus '{CORPUS}', cleaning.min_seconds 0.4,",
    ):
        params_of(tmp_path, change, seconds=0.4, mixtures={"train": 1, "valid": 1, "test": 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": "tinny"}, rf"mixtures\.{CORPUS}\.corpus is 'tinny' \(did you mean 'tiny'\?\); known corpora: tiny"),
        ({"corpus": CORPUS}, "known corpora: tiny"),
        ({"people": 0}, r"people: Input should be greater than or equal to 1"),
        ({"mixtures": {"train": 5, "valid": 5}}, r"mixtures\.test' is missing"),
        ({"mixtures": {"train": 5, "valid": 5, "test": -1}}, r"mixtures\.test: .* greater than or equal to 0"),
        ({"seconds": 0}, r"seconds: Input should be greater than 0"),
        ({"seconds": float("inf")}, r"seconds: .* finite number, found inf"),
        (
            {"mixtures": {"train": 0, "valid": 0, "test": 0}},
            r"mixtures: found 0 in every split, expected mixtures in one",
        ),
        ({"snr_db": [5.0, -5.0]}, r"bounds are \[5, -5\], expected the lower one first"),
        ({"snr_db": 5.0}, r"snr_db: found 5\.0, expected the lowest and the highest value, such as \[0\.5, 1\.0\]"),
        ({"snr_db": [0.0, float("inf")]}, r"snr_db: found \[0\.0, inf\], expected finite numbers"),
        ({"snr_db": [float("nan"), 0.0]}, r"snr_db: found \[nan, 0\.0\], expected finite numbers"),
        ({"overlap": [0.5, 1.5]}, r"overlap: found \[0\.5, 1\.5\], expected shares above 0 and up to 1"),
        ({"overlap": [0.0, 1.0]}, r"overlap: found \[0\.0, 1\.0\], expected shares above 0"),
        ({"overlap": 0.5}, r"overlap: found 0\.5, expected the lowest and the highest value"),
        ({"overlap": None}, r"overlap: found None, expected the lowest and the highest value"),
        ({"reverberation_seconds": [-0.1, 0.2]}, r"found \[-0\.1, 0\.2\], expected seconds of 0 or more, or null"),
        ({"level": 3}, "unknown key .*level"),
    ],
)
def test_a_row_without_sense_is_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        params_of(tmp_path, **changes)


def test_a_source_without_its_silence_is_refused_for_it_could_not_be_served(tmp_path):
    with pytest.raises(
        InputError,
        match=rf"mixtures\.{CORPUS}\.corpus is 'tiny', whose cleaning\.silence_q is 0\.075, expected 0\.0: .* "
        r"when it is served; set corpora\.tiny\.cleaning\.silence_q to 0\.0",
    ):
        params_of(tmp_path, lambda params: params["corpora"][SOURCE]["cleaning"].update(silence_q=0.075))


def test_a_name_is_a_corpus_or_mixtures(tmp_path):
    with pytest.raises(
        InputError, match=r"'tiny' is a row of corpora and of mixtures, which share a folder: rename one"
    ):
        params_of(tmp_path, lambda params: params["mixtures"].update({SOURCE: params["mixtures"][CORPUS]}))


def test_the_demo_and_the_paper_mix_librispeech_as_the_document_does(tmp_path):
    (tmp_path / "profiles").mkdir()
    for name in ("params.yaml", "profiles/paper.yaml"):
        (tmp_path / name).write_bytes((PROJECT / name).read_bytes())
    demo = load_params(tmp_path / "params.yaml")
    apply_profile(tmp_path / "params.yaml", "paper")
    paper = load_params(tmp_path / "params.yaml")
    for params in (demo, paper):
        mixture, corpus = params.mixture("count-librispeech"), params.corpus("count-librispeech")
        rate_hz, front_end = corpus.cleaning.sample_rate_hz, corpus.features
        samples = (mixture.seconds * rate_hz, front_end.window_ms * rate_hz / 1000, front_end.hop_ms * rate_hz / 1000)
        assert (mixture.corpus, mixture.people, mixture.snr_db, mixture.overlap) == ("librispeech", 3, None, (1.0, 1.0))
        assert (*samples, front_end.n_fft, front_end.spectrogram) == (19_200, 400, 200, 400, "linear_db")
    sizes = paper.mixture("count-librispeech").mixtures
    assert (sizes.train, sizes.valid, sizes.test) == (100_000, 10_000, 10_000)
    assert paper.corpus("count-librispeech").licence == "LibriSpeech, CC BY 4.0"
    assert Path("data/LibriSpeech") == paper.corpus("librispeech").root
