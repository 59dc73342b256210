"""Networks that turn pictures into cells, trained here or elsewhere."""

import pytest
import torch
from lstmapps_captioning.frontend import ConvolutionalFrontend, PretrainedFrontend, _stages

from lstmapps.data import pad
from lstmapps.errors import UserError

timm = pytest.importorskip("timm")
LENGTHS = torch.tensor([64, 64])
NAME = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save(timm.create_model(NAME, pretrained=False).state_dict(), path)
    return path


def pictures(seed=0):
    return torch.rand(2, 64, 192, generator=torch.Generator().manual_seed(seed))


def test_a_network_of_our_own_leaves_a_grid_of_cells_in_rows():
    frontend = ConvolutionalFrontend([4, 8], 2).eval()
    x = pictures()
    cells, lengths = frontend(x, LENGTHS)
    assert (cells.shape, lengths.tolist()) == ((2, 256, 8), [256, 256])
    changed = x.clone()
    changed[:, 60:, -12:] = 0.0  # the lower right corner
    moved = (frontend(changed, LENGTHS)[0] - cells).abs().sum(2)[0].view(16, 16).nonzero()
    assert len(moved)
    assert moved.min() >= 13


def test_a_frozen_network_is_no_part_of_the_state_and_gives_what_timm_gives(weights):
    frontend = PretrainedFrontend(NAME, str(weights)).train()
    assert frontend.frozen
    assert not [*frontend.state_dict(), *frontend.parameters()]
    network = timm.create_model(NAME, pretrained=False).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    x = pictures()
    cells, _ = frontend(x, LENGTHS)
    image = x.view(2, 64, 64, 3).permute(0, 3, 1, 2)
    expected = network.forward_features((image - 0.5) / 0.5)
    torch.testing.assert_close(cells, expected.flatten(2).transpose(1, 2), atol=1e-4, rtol=1e-4)
    assert not cells.requires_grad


def test_weights_that_another_library_named_are_taken_by_their_order(weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    torch.save({f"_other.{i}": value for i, value in enumerate(state.values())}, tmp_path / "renamed.pth")
    x = pictures()
    own, other = (PretrainedFrontend(NAME, str(path))(x, LENGTHS)[0] for path in (weights, tmp_path / "renamed.pth"))
    torch.testing.assert_close(own, other)


def test_its_identity_follows_from_its_weights(weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    state["conv_stem.weight"] = state["conv_stem.weight"] + 1e-3
    torch.save(state, tmp_path / "other.pth")
    same = [PretrainedFrontend(NAME, str(weights)).identity for _ in range(2)]
    assert same[0] == same[1] != PretrainedFrontend(NAME, str(tmp_path / "other.pth")).identity


def test_only_the_stages_that_are_named_learn(weights):
    frontend = PretrainedFrontend(NAME, str(weights), trained=2)
    assert not frontend.frozen
    statistics = frontend.network.bn2.running_mean.clone()
    frontend.train()(pictures(), LENGTHS)[0].sum().backward()
    learning = {name.split(".")[0] for name, p in frontend.network.named_parameters() if p.grad is not None}
    assert learning == {"conv_head", "bn2", "blocks"}
    assert frontend.network.blocks[6][0].conv_dw.weight.grad is not None
    assert frontend.network.blocks[5][0].conv_dw.weight.grad is None
    assert torch.equal(frontend.network.bn2.running_mean, statistics)
    held = {id(p) for level in frontend.levels() for p in level.parameters()}
    assert held == {id(p) for p in frontend.parameters() if p.requires_grad}


def _no_weights(path):
    torch.save({"epoch": 3}, path)


BAD = {
    "text": (lambda path: path.write_text("hello"), "holds no weights that can be read"),
    "other": (_no_weights, "holds other things than weights"),
    "small": (lambda path: torch.save({"a": torch.zeros(3)}, path), "holds the weights of another network"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_hold_other_things_are_named(tmp_path, name):
    make, message = BAD[name]
    path = tmp_path / f"{name}.pth"
    make(path)
    with pytest.raises(UserError, match=f"{name}.pth {message}"):
        PretrainedFrontend(NAME, str(path))(pictures(), LENGTHS)


def test_what_is_not_there_is_named(weights):
    with pytest.raises(UserError, match="there are no weights 'no-such-package'"):
        PretrainedFrontend(NAME, "no-such-package")(pictures(), LENGTHS)
    with pytest.raises(UserError, match="timm gives no network 'resnet5'"):
        PretrainedFrontend("resnet5", str(weights))(pictures(), LENGTHS)


def test_a_batch_that_is_padded_gives_what_a_picture_gives_alone(weights):
    x = torch.rand(1, 260, 780, generator=torch.Generator().manual_seed(0))
    padded, lengths = pad([x[0]])
    assert padded.shape[1] > 260
    for frontend in (PretrainedFrontend(NAME, str(weights)), ConvolutionalFrontend([4], 1).eval()):
        torch.testing.assert_close(frontend(padded, lengths)[0], frontend(x, lengths)[0])


def test_a_model_is_used_with_the_weights_that_it_was_trained_with(weights, tmp_path):
    arguments = PretrainedFrontend(NAME, str(weights)).description()["init_args"]
    PretrainedFrontend(**arguments)(pictures(), LENGTHS)
    state = torch.load(weights, weights_only=True)
    torch.save({name: value + 1e-3 for name, value in state.items()}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="the model was trained with tf_efficientnet_lite0"):
        PretrainedFrontend(**{**arguments, "weights": str(tmp_path / "other.pth")})(pictures(), LENGTHS)


def test_what_is_carried_needs_no_other_weights(weights):
    trained = PretrainedFrontend(NAME, str(weights), trained=1)
    made = PretrainedFrontend(**trained.description()["init_args"])
    made.load_state_dict(trained.state_dict())
    torch.testing.assert_close(made(pictures(), LENGTHS), trained(pictures(), LENGTHS))


def test_stages_are_those_that_give_the_features():
    network = timm.create_model("mobilenetv3_small_050", num_classes=0)
    held = {id(parameter) for stage in _stages(network) for parameter in stage.parameters()}
    assert not held & {id(parameter) for parameter in network.conv_head.parameters()}


@pytest.mark.parametrize("settings", [{"trained": -1}, {"trained": 40}, {"name": "hf-hub:owner/name"}])
def test_settings_that_cannot_be_are_refused(weights, settings):
    with pytest.raises(ValueError, match=r"stages that could be trained|is no name"):
        PretrainedFrontend(**{"name": NAME, "weights": str(weights), **settings})
