import torch

from lstmapps.data import Disturbance, tried


def noisy(x, strength):
    return x + strength * torch.randn_like(x)


def test_what_is_drawn_follows_from_the_seed_and_the_strength_alone():
    mild, strong = tried("noise", "dB", noisy, 1.0, 2.0)
    x = torch.zeros(50, 1)
    torch.manual_seed(1)
    first = mild(x, "a")
    after = torch.rand(())
    torch.manual_seed(1)
    assert torch.equal(torch.rand(()), after)  # nothing was drawn outside
    assert torch.equal(mild(x, "a"), first)
    assert not torch.equal(mild(x, "b"), first)
    assert not torch.equal(strong(x, "a") / 2, first)


def test_a_disturbance_says_its_name_strength_and_unit():
    assert str(Disturbance("white noise", 20.0, "dB", noisy)) == "white noise 20 dB"
    assert str(Disturbance("offset", 0.05, "", noisy)) == "offset 0.05"
    assert str(Disturbance("inverted", 1, "", noisy)) == "inverted"
