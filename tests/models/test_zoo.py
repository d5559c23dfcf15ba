"""The table of models: names, settings and the messages that refuse wrong ones."""

import pytest

from voxbench.models import create_model, list_models, model, spec
from voxbench.models.lstm import LstmSettings
from voxbench.schema import InputError, InputKind


def test_families_partition_the_models():
    cnns = ["alexnet", "vgg16", "resnet18", "resnet50", "densenet121", "mobilenet_v2", "efficientnet_b0"]
    lstms = [f"bilstm_h{hidden}_l{layers}" for hidden in (128, 256, 512) for layers in (1, 2, 3)]
    assert list_models("cnn") == cnns
    assert list_models("lstm") == lstms
    assert set(cnns + lstms) <= set(list_models())


def test_spec_tells_what_a_model_eats_and_needs():
    assert spec("resnet18").input_kind is InputKind.SPECTROGRAM
    assert spec("resnet18").accepts == ("n_features", "dropout", "resize", "stem", "initial")
    assert spec("bilstm_h128_l1").input_kind is InputKind.CEPSTRA
    assert spec("bilstm_h128_l1").accepts == ("n_features", "recurrent_dropout")


def test_unknown_model_names_the_closest_one():
    with pytest.raises(InputError, match=r"'resnet81' \(did you mean 'resnet18'"):
        create_model("resnet81", n_features=64, dropout=0.5, resize=None)


def test_unknown_family_names_the_closest_one():
    with pytest.raises(InputError, match=r"'cnns' \(did you mean 'cnn'"):
        list_models("cnns")


def test_unknown_setting_names_the_closest_and_all_accepted_ones():
    expected = r"'drop_out' \(did you mean 'dropout'.*takes: n_features, dropout, resize, stem, initial"
    with pytest.raises(InputError, match=expected):
        create_model("resnet18", n_features=64, drop_out=0.5, resize=None)


def test_setting_of_another_family_is_refused():
    with pytest.raises(InputError, match=r"'resize'.*takes: n_features, recurrent_dropout"):
        create_model("bilstm_h128_l1", n_features=40, recurrent_dropout=0.3, resize=None)


def test_settings_that_are_not_overridden_are_those_of_the_paper():
    assert create_model("resnet18").resize == 224
    assert create_model("resnet18", resize=None).resize is None
    assert create_model("bilstm_h128_l1", n_features=13).n_features == 13


def test_second_model_of_a_name_is_refused():
    decorate = model(
        "resnet18", family="lstm", input_kind=InputKind.CEPSTRA, published=LstmSettings(40, 0.3), reference="none"
    )
    with pytest.raises(ValueError, match="'resnet18' is registered twice"):
        decorate(lambda settings: None)
    assert spec("resnet18").family == "cnn"
