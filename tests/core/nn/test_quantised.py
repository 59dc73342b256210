"""Weights of eight bits: nearly the numbers of the others."""

import pytest
import torch

from lstmapps.nn import AttentionDecoder, DecoderSettings
from lstmapps.nn.quantised import QuantisedLinear, quantise

try:
    QuantisedLinear(torch.ones(2, 2), None)
except RuntimeError:
    pytest.skip("torch has no kernels of eight bits here", allow_module_level=True)


def test_a_product_is_off_by_less_than_the_rounding_of_both_sides():
    torch.manual_seed(0)
    weight, bias, x = torch.randn(40, 30), torch.randn(40), torch.randn(3, 5, 30)
    weight[7] *= 100  # a large row does not make the others coarse
    exact = torch.nn.functional.linear(x, weight, bias)
    found = QuantisedLinear(weight, bias)(x)
    rounding = weight.abs().amax(1) / 127 / 2 * x.abs().sum(2, keepdim=True) + weight.abs().sum(1) * x.abs().max() / 64
    assert ((found - exact).abs() <= rounding).all()
    assert (found - exact).abs().max() > 0


@pytest.mark.parametrize("recurrent", ["lstm", "gru"])
@pytest.mark.parametrize("attention", ["general", "multihead", "none"])
@torch.inference_mode()
def test_a_decoder_writes_nearly_what_it_wrote_before(recurrent, attention):
    torch.manual_seed(0)
    settings = DecoderSettings(16, 32, 2, recurrent, attention, feeding="input", layer_norm=True)
    made = AttentionDecoder(20, 16, settings).eval()
    memory, lengths = torch.randn(3, 6, 16), torch.tensor([6, 6, 6])
    tokens = torch.randint(1, 20, (3, 7))
    exact = made.output(made(tokens, memory, lengths)[0])
    quantise(made)
    found = made.output(made(tokens, memory, lengths)[0])
    assert not torch.equal(found, exact)
    torch.testing.assert_close(found, exact, atol=0.05 * float(exact.std()) + 0.05, rtol=0)
    state = made.init_state(memory, lengths)
    logits, _, _ = made.step(tokens[:, 0], state)
    torch.testing.assert_close(logits, found[:, 0], atol=0.05, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_network_on_a_gpu_is_refused():
    with pytest.raises(ValueError, match="for a CPU"):
        quantise(torch.nn.Sequential(torch.nn.Linear(2, 2)).cuda())
