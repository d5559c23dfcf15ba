"""The nine BiLSTMs against torch.nn.LSTM and the paper's parameter counts."""

import pytest
import torch
from torch import nn

from voxbench.models import TRAINABLE, create_model, freeze
from voxbench.models.lstm import LstmSettings
from voxbench.schema import InputError

# With a two-class head, from 40 and from 13 cepstra.
COUNTS = {
    "bilstm_h128_l1": (174_594, 146_946),
    "bilstm_h128_l2": (569_858, 542_210),
    "bilstm_h128_l3": (965_122, 937_474),
    "bilstm_h256_l1": (611_330, 556_034),
    "bilstm_h256_l2": (2_188_290, 2_132_994),
    "bilstm_h256_l3": (3_765_250, 3_709_954),
    "bilstm_h512_l1": (2_271_234, 2_160_642),
    "bilstm_h512_l2": (8_570_882, 8_460_290),
    "bilstm_h512_l3": (14_870_530, 14_759_938),
}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_equal_the_papers(name):
    for n_features, expected in zip((40, 13), COUNTS[name], strict=True):
        with torch.device("meta"):
            encoder = create_model(name, n_features=n_features, recurrent_dropout=0.3)
            head = nn.Linear(encoder.embedding_dim, 2)
        assert count(encoder) + count(head) == expected


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_embedding_is_the_time_average_of_torchs_stacked_lstm(n_layers):
    torch.manual_seed(3)
    encoder = create_model(f"bilstm_h128_l{n_layers}", n_features=13, recurrent_dropout=0.3).eval()
    reference = nn.LSTM(13, 128, num_layers=n_layers, bidirectional=True)
    renamed = {
        f"{key.split('.')[-1].replace('_l0', f'_l{index}')}": value
        for index in range(n_layers)
        for key, value in encoder.layers[index].state_dict().items()
    }
    reference.load_state_dict(renamed)
    cepstra_BFT = torch.randn(2, 13, 25)
    with torch.no_grad():
        outputs_TBH, _ = reference(cepstra_BFT.permute(2, 0, 1))
        torch.testing.assert_close(encoder(cepstra_BFT), outputs_TBH.mean(0))


@pytest.mark.parametrize(("n_layers", "dropouts"), [(1, [0.0]), (3, [0.0, 0.3, 0.3])])
def test_dropout_lies_between_layers_only(n_layers, dropouts):
    encoder = create_model(f"bilstm_h128_l{n_layers}", n_features=13, recurrent_dropout=0.3)
    assert [layer.dropout.p for layer in encoder.layers] == dropouts
    batch = torch.randn(2, 13, 9)
    assert torch.equal(encoder(batch), encoder(batch)) == (n_layers == 1)


@pytest.mark.parametrize("trainable", TRAINABLE)
def test_all_of_it_trains_whatever_part_is_asked_for(trainable):
    encoder = create_model("bilstm_h128_l3", n_features=13, recurrent_dropout=0.3)
    freeze(encoder, trainable)
    assert [layer.dropout.training for layer in encoder.layers] == [True, True, True]
    assert count(encoder) + 2 * 256 + 2 == 937_474


def test_time_is_read_in_both_directions():
    torch.manual_seed(6)
    encoder = create_model("bilstm_h128_l1", n_features=4, recurrent_dropout=0.0).eval()
    impulse = torch.zeros(1, 4, 11)
    impulse[..., 5] = 1.0
    early = impulse.roll(-5, dims=-1)
    with torch.no_grad():
        change = (encoder(impulse) - encoder(early)).abs()
    assert change[:, :128].max() > 1e-4
    assert change[:, 128:].max() > 1e-4


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_out_of_range_is_refused(dropout):
    with pytest.raises(InputError, match=r"recurrent_dropout .*expected a probability in \[0, 1\)"):
        LstmSettings(n_features=13, recurrent_dropout=dropout)
