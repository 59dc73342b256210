from concurrent.futures import ThreadPoolExecutor

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


def test_threads_draw_what_one_draws():
    one, x = Disturbance("noise", 1.0, "dB", noisy), torch.zeros(1_000, 1)
    alone = [one(x, str(number)) for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda number: one(x, str(number)), range(64)))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_disturbance_says_its_name_strength_and_unit():
    assert str(Disturbance("white noise", 20.0, "dB", noisy)) == "white noise 20 dB"
    assert str(Disturbance("offset", 0.05, "", noisy)) == "offset 0.05"
    assert str(Disturbance("inverted", 1, "", noisy)) == "inverted"
