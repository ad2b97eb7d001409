"""Configuration of LANET, attention between labels for sequences of label sets."""

from typing import ClassVar, Literal

from huggingface_hub.dataclasses import strict

from .configuration_checks import check_positive
from .configuration_multi_label import MultiLabelConfig


@strict
class LanetConfig(MultiLabelConfig):
    r"""
    Configuration of [`LanetForMultiLabelClassification`]. Arguments of the loss, the thresholds and the label space are
    those of [`MultiLabelConfig`]; the processor ([`EventProcessor`]) holds what was fitted on training rows.

    The defaults are those of the windowed form of the first two versions of the paper, but for the loss. Its third version
    is `causal=True, look_back=None, time_encoding="sinusoid"`.

    Args:
        embed_dim (`int`, *optional*, defaults to 128):
            Width of each part of a label's token. A token is as wide as its parts together (`token_dim`): the label's vector; if
            there are times, `time_encoding`'s; if there are amounts, theirs.
        num_layers (`int`, *optional*, defaults to 2): layers of attention between labels.
        num_heads (`int`, *optional*, defaults to 4): of each; they must divide `token_dim`.
        ffn_ratio (`float`, *optional*, defaults to 1.0): width of a layer's feed-forward part, in widths of a token.
        norm_first (`bool`, *optional*, defaults to `False`):
            Normalise what a layer's parts read, in place of what they have added up to (ours; the paper's layers normalise after each
            addition): trains further where histories are long, with `embedding_std` 0.1.
        dropout (`float`, *optional*, defaults to 0.2): in the layers.
        attention_dropout (`float`, *optional*):
            On the attention's weights; as `dropout` if not given. With 0, attention needs no memory of K x K on a CPU either.
        head_dropout (`float`, *optional*, defaults to 0.3): before the output layer.
        look_back (`int`, *optional*, defaults to 3):
            Events of a history that are read, the last ones; `None` is all. Of the causal form the processor's matter alone: the model
            reads whatever it is given.
        num_users (`int`, *optional*, defaults to 0):
            Users that have a token of their own, numbered from 1; 0 is everybody else. Without any, there is no user token.
        user_dropout (`float`, *optional*, defaults to 0.1):
            Share of rows whose user training takes for an unknown one, so that the unknown one's token means something.
        num_amount_bins (`int`, *optional*, defaults to 0): bins of amounts; 0 is no amounts.
        time_encoding (`str`, *optional*, defaults to `"gap_embedding"`):
            What an event's time becomes: `"gap_embedding"`, a vector for each gap to the event before it, of a table of gaps;
            `"log_bucket"`, a vector for each power of two that the gap lies in; `"sinusoid"`, sines and cosines of the time since the
            history's first event; `"none"`, nothing but its position.
        time_reference (`str`, *optional*, defaults to `"previous"`):
            What an event's time is told from: `"previous"`, as above, how long after the event before it, or after the history's
            first; `"last"`, how long before the history's last event (ours: how recent it is). Of the windowed form's
            `"log_bucket"` and `"sinusoid"`.
        folding (`str`, *optional*, defaults to `"sum"`):
            How the events that held a label become its token's parts of times and amounts: `"sum"`, the paper's; or
            `"sum_and_share"`, the first half of each part's channels divided by the number of events in the history, so that a token
            tells how often as well as how much (ours: over a long history a sum alone doesn't).
        num_gaps (`int`, *optional*, defaults to 512): gaps in the table of `"gap_embedding"`; the processor fits them.
        num_time_buckets (`int`, *optional*, defaults to 32): of `"log_bucket"` and of the time to the next event.
        position_embedding (`bool`, *optional*, defaults to `True`):
            Add a vector for the event's place in the window, counted from the last event. Of the windowed form with a `look_back`.
        causal (`bool`, *optional*, defaults to `False`):
            The causal form: training predicts the set after every event of a history, each from those up to it. The
            windowed form predicts the set after the last one only.
        uses_target_time (`bool`, *optional*, defaults to `False`): the time from the last event to the predicted one is known.
        label_loss (`str`, *optional*, defaults to `"bce"`):
            `"bce"`: labels are independent, by `loss` of [`MultiLabelConfig`]. `"softmax"`: they compete,
            `-sum over the set's labels of log softmax(logits)`. Both are means over rows and, by `loss_reduction`, divided by the
            number of labels or not.
        label_attention (`bool`, *optional*, defaults to `True`):
            Whether labels attend to each other. Without it the same layers read each label's token by itself, with what is known of
            user and target time added: what the attention is worth.
        attention_keys (`str`, *optional*, defaults to `"all"`):
            Which labels can be read by the others: `"all"`, the paper's; or `"history"`, those of the row's history, beside what is
            known of user and target time, and nothing at all (ours: a label without an event has nothing to tell, and the cost is
            then labels times labels of the history, instead of labels squared).
        label_units (`bool`, *optional*, defaults to `False`):
            Add to the weights of the unit that reads all labels' outputs some of each label's own (ours; of labels that are tokens).
        label_bias (`bool`, *optional*, defaults to `True`): a bias for each label, which starts at its base rate.
        own_frequency (`bool`, *optional*, defaults to `False`):
            Add to a label's logit what the history's own frequency of the label changes in its log-odds, recent events counting more
            (ours; [`OwnFrequency`] has the equation). With a `label_bias` only.
        num_popular_tokens (`int`, *optional*):
            Tokens are the labels of the row's history and so many of the most frequent ones of training; the others are scored from
            their vectors against the mean of the tokens' outputs. `None`: every label is a token.
        embedding_std (`float`, *optional*, defaults to 1.0): standard deviation of the initial vectors.
    """

    model_type = "lanet"

    # what a Trainer doesn't gather
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["hidden_states", "attentions", "token_ids"]

    embed_dim: int = 128
    num_layers: int = 2
    num_heads: int = 4
    ffn_ratio: float | int = 1.0
    norm_first: bool = False
    dropout: float | int = 0.2
    attention_dropout: float | int | None = None
    head_dropout: float | int = 0.3
    look_back: int | None = 3
    num_users: int = 0
    user_dropout: float | int = 0.1
    num_amount_bins: int = 0
    time_encoding: Literal["none", "gap_embedding", "sinusoid", "log_bucket"] = "gap_embedding"
    time_reference: Literal["previous", "last"] = "previous"
    folding: Literal["sum", "sum_and_share"] = "sum"
    num_gaps: int = 512
    num_time_buckets: int = 32
    position_embedding: bool = True
    causal: bool = False
    uses_target_time: bool = False
    label_loss: Literal["bce", "softmax"] = "bce"
    label_attention: bool = True
    attention_keys: Literal["all", "history"] = "all"
    label_units: bool = False
    label_bias: bool = True
    own_frequency: bool = False
    num_popular_tokens: int | None = None
    embedding_std: float | int = 1.0

    # -- what others ask for ----------------------------------------------------------------------------------------

    @property
    def input_kind(self) -> str:
        """Histories of events."""
        return "event"

    @property
    def has_positions(self) -> bool:
        """Whether an event's place in the window has a vector: where there is a window, and it is wanted."""
        return self.position_embedding and not self.causal and self.look_back is not None

    @property
    def has_time_part(self) -> bool:
        """Whether a label's token has a part for the times, or at least the places, of its events."""
        return self.time_encoding != "none" or self.has_positions

    @property
    def token_dim(self) -> int:
        """Width of a label's token: `embed_dim` for each of its parts."""
        return self.embed_dim * (1 + self.has_time_part + (self.num_amount_bins > 0))

    @property
    def num_context_tokens(self) -> int:
        """Tokens before those of the labels: the user's and that of the time to the next event."""
        return ((self.num_users > 0) + self.uses_target_time) if self.label_attention else 0

    @property
    def has_popular_tokens(self) -> bool:
        """Whether only some labels are tokens."""
        return self.num_popular_tokens is not None and self.num_popular_tokens < self.num_labels

    # -- what is refused --------------------------------------------------------------------------------------------

    def validate_sizes(self):
        """Sizes that the model can be built with."""
        names = ("embed_dim", "num_layers", "num_heads", "look_back", "num_gaps", "num_popular_tokens")
        check_positive(self, names)
        for name in ("num_users", "num_amount_bins"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, found {getattr(self, name)}")
        if self.num_time_buckets < 2:
            raise ValueError(f"`num_time_buckets` must be 2 or more, found {self.num_time_buckets}")
        if not self.has_time_part and not self.num_amount_bins:
            raise ValueError(
                "`time_encoding` 'none' without positions and amounts leaves nothing that tells a label of the history from "
                "others; accepted: 'gap_embedding', 'log_bucket', 'sinusoid', or `position_embedding` with a `look_back`"
            )
        if self.token_dim % self.num_heads:
            raise ValueError(
                f"`num_heads` must divide the width of a token, `embed_dim` times its parts = {self.token_dim}, "
                f"found {self.num_heads}"
            )
        if int(self.ffn_ratio * self.token_dim) < 1 or self.ffn_ratio == float("inf"):
            raise ValueError(f"`ffn_ratio` must be positive, found {self.ffn_ratio}")
        if self.time_encoding == "sinusoid" and self.embed_dim % 2:
            raise ValueError(f"`embed_dim` must be even for sines and cosines, found {self.embed_dim}")

    def validate_folding(self):
        """What the chosen form can fold."""
        if self.time_reference == "last":
            if self.time_encoding not in ("log_bucket", "sinusoid"):
                raise ValueError(
                    "`time_reference` 'last' is of the `time_encoding` 'log_bucket' or 'sinusoid', found "
                    f"'{self.time_encoding}'"
                )
            if self.causal:  # every prefix has a last event of its own, and so no running sum
                raise ValueError("`time_reference` 'last' is of the windowed form, found `causal`")
        if self.own_frequency and not self.label_bias:
            raise ValueError("`own_frequency` starts from the labels' base rates, found `label_bias` False")
        if self.folding == "sum_and_share" and self.embed_dim % 2:
            raise ValueError(f"`embed_dim` must be even for the `folding` 'sum_and_share', found {self.embed_dim}")

    def validate_probabilities(self):
        """Probabilities that are some, and a spread that is one."""
        for name in ("dropout", "attention_dropout", "head_dropout", "user_dropout"):
            if getattr(self, name) is not None and not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in [0, 1), found {getattr(self, name)}")
        if not 0 <= self.embedding_std < float("inf"):
            raise ValueError(f"`embedding_std` must not be negative, found {self.embedding_std}")

    def validate_label_loss(self):
        """The softmax knows nothing of what varies the binary losses."""
        if self.label_loss == "softmax" and (self.loss != "bce" or self.use_pos_weight or self.label_smoothing):
            raise ValueError(
                "`loss`, `use_pos_weight` and `label_smoothing` are of `label_loss` 'bce', found 'softmax' with "
                f"{self.loss!r}, {self.use_pos_weight} and {self.label_smoothing}"
            )


__all__ = ["LanetConfig"]
