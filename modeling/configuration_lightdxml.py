"""Configuration of LightDXML, from a thousand labels to millions."""

from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from .backbone_config import adopt_text_backbone, text_backbone_of
from .configuration_checks import check_positive, check_text_encoder
from .configuration_multi_label import MultiLabelConfig


# tables of more rows than this one get sparse gradients, unless the configuration says otherwise
MAX_DENSE_ROWS = 100_000


@strict
class LightDxmlConfig(MultiLabelConfig):
    r"""
    Configuration of [`LightDxmlForMultiLabelClassification`]. Arguments of the loss, the thresholds and the label space are
    those of [`MultiLabelConfig`]; `loss_reduction` is `"sum"` here, the loss of a document a sum over its list of labels.

    Args:
        encoder (`str`, *optional*, defaults to `"tfidf"`):
            What makes a document a vector: `"tfidf"`, the sum of its tokens' vectors by their tf-idf weights, computed from token
            ids; `"features"`, the same of rows that come with weights of their own; `"transformer"`, any encoder of the Hub, its
            token vectors drawn together.
        vocab_size (`int`, *optional*, defaults to 30000): tokens of the tokenizer, or features and one for padding.
        pad_token_id (`int`, *optional*, defaults to 0): padding.
        unk_token_id (`int`, *optional*, defaults to 1): the unknown token; it counts for nothing in a tf-idf weight.
        embed_dim (`int`, *optional*, defaults to 300):
            width D of a document's vector; that of the backbone where there is one, whose `hidden_size` it is.
        embedding_activation (`str`, *optional*, defaults to `"relu"`):
            what the weighted sum of token vectors goes through: `"relu"`, the authors', or `"none"`; the residual layer keeps its own.
        embedding_dropout (`float`, *optional*, defaults to 0.5): on the weighted sum of token vectors.
        residual (`bool`, *optional*, defaults to `True`): add a layer's output to the sum; without it the sum is the document.
        residual_dropout (`float`, *optional*, defaults to 0.5): on that layer's output.
        spectral_norm (`bool`, *optional*, defaults to `True`): divide the layer's matrix by its largest singular value.
        text_config (`PreTrainedConfig` or `dict`, *optional*):
            Any text encoder of transformers; given, `encoder` is `"transformer"`. Without it, `"transformer"` is a
            small BERT of the sizes below.
        text_pooling (`str`, *optional*, defaults to `"mean"`):
            How a transformer's token vectors become one: `"mean"`, or a mean in which a learned `"attention"` weighs them.
        num_hidden_layers (`int`, *optional*, defaults to 1): of a transformer.
        num_attention_heads (`int`, *optional*, defaults to 4): of a transformer.
        intermediate_size (`int`, *optional*, defaults to 1024): of a transformer.
        max_position_embeddings (`int`, *optional*, defaults to 512): of a transformer.
        hidden_dropout (`float`, *optional*, defaults to 0.1): in a small BERT, and on the vector that its tokens become.
        initializer_range (`float`, *optional*, defaults to 0.02): standard deviation of a transformer's initial weights.
        backbone_chunk_length (`int`, *optional*):
            A transformer reads longer documents in chunks of so many tokens; in one piece if not given.
        backbone_chunk_overlap (`int`, *optional*, defaults to 0): tokens that a chunk shares with the next one.
        label_bias (`bool`, *optional*, defaults to `True`): a bias for each label of the classifier.
        shortlist_size (`int`, *optional*, defaults to 200): labels S that are scored of each document.
        max_positives (`int`, *optional*, defaults to 20):
            labels of a document that stand in its list in training, drawn where there are more; `None` is all of them. A list of the
            document's own holds one label less than `shortlist_size` at most, so that a negative is left.
        shared_shortlist (`bool`, *optional*, defaults to `True`):
            The documents of a training batch are scored against the union of their lists, one matrix product, instead of each
            against its own.
        cycle_epochs (`int`, *optional*, defaults to 4): epochs R of the classifier from one making of the lists to the next.
        proxy (`str`, *optional*, defaults to `"affine"`):
            What becomes of a label's centroid before it enters the index: an `"affine"` map, trained; `"two_layer"`, the same as two
            layers without a non-linearity, the authors'; `"none"`, nothing.
        proxy_hidden (`int`, *optional*, defaults to 1000): width between the two layers.
        proxy_epochs (`int`, *optional*, defaults to 8): passes over all (document, label) pairs in a cycle's first phase.
        proxy_learning_rate (`float`, *optional*, defaults to 0.003): there.
        proxy_batch_size (`int`, *optional*, defaults to 256): pairs in a batch there.
        beta (`float`, *optional*, defaults to 0.75):
            how much of a score is the classifier's, the rest being the index's (`score_mix.py`); tuned on validation rows.
        scoring (`str`, *optional*, defaults to `"shortlist"`):
            Labels that a document is scored against: its `"shortlist"`, or `"all"`. A label that was hard to tell from no document in
            training has a row that nothing has taught to be silent, and may float to the top of `"all"`.
        index (`str`, *optional*, defaults to `"exact"`):
            How the nearest labels are found: `"exact"`, by comparing with all of them in blocks, or `"hnsw"`, a graph made by
            hnswlib from the index's vectors when it is first asked; without hnswlib it is exact.
        hnsw_m (`int`, *optional*, defaults to 100): neighbours of a label in that graph.
        hnsw_ef_construction (`int`, *optional*, defaults to 300): candidates looked at where a label enters it.
        hnsw_ef (`int`, *optional*): candidates looked at in a search; `shortlist_size` if not given, and never fewer.
        hnsw_threads (`int`, *optional*, defaults to 1):
            threads that make the graph; of more than one, each making gives another graph.
        hnsw_cache (`bool`, *optional*, defaults to `False`):
            save the graph beside the weights, and read it from there; from a local folder only, as it is no safetensors file.
        table_dtype (`str`, *optional*, defaults to `"float32"`):
            What the tables of labels are stored in: `"float32"`, or for prediction alone `"float16"` or `"int8"`
            ([`LightDxmlForMultiLabelClassification.compress`]).
        block_size (`int`, *optional*, defaults to 16384):
            Labels compared at once where all are. Of tables in float32, of which nothing is copied, more at once where documents are
            few, 2**20 scores together.
        sparse_gradients (`str` or `bool`, *optional*, defaults to `"auto"`):
            Whether the tables of tokens and labels get gradients of the rows that a batch looked up alone; `"auto"`: each of more
            than 100,000 rows.
    """

    model_type = "lightdxml"
    attribute_map: ClassVar[dict[str, str]] = {"hidden_size": "embed_dim"}
    sub_configs: ClassVar[dict[str, Any]] = {"text_config": AutoConfig}

    # what a Trainer doesn't gather
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["hidden_states", "attentions"]

    loss_reduction: Literal["mean", "sum"] = "sum"
    encoder: Literal["tfidf", "features", "transformer"] = "tfidf"
    vocab_size: int = 30000
    pad_token_id: int | None = 0
    unk_token_id: int | None = 1
    embed_dim: int = 300
    embedding_activation: Literal["relu", "none"] = "relu"
    embedding_dropout: float | int = 0.5
    residual: bool = True
    residual_dropout: float | int = 0.5
    spectral_norm: bool = True
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    text_pooling: Literal["mean", "attention"] = "mean"
    num_hidden_layers: int = 1
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    max_position_embeddings: int = 512
    hidden_dropout: float | int = 0.1
    initializer_range: float | int = 0.02
    backbone_chunk_length: int | None = None
    backbone_chunk_overlap: int = 0
    label_bias: bool = True
    shortlist_size: int = 200
    max_positives: int | None = 20
    shared_shortlist: bool = True
    cycle_epochs: int = 4
    proxy: Literal["affine", "two_layer", "none"] = "affine"
    proxy_hidden: int = 1000
    proxy_epochs: int = 8
    proxy_learning_rate: float | int = 0.003
    proxy_batch_size: int = 256
    beta: float | int = 0.75
    scoring: Literal["shortlist", "all"] = "shortlist"
    index: Literal["exact", "hnsw"] = "exact"
    hnsw_m: int = 100
    hnsw_ef_construction: int = 300
    hnsw_ef: int | None = None
    hnsw_threads: int = 1
    hnsw_cache: bool = False
    table_dtype: Literal["float32", "float16", "int8"] = "float32"
    block_size: int = 16384
    sparse_gradients: Literal["auto"] | bool = "auto"

    def __post_init__(self, **kwargs):
        self.text_config = text_backbone_of(self)
        if self.text_config is not None:
            adopt_text_backbone(self)
        super().__post_init__(**kwargs)

    # -- what others ask for ----------------------------------------------------------------------------------------

    @property
    def sparse_tokens(self) -> bool:
        """Whether the table of token vectors gets sparse gradients."""
        return self._is_sparse(self.vocab_size)

    @property
    def sparse_labels(self) -> bool:
        """Whether the classifier's tables get sparse gradients."""
        return self._is_sparse(self.num_labels)

    def _is_sparse(self, num_rows: int) -> bool:
        return num_rows > MAX_DENSE_ROWS if self.sparse_gradients == "auto" else self.sparse_gradients

    # -- what is refused --------------------------------------------------------------------------------------------

    def validate_encoder(self):
        """Sizes that the chosen encoder can be built with, and probabilities that are some."""
        names = ("vocab_size", "embed_dim", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        check_positive(self, (*names, "max_position_embeddings", "backbone_chunk_length"))
        for name in ("embedding_dropout", "residual_dropout", "hidden_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in [0, 1), found {getattr(self, name)}")
        if not 0 <= self.initializer_range < float("inf"):
            raise ValueError(f"`initializer_range` must not be negative, found {self.initializer_range}")
        check_text_encoder(self)

    def validate_cycle(self):
        """Lists, phases and index that there can be."""
        names = ("shortlist_size", "max_positives", "cycle_epochs", "proxy_hidden", "proxy_batch_size", "block_size")
        check_positive(self, (*names, "hnsw_ef_construction", "hnsw_ef", "hnsw_threads"))
        if self.hnsw_m < 2:  # the graph's layers are drawn by 1 / log(m)
            raise ValueError(f"`hnsw_m` must be 2 or more, found {self.hnsw_m}")
        if self.proxy_epochs < 0:
            raise ValueError(f"`proxy_epochs` must not be negative, found {self.proxy_epochs}")
        if not 0 < self.proxy_learning_rate < float("inf"):
            raise ValueError(f"`proxy_learning_rate` must be positive, found {self.proxy_learning_rate}")

    def validate_scores(self):
        """A share that is one."""
        if not 0 <= self.beta <= 1:
            raise ValueError(f"`beta` must be in [0, 1], found {self.beta}")


__all__ = ["MAX_DENSE_ROWS", "LightDxmlConfig"]
