"""What every net keeps: shapes with any leading axes, independent rows, a context, a bias to start at."""

from __future__ import annotations

import pytest
import torch

from tests.registry import CONTEXT, IMAGE, LAYERS, NETS, REAL, data, make, noise
from unveil.nets import ConvDecoder, ConvEncoder, ConvNet, Standardize

EVERY = pytest.mark.parametrize("name", NETS)
LEADS = pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)


@EVERY
@LEADS
@pytest.mark.parametrize("context", [True, False], ids=["context", "no context"])
def test_leading_axes_pass_through_and_rows_are_independent(name, lead, context):
    net = make("nets", name) if context else NETS[name].func(*NETS[name].args[:2], 0, **NETS[name].keywords)
    x, c = noise(*lead, *net.in_shape), noise(*lead, CONTEXT, seed=2) if context else None
    y = net(x, c)
    assert y.shape == (*lead, *net.out_shape)
    flat = [None if t is None else t.reshape(-1, *t.shape[len(lead) :]) for t in (x, c)]
    rows = [net(row, None if c is None else flat[1][i]) for i, row in enumerate(flat[0])]
    torch.testing.assert_close(torch.stack(rows).reshape(y.shape), y)


@EVERY
def test_a_context_broadcasts_over_particles_and_matters(name):
    net = make("nets", name)
    x, c = noise(2, 3, *net.in_shape), noise(3, CONTEXT, seed=2)
    y = net(x, c)
    torch.testing.assert_close(y, net(x, c.expand(2, 3, CONTEXT)))
    torch.testing.assert_close(y[1], net(x[1], c))
    assert not torch.allclose(y, net(x, c + 1))
    assert net(x[:, :1], c).shape == y.shape


@EVERY
def test_an_output_that_starts_at_a_value_is_moved_by_it(name):
    net = make("nets", name)
    x, c = noise(3, *net.in_shape), noise(3, CONTEXT, seed=2)
    value = noise(*net.out_shape, seed=3)
    if isinstance(net, ConvNet):  # the same for all pixels
        value = value[..., :1, :1].expand_as(value)
    net.start_at(torch.zeros(()))
    centred = net(x, c)
    net.start_at(value)
    torch.testing.assert_close(net(x, c), centred + value)
    net.start_at(value, everywhere=True)
    assert torch.equal(net(x, c), value.expand_as(centred))


@EVERY
def test_new_nets_keep_the_size_of_a_signal(name):
    torch.manual_seed(0)
    net = NETS[name]()
    x, c = noise(500, *net.in_shape), noise(500, CONTEXT, seed=2)
    assert 0.1 < float(net(x, c).detach().std()) < 5


@pytest.mark.parametrize("name", LAYERS)
@LEADS
def test_layers_map_the_last_axis(name, lead):
    assert make("layers", name)(noise(*lead, 3)).shape == (*lead, 4)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (7, 9), (28, 28), (33, 20)], ids=str)
@pytest.mark.parametrize("depth", [1, 3])
def test_convolutional_nets_take_and_make_images_of_any_size(size, depth):
    encoder = ConvEncoder((2, *size), (3,), channels=(2,) * depth)
    decoder = ConvDecoder((3,), (2, *size), channels=(2,) * depth)
    x = noise(4, 2, *size)
    assert encoder(x).shape == (4, 3)
    assert decoder(encoder(x)).shape == x.shape


def test_every_pixel_reaches_the_encoder_and_every_feature_each_pixel():
    x = noise(1, 1, 7, 9).requires_grad_()
    ConvEncoder((1, 7, 9), (3,), channels=(4, 4))(x).sum().backward()
    assert x.grad.ne(0).all()
    z = noise(1, 3).requires_grad_()
    decoder = ConvDecoder((3,), (1, 7, 9), channels=(8, 8))
    for pixel in decoder(z).flatten():
        (gradient,) = torch.autograd.grad(pixel, z, retain_graph=True)
        assert gradient.any()


def test_the_levels_of_a_pixel_stay_with_their_pixel():
    decoder = make("nets", "ConvDecoder of levels")
    value = torch.arange(84.0).reshape(2, 3, 7, 2)
    decoder.start_at(value, everywhere=True)
    torch.testing.assert_close(decoder(noise(4, 3), noise(4, CONTEXT)), value.expand(4, -1, -1, -1, -1))


@pytest.mark.parametrize(("net", "shapes"), [(ConvEncoder, ((3,), (2,))), (ConvDecoder, ((2,), (3,)))])
def test_a_convolutional_net_refuses_what_is_no_image(net, shapes):
    with pytest.raises(ValueError, match=r"_shape: a convolutional net expects .*, got \(3,\)"):
        net(*shapes)


@pytest.mark.parametrize("x", [REAL, IMAGE], ids=str)
def test_standardized_data_has_zero_mean_and_unit_variance_and_comes_back(x):
    part, rows = Standardize(x.shape), 5 + 2 * data(x, 500)
    part.initialize(rows)
    y = part(rows)
    axes = (0,) if x is REAL else tuple(range(rows.dim()))
    torch.testing.assert_close(y.mean(axes), torch.zeros_like(y.mean(axes)), atol=1e-9, rtol=0)
    torch.testing.assert_close(y.var(axes, correction=0), torch.ones_like(y.mean(axes)))
    torch.testing.assert_close(part.inverse(y), rows)
    once = part.mean.clone(), part.scale.clone()
    part.initialize(rows)
    assert torch.equal(part.mean, once[0])
    assert torch.equal(part.scale, once[1])


def test_standardizing_leaves_constant_features_in_their_scale():
    constant = Standardize((2,))
    constant.initialize(torch.tensor([[7.0, 1.0], [7.0, 3.0]]))
    torch.testing.assert_close(constant(torch.tensor([[8.0, 3.0]])), torch.tensor([[1.0, 1.0]]))
