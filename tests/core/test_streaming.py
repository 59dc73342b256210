"""Streaming: however the input is cut, what comes out is the same; and the same as offline where it should be."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lstmapps_speech.frontend import SpeechFrontend

from lstmapps import streaming
from lstmapps.nn import Convolution, ConvRecurrentEncoder, CTCNetwork

CONVOLUTIONS = [
    Convolution(4, stride=(2, 2)),
    Convolution(6, 5, stride=(1, 2), pool=(2, 1)),
    Convolution(6, residual=True),
]


def network(normalisation="running", recurrent="lstm", bidirectional=False, look_ahead=3, convolutions=CONVOLUTIONS):
    torch.manual_seed(0)
    encoder = ConvRecurrentEncoder(
        20,
        convolutions,
        8,
        2,
        recurrent=recurrent,
        bidirectional=bidirectional,
        layer_norm=True,
        residual=True,
        look_ahead=look_ahead,
        projection=5,
    )
    return CTCNetwork(SpeechFrontend(bands=20, normalisation=normalisation), encoder, 7).eval()


@torch.inference_mode()
def streamed(net, x, cuts, chunk=10, context=4):
    state = streaming.init_state(net, chunk, context)
    encoded = []
    for piece in x.tensor_split(cuts):
        new, state = streaming.step(net, piece, state)
        encoded.append(new)
    return net.head(torch.cat([*encoded, streaming.finish(net, state)]))


@torch.inference_mode()
def whole(net, x):
    return net(x.unsqueeze(0), torch.tensor([len(x)]))[0][0]


@settings(max_examples=25, deadline=None)
@given(data=st.data(), length=st.integers(1, 12_000))
@pytest.mark.parametrize("normalisation", ["running", "global", "relative", "none"])
@pytest.mark.parametrize("recurrent", ["lstm", "gru"])
def test_every_way_of_cutting_gives_the_offline_result(normalisation, recurrent, data, length):
    net = network(normalisation, recurrent)
    cuts = sorted(data.draw(st.lists(st.integers(0, length), max_size=12)))
    x = torch.randn(length, 1, generator=torch.Generator().manual_seed(length))
    torch.testing.assert_close(streamed(net, x, cuts), whole(net, x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "convolutions", [[], [Convolution(3, 1, pool=(3, 1))], [Convolution(3, 5, stride=(3, 1), pool=(2, 2))]]
)
def test_other_convolutions_stream_too(convolutions):
    net = network(convolutions=convolutions)
    x = torch.randn(20_000, 1)
    torch.testing.assert_close(streamed(net, x, list(range(0, 20_000, 333))), whole(net, x), atol=1e-5, rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), length=st.integers(1, 40_000))
def test_latency_control_does_not_depend_on_the_cuts(data, length):
    net = network(bidirectional=True, look_ahead=0)
    x = torch.randn(length, 1, generator=torch.Generator().manual_seed(length))
    cuts = sorted(data.draw(st.lists(st.integers(0, length), max_size=8)))
    torch.testing.assert_close(streamed(net, x, cuts), streamed(net, x, []), atol=1e-5, rtol=1e-5)


def test_latency_control_is_exact_within_one_chunk_and_nears_it_with_more_context():
    net = network(bidirectional=True, look_ahead=0)
    x = torch.randn(32_000, 1)
    torch.testing.assert_close(streamed(net, x, [], chunk=500), whole(net, x), atol=1e-5, rtol=1e-5)
    errors = [float((streamed(net, x, [], 10, c) - whole(net, x)).abs().mean()) for c in (1, 10, 40)]
    assert errors[0] > errors[1] > errors[2]


def test_a_step_comes_as_soon_as_all_it_sees_has_come():
    net = network()
    stride = net.frontend.stride * net.encoder.geometry()[0]
    ahead = streaming.delay(net)
    x = torch.randn(30_000, 1)
    state = streaming.init_state(net)
    y, _ = streaming.step(net, x[: 20 * stride + ahead], state)
    assert len(y) == 21
    y, _ = streaming.step(net, x[: 20 * stride + ahead - net.frontend.stride], state)
    assert len(y) == 20
    changed = x.clone()
    changed[20 * stride + ahead :] = 0.0
    torch.testing.assert_close(whole(net, x)[:21], whole(net, changed)[:21], atol=1e-5, rtol=1e-5)


def test_a_chunk_of_a_bidirectional_network_comes_once_its_context_has_come():
    net, chunk, context = network(bidirectional=True, look_ahead=0), 10, 4
    last = (chunk - 1) * net.frontend.stride * net.encoder.geometry()[0] + streaming.delay(net, context)
    x = torch.randn(30_000, 1)
    for arrived, steps in ((last, chunk), (last - net.frontend.stride, 0)):
        y, _ = streaming.step(net, x[:arrived], streaming.init_state(net, chunk, context))
        assert len(y) == steps


def test_a_preview_is_the_encoding_of_all_that_left_the_convolutions():
    net = network()
    x = torch.randn(16_000, 1)
    y, state = streaming.step(net, x, streaming.init_state(net))
    preview = streaming.preview(net, state)
    assert len(preview) == net.encoder.look_ahead.steps
    frames, lengths = net.frontend(x.unsqueeze(0), torch.tensor([len(x)]))
    features, _ = net.encoder.convolve(frames, lengths)
    stack, _ = net.encoder.recurrent(features[:, : state.convolved])
    encoded = net.encoder.projection(net.encoder.look_ahead(torch.nn.functional.pad(stack, (0, 0, 0, 3))))
    torch.testing.assert_close(torch.cat([y, preview]), encoded[0], atol=1e-5, rtol=1e-5)


def test_a_state_is_left_as_it_was():
    net = network()
    x = torch.randn(16_000, 1)
    _, state = streaming.step(net, x[:9000], streaming.init_state(net))
    first = streaming.finish(net, state)
    streaming.step(net, x[9000:], state)
    assert torch.equal(first, streaming.finish(net, state))


def test_only_one_way_networks_without_a_look_at_the_whole_stream_exactly():
    assert streaming.streams_exactly(network())
    assert not streaming.streams_exactly(network("utterance"))
    assert not streaming.streams_exactly(network(bidirectional=True, look_ahead=0))
