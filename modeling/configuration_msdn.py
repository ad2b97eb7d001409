"""Configuration of MSDN, label relations at several scales."""

from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from .backbone_config import adopt_text_backbone, text_backbone_of
from .configuration_checks import check_positive, check_text_encoder
from .configuration_multi_label import MultiLabelConfig
from .label_sequences import random_orders


# what one variant reads and the other doesn't, at its default
_OF_ONE_VARIANT = {
    "causal": {
        "dilations": [],
        "document_relations": False,
        "false_history_rate": 0,
        "decoding": "viterbi",
        "known_sets": "off",
    },
    "parallel": {"refinement_steps": 2, "label_mask_rate": 0.25, "unmasking_rounds": 8},
}
# a table of all states of the last labels has 2^K rows a label: up to this K decoding and marginals are exact
MAX_EXACT_REACH = 10


@strict
class MsdnConfig(MultiLabelConfig):
    r"""
    Configuration of [`MsdnForMultiLabelClassification`]. Arguments of the loss, the thresholds and the label space are
    those of [`MultiLabelConfig`].

    Args:
        encoder (`str`, *optional*, defaults to `"mlp"`):
            What reads a document: `"mlp"` for rows of a table, `"bag_of_words"`, `"convolution"`, `"gru"`, `"lstm"` or
            `"transformer"` for texts, whose token vectors are pooled.
        input_size (`int`, *optional*): columns of the table that `"mlp"` reads; a model of tables needs it.
        numeric_size (`int`, *optional*, defaults to 0): how many of them, the first ones, are numbers.
        numeric_embedding (`str`, *optional*, defaults to `"none"`):
            How a number enters: as it is, `"none"`; as its place among quantiles of the training rows, `"piecewise_linear"`;
            as sines and cosines of learned frequencies, `"periodic"` (Gorishniy et al., 2022).
        numeric_bins (`int`, *optional*, defaults to 16): parts of a number's range in `"piecewise_linear"`.
        numeric_frequencies (`int`, *optional*, defaults to 16): frequencies of a number in `"periodic"`.
        numeric_embedding_size (`int`, *optional*):
            width to which the embedding of each number is projected; it goes in as it is if not given.
        numeric_frequency_std (`float`, *optional*, defaults to 0.1):
            standard deviation of the initial frequencies of `"periodic"`: how finely it tells numbers apart.
        text_pooling (`str`, *optional*, defaults to `"attention"`):
            How the token vectors of a text become one: their `"mean"`, or a mean in which a learned `"attention"` weighs them.
        vocab_size (`int`, *optional*, defaults to 30000): tokens of the tokenizer.
        text_config (`PreTrainedConfig` or `dict`, *optional*):
            Any text encoder of transformers; given, `encoder` is `"transformer"`. Without it, `"transformer"` is a
            small BERT of the sizes below.
        hidden_size (`int`, *optional*, defaults to 256): width of what a document becomes.
        embedding_size (`int`, *optional*): width of the word vectors of a recurrent encoder; `hidden_size` if not given.
        num_hidden_layers (`int`, *optional*, defaults to 1): layers of the encoder (a bag of words has none).
        num_attention_heads (`int`, *optional*, defaults to 4): of a transformer.
        intermediate_size (`int`, *optional*, defaults to 1024): of a transformer.
        max_position_embeddings (`int`, *optional*, defaults to 512): of a transformer.
        conv_kernel_size (`int`, *optional*, defaults to 5): tokens that the encoder `"convolution"` sees, an odd number.
        backbone_chunk_length (`int`, *optional*):
            A transformer reads longer documents in chunks of so many tokens; in one piece if not given.
        backbone_chunk_overlap (`int`, *optional*, defaults to 0): tokens that a chunk shares with the next one.
        word_dropout (`float`, *optional*, defaults to 0.1): share of tokens replaced by the unknown one in training.
        embedding_dropout (`float`, *optional*, defaults to 0.2): on the word vectors.
        column_dropout (`float`, *optional*, defaults to 0.0):
            Share of what the first layer of `"mlp"` reads (columns, or numbers of their embeddings) that is 0 in training.
        hidden_dropout (`float`, *optional*, defaults to 0.5): between the encoder's layers and on its output.
        embedding_std (`float`, *optional*, defaults to 0.02): standard deviation of the initial word vectors.
        initializer_range (`float`, *optional*, defaults to 0.02): standard deviation of a transformer's initial weights.
        variant (`str`, *optional*, defaults to `"causal"`):
            `"causal"`: the labels are a chain, and each one's logit depends on the answers before it. `"parallel"`: guesses
            of all labels are refined together, each by those around it.
        kernel_sizes (`list[int]`, *optional*):
            Labels that the convolutions over the label axis reach, one convolution each, at most all of them; 2, 4 and 8 if
            not given. In the parallel variant an even one counts one more, as its middle is the label itself, and at most all
            labels to both sides.
        channels (`int`, *optional*, defaults to 8): channels of each of these convolutions.
        label_embedding_size (`int`, *optional*, defaults to 4): width of the label vectors that they read.
        dilations (`list[int]`, *optional*):
            Further convolutions on top, each as wide as the largest of `kernel_sizes` with taps so many labels apart: the
            reach grows, and decoding and marginals are no longer exact. None if not given.
        document_relations (`bool`, *optional*, defaults to `False`):
            Whether the convolutions read the document as well: what its vector, projected, adds to each channel before the ReLU. Then
            what labels say of each other may differ from document to document. Decoding works out a table of states for each
            document. Of the causal variant; the parallel one always does.
        relation_dropout (`float`, *optional*, defaults to 0.5): on the channels of the convolutions.
        label_order (`str`, *optional*, defaults to `"frequency"`):
            Order of the labels in which neighbours are neighbours: `"frequency"`, `"rare_first"`, `"given"`,
            `"alphabetical"`, `"random"`, or `"seriation"`, which brings labels together that occur together.
        label_ranks (`list[int]` or `list[list[int]]`, *optional*):
            Place of each label in the order, a permutation; with several orders one each. Made by training from training
            rows. If not given, the labels' numbers, and what `label_order_seed` draws for further orders.
        label_order_seed (`int`, *optional*, defaults to 0): of random orders.
        num_orders (`int`, *optional*, defaults to 1):
            Relations that are learned side by side on one encoder, each with an order of its own: the first by `label_order`,
            the others random. Their answers are averaged.
        refinement_steps (`int`, *optional*, defaults to 2): of the parallel variant.
        label_mask_rate (`float`, *optional*, defaults to 0.25):
            In training the parallel variant is shown some true labels: a share between this one and all is hidden, and the loss of
            the hidden ones alone is summed and divided by all labels. With 1, none is ever shown.
        unmasking_rounds (`int`, *optional*, defaults to 8):
            In how many rounds the parallel variant settles the labels, the surest first, each round told those before; it needs
            a `label_mask_rate` below 1.
        false_history_rate (`float`, *optional*, defaults to 0.0):
            Share of the answers before a label that training takes from the model's own guesses instead of the truth.
        decoding (`str`, *optional*, defaults to `"viterbi"`):
            How a label set is searched: `"greedy"`; `"viterbi"`, the most probable one of all, exactly, where no convolution
            reaches further back than 10 labels, and by beams otherwise; `"beam"`; `"sample"`. Of the causal variant;
            `unmasking_rounds` is the parallel one's.
        num_beams (`int`, *optional*, defaults to 8): label sets that beam search keeps.
        num_samples (`int`, *optional*, defaults to 100): label sets drawn a document, where something is sampled.
        scores (`str`, *optional*, defaults to `"marginals"`):
            What a label's score is: `"marginals"`, its probability whatever the other labels are, exact where Viterbi is and
            from samples otherwise; `"decoded"`, its probability given the answers before it in the set that was found.
        decision (`str`, *optional*, defaults to `"sets"`):
            Which labels a document gets where nobody gives thresholds: `"sets"`, the set that `decoding` finds;
            `"expected_f1"`, the set of the highest expected F1 by `num_samples` sampled sets, of the causal variant;
            `"thresholds"`, those whose score reaches its threshold.
        known_sets (`str`, *optional*, defaults to `"off"`):
            What it means that a set was seen in training: nothing, `"off"`, and no set is kept with the model; no other may be
            answered, `"restrict"`, whatever `decoding` says; it is preferred, `"favour"`. With `decision="thresholds"` it
            changes the scores (`"marginals"`) alone: labels that reach their thresholds may be a set that nobody has seen. With
            `document_relations` it needs relations that Viterbi is exact for.
        known_set_weight (`float`, *optional*, defaults to 1.0): how much, with `known_sets="favour"`.
        num_known_sets (`int`, *optional*, defaults to 0): label sets of the training rows that the model holds.
        forest_weight (`float`, *optional*, defaults to 0.0):
            w, how much the votes of a random forest over the known sets count beside what the chain says of them; with 0 there is no
            forest. Of tables, with `known_sets="restrict"`.
        forest_trees (`int`, *optional*, defaults to 300): trees that are grown.
        forest_max_features (`float`, *optional*):
            share of the columns that a tree looks at for a split; the square root of their number if not given.
        forest_min_rows (`int`, *optional*, defaults to 1): training rows that a leaf of the forest holds at least.
        num_forest_trees (`int`, *optional*, defaults to 0): trees of the forest that the model holds.
        num_forest_nodes (`int`, *optional*, defaults to 0): their nodes.
        num_forest_entries (`int`, *optional*, defaults to 0): label sets of its leaves, of all together.
        pad_token_id (`int`, *optional*, defaults to 0): padding of texts.
        unk_token_id (`int`, *optional*, defaults to 1): the unknown token of texts.
    """

    model_type = "msdn"
    sub_configs: ClassVar[dict[str, Any]] = {"text_config": AutoConfig}

    # what a Trainer doesn't gather
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "hidden_states", "attentions", "base_logits", "relation_inputs", "set_bonus",
    ]  # fmt: skip

    encoder: Literal["mlp", "bag_of_words", "convolution", "gru", "lstm", "transformer"] = "mlp"
    input_size: int | None = None
    numeric_size: int = 0
    numeric_embedding: Literal["none", "piecewise_linear", "periodic"] = "none"
    numeric_bins: int = 16
    numeric_frequencies: int = 16
    numeric_embedding_size: int | None = None
    numeric_frequency_std: float | int = 0.1
    text_pooling: Literal["mean", "attention"] = "attention"
    vocab_size: int = 30000
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    hidden_size: int = 256
    embedding_size: int | None = None
    num_hidden_layers: int = 1
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    max_position_embeddings: int = 512
    conv_kernel_size: int = 5
    backbone_chunk_length: int | None = None
    backbone_chunk_overlap: int = 0
    word_dropout: float | int = 0.1
    embedding_dropout: float | int = 0.2
    column_dropout: float | int = 0.0
    hidden_dropout: float | int = 0.5
    embedding_std: float | int = 0.02
    initializer_range: float | int = 0.02
    variant: Literal["causal", "parallel"] = "causal"
    kernel_sizes: list[int] | None = None
    channels: int = 8
    label_embedding_size: int = 4
    dilations: list[int] | None = None
    document_relations: bool = False
    relation_dropout: float | int = 0.5
    label_order: Literal["frequency", "rare_first", "given", "alphabetical", "random", "seriation"] = "frequency"
    label_ranks: list[Any] | None = None
    label_order_seed: int = 0
    num_orders: int = 1
    refinement_steps: int = 2
    label_mask_rate: float | int = 0.25
    unmasking_rounds: int = 8
    false_history_rate: float | int = 0.0
    decoding: Literal["greedy", "viterbi", "beam", "sample"] = "viterbi"
    num_beams: int = 8
    num_samples: int = 100
    scores: Literal["marginals", "decoded"] = "marginals"
    decision: Literal["sets", "expected_f1", "thresholds"] = "sets"
    known_sets: Literal["off", "restrict", "favour"] = "off"
    known_set_weight: float | int = 1.0
    num_known_sets: int = 0
    forest_weight: float | int = 0.0
    forest_trees: int = 300
    forest_max_features: float | int | None = None
    forest_min_rows: int = 1
    num_forest_trees: int = 0
    num_forest_nodes: int = 0
    num_forest_entries: int = 0
    pad_token_id: int | None = 0
    unk_token_id: int | None = 1

    def __post_init__(self, **kwargs):
        self.kernel_sizes = [2, 4, 8] if self.kernel_sizes is None else list(self.kernel_sizes)
        self.dilations = [] if self.dilations is None else list(self.dilations)
        self.text_config = text_backbone_of(self)
        if self.text_config is not None:
            adopt_text_backbone(self)
        super().__post_init__(**kwargs)

    def _forget_labels(self):
        super()._forget_labels()
        self.label_ranks, self.num_known_sets = None, 0
        self.forget_forest()

    def forget_forest(self):
        """The model holds no forest."""
        self.num_forest_trees = self.num_forest_nodes = self.num_forest_entries = 0

    # -- what others ask for ----------------------------------------------------------------------------------------

    @property
    def effective_kernel_sizes(self) -> list[int]:
        """The widths that the convolutions over the labels have: `kernel_sizes`, no wider than the labels are far apart; odd in the parallel variant."""
        if self.variant == "causal":
            return [min(size, self.num_labels) for size in self.kernel_sizes]
        most = 2 * self.num_labels - 1  # from the first label to the last, and back
        return [min(size + 1 - size % 2, most) for size in self.kernel_sizes]

    @property
    def is_exact(self) -> bool:
        """Whether the chain looks back few enough labels for a table of their states, and so for exact decoding."""
        return self.variant == "causal" and not self.dilations and max(self.effective_kernel_sizes) <= MAX_EXACT_REACH

    @property
    def has_forest(self) -> bool:
        """Whether a forest votes on the known sets."""
        return self.forest_weight > 0

    @property
    def label_orders(self) -> list[list[int]]:
        """The label at each place, `num_orders` times L: from `label_ranks`, or without them the labels' numbers first."""
        if self.label_ranks is not None:
            several = self.label_ranks if _is_nested(self.label_ranks) else [self.label_ranks]
            return [sorted(range(len(ranks)), key=ranks.__getitem__) for ranks in several]
        drawn = random_orders(self.num_labels, self.num_orders, self.label_order_seed)
        return drawn if self.label_order == "random" else [list(range(self.num_labels)), *drawn[1:]]

    # -- what is refused --------------------------------------------------------------------------------------------

    def validate_encoder(self):
        """Sizes that the chosen encoder can be built with, and probabilities that are some."""
        sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        sizes += ("embedding_size", "max_position_embeddings", "conv_kernel_size", "backbone_chunk_length")
        check_positive(self, (*sizes, "input_size", "numeric_bins", "numeric_frequencies", "numeric_embedding_size"))
        for name in ("word_dropout", "embedding_dropout", "column_dropout", "hidden_dropout", "relation_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in [0, 1), found {getattr(self, name)}")
        for name in ("embedding_std", "initializer_range"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"`{name}` must not be negative, found {getattr(self, name)}")
        if not 0 < self.numeric_frequency_std < float("inf"):
            raise ValueError(f"`numeric_frequency_std` must be positive, found {self.numeric_frequency_std}")
        if not 0 <= self.numeric_size <= (self.numeric_size if self.input_size is None else self.input_size):
            raise ValueError(
                f"`numeric_size` must be from 0 to `input_size`, found {self.numeric_size} and {self.input_size}"
            )
        if self.encoder != "mlp" and (self.input_size is not None or self.numeric_embedding != "none"):
            name = "input_size" if self.input_size is not None else "numeric_embedding"
            raise ValueError(f"`{name}` is of tables, which the encoder 'mlp' reads, found '{self.encoder}'")
        if self.encoder != "mlp" and self.column_dropout:
            raise ValueError(
                f"`column_dropout` is of tables, which the encoder 'mlp' reads, found {self.column_dropout} with '{self.encoder}'"
            )
        if self.numeric_embedding == "none" and self.numeric_embedding_size is not None:
            raise ValueError(
                f"`numeric_embedding_size` is of `numeric_embedding`, which is 'none', found {self.numeric_embedding_size}"
            )
        check_text_encoder(self)

    def validate_relations(self):
        """Sizes of the relations and ranges of their numbers."""
        names = ("channels", "label_embedding_size", "num_orders", "refinement_steps", "unmasking_rounds")
        check_positive(self, (*names, "num_beams", "num_samples"))
        if not self.kernel_sizes:
            raise ValueError("`kernel_sizes` must hold one width or more, found none")
        for name in ("kernel_sizes", "dilations"):
            for value in getattr(self, name):
                if value < 1:
                    raise ValueError(f"`{name}` must be 1 or more each, found {value}")
        for name in ("label_mask_rate", "false_history_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], found {getattr(self, name)}")
        if not 0 <= self.known_set_weight < float("inf"):
            raise ValueError(f"`known_set_weight` must not be negative, found {self.known_set_weight}")
        for name in ("num_known_sets", "num_forest_trees", "num_forest_nodes", "num_forest_entries"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, found {getattr(self, name)}")
        self._check_forest()
        if self.variant == "parallel":
            if self.decision == "expected_f1":
                raise ValueError("`decision` 'expected_f1' is of the causal variant, found 'parallel'")
            if self.scores == "decoded" and self.label_mask_rate == 1:
                raise ValueError(
                    "`scores` 'decoded' needs a `label_mask_rate` below 1 in the parallel variant: nothing is settled, found 1"
                )
        other = {"causal": "parallel", "parallel": "causal"}[self.variant]
        for name, value in _OF_ONE_VARIANT[other].items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"`{name}` is of the {other} variant, found {getattr(self, name)!r} with '{self.variant}'"
                )
        if self.document_relations and self.known_sets != "off" and not self.is_exact:
            raise ValueError(
                f"`known_sets` with `document_relations` needs relations that reach {MAX_EXACT_REACH} labels back at most "
                f"(`kernel_sizes`, `dilations`), found {self.kernel_sizes} and {self.dilations}"
            )

    def _check_forest(self):
        check_positive(self, ("forest_trees", "forest_min_rows"))
        if not 0 <= self.forest_weight < float("inf"):
            raise ValueError(f"`forest_weight` must not be negative, found {self.forest_weight}")
        if self.forest_max_features is not None and not 0 < self.forest_max_features <= 1:
            raise ValueError(f"`forest_max_features` must be in (0, 1], found {self.forest_max_features}")
        if self.has_forest and self.encoder != "mlp":
            raise ValueError(f"`forest_weight` is of tables, which the encoder 'mlp' reads, found '{self.encoder}'")
        if self.has_forest and self.known_sets != "restrict":
            raise ValueError(f"`forest_weight` needs `known_sets` 'restrict', found '{self.known_sets}'")

    def validate_labels(self):
        """The orders are permutations of the labels, as many as there are to be."""
        if self.label_ranks is None:
            return
        several = self.label_ranks if _is_nested(self.label_ranks) else [self.label_ranks]
        if len(several) != self.num_orders:
            raise ValueError(f"`label_ranks` must hold {self.num_orders} orders (`num_orders`), found {len(several)}")
        for ranks in several:
            if sorted(ranks) != list(range(self.num_labels)):
                raise ValueError(
                    f"`label_ranks` must hold each of 0 to {self.num_labels - 1} once, found {len(ranks)} numbers"
                    + (f" from {min(ranks)} to {max(ranks)}" if ranks else "")
                )


def _is_nested(label_ranks: list[Any]) -> bool:
    return bool(label_ranks) and isinstance(label_ranks[0], (list, tuple))


__all__ = ["MAX_EXACT_REACH", "MsdnConfig"]
