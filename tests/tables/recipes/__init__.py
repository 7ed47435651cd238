"""Recipes, one file per family; each holds a dict ``RECIPES``. A new file is found by itself."""
