"""Public names exist, take the arguments they promise, and are explained."""

from __future__ import annotations

import doctest
import functools
import inspect
import pkgutil
import re
import types
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import equivax
from laws import one_in

PACKAGE = Path(equivax.__file__).parent
ROOMS = (
    *("groups", "representations", "hom", "spaces", "fields", "kernels", "linalg", "stats"),
    *("images", "nn", "models", "testing", "tools", "viz", "interop"),
)

#: Public callables and the argument names that must not change.
SIGNATURES = {
    "groups.cyclic": ["n"],
    "groups.dihedral": ["n"],
    "groups.klein": [],
    "groups.quaternion": [],
    "groups.symmetric": ["n"],
    "groups.hyperoctahedral": ["d"],
    "groups.tetrahedral": [],
    "groups.octahedral": [],
    "groups.icosahedral": [],
    "groups.full_tetrahedral": [],
    "groups.full_octahedral": [],
    "groups.full_icosahedral": [],
    "groups.so2": [],
    "groups.o2": [],
    "groups.so3": [],
    "groups.o3": [],
    "groups.direct_product": ["G", "H"],
    "groups.from_generators": ["matrices", "name"],
    "representations.direct_sum": ["reps"],
    "representations.tensor_product": ["a", "b"],
    "representations.band_limited": ["group", "max_frequency", "irreps", "subgroup"],
    "representations.symmetric_square": ["rep"],
    "representations.induced": ["rep", "group"],
    "Representation.from_matrices": ["group", "matrices"],
    "Representation.from_generators": ["group", "matrices"],
    "hom_basis": ["in_rep", "out_rep"],
    "HomBasis.init": ["key", "scheme"],
    "HomBasis.synthesize": ["coeffs"],
    "HomBasis.coefficients": ["matrix"],
    "HomBasis.project": ["matrix"],
    "HomBasis.apply": ["coeffs", "x"],
    "HomBasis.elements": [],
    "linalg.invariant_projector": ["rep"],
    "linalg.irrep_norms": ["x", "rep"],
    "linalg.lstsq": ["x", "y", "in_rep", "out_rep", "ridge", "weights", "rcond"],
    "linalg.isotypic_projector": ["rep", "irrep"],
    "linalg.orbit_average": ["function", "in_rep", "out_rep"],
    "linalg.project": ["matrix", "in_rep", "out_rep"],
    "stats.mean": ["x", "rep"],
    "stats.spectral_var": ["x", "rep"],
    "stats.var_mean": ["x", "rep"],
    "stats.cov": ["x", "y", "in_rep", "out_rep", "estimator", "centered"],
    "nn.Linear": ["in_type", "out_type", "use_bias", "init", "mode", "key"],
    "nn.InvariantBias": ["in_type", "key"],
    "nn.Affine": ["in_type", "use_bias", "learnable"],
    "nn.CommutingConstraint": ["in_rep", "out_rep"],
    "nn.InvariantConstraint": ["rep"],
    "nn.impose_equivariance": ["linear", "in_rep", "out_rep"],
    "nn.Disentangle": ["in_type"],
    "nn.Conv": [
        "in_type",
        "out_type",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "padding_mode",
        "groups",
        "use_bias",
        "basis",
        "rings",
        "sigma",
        "frequency_cutoff",
        "maximum_offset",
        "basis_filter",
        "precision",
        "key",
    ],
    "nn.Diffop": [
        "in_type",
        "out_type",
        "kernel_size",
        "accuracy",
        "maximum_order",
        "maximum_power",
        "padding",
        "stride",
        "dilation",
        "padding_mode",
        "groups",
        "use_bias",
        "basis_filter",
        "method",
        "smoothing",
        "angle_offset",
        "init",
        "key",
    ],
    "kernels.Harmonic": ["rings", "sigma", "frequency_cutoff", "maximum_offset", "basis_filter"],
    "kernels.Grid": ["basis_filter"],
    "kernels.steerable_basis": [
        "space",
        "in_rep",
        "out_rep",
        "kernel_size",
        "basis",
        "rings",
        "sigma",
        "frequency_cutoff",
        "maximum_offset",
        "basis_filter",
    ],
    "kernels.differential_basis": [
        "space",
        "in_rep",
        "out_rep",
        "kernel_size",
        "accuracy",
        "maximum_order",
        "maximum_power",
        "method",
        "smoothing",
        "angle_offset",
        "basis_filter",
    ],
    "nn.IrrepNormPool": ["in_type"],
    "nn.QuadraticPool": ["in_type"],
    "nn.PointwiseNonlinearity": ["in_type", "function", "odd"],
    "nn.NormNonlinearity": ["in_type", "function", "use_bias"],
    "nn.GatedNonlinearity": ["in_type", "gates", "drop_gates", "function"],
    "nn.FourierNonlinearity": ["in_type", "function", "grid", "oversampling", "out_irreps"],
    "nn.FourierGrid.uniform": ["group", "points"],
    "nn.TensorProduct": ["in_type", "out_type", "symmetric", "init", "key"],
    "nn.InstanceNorm": ["in_type", "eps", "affine"],
    "nn.SubgroupPooling": ["in_type", "subgroup", "reduce"],
    "nn.FieldDropout": ["in_type", "p"],
    "nn.EquivariantMultivariateNormal": ["out_type", "covariance", "min_var"],
    "nn.EquivariantMultivariateNormal.fit": ["y"],
    "nn.EquivariantMultivariateNormal.dof_from_covariance": ["covariance"],
    "nn.MultivariateNormal.log_prob": ["y"],
    "nn.MultivariateNormal.sample": ["key", "shape"],
    "nn.MultivariateNormal.entropy": [],
    "nn.MultivariateNormal.kl": ["other"],
    "nn.MultivariateNormal.mahalanobis": ["y"],
    "nn.RMSNorm": ["in_type", "eps", "affine"],
    "nn.LayerNorm": ["in_type", "eps", "pool", "center", "affine", "use_bias", "whiten", "bias"],
    "nn.VectorNeuron": ["in_type", "activation", "eps", "convention", "mix", "key"],
    "nn.PerType": ["make", "signature", "share", "check", "key"],
    "nn.NormMaxPool": ["in_type", "kernel_size", "by", "ties"],
    "nn.GroupNorm": ["in_type", "groups", "eps", "whiten", "bias", "affine"],
    "nn.GNormBatchNorm": ["in_type", "per", "correction"],
    "nn.RunningMoments": ["in_type", "out_type", "momentum"],
    "nn.Sequential": ["layers"],
    "models.MLP": ["in_type", "out_type", "hidden", "activation", "dropout", "hidden_rep", "key"],
    "models.InvariantMLP": ["in_type", "out_size", "hidden", "pool", "key"],
    "images.invariant_filters": ["D", "size", "k", "parity", "group", "normalize"],
    "images.GeometricImage": ["data", "parity", "D", "is_torus", "covariant_axes"],
    "images.MultiImage": ["blocks", "D", "is_torus", "metric"],
    "nn.ConvContract": [
        "in_signature",
        "out_signature",
        "kernel_size",
        "D",
        "group",
        "filters",
        "key",
    ],
    "testing.assert_equivariant": ["function", "in_type", "out_type", "key", "rtol"],
    "testing.equivariance_error": ["function", "in_type", "out_type", "key"],
    "testing.symmetry_report": ["model", "subgroups"],
    "stats.symmetry_report": ["x", "subgroups", "level", "draws", "folds", "seed"],
    "nn.Relaxed": ["layer", "to", "scale", "use_bias", "key"],
    "nn.relax": ["model", "to", "scale", "use_bias", "key"],
    "nn.symmetry_penalty": ["model", "weights"],
    "interop.impose": ["model", "types"],
    "viz.plot_symmetry_report": ["report"],
    "export": ["model", "state"],
    "save": ["path", "model", "state", "hyperparameters", "make"],
    "load": ["path", "make", "dtype"],
    "describe": ["path"],
    "summary": ["model", "in_shape", "state"],
}

ATTRIBUTES = {
    "Group": (
        "name order elements identity generators sample testing_elements irreps irrep trivial "
        "regular quotient defining subgroup"
    ),
    "Representation": (
        "group name size irreps change_of_basis matrices summands runs character restrict isotypic "
        "fused is_permutation contains_trivial endomorphism_type endomorphism_basis"
    ),
}


def _find(path: str):
    value = equivax
    for part in path.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("path", SIGNATURES)
def test_arguments_keep_their_names(path: str):
    parameters = inspect.signature(_find(path)).parameters
    options = _options(parameters.values())
    assert not options & set(parameters)
    named = [name for name in SIGNATURES[path] if name not in options]
    positions = [list(parameters).index(name) for name in named]
    assert positions == sorted(positions)


def _options(parameters: Iterable[inspect.Parameter]) -> set[str]:
    """The keywords behind ``**options: Unpack[...]``, which stand in a record of `kernels`."""
    found = set()
    for parameter in parameters:
        if "Unpack[" in str(parameter.annotation):
            record = re.findall(r"\w+", str(parameter.annotation))[-1]
            found |= set(vars(getattr(equivax.kernels, record, object)).get("__annotations__", ()))
    return found


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_exist(name: str):
    cls = {"Group": equivax.groups.Group, "Representation": equivax.Representation}[name]
    missing = [a for a in ATTRIBUTES[name].split() if not hasattr(cls, a)]
    # Plain instance attributes of a group are not on the class.
    value = equivax.groups.cyclic(3)
    instance = value if name == "Group" else value.regular
    assert all(_has(instance, a) for a in missing), missing


def _has(instance, name: str) -> bool:
    try:
        getattr(instance, name)
    except AttributeError:
        return False
    except ValueError:  # a fact that this instance refuses, such as a type of a reducible one
        return True
    return True


def _public() -> list[tuple[str, object]]:
    found = []
    for room in ROOMS:
        module = getattr(equivax, room)
        found += [
            (f"{room}.{name}", value)
            for name, value in vars(module).items()
            if not name.startswith("_") and (inspect.isclass(value) or inspect.isroutine(value))
        ]
    return found


@pytest.mark.parametrize("name, value", _public(), ids=[name for name, _ in _public()])
def test_exported_names_are_explained(name: str, value: object):
    text = inspect.getdoc(value)
    assert text, f"{name} has no docstring"
    assert len(text) > 20, f"{name}: {text}"
    if inspect.isclass(value) and value.__module__.startswith("equivax"):
        methods = {
            attribute: method
            for attribute, method in vars(value).items()
            if not attribute.startswith("_")
            and (inspect.isroutine(method) or isinstance(method, property))
        }
        unexplained = [a for a in methods if not inspect.getdoc(getattr(value, a))]
        assert not unexplained, f"{name}: {unexplained}"


MODULES = [info.name for info in pkgutil.walk_packages([str(PACKAGE)], "equivax.")]


def _documented(module: types.ModuleType) -> Iterator[tuple[str, object]]:
    """A module, and its cached properties, in which Python 3.11 looks for no examples."""
    yield module.__name__, module
    for cls in vars(module).values():
        if inspect.isclass(cls) and cls.__module__ == module.__name__:
            for name, value in vars(cls).items():
                if isinstance(value, functools.cached_property):
                    yield f"{module.__name__}.{cls.__name__}.{name}", value.func


@pytest.mark.parametrize("name", one_in(2, MODULES))
def test_examples_in_docstrings_run(name: str):
    module = __import__(name, fromlist=["_"])
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for place, value in _documented(module):
        for test in finder.find(value, place, module=module):
            if test.examples:
                runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
