"""What `train` may be told about the word vectors that a model begins with."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_mlc.errors import UserError
from hf_mlc.word_vectors.corpus import WINDOW


CORPUS = "corpus"


@dataclass
class WordVectorArguments:
    """Where the vectors come from, how large they are, and whether they learn."""

    word_vectors: str | None = field(
        default=None,
        metadata={
            "help": "Word vectors to begin with: a file (text of word2vec or GloVe, .npy, .safetensors), or corpus: made"
            " of the training texts."
        },
    )
    word_vectors_vocabulary: str | None = field(
        default=None, metadata={"help": "The words of a matrix's rows: a word a line, or JSON."}
    )
    word_vectors_frozen: bool = field(default=False, metadata={"help": "They stay what they are."})
    word_vectors_std: float | None = field(
        default=None,
        metadata={
            "help": "They are multiplied so that their numbers have this standard deviation; as they are if not given."
        },
    )
    word_vectors_files: list[str] = field(
        default_factory=list,
        metadata={
            "help": "With corpus: more texts, without labels: .txt (a text a line), .jsonl, .csv, .parquet, or .gz."
        },
    )
    word_vectors_window: int = field(
        default=WINDOW, metadata={"help": "With corpus: a token's neighbours are so many to either side."}
    )

    def __post_init__(self):
        if self.word_vectors_window < 1:
            raise UserError(f"found {self.word_vectors_window}", field="word_vectors_window", accepted="1 or more")
        if self.word_vectors_std is not None and not 0 < self.word_vectors_std < float("inf"):
            raise UserError(f"found {self.word_vectors_std}", field="word_vectors_std", accepted="above 0")
        if self.word_vectors is None:
            for name in ("vocabulary", "frozen", "std", "files"):
                if getattr(self, f"word_vectors_{name}"):
                    raise UserError(
                        "no word vectors to go with it", field=f"word_vectors_{name}", accepted="word_vectors"
                    )
        if self.word_vectors_files and self.word_vectors != CORPUS:
            raise UserError(
                "texts, and vectors from a file", field="word_vectors_files", accepted="word_vectors corpus"
            )
        if self.word_vectors_vocabulary is not None and self.word_vectors == CORPUS:
            raise UserError("the corpus has its own", field="word_vectors_vocabulary", accepted="none given")

    @property
    def from_corpus(self) -> bool:
        """Whether the vectors are made of the texts; by a file of that name, write ./corpus."""
        return self.word_vectors == CORPUS
