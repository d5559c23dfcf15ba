"""The fixed bank of sinc filters: published numbers, torch's own pool, hidden filters."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.golden import vectors
from voxbench.models.sinc import SincBank, band_edges_hz, sinc_bank


def bank_of(filters=7, taps=9, *, beyond=0, band_pool=3, time_pool=3, masked=0):
    return SincBank(filters, taps, beyond=beyond, band_pool=band_pool, time_pool=time_pool, masked=masked)


def test_the_published_bank(shared):
    (row,) = vectors(shared, "sinc")
    edges, bank = band_edges_hz(row["n_filters"], 0), sinc_bank(row["n_filters"], row["kernel"], 0)
    assert bank.shape == (70, 129)
    assert edges[:4] == pytest.approx(row["band_edges_hz_first4"], abs=1e-4)
    assert edges[-1] == pytest.approx(row["band_edge_last"])
    assert bank[[0, 35, 69], 64] == pytest.approx(row["tap64_filters_0_35_69"], abs=1e-7)
    assert bank[0, 0] == pytest.approx(row["tap0_filter0"], abs=1e-9)
    assert np.abs(bank).sum() == pytest.approx(row["abs_sum"], abs=1e-4)


def test_filters_are_symmetric_pass_their_band_and_stop_the_others():
    bank, edges = sinc_bank(20, 1025, 0), band_edges_hz(20, 0)
    assert bank == pytest.approx(bank[:, ::-1])
    gains = np.abs(np.fft.rfft(bank, 16_000))
    for number, (low, high) in enumerate(pairwise(edges)):
        assert gains[number, round((low + high) / 2)] == pytest.approx(1, abs=0.01)
        assert gains[number, round(high) + 60 :].max(initial=0) < 0.01


def test_edges_by_hand_and_beyond():
    # 2595 log10(1 + 8000/700) is 2840.02; the middle one of two bands lies at 700 (10^(1420.01/2595) - 1).
    assert band_edges_hz(2, 0) == pytest.approx([0, 700 * (10 ** (1420.0115 / 2595) - 1), 8000], abs=0.01)
    assert band_edges_hz(2, 2) == pytest.approx(band_edges_hz(4, 0)[:3])


@pytest.mark.parametrize(("clips", "samples"), [(1, 100), (3, 101), (2, 102), (2, 11)])
@pytest.mark.parametrize("time_pool", [1, 3, 5])
def test_the_pool_is_torchs_whatever_is_computed_at_once(clips, samples, time_pool, monkeypatch):
    bank = bank_of(time_pool=time_pool)
    wave = torch.randn(clips, 1, samples)
    if samples - 8 < time_pool:
        return
    full = functional.conv1d(wave, torch.from_numpy(sinc_bank(7, 9, 0)).float()[:, None])[:, None].abs()
    expected = functional.max_pool2d(full, (3, time_pool))[:, 0]
    for cells in (1, 10**9):
        monkeypatch.setattr("voxbench.models.sinc.CELLS", cells)
        torch.testing.assert_close(bank(wave), expected)
    assert expected.shape == (clips, 2, (samples - 8) // time_pool)


def test_nothing_is_in_the_weights_and_a_bank_is_there_on_every_device():
    assert bank_of().state_dict() == {}
    with torch.device("meta"):
        inside = bank_of()
    assert torch.equal(inside.bank_NK, bank_of().bank_NK)


def test_hidden_filters_are_neighbours_at_most_as_many_as_asked_and_in_training_alone():
    bank, wave = bank_of(20, 33, band_pool=1, masked=4), torch.randn(2, 1, 60)
    whole, seen = bank.eval()(wave), set()
    assert (whole.amax(2) > 0).all()
    torch.manual_seed(4)
    for _ in range(1_500):
        found = bank.train()(wave)
        hidden = (found == 0).all(dim=2)
        assert torch.equal(hidden[0], hidden[1])
        places = hidden[0].nonzero().flatten().tolist()
        assert places == list(range(places[0], places[-1] + 1)) if places else True
        assert torch.equal(found[:, ~hidden[0]], whole[:, ~hidden[0]])
        seen.add((len(places), places[0] if places else None))
    assert {count for count, _ in seen} == {0, 1, 2, 3, 4}
    assert {place for count, place in seen if count == 4} == set(range(17))
    assert torch.equal(bank.eval()(wave), whole)


def test_hiding_follows_torchs_generator_and_hiding_none_draws_nothing():
    bank, wave = bank_of(20, 33, band_pool=1, masked=19).train(), torch.randn(1, 1, 200)
    torch.manual_seed(1)
    first = [bank(wave) for _ in range(3)]
    torch.manual_seed(1)
    assert all(torch.equal(bank(wave), each) for each in first)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    bank_of().train()(wave)
    assert torch.equal(torch.rand(1), expected)
