"""The published weights of AASIST: golden logits through the converted file; random ones in their layout; refusals."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from models.golden import FILES, signal, vectors
from voxbench.models import create_model
from voxbench.models.aasist_weights import PUBLISHED, from_published
from voxbench.models.pretrained import initial_head, sha256
from voxbench.schema import InputError

TOLERANCE = 1e-3


def started(path, name, folder):
    """Return the encoder and the head, in evaluation mode, that start from the converted file."""
    target = folder / "w.safetensors"
    save_file(from_published(path, create_model(name)), target)
    encoder = create_model(name, initial=target)
    head = nn.Sequential(nn.Dropout(0.5), nn.Linear(encoder.embedding_dim, 2))
    head.load_state_dict(initial_head(target), strict=True)
    return encoder.eval(), head.eval()


@pytest.fixture(scope="module", params=list(FILES))
def golden(request, shared, tmp_path_factory):
    path = shared / "weights" / f"{FILES[request.param]}.pth"
    if not path.is_file():
        pytest.skip(f"needs the published weights {path.name} among the reference data")
    rows = [row for row in vectors(shared, "aasist_logits") if row["name"].startswith(f"{FILES[request.param]}/")]
    return request.param, rows, path, *started(path, request.param, tmp_path_factory.mktemp("weights"))


def test_the_published_weights_give_the_golden_logits(golden):
    _, rows, _, encoder, head = golden
    assert {"zeros", "sine440"} <= {row["name"].partition("/")[2] for row in rows}
    for row in rows:
        with torch.inference_mode():
            embedding = encoder(signal(row["name"].partition("/")[2]))
            logits = head(embedding)[0]
        assert logits.tolist() == pytest.approx(row["logits"], abs=TOLERANCE)
        assert embedding[0, :4].tolist() == pytest.approx(row["hidden_first4"], abs=TOLERANCE)
        assert embedding.sum().item() == pytest.approx(row["hidden_sum"], abs=0.01)
        wrong = torch.tensor(row["logits_if_conv1_fed_bn1_output_WRONG"])
        assert (logits - wrong).abs().max() > 0.2


def test_double_precision_gives_the_golden_logits_to_five_decimals(golden):
    _, rows, _, encoder, head = golden
    row = rows[1]
    try:
        encoder.double(), head.double()
        with torch.inference_mode():
            logits = head(encoder(signal("sine440").double()))[0]
    finally:
        encoder.float(), head.float()
    assert logits.tolist() == pytest.approx(row["logits_float64"], abs=2e-5)


def test_a_block_that_read_its_first_normalisation_would_give_the_wrong_logits(golden, monkeypatch):
    _, rows, _, encoder, head = golden

    def misread(block):
        first = block._first
        return lambda maps: first(functional.selu(block.bn1(maps)) if hasattr(block, "bn1") else maps)

    # Piece by piece, an input that is normalised first has other edges.
    monkeypatch.setattr("voxbench.models.aasist.PIECE", 10**9)
    for (block,) in encoder.encoder:
        monkeypatch.setattr(block, "_first", misread(block))
    with torch.inference_mode():
        logits = head(encoder(signal("sine440")))[0]
    assert logits.tolist() == pytest.approx(rows[1]["logits_if_conv1_fed_bn1_output_WRONG"], abs=TOLERANCE)


def test_the_published_files_are_recognised(golden):
    name, _, path, *_ = golden
    assert sha256(path) == PUBLISHED[name]


@pytest.fixture
def layout():
    """Return a state dict of random weights in the published layout of AASIST-L."""
    torch.manual_seed(4)
    encoder = create_model("aasist_l")
    last = nn.Linear(160, 2)
    return encoder.state_dict() | {"out_layer.weight": last.weight.detach(), "out_layer.bias": last.bias.detach()}


def test_random_weights_in_the_published_layout_pass_through_unchanged(layout, tmp_path):
    assert len(layout) == 229
    torch.save(layout, tmp_path / "c.pth")
    encoder, head = started(tmp_path / "c.pth", "aasist_l", tmp_path)
    assert all(torch.equal(value, layout[key]) for key, value in encoder.state_dict().items())
    assert torch.equal(head[1].weight, layout["out_layer.weight"])
    assert torch.equal(head[1].bias, layout["out_layer.bias"])


def test_counters_may_be_absent(layout, tmp_path):
    torch.save({key: value for key, value in layout.items() if "num_batches" not in key}, tmp_path / "c.pth")
    encoder, _ = started(tmp_path / "c.pth", "aasist_l", tmp_path)
    assert torch.equal(encoder.pos_S, layout["pos_S"])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"out_layer.bias": None}, r"found nothing as out_layer\.bias, expected .*\(2,\)"),
        ({"out_layer.weight": torch.zeros(3, 160)}, r"\(3, 160\) as out_layer\.weight, expected .*\(2, 160\)"),
        ({"encoder.1.0.bn1.weight": None}, r"found nothing as encoder\.1\.0\.bn1\.weight"),
        ({"conv_time.band_pass": torch.zeros(70, 129)}, r"as conv_time\.band_pass, expected nothing"),
        ({"head.1.bias": torch.zeros(2)}, r"as head\.1\.bias, expected nothing"),
    ],
)
def test_another_network_is_refused_by_its_first_difference(layout, tmp_path, change, complaint):
    changed = {key: value for key, value in (layout | change).items() if value is not None}
    torch.save(changed, tmp_path / "c.pth")
    with pytest.raises(InputError, match=rf"c\.pth: .*{complaint}"):
        from_published(tmp_path / "c.pth", create_model("aasist_l"))


def test_the_larger_network_is_not_the_smaller_one(layout, tmp_path):
    torch.save(layout, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"c\.pth: found .* of shape \(1, 23, 24\) as pos_S, expected .*\(1, 23, 64\)"):
        from_published(tmp_path / "c.pth", create_model("aasist"))


def test_a_file_without_a_head_has_none(tmp_path):
    save_file(create_model("aasist_s").state_dict(), tmp_path / "w.safetensors")
    assert initial_head(tmp_path / "w.safetensors") == {}


def test_a_tensor_that_is_neither_the_encoders_nor_the_heads_is_refused(tmp_path):
    state = create_model("aasist_s").state_dict() | {"header.weight": torch.zeros(2)}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"as header\.weight, expected nothing"):
        create_model("aasist_s", initial=tmp_path / "w.safetensors")
