"""Records of options: values, checked when made, and the same as the keywords that are short."""

import dataclasses
import pickle
import re

import jax
import numpy as np
import pytest

from equivax import FieldType, kernels, nn, spaces
from equivax.kernels import Differential, Grid, Harmonic, TypeBasis, differential_basis
from equivax.kernels.recipes._options import DifferentialOptions, HarmonicOptions
from golden_kernels import Type

C4, D4 = spaces.rot_on_r2(4), spaces.flip_rot_on_r2(4)
LINE = spaces.flip_on_r1()
SCALARS, REGULAR = Type(D4, D4.trivial), Type(D4, D4.regular)


def centre(attributes):
    return attributes["radius"] == 0


def first_order(attributes):
    return attributes["order"] == 1


def slope(radius):
    return radius


HARMONIC = [
    {},
    {"rings": [0, 1.0]},
    {"rings": np.array([1, 0]), "sigma": (0.4, 0.005)},
    {"sigma": 0.5},
    {"frequency_cutoff": "narrow"},
    {"frequency_cutoff": 1.5},
    {"frequency_cutoff": slope},
    {"maximum_offset": 0, "basis_filter": centre},
]
DIFFERENTIAL = [
    {"maximum_order": 2},
    {"maximum_order": 1, "accuracy": 2, "maximum_power": 0, "method": "finite_difference"},
    {"maximum_order": 2, "smoothing": 0.8, "basis_filter": first_order},
    {"maximum_order": 2, "method": "rbf", "phi": "polyharmonic", "shape": 5},
]


# ---- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record, options",
    [(Harmonic, o) for o in HARMONIC]
    + [(Differential, o) for o in DIFFERENTIAL]
    + [(Grid, {}), (Grid, {"basis_filter": centre})],
)
def test_records_are_values(record, options):
    made = record(**options)
    assert made == record(**options)
    assert hash(made) == hash(record(**options))
    assert pickle.loads(pickle.dumps(made)) == made
    assert dataclasses.replace(made, basis_filter=print) != made
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.basis_filter = None
    assert "caller" not in repr(made)


def test_equal_numbers_make_equal_records():
    lists = Harmonic(rings=[0, 1], sigma=[0.5, 1])
    arrays = Harmonic(rings=np.array([0.0, 1.0]), sigma=np.array([0.5, 1.0]))
    assert lists == arrays
    assert hash(lists) == hash(arrays)
    assert lists.rings == (0.0, 1.0)


@pytest.mark.parametrize(
    "record, keywords", [(Harmonic, HarmonicOptions), (Differential, DifferentialOptions)]
)
def test_signatures_take_what_the_records_hold(record, keywords):
    assert list(keywords.__annotations__) == [field.name for field in dataclasses.fields(record)]


# ---- one path --------------------------------------------------------------------------------


@pytest.mark.parametrize("options", HARMONIC)
def test_keywords_are_short_for_a_record(options):
    record = Harmonic(**options)
    pair = kernels.steerable_basis(D4, D4.regular, D4.regular, 3, record)
    assert kernels.steerable_basis(D4, D4.regular, D4.regular, 3, **options) is pair
    assert TypeBasis(REGULAR, REGULAR, 3, record) == TypeBasis(REGULAR, REGULAR, 3, **options)


@pytest.mark.parametrize("options", DIFFERENTIAL)
def test_keywords_are_short_for_a_record_of_operators(options):
    record = Differential(**options)
    pair = differential_basis(D4, D4.trivial, D4.regular, None, record)
    assert differential_basis(D4, D4.trivial, D4.regular, **options) is pair
    assert kernels.steerable_basis(D4, D4.trivial, D4.regular, None, record) is pair
    recipe = {name: value for name, value in options.items() if name != "basis_filter"}
    assert kernels.differential_recipe("test", D4, **recipe) == pair.recipe


@pytest.mark.parametrize("layer", [nn.Conv, nn.ConvTranspose])
def test_layers_take_records(layer):
    key = jax.random.key(0)
    fields = FieldType(D4, D4.trivial), FieldType(D4, D4.regular)
    for record, options in (
        (Harmonic(rings=[0, 1], basis_filter=centre), {"rings": [0, 1], "basis_filter": centre}),
        (Grid(basis_filter=centre), {"basis": "grid", "basis_filter": centre}),
    ):
        by_record = layer(*fields, 3, basis=record, key=key)
        assert by_record.basis == layer(*fields, 3, key=key, **options).basis
        assert by_record.basis.dim < layer(*fields, 3, key=key).basis.dim


def test_operators_are_kernels_with_other_options():
    key = jax.random.key(0)
    fields = FieldType(D4, D4.trivial), FieldType(D4, D4.regular)
    record = Differential(maximum_order=2)
    short = nn.Diffop(*fields, maximum_order=2, key=key)
    assert nn.Diffop(*fields, basis=record, key=key).basis == short.basis
    assert nn.Diffop(*fields, kernel_size=3, basis=Differential(), key=key).basis == short.basis
    conv = nn.Conv(*fields, 3, basis=record, key=key)
    np.testing.assert_array_equal(conv.kernel, short.kernel)


def test_on_a_line_both_names_and_records_mean_every_tap():
    found = {
        kernels.steerable_basis(LINE, LINE.trivial, LINE.regular, 3, basis)
        for basis in ("harmonic", "grid", Harmonic(), Grid())
    }
    assert len(found) == 1


# ---- refusals --------------------------------------------------------------------------------

AT_ONCE = {
    "rings negative": (lambda: Harmonic(rings=[-1.0]), "Harmonic: rings: expected radii in taps"),
    "rings empty": (lambda: Harmonic(rings=[]), "Harmonic: rings: expected radii in taps"),
    "sigma": (lambda: Harmonic(sigma=0.0), "Harmonic: sigma: expected a positive width"),
    "sigma count": (
        lambda: Harmonic(rings=[0, 1], sigma=[0.5]),
        "Harmonic: sigma: expected a positive width, or one for each of 2 rings, of at most 1e+06 "
        "taps, got [0.5]",
    ),
    "cutoff": (
        lambda: Harmonic(frequency_cutoff="wide"),
        "Harmonic: frequency_cutoff: expected one of default, narrow, flat, a number a (for a r)",
    ),
    "cutoff negative": (lambda: Harmonic(frequency_cutoff=-1), "got -1"),
    "offset": (
        lambda: Harmonic(maximum_offset=-1),
        "Harmonic: maximum_offset: expected a non-negative integer or None, got -1",
    ),
    "accuracy": (
        lambda: Differential(accuracy=0),
        "Differential: accuracy: expected an integer >= 1, got 0",
    ),
    "order": (
        lambda: Differential(maximum_order=True),
        "Differential: maximum_order: expected an integer >= 0, got True",
    ),
    "power": (
        lambda: Differential(maximum_power=-1),
        "Differential: maximum_power: expected a non-negative integer, got -1",
    ),
    "method": (
        lambda: Differential(method="fft"),
        "Differential: method: expected one of finite_difference, gaussian, rbf, got 'fft'",
    ),
    "smoothing": (
        lambda: Differential(method="rbf", smoothing=1.0),
        'Differential: smoothing: belongs to method="gaussian"',
    ),
    "width": (
        lambda: Differential(smoothing=-1.0),
        "Differential: smoothing: expected a positive number, got -1.0",
    ),
    "phi": (
        lambda: Differential(method="rbf", phi="cubic"),
        "Differential: phi: expected one of gaussian, polyharmonic, got 'cubic'",
    ),
    "shape": (
        lambda: Differential(shape=1.0),
        'Differential: shape: belongs to method="rbf"',
    ),
}
LATER = {
    "short form names the caller": (
        lambda: TypeBasis(SCALARS, SCALARS, 3, sigma=-1.0, caller="Conv"),
        "Conv: sigma: expected a positive width",
    ),
    "a record does too": (
        lambda: TypeBasis(SCALARS, SCALARS, 3, Harmonic(rings=[0, 9]), caller="Conv"),
        "Conv: rings: expected radii in taps between 0 and 1.414 for kernel 3 x 3, got [0.0, 9.0]",
    ),
    "both": (
        lambda: TypeBasis(SCALARS, SCALARS, 3, Harmonic(), rings=[0], caller="Conv"),
        "Conv: rings: expected within the record, kernels.Harmonic(rings=...)",
    ),
    "both, a grid": (
        lambda: TypeBasis(SCALARS, SCALARS, 3, Grid(), basis_filter=centre),
        "basis_filter: expected within the record, kernels.Grid(basis_filter=...)",
    ),
    "both, operators": (
        lambda: differential_basis(D4, D4.trivial, D4.trivial, 3, Differential(), accuracy=2),
        "accuracy: expected within the record, kernels.Differential(accuracy=...)",
    ),
    "rings on a line": (
        lambda: kernels.steerable_basis(LINE, LINE.trivial, LINE.trivial, 3, Harmonic(rings=[0])),
        "rings: belongs to the harmonic basis in two or more dimensions; the grid basis on R1",
    ),
    "no size": (
        lambda: TypeBasis(SCALARS, SCALARS, None),
        "kernel_size: expected a positive integer, or one for each of 2 axes, got None",
    ),
    "unknown name": (
        lambda: TypeBasis(SCALARS, SCALARS, 3, "fourier"),
        "basis: expected one of harmonic, grid, or a record",
    ),
}


@pytest.mark.usefixtures("unchecked_annotations")
@pytest.mark.parametrize("name", [*AT_ONCE, *LATER])
def test_values_are_refused(name):
    run, message = {**AT_ONCE, **LATER}[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        run()


@pytest.mark.usefixtures("unchecked_annotations")
def test_types_are_refused():
    for record in (Harmonic, Grid, Differential):
        with pytest.raises(TypeError, match=r"basis_filter: expected a callable .* got 5"):
            record(basis_filter=5)
    with pytest.raises(TypeError, match=r"TypeBasis\(\) got an unexpected keyword argument 'ring'"):
        TypeBasis(SCALARS, SCALARS, 3, ring=[0])
    with pytest.raises(TypeError, match=r"maximum_order.*options of the basis are rings, sigma"):
        TypeBasis(SCALARS, SCALARS, 3, maximum_order=2)
    with pytest.raises(TypeError, match=r"expected kernels.Differential\(...\) or None, got Grid"):
        differential_basis(D4, D4.trivial, D4.trivial, 3, Grid())


def test_none_is_as_good_as_nothing():
    record = Harmonic(sigma=0.5)
    with_none = TypeBasis(SCALARS, SCALARS, 3, record, rings=None, basis_filter=None)
    assert with_none == TypeBasis(SCALARS, SCALARS, 3, record)
