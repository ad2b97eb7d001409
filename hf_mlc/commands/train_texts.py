"""What `train` does with texts: a tokenizer, named or trained, and a text encoder, new or pretrained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase

from hf_mlc.auto import architecture_of
from hf_mlc.commands.train_bags import bag_training
from hf_mlc.commands.train_inputs import InputStep, pretrained_config
from hf_mlc.data import DataReport, MultiLabelCollator, texts_of, train_tokenizer
from hf_mlc.errors import UserError
from hf_mlc.inputs import TEXTS
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel
from hf_mlc.modeling.text_encoder import load_pretrained_encoder
from hf_mlc.word_vectors.idf import fill_idf


# tokens of a text that is read whole: more than any has, and a number that a tokenizer can be given
WHOLE_TEXT = 2**30


@dataclass
class TextArguments:
    """Where the rows are texts: how they are cut into tokens, and what reads them."""

    max_length: int = field(
        default=512,
        metadata={"help": "Tokens of a document that are read; all, if not given, of a model of tf-idf weights."},
    )
    preprocessing_num_workers: int | None = field(default=None, metadata={"help": "Processes that tokenise."})
    pad_to_multiple_of: int | None = field(default=None, metadata={"help": "Round the padded length up to this."})
    text_encoder: str | None = field(
        default=None, metadata={"help": "Pretrained encoder, Hub id or folder, with its tokenizer."}
    )
    text_encoder_revision: str | None = field(default=None, metadata={"help": "Its branch, tag or commit."})
    tokenizer_name: str | None = field(default=None, metadata={"help": "Tokenizer, Hub id or folder."})
    tokenizer_kind: str = field(
        default="word",
        metadata={
            "help": "From scratch, on training rows, where none is named: word, letters (as word, without numbers and punctuation) or bpe."
        },
    )
    tokenizer_vocab_size: int = field(default=30000, metadata={"help": "Its largest vocabulary."})
    tokenizer_min_frequency: int = field(
        default=2,
        metadata={
            "help": "Fewest training occurrences of an entry; of a model of tf-idf weights, fewest training texts with it."
        },
    )
    tfidf_max_share: float = field(
        default=0.5,
        metadata={
            "help": "Of a model of tf-idf weights: tokens of a larger share of training texts count for nothing."
        },
    )
    tokenizer_lowercase: bool = field(default=True, metadata={"help": "Fold upper case."})

    def __post_init__(self):
        if not 0 < self.tfidf_max_share <= 1:
            raise UserError(f"found {self.tfidf_max_share}", field="tfidf_max_share", accepted="above 0, up to 1")


# what a run may say anew of a trained model
OF_ANY_MODEL = ("max_length", "preprocessing_num_workers", "pad_to_multiple_of")


class TextStep(InputStep):
    """Of texts."""

    kind, arguments = TEXTS, TextArguments
    further = ("text_column", "text_config", "language_model", "language_model_epochs", "word_vectors")
    naming = ("text_encoder", "text_config")
    of_new = tuple(field.name for field in dataclasses.fields(TextArguments) if field.name not in OF_ANY_MODEL)
    args: TextArguments

    def __init__(self, args: TextArguments, *others: Any):
        super().__init__(args, *others)
        encoder, named = self.given.get("encoder"), [name for name in self.naming if self.given.get(name) is not None]
        if named and encoder not in (None, "transformer"):
            raise UserError(
                f"found {encoder} beside {named[0]}", field="encoder", accepted="transformer, or none given"
            )
        if "max_length" in self.given:
            return
        if self.reads_bags:
            args.max_length = WHOLE_TEXT
        elif self.base is not None:  # as much of a text as it has been reading
            args.max_length = self.base.processor.model_max_length

    @property
    def reads_bags(self) -> bool:
        """Whether the model reads the tf-idf weights of a text's tokens, and nothing of their order."""
        if self.base is not None:
            return getattr(self.base.model.config, "encoder", None) == "tfidf"
        return self._new_encoder == "tfidf"

    @property
    def _new_encoder(self) -> str | None:
        """The encoder of a new model: the one that is given, or the architecture's usual one."""
        if self.names_encoder:
            return "transformer"
        usual = getattr(architecture_of(self.given.get("model_type", "plant")).config, "encoder", None)
        return self.given.get("encoder", usual)

    def encoded(
        self, splits: DatasetDict, processor: PreTrainedTokenizerBase, label_space: LabelSpace, report: DataReport
    ) -> DatasetDict:
        """Rows of tokens."""
        return self.kind.encode(
            splits,
            processor,
            label_space,
            report=report,
            max_length=self.args.max_length,
            counted=self.reads_bags,
            num_proc=self.args.preprocessing_num_workers,
        )

    def collator(self, processor: PreTrainedTokenizerBase, num_labels: int) -> MultiLabelCollator:
        """What pads them."""
        return self.kind.collator(
            processor,
            num_labels,
            targets=self.data_args.targets,
            pad_to_multiple_of=self.args.pad_to_multiple_of,
        )

    def texts(self, rows: Dataset) -> Iterable[str]:
        return texts_of(rows)

    def token_ids(self, encoded: Dataset) -> Iterator[list[list[int]]]:
        return (batch["input_ids"] for batch in encoded.select_columns("input_ids").iter(1000))

    def processor(self, train: Dataset, checkpoint: Path | None) -> PreTrainedTokenizerBase:
        tokenizer = super().processor(train, checkpoint)
        if checkpoint is None:
            tokenizer.model_max_length = self.args.max_length
        return tokenizer

    def new_processor(self, train: Dataset) -> PreTrainedTokenizerBase:
        """The tokenizer that was named, the encoder's, or one trained on the training texts."""
        args = self.args
        name = args.tokenizer_name or args.text_encoder
        if name is None:
            return train_tokenizer(
                texts_of(train),
                kind=args.tokenizer_kind,
                vocab_size=args.tokenizer_vocab_size,
                min_frequency=args.tokenizer_min_frequency,
                lowercase=args.tokenizer_lowercase,
                max_length=args.max_length,
                by_documents=self.reads_bags,
                max_share=args.tfidf_max_share,
            )
        revision = args.text_encoder_revision if name == args.text_encoder else None
        field = "tokenizer_name" if args.tokenizer_name else "text_encoder"
        return self.kind.load_processor(name, revision=revision, field=field)

    def training_arguments(self) -> dict[str, Any]:
        if self.reads_bags:
            return bag_training(self.given)
        # a transformer diverges at such a rate, and a pretrained one forgets
        return {} if self._new_encoder == "transformer" else {"learning_rate": self.new_model_learning_rate}

    def settings(self, given: dict[str, Any], processor: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Also the sizes that tokenizer and longest text decide, and the encoder that `--text_encoder` names."""
        args = self.args
        settings = dict(given) if self.reads_bags else {"max_position_embeddings": args.max_length, **given}
        if args.text_encoder is not None:
            settings["text_config"] = pretrained_config(
                args.text_encoder, revision=args.text_encoder_revision, field="text_encoder"
            )
        return settings | {
            "vocab_size": len(processor),
            "pad_token_id": processor.pad_token_id,
            "unk_token_id": processor.unk_token_id,
        }

    def load_weights(self, model: MultiLabelPreTrainedModel) -> None:
        """Those of `--text_encoder`."""
        if self.args.text_encoder is not None:
            load_pretrained_encoder(model.encoder, self.args.text_encoder, revision=self.args.text_encoder_revision)

    def begin(
        self,
        model: MultiLabelPreTrainedModel,
        processor: PreTrainedTokenizerBase,
        rows: Dataset,
        encoded: Dataset,
    ) -> None:
        """What the tokens weigh, of a model of tf-idf weights."""
        if self.reads_bags:
            bags = (
                batch["input_ids"] for batch in encoded.select_columns("input_ids").with_format("arrow").iter(10_000)
            )
            self.facts["tfidf"] = fill_idf(
                model.encoder.idf,
                (column.combine_chunks().flatten().to_numpy() for column in bags),
                len(encoded),
                min_documents=self.args.tokenizer_min_frequency,
                max_share=self.args.tfidf_max_share,
            )
