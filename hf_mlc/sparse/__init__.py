"""Sparse rows as an input: features of a large vocabulary by position or name, of which a row holds few."""
