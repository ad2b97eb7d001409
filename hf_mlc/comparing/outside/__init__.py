"""Programs that drive other people's systems, each run by the Python of that system's own environment.

Nothing here imports our package, and our package imports nothing of this: they share files. Each takes one argument, a JSON
file, and ends with `answer.json` written beside it.
"""
