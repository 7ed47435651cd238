"""Griffe extension: `from ._linear import Linear as Linear` makes `Linear` a public name.

That is what the packages' `__init__.py` files mean by it (and what type checkers read), whereas
griffe takes every imported name for private, so that the API pages would be empty.
"""

import ast

import griffe


class PublicReexports(griffe.Extension):
    def on_alias_instance(self, *, node, alias: griffe.Alias, **_) -> None:
        if isinstance(node, ast.ImportFrom) and any(
            name.name == name.asname == alias.name for name in node.names
        ):
            alias.public = True
