"""Configuration of PLANT."""

from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from .backbone_config import adopt_text_backbone, text_backbone_of
from .configuration_checks import check_text_encoder
from .configuration_multi_label import MultiLabelConfig


# fields whose default depends on the encoder; those of "awd_lstm" are ULMFiT's
ENCODER_DEFAULTS = {"hidden_size": 256, "num_hidden_layers": 1, "word_dropout": 0.1, "embedding_dropout": 0.2}
AWD_LSTM_DEFAULTS = {"hidden_size": 400, "num_hidden_layers": 3, "word_dropout": 0.0, "embedding_dropout": 0.05}


@strict
class PlantConfig(MultiLabelConfig):
    r"""
    Configuration of [`PlantForMultiLabelClassification`]. Arguments of the loss, the thresholds and the label space are
    those of [`MultiLabelConfig`].

    Args:
        vocab_size (`int`, *optional*, defaults to 30000): tokens of the tokenizer.
        encoder (`str`, *optional*, defaults to `"convolution"`):
            `"bag_of_words"`, `"convolution"`, `"gru"`, `"lstm"`, `"awd_lstm"` or `"transformer"`.
        text_config (`PreTrainedConfig` or `dict`, *optional*):
            Any text encoder of transformers; given, `encoder` is `"transformer"`. Without it, `"transformer"` is a
            small BERT of the sizes below.
        hidden_size (`int`, *optional*): width of the token vectors that labels attend to; 256, of an AWD-LSTM 400.
        embedding_size (`int`, *optional*): width of the word vectors of a recurrent encoder; `hidden_size` if not given.
        recurrent_size (`int`, *optional*, defaults to 1152):
            width of an AWD-LSTM's layers but the last, which is as wide as `hidden_size`.
        num_hidden_layers (`int`, *optional*): layers of the encoder (a bag of words has none); 1, of an AWD-LSTM 3.
        num_attention_heads (`int`, *optional*, defaults to 4): of a transformer.
        intermediate_size (`int`, *optional*, defaults to 1024): of a transformer.
        max_position_embeddings (`int`, *optional*, defaults to 512): of a transformer.
        conv_kernel_size (`int`, *optional*, defaults to 5): tokens that a convolution sees, an odd number.
        word_dropout (`float`, *optional*):
            share of tokens replaced by the unknown one in training; 0.1, of an AWD-LSTM 0.
        embedding_dropout (`float`, *optional*):
            on the numbers of the word vectors, 0.2; of an AWD-LSTM on whole words, 0.05.
        input_dropout (`float`, *optional*, defaults to 0.4): on what an AWD-LSTM's first layer reads.
        weight_dropout (`float`, *optional*, defaults to 0.5): on an AWD-LSTM's weights from state to state.
        dropout_scale (`float`, *optional*, defaults to 1.0): multiplies all dropouts inside an AWD-LSTM.
        bptt_length (`int`, *optional*):
            tokens of an AWD-LSTM that a gradient goes back through; the whole document if not given.
        backbone_chunk_length (`int`, *optional*):
            A transformer reads longer documents in chunks of so many tokens; in one piece if not given.
        backbone_chunk_overlap (`int`, *optional*, defaults to 0): tokens that a chunk shares with the next one.
        hidden_dropout (`float`, *optional*, defaults to 0.3): between layers and on the encoder's output.
        embedding_std (`float`, *optional*, defaults to 0.02): standard deviation of the initial word vectors.
        initializer_range (`float`, *optional*, defaults to 0.02): standard deviation of other initial weights.
        planting (`str`, *optional*, defaults to `"none"`):
            `"none"`: the attention is learned from nothing. `"attention"`: two planted attentions stand beside it, from
            mutual information and from a ranker of tokens. `"pretrain"`: its queries were trained to rank the
            documents' tokens first. The statistics come in by training (`hf_mlc.planting`), not by this field.
        learned_attention, mutual_information_attention, ranked_attention (`bool`, *optional*, default to `True`):
            parts of `planting="attention"`, to be switched off one by one.
        stored_tokens (`int`, *optional*, defaults to 256): tokens in each label's list of mutual information.
        mutual_information_topk (`int`, *optional*, defaults to 5):
            places of a document that a label keeps of that attention ("inattention").
        mutual_information_scale (`str`, *optional*, defaults to `"label"`):
            by what the kept values are divided: the sum of the label's best values, `"label"`, so that the attention
            tells how much of the label's evidence is there; their own sum, `"document"`; or nothing, `"none"`, as
            in the authors' code.
        planted_readout (`float`, *optional*):
            given, each label also reads the tokens of its list directly, a linear model of their tf-idf weights planted
            with so many times their mutual information and trained from there (`planted_readout.py`; not in the paper).
        readout_source (`str`, *optional*, defaults to `"mutual_information"`):
            what `planted_readout` multiplies: that, or `"linear_svm"`, the weights of a linear support vector machine a label, as
            log-odds, which are not trained further. 1 is then as the machines have it.
        readout_tokens (`int`, *optional*):
            tokens that a label's read-out keeps of its `"linear_svm"`; `stored_tokens` if not given.
        shortlist_size (`int`, *optional*):
            Only so many labels, those that the read-out puts first, attend to a document; to the others' logits the attentions
            add nothing. All of them if not given. It needs a `planted_readout`.
        rank_size (`int`, *optional*, defaults to 200): width of the ranker's factors.
        ranked_topk (`int`, *optional*, defaults to 8): places that a label keeps of the ranked attention.
        ranked_tokens (`str`, *optional*, defaults to `"read"`):
            the tokens that the ranker scores: those that are read, or those that an AWD-LSTM's language model `"expected"`
            next at each place, as in the authors' code.
        attention_mix (`str`, *optional*, defaults to `"sum"`):
            the contexts of the attentions are added up as they are, or with a `"learned"` weight each, 1 at first.
        window (`int`, *optional*): labels read the last so many tokens of a document; all of them if not given.
        stateful (`bool`, *optional*, defaults to `False`):
            what stands before the `window` is read in chunks, each adding what it was most sure of to the next logits.
        chunk_length (`int`, *optional*, defaults to 72): tokens in such a chunk.
        state_topk (`int`, *optional*, defaults to 3): labels whose probability a chunk hands on.
        state_gradient_chunks (`int`, *optional*, defaults to 0): gradients go back through so many last chunks.
        compat (`str`, *optional*, defaults to `"none"`):
            `"xcube"`: planted attention and state in the arithmetic of the authors' code (`xcube_decoder`), densely; to
            compare with it, not for use. `mutual_information_scale` is then `"none"`, whatever it says.
        planting_fingerprint (`dict`, *optional*):
            of which rows and which tokenizer the planted statistics are; of a control, its name too.
        sampled_labels (`int`, *optional*):
            A training step scores the labels of its documents and so many drawn from the others, each counted for all
            that it stands for (`label_sampling.py`); all of them if not given. Predictions are always of all labels.
        attention_block_size (`int`, *optional*):
            Labels attended to at once with `attention_implementation="blocks"`; chosen from the sizes if not given. Results don't
            depend on it.
        attention_implementation (`str`, *optional*, defaults to `"auto"`):
            `"eager"` (holds B x L x T), `"blocks"`, `"sdpa"` or `"auto"` (`label_attention`).
        pad_token_id (`int`, *optional*, defaults to 0): padding.
        unk_token_id (`int`, *optional*, defaults to 1): the unknown token.
    """

    model_type = "plant"
    sub_configs = {"text_config": AutoConfig}

    vocab_size: int = 30000
    encoder: Literal["bag_of_words", "convolution", "gru", "lstm", "awd_lstm", "transformer"] = "convolution"
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    hidden_size: int | None = None
    embedding_size: int | None = None
    recurrent_size: int = 1152
    num_hidden_layers: int | None = None
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    max_position_embeddings: int = 512
    conv_kernel_size: int = 5
    word_dropout: float | int | None = None
    embedding_dropout: float | int | None = None
    hidden_dropout: float | int = 0.3
    input_dropout: float | int = 0.4
    weight_dropout: float | int = 0.5
    dropout_scale: float | int = 1.0
    bptt_length: int | None = None
    backbone_chunk_length: int | None = None
    backbone_chunk_overlap: int = 0
    embedding_std: float | int = 0.02
    initializer_range: float | int = 0.02
    planting: Literal["none", "attention", "pretrain"] = "none"
    learned_attention: bool = True
    mutual_information_attention: bool = True
    ranked_attention: bool = True
    stored_tokens: int = 256
    mutual_information_topk: int = 5
    mutual_information_scale: Literal["label", "document", "none"] = "label"
    planted_readout: float | int | None = None
    readout_source: Literal["mutual_information", "linear_svm"] = "mutual_information"
    readout_tokens: int | None = None
    shortlist_size: int | None = None
    rank_size: int = 200
    ranked_topk: int = 8
    ranked_tokens: Literal["read", "expected"] = "read"
    attention_mix: Literal["sum", "learned"] = "sum"
    window: int | None = None
    stateful: bool = False
    chunk_length: int = 72
    state_topk: int = 3
    state_gradient_chunks: int = 0
    compat: Literal["none", "xcube"] = "none"
    planting_fingerprint: dict[str, Any] | None = None
    sampled_labels: int | None = None
    attention_block_size: int | None = None
    attention_implementation: Literal["auto", "eager", "blocks", "sdpa"] = "auto"
    pad_token_id: int | None = 0
    unk_token_id: int | None = 1

    def __post_init__(self, **kwargs):
        for name, default in (AWD_LSTM_DEFAULTS if self.encoder == "awd_lstm" else ENCODER_DEFAULTS).items():
            if getattr(self, name) is None:
                setattr(self, name, default)
        self.text_config = text_backbone_of(self)
        if self.text_config is not None:
            adopt_text_backbone(self)
        super().__post_init__(**kwargs)

    def validate_planting(self):
        """Sizes of the planted attentions and of the window."""
        names = ("stored_tokens", "mutual_information_topk", "rank_size", "ranked_topk", "chunk_length", "state_topk")
        for name in (*names, "window", "readout_tokens", "shortlist_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be 1 or more, found {value}")
        if self.state_gradient_chunks < 0:
            raise ValueError(f"`state_gradient_chunks` must not be negative, found {self.state_gradient_chunks}")
        if not (self.learned_attention or self.mutual_information_attention or self.ranked_attention):
            raise ValueError(
                "at least one of `learned_attention`, `mutual_information_attention`, `ranked_attention` must be true"
            )
        if self.stateful and self.window is None:
            raise ValueError("`stateful` is about what stands before the `window`, found none")
        if self.state_gradient_chunks and not self.stateful:
            raise ValueError(f"`state_gradient_chunks` is of `stateful`, found {self.state_gradient_chunks} alone")
        self._check_readout()
        if self.ranked_tokens == "expected":
            self._check_expected_tokens()
        if self.compat == "xcube":
            self._check_compat()

    def _check_readout(self):
        """What only a read-out has, and what a shortlist can't go with."""
        has_readout = self.planting == "attention" and self.planted_readout is not None
        for name, usual in (("readout_source", "mutual_information"), ("shortlist_size", None)):
            if getattr(self, name) != usual and not has_readout:
                raise ValueError(
                    f"`{name}` {getattr(self, name)!r} needs `planting='attention'` and a `planted_readout`, found {self.planting!r} and {self.planted_readout}"
                )
        if self.readout_tokens is not None and self.readout_source != "linear_svm":
            raise ValueError(
                f"`readout_tokens` is of `readout_source='linear_svm'`, found {self.readout_source!r}; others read `stored_tokens`"
            )
        if self.readout_source == "linear_svm" and self.window is not None:
            # training finds the machines of a document by all of its tokens, and a window hands on some
            raise ValueError(f"`readout_source='linear_svm'` can't go with `window`, found {self.window}")
        for name in ("window", "sampled_labels"):
            if self.shortlist_size is not None and getattr(self, name) is not None:
                raise ValueError(f"`shortlist_size` can't go with `{name}`, found {getattr(self, name)}")

    def _check_expected_tokens(self):
        """Only a language model expects tokens, and only the ranked attention scores them."""
        if self.planting != "attention" or not self.ranked_attention:
            raise ValueError("`ranked_tokens='expected'` needs `planting='attention'` with `ranked_attention`")
        if self.encoder != "awd_lstm" or self.embedding_size not in (None, self.hidden_size):
            raise ValueError(
                "`ranked_tokens='expected'` needs the encoder 'awd_lstm', its word vectors as wide as its output, found "
                f"'{self.encoder}' with `embedding_size` {self.embedding_size}"
            )

    def _check_compat(self):
        """What the authors' code has not got."""
        usual = {"planting": "attention", "planted_readout": None, "state_gradient_chunks": 0}
        for name, value in usual.items():
            if getattr(self, name) != value:
                raise ValueError(f"`compat='xcube'` needs `{name}` to be {value!r}, found {getattr(self, name)!r}")

    @property
    def has_linear_readout(self) -> bool:
        has_readout = self.planting == "attention" and self.planted_readout is not None
        return has_readout and self.readout_source == "linear_svm"

    def to_diff_dict(self):
        # transformers leaves out what equals the default; the default of these is another with another encoder
        return {**super().to_diff_dict(), **{name: getattr(self, name) for name in ENCODER_DEFAULTS}}

    def validate_encoder(self):
        """Sizes that the chosen encoder can be built with, and probabilities that are some."""
        sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        sizes += ("embedding_size", "recurrent_size", "max_position_embeddings", "conv_kernel_size")
        for name in (*sizes, "sampled_labels", "attention_block_size", "bptt_length", "backbone_chunk_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be 1 or more, found {value}")
        dropouts = ("embedding_dropout", "hidden_dropout", "input_dropout", "weight_dropout")
        for name in ("word_dropout", *dropouts):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in [0, 1), found {getattr(self, name)}")
        largest = max(getattr(self, name) for name in dropouts)
        if self.encoder == "awd_lstm" and not 0 <= self.dropout_scale * largest < 1:
            raise ValueError(f"`dropout_scale` must keep every dropout in [0, 1), found {self.dropout_scale}")
        for name in ("embedding_std", "initializer_range"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"`{name}` must not be negative, found {getattr(self, name)}")
        check_text_encoder(self)


__all__ = ["PlantConfig"]
