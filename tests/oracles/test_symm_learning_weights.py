"""Networks of symm-learning 0.8.1 that were trained there compute the same here."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equivax import interop, models, nn, testing

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # escnn warns of an optional package at import
    torch = pytest.importorskip("torch", reason="the peer lives in an environment of its own")
    escnn_group = pytest.importorskip("escnn.group", reason="the peer builds on escnn")
    peer = pytest.importorskip("symm_learning.nn", reason="the peer itself")
    peer_models = pytest.importorskip("symm_learning.models", reason="the peer itself")
    transformers = pytest.importorskip(
        "symm_learning.nn.transformer.etransformer", reason="the peer itself"
    )
    theory = pytest.importorskip("symm_learning.representation_theory", reason="the peer itself")


GROUPS = {
    "C5": lambda: escnn_group.cyclic_group(5),
    "D3": lambda: escnn_group.dihedral_group(3),
    "D4": lambda: escnn_group.dihedral_group(4),
    "K4": escnn_group.klein4_group,
    "C2xD3": lambda: escnn_group.direct_product(
        escnn_group.cyclic_group(2), escnn_group.dihedral_group(3)
    ),
}
each_group = pytest.mark.parametrize("name", GROUPS)


def types(group):
    """An input and an output of several irreps, and copies of the regular representation."""
    irreps = group.irreps()
    return (
        theory.direct_sum([irreps[-1], irreps[0], group.regular_representation]),
        theory.direct_sum([irreps[0], irreps[-1], irreps[-1]]),
        theory.direct_sum([group.regular_representation] * 2),
    )


def trained(module, shape=(16,), steps=4):
    """A few steps there, so that weights and biases are those of no initial value."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    size = module.in_rep.size
    for _ in range(steps):
        x = torch.randn(shape[0], size, *shape[1:])
        loss = ((module(x) - 0.3) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return module.eval()


def assert_same(module, shape=(8,)):
    model = interop.symm_learning.load(module)
    x = torch.randn(shape[0], module.in_rep.size, *shape[1:])
    with torch.no_grad():
        wanted = module(x).numpy()
    with jax.default_matmul_precision("highest"):
        found = model(jnp.asarray(x.numpy()))
    np.testing.assert_allclose(found, wanted, atol=1e-5 * max(1.0, np.abs(wanted).max()))
    return model


@each_group
def test_mlps(name):
    in_rep, out_rep, _ = types(GROUPS[name]())
    module = peer_models.eMLP(in_rep, out_rep, [24, 24], activation=torch.nn.ELU(), dropout=0.1)
    model = assert_same(trained(module))
    testing.assert_equivariant(model, key=jax.random.key(0), rtol=1e-4)


@each_group
def test_invariant_mlps(name):
    in_rep, _, _ = types(GROUPS[name]())
    module = peer_models.iMLP(in_rep, 3, [24, 24], activation=torch.nn.Tanh())
    assert_same(trained(module))


def layer_of(name, in_rep, out_rep, regular):
    return {
        "linear": lambda: peer.eLinear(in_rep, out_rep),
        "linear without bias": lambda: peer.eLinear(in_rep, out_rep, bias=False),
        "affine": lambda: peer.eAffine(in_rep, bias=True),
        "rms norm": lambda: peer.eRMSNorm(in_rep),
        "layer norm": lambda: peer.eLayerNorm(in_rep),
    }[name]()


@pytest.mark.parametrize(
    "layer", ["linear", "linear without bias", "affine", "rms norm", "layer norm"]
)
@pytest.mark.parametrize("name", ["C5", "D4", "K4"])
def test_layers(name, layer):
    assert_same(trained(layer_of(layer, *types(GROUPS[name]()))))


@pytest.mark.parametrize("name", ["C5", "D4", "K4"])
def test_batch_norms(name):
    """Outputs at inference, then a step of training and the statistics after it."""
    in_rep, _, _ = types(GROUPS[name]())
    module = trained(peer.eBatchNorm1d(in_rep, momentum=0.3))
    model, state = interop.symm_learning.load(module)
    x = torch.randn(8, in_rep.size) + 0.5
    found, _ = model(jnp.asarray(x.numpy()), state)
    wanted = module(x).detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
    module.train()
    wanted = module(x).detach().numpy()
    found, state = eqx.nn.inference_mode(model, value=False)(jnp.asarray(x.numpy()), state)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
    again, new = interop.symm_learning.load(module)
    (old_norm,), (new_norm,) = (
        [layer for layer in m.layers if isinstance(layer, nn.IIDBatchNorm)] for m in (model, again)
    )
    for one, other in zip(state.get(old_norm.running), new.get(new_norm.running), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm_first": False, "activation": torch.nn.ReLU()},
        {"norm_module": "layernorm", "bias": False},
    ],
    ids=["default", "norm last", "layer norm"],
)
@pytest.mark.parametrize("name", ["C5", "D4"])
def test_trained_encoder_layers(name, options):
    _, _, regular = types(GROUPS[name]())
    attention = peer.eMultiheadAttention(regular, 2, dropout=0.1, bias=options.get("bias", True))
    module = peer.eTransformerEncoderLayer(regular, attention, dim_feedforward=24, **options)
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(3):
        loss = ((module(torch.randn(4, 6, regular.size)) - 0.3) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.eval()
    x = torch.randn(3, 6, regular.size)
    model = interop.symm_learning.load(module)
    assert isinstance(model, models.TransformerEncoderLayer)
    causal = torch.nn.Transformer.generate_square_subsequent_mask(6)
    for theirs, ours in ((None, None), (causal, "causal")):
        with torch.no_grad():
            wanted = module(x, src_mask=theirs).numpy()
        with jax.default_matmul_precision("highest"):
            found = model(jnp.asarray(x.numpy()), mask=ours)
        np.testing.assert_allclose(found, wanted, atol=1e-5 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("name", ["C5", "D3"])
@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_in_time(name, transposed):
    in_rep, out_rep, _ = types(GROUPS[name]())
    make = peer.eConvTranspose1d if transposed else peer.eConv1d
    module = make(in_rep, out_rep, kernel_size=4, stride=2, padding=1)
    assert_same(trained(module, (4, 11)), (2, 12))


def assert_same_on_tokens(module, call, ours=None):
    """The same outputs with the weights carried, with a mask of padding and a causal one."""
    model = interop.symm_learning.load(module)
    ours = (lambda x, mask: model(x, mask=mask)) if ours is None else ours
    x = torch.randn(3, 5, module.in_rep.size)
    there = torch.tensor([[True] * 5, [True, True, True, False, False], [True] * 4 + [False]])
    causal = torch.ones(5, 5, dtype=torch.bool).triu(1)  # theirs: True may not be seen
    with torch.no_grad():
        wanted = call(x, ~there, causal).numpy()
    mask = "causal", jnp.asarray(there.numpy())[:, None, None]
    with jax.default_matmul_precision("highest"):
        found = jax.jit(lambda x: ours(x, mask))(jnp.asarray(x.numpy()))
    np.testing.assert_allclose(found, wanted, atol=1e-5 * max(1.0, np.abs(wanted).max()))
    return model


@pytest.mark.parametrize("name", ["C5", "D3", "K4"])
def test_attention_on_regular_copies(name):
    rep = types(GROUPS[name]())[2]
    torch.manual_seed(1)
    module = peer.eMultiheadAttention(rep, 2).eval()
    with torch.no_grad():  # biases start at zero
        module.parametrizations.in_proj_bias.original.normal_()
    assert_same_on_tokens(
        module,
        lambda x, hidden, later: module(
            x, x, x, key_padding_mask=hidden, attn_mask=later, need_weights=False
        )[0],
    )


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("norm", ["rmsnorm", "layernorm"])
def test_encoder_layers(norm, norm_first):
    rep = types(GROUPS["D3"]())[2]
    torch.manual_seed(1)
    attention = peer.eMultiheadAttention(rep, 2)
    module = transformers.eTransformerEncoderLayer(
        rep, attention, dim_feedforward=20, norm_module=norm, norm_first=norm_first
    ).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    model = assert_same_on_tokens(
        module,
        lambda x, hidden, later: module(x, src_mask=later, src_key_padding_mask=hidden),
    )
    turn = jnp.asarray(model.in_type(model.in_type.group.generators[0]))
    x = jax.random.normal(jax.random.key(0), (4, turn.shape[0]))
    np.testing.assert_allclose(model(x @ turn.T), model(x) @ turn.T, atol=1e-4)


@pytest.mark.parametrize("norm_first", [True, False])
def test_decoder_layers(norm_first):
    rep = types(GROUPS["C5"]())[2]
    torch.manual_seed(1)
    attentions = [peer.eMultiheadAttention(rep, heads) for heads in (2, 2)]
    module = transformers.eTransformerDecoderLayer(
        rep, *attentions, dim_feedforward=20, norm_first=norm_first
    ).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    memory = torch.randn(3, 4, rep.size)
    model = interop.symm_learning.load(module)
    assert_same_on_tokens(
        module,
        lambda x, hidden, later: module(x, memory, tgt_mask=later, tgt_key_padding_mask=hidden),
        lambda x, mask: model(x, jnp.asarray(memory.numpy()), mask=mask),
    )


def test_attention_on_irreps_does_not_commute_there():
    """Its last map is built on the type, though its input are regular copies."""
    group = GROUPS["D3"]()
    rep = theory.direct_sum([group.irrep(1, 1)] * 2 + [group.irrep(0, 0), group.irrep(1, 0)])
    with pytest.raises(ValueError, match="expected an equivariant weight"):
        interop.symm_learning.load(peer.eMultiheadAttention(rep, 1))


def test_what_has_no_counterpart_is_named():
    in_rep, _, _ = types(GROUPS["D3"]())
    with pytest.raises(TypeError, match=r"interop.symm_learning.load: module: .* Linear"):
        interop.symm_learning.load(torch.nn.Bilinear(2, 2, 2))
    with pytest.raises(ValueError, match="learnable: expected True"):
        interop.symm_learning.load(peer.eAffine(in_rep, learnable=False))
