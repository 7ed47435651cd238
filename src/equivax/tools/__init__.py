"""Whole models: what they are made of, and files to keep them in."""

from ._summary import summary as summary
