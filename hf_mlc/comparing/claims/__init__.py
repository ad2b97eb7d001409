"""A file a claim; `compare NAME` reads `NAME.py` here and runs its `CLAIM`."""
