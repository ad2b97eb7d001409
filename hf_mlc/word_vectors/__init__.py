"""Word vectors to begin with: read from a file, or factored out of the texts themselves (docs/word_vectors.md)."""

from hf_mlc.word_vectors.corpus import corpus_vectors
from hf_mlc.word_vectors.reading import WordVectors, read_word_vectors


__all__ = ["WordVectors", "corpus_vectors", "read_word_vectors"]
