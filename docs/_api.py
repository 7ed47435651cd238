"""The API reference, page by page and by purpose: `python docs/_api.py` draws it anew.

A page lists its names with the first sentence of each docstring, then shows them in full. What
stands above the marker is written by hand; a test holds the rest against this file, and asks that
every public name has one place.
"""

from __future__ import annotations

import importlib
import inspect
import textwrap
from pathlib import Path

FOLDER = Path(__file__).parent / "api"
BEGIN = "<!-- contents: python docs/_api.py -->"
WIDTH = 100

#: Page by page, and there purpose by purpose, the names of a module in the order of the page.
PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "groups": (
        "equivax.groups",
        {
            "Shared between rooms": "told_apart nearest",
            "The plane": "cyclic dihedral klein so2 o2",
            "Space": "so3 o3 tetrahedral octahedral icosahedral full_tetrahedral full_octahedral"
            " full_icosahedral",
            "Permutations and others": "symmetric hyperoctahedral quaternion",
            "Your own": "from_generators direct_product",
            "What they are": "Group FiniteGroup LieGroup GroupElement Irrep IrrepId Subgroup",
        },
    ),
    "representations": (
        "equivax.representations",
        {
            "Shared between rooms": "irrep_id",
            "The representation": "Representation Summand",
            "Making one": "trivial irrep regular quotient induced defining standard band_limited",
            "Sums and products": "direct_sum tensor_product symmetric_square symmetric_pairs",
            "Looking inside": "as_representation axis_images check_same_group decompose"
            " InducedStructure"
            " induced_structure doubled sampled_functions point_vectors",
        },
    ),
    "hom": (
        "equivax.hom",
        {
            "Coefficients": "Coefficients gathered in_few_leaves spread unstacked",
            "Shared between rooms": "rows_of Machine assume_platform platform conversion_cost"
            " dense_cost"
            " irrep_wise_cost machine spectral_cost shape_like varying_alike"
            " varying_axes varying_with widened Kind from_irrep_wise irrep_plan irrep_product"
            " irrep_wise_map join_copies join_kinds ordered_back parts_of_rows reordered"
            " rows_of_parts weighted_sum materialized materialized_backwards"
            " split_copies split_fields split_kinds to_irrep_wise trivial_name"
            " with_invariant",
            "Linear maps that commute": "hom_basis HomBasis UnusedIrrepsWarning",
            "Initialisation": "Scheme SCHEMES check_scheme standard_normal",
            "Coordinates of irreps": "Block to_irreps from_irreps to_blocks from_blocks"
            " scatter_copies gather_copies irrep_names",
            "Invariant vectors": "invariant_vector trivial_count",
            "Arithmetic": "MODES MULTIPLICATION HIGHEST at_least_float32 is_concrete"
            " register_static_values",
        },
    ),
    "spaces": (
        "equivax.spaces",
        {
            "The plane": "rot_on_r2 flip_rot_on_r2 flip_on_r2 trivial_on_r2",
            "Space": "on_r3 rot_on_r3 flip_rot_on_r3 octahedral_on_r3 full_octahedral_on_r3"
            " icosahedral_on_r3 full_icosahedral_on_r3 tetrahedral_on_r3 cyclic_on_r3"
            " dihedral_on_r3 trivial_on_r3",
            "Points and lines": "no_base_space on_r1 flip_on_r1",
            "Grids of any dimension": "grid hyperoctahedral_on rotations_on"
            " signed_permutations_on"
            " SignedPermutation signed_matrices axis_matrices",
            "Coordinates": "GSpace center grid_points index_matrix",
        },
    ),
    "fields": (
        "equivax.fields",
        {
            "Shared between rooms": "IrrepTensor",
            "Types and tensors": "FieldType GeometricTensor tensor_directsum Type",
            "The action in two steps": "move_points turn_fibers",
        },
    ),
    "kernels": (
        "equivax.kernels",
        {
            "Bases": "steerable_basis differential_basis SteerableBasis TypeBasis Pair",
            "Options": "Harmonic Grid Differential Discretization HarmonicOptions"
            " DifferentialOptions differential_options CUTOFFS",
            "Recipes": "Recipe Part HarmonicRecipe GridRecipe DifferentialRecipe"
            " differential_recipe",
            "Functions": "solid_harmonics harmonic_representation harmonic_table polynomial_values",
            "At points": "PointRecipe point_basis point_functions",
            "Stencils": "StencilSizes stencil_sizes derivative_stencil finite_difference_weights",
        },
    ),
    "images": (
        "equivax.images",
        {
            "Types and images": "Signature MultiImage GeometricImage TensorType type_name",
            "Filters": "invariant_filters FilterBasis DependentFiltersWarning",
            "Losses": "smse timestep_smse nrmse nrmse_per_pixel normalized_smse",
            "Series": "window_series window_indices autoregressive_step past_steps",
            "Other dimensions": "transfer_kernel InexactTransferWarning",
            "Tensors": "contractions delta levi_civita inverse_metric flat_metric_axes to_block"
            " to_dense",
            "Orbits": "axis_space orbit from_orbit orbit_tables moved pixel_sources as_dimension"
            " as_flags",
        },
    ),
    "linalg": (
        "equivax.linalg",
        {
            "Least squares and projections": "lstsq project orbit_average",
            "Projectors and norms": "invariant_projector isotypic_projector irrep_norms",
        },
    ),
    "stats": (
        "equivax.stats",
        {
            "Shared between rooms": "Averages averages_over chosen",
            "Moments": "mean var_mean cov spectral_var moment_coefficients",
            "Symmetries of data": "symmetry_report SymmetryReport SymmetryRow",
        },
    ),
    "models": (
        "equivax.models",
        {
            "Vectors": "MLP InvariantMLP",
            "Tokens": "TransformerEncoder TransformerEncoderLayer TransformerDecoder"
            " TransformerDecoderLayer ConditionalTransformer ConditionalUNet1D TimeSeriesEncoder",
            "Fields on the plane": "ResNet FieldResNet BasicBlock WideResNet ResidualBlock UNet"
            " FieldUNet",
            "Point clouds": "PointNetwork PointBlock",
            "Images as tokens": "VisionTransformer VisionBlock vision_size",
            "Tensor images": "TensorResNet TensorUNet DilResNet Series ConvBlock transfer_weights"
            " rollout",
            "Any network": "GroupAverage ModelWrapper LastStep",
        },
    ),
    "testing": (
        "equivax.testing",
        {
            "Shared between rooms": "EquivarianceErrors",
            "Equivariance": "assert_equivariant equivariance_error EquivarianceError"
            " randomize_parameters assert_homomorphism",
            "Symmetries of weights": "symmetry_report",
            "Leaves, gradients, compilation": "assert_only_parameters assert_finite_gradients"
            " count_traces TraceCount",
        },
    ),
    "interop": (
        "equivax.interop",
        {"Plain Equinox": "impose Imposed"},
    ),
    "tools": (
        "equivax.tools",
        {
            "Files": "save load describe Description StoredArray fingerprint",
            "Summaries": "summary",
        },
    ),
    "viz": (
        "equivax.viz",
        {
            "Figures": "plot_kernels plot_fields plot_error_by_angle error_by_angle"
            " plot_symmetry_report"
        },
    ),
    "interop/e3nn": (
        "equivax.interop.e3nn",
        {
            "Irreps": "read Term representation irreps change_of_basis",
            "Arrays": "from_e3nn to_e3nn relayout",
        },
    ),
    "interop/escnn": (
        "equivax.interop.escnn",
        {"Trained networks": "load load_arrays", "Types": "group representation space field_type"},
    ),
    "interop/ginjax": (
        "equivax.interop.ginjax",
        {"Trained networks": "load", "Types": "signature"},
    ),
    "interop/mujoco": (
        "equivax.interop.mujoco",
        {"Symmetries of robots": "symmetry RobotSymmetry AsymmetryWarning"},
    ),
    "interop/symm_learning": (
        "equivax.interop.symm_learning",
        {"Trained networks": "load"},
    ),
    "nn/linear": (
        "equivax.nn",
        {
            "Layers": "Linear Affine InvariantBias TensorProduct",
            "Dense layers made to commute": "impose_equivariance CommutingConstraint"
            " InvariantConstraint",
            "Warnings": "UnusedIrrepsWarning",
        },
    ),
    "nn/attention": (
        "equivax.nn",
        {
            "Layers": "MultiheadAttention",
            "Positions": "RotaryPositions AbsolutePositions RelativePositions AbstractPositions",
            "On grids": "RotaryGridPositions AbsoluteGridPositions RelativeGridPositions"
            " window_mask window_cells",
        },
    ),
    "nn/convolution": (
        "equivax.nn",
        {
            "Fields on lines and planes": "Conv ConvTranspose Diffop",
            "Tensor images": "ConvContract",
            "Warnings": "GridWarning",
        },
    ),
    "nn/points": (
        "equivax.nn",
        {
            "Layers": "PointConv SphericalHarmonics",
            "Edges": "radius_edges",
            "Layers of your own": "AbstractPointLayer",
        },
    ),
    "nn/nonlinearities": (
        "equivax.nn",
        {
            "Channel by channel": "ReLU ELU LeakyReLU PointwiseNonlinearity"
            " ConcatenatedNonlinearity",
            "By the norm of a field": "NormNonlinearity InducedNormNonlinearity"
            " VectorFieldNonlinearity squash",
            "By gates": "GatedNonlinearity InducedGatedNonlinearity",
            "By samples": "FourierNonlinearity FourierGrid",
            "By a learned direction": "VectorNeuron",
        },
    ),
    "nn/normalization": (
        "equivax.nn",
        {
            "Batch norms": "InnerBatchNorm GNormBatchNorm NormBatchNorm InducedNormBatchNorm"
            " IIDBatchNorm BatchNormOptions AbstractBatchNorm",
            "Norms of one example": "LayerNorm RMSNorm GroupNorm InstanceNorm FieldNorm",
            "Running moments": "RunningMoments Moments",
        },
    ),
    "nn/pooling": (
        "equivax.nn",
        {
            "Over the group": "GroupPooling NormPool InducedNormPool SubgroupPooling",
            "Invariants of vectors": "InvariantPool IrrepNormPool QuadraticPool",
            "Over windows": "PointwiseMaxPool PointwiseAvgPool NormMaxPool"
            " PointwiseMaxPoolAntialiased PointwiseAvgPoolAntialiased",
            "To a fixed size": "PointwiseAdaptiveAvgPool PointwiseAdaptiveMaxPool",
        },
    ),
    "nn/patches": (
        "equivax.nn",
        {
            "Patches": "PatchEmbed PatchUnembed",
        },
    ),
    "nn/rearranging": (
        "equivax.nn",
        {
            "Types": "Restriction Disentangle Reshuffle Identity",
            "Points": "Mask Upsampling",
        },
    ),
    "nn/relaxed": (
        "equivax.nn",
        {
            "Symmetry that holds nearly": "Relaxed relax Rest symmetry_penalty",
        },
    ),
    "nn/probability": (
        "equivax.nn",
        {
            "Gaussians": "MultivariateNormal EquivariantMultivariateNormal",
            "Dropout": "FieldDropout PointwiseDropout",
        },
    ),
    "nn/containers": (
        "equivax.nn",
        {
            "Containers": "Sequential ModuleList Multiple PerType TypedFunction",
            "Export": "export",
        },
    ),
    "nn/init": (
        "equivax.nn.init",
        {"Schemes": "generalized_he delta_orthonormal zeros SCHEMES Scheme Coefficients"},
    ),
    "nn/interfaces": (
        "equivax.nn",
        {
            "How a layer is called": "Layer AbstractLayer AbstractModule AbstractStatefulModule"
            " AbstractContainer AbstractImageLayer",
        },
    ),
    "nn/authoring": (
        "equivax.nn.authoring",
        {
            "Shared between rooms": "checked_signature parameter_dtype as_grid_check"
            " check_elementwise Ways carried ways_through in_turn",
            "Types and channels": "representation_of channel_axis type_like whole_fields"
            " take_channels",
            "One number per block": "block_sums spread_blocks scale_blocks",
            "Exports": "plain_layer plain_function plain_steps exported exported_chain",
            "Layers that hold layers": "is_stateful split_keys step",
            "Grids": "resize",
        },
    ),
}


def names(page: str) -> list[str]:
    """The full names that a page shows, in its order."""
    module, sections = PAGES[page]
    return [f"{module}.{name}" for listed in sections.values() for name in listed.split()]


def drawn(page: str) -> str:
    """What stands below the marker: the list of contents, then every name in full."""
    module, sections = PAGES[page]
    contents, shown = [], []
    for title, listed in sections.items():
        contents += [f"**{title}**", ""]
        shown += [f"## {title}", ""]
        for name in listed.split():
            contents += _entry(module, name)
            shown += [f"::: {module}.{name}", ""]
        contents.append("")
    return "\n".join([*contents, *shown]).rstrip() + "\n"


def page_text(page: str) -> str:
    """The whole page, with what is drawn of today in it."""
    above = (FOLDER / f"{page}.md").read_text(encoding="utf-8").split(BEGIN)[0]
    return f"{above}{BEGIN}\n\n{drawn(page)}"


def _entry(module: str, name: str) -> list[str]:
    value = getattr(importlib.import_module(module), name)
    link = f"[`{name}`][{module}.{name}]"
    # Constants and names of built-in types have no docstring of their own.
    ours = getattr(value, "__module__", "").startswith("equivax")
    sentence = _first_sentence(value) if ours else ""
    return textwrap.wrap(
        f"{link}: {sentence}" if sentence else link,
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _first_sentence(value: object) -> str:
    paragraph = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    sentence, _, _ = paragraph.partition(". Shapes:")
    return sentence.rstrip(".")


if __name__ == "__main__":
    for page in PAGES:
        (FOLDER / f"{page}.md").write_text(page_text(page), encoding="utf-8")
