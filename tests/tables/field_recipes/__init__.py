"""Recipes for layers on feature fields, one file per family; each holds a dict ``RECIPES``.

A new file is found by itself.
"""
