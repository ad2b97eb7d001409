"""Configuration of SGM, the label set as a sequence."""

from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from .backbone_config import adopt_text_backbone, backbone_config, text_backbone_of
from .configuration_checks import check_positive, check_text_encoder
from .configuration_multi_label import MultiLabelConfig
from .label_constraints import LabelConstraints


@strict
class SgmConfig(MultiLabelConfig):
    r"""
    Configuration of [`SgmForMultiLabelClassification`]. Arguments of the thresholds, the label space and the auxiliary
    head's loss are those of [`MultiLabelConfig`].

    Args:
        vocab_size (`int`, *optional*, defaults to 30000): tokens of the tokenizer. (The decoder's own vocabulary, the labels and
            three special symbols, follows from the number of labels.)
        encoder (`str`, *optional*, defaults to `"lstm"`):
            `"lstm"`, `"gru"`, `"transformer"` or `"image"`.
        text_config (`PreTrainedConfig` or `dict`, *optional*):
            Any text encoder of transformers; given, `encoder` is `"transformer"`. Without it, `"transformer"` is a
            small BERT of the sizes below.
        backbone_config (`PreTrainedConfig` or `dict`, *optional*):
            Any `AutoBackbone` of transformers, of which the last feature map is read; given, `encoder` is `"image"`.
            Without it and without `vision_config`, `"image"` is a small ResNet.
        vision_config (`PreTrainedConfig` or `dict`, *optional*):
            Any vision model of transformers, of which the patches' last states are read; given, `encoder` is `"image"`.
        hidden_size (`int`, *optional*, defaults to 256):
            width of what the decoder attends to, of a recurrent encoder both directions together.
        embedding_size (`int`, *optional*): width of the word vectors of a recurrent encoder; `hidden_size` if not given.
        num_hidden_layers (`int`, *optional*, defaults to 1): layers of the encoder.
        bidirectional (`bool`, *optional*, defaults to `True`): a recurrent encoder reads from both ends.
        num_attention_heads (`int`, *optional*, defaults to 4): of a transformer.
        intermediate_size (`int`, *optional*, defaults to 1024): of a transformer.
        max_position_embeddings (`int`, *optional*, defaults to 512): of a transformer.
        backbone_chunk_length (`int`, *optional*):
            A transformer reads longer documents in chunks of so many tokens; in one piece if not given.
        backbone_chunk_overlap (`int`, *optional*, defaults to 0): tokens that a chunk shares with the next one.
        encoder_self_attention (`bool`, *optional*, defaults to `False`):
            the encoder's states attend to each other once more, added to themselves and normalised.
        self_attention_heads (`int`, *optional*, defaults to 4): heads of that attention.
        decoder_cell (`str`, *optional*, defaults to `"lstm"`): `"lstm"` or `"gru"`.
        decoder_size (`int`, *optional*): width of the decoder's state; `hidden_size` if not given.
        decoder_layers (`int`, *optional*, defaults to 1): recurrent layers of the decoder.
        label_embedding_size (`int`, *optional*): width of the label vectors; the decoder's width if not given.
        attention_size (`int`, *optional*): width in which attention compares; the decoder's width if not given.
        label_context_attention (`bool`, *optional*, defaults to `False`):
            each step also attends to the vectors of the labels that weren't emitted yet.
        label_attention (`str`, *optional*, defaults to `"none"`):
            `"decoder"`: the same as `label_context_attention`. `"encoder"`: every label reads the document with an attention
            of its own, which feeds the auxiliary head and, summed up over the labels, the decoder. `"both"`, `"none"`.
        global_embedding (`bool`, *optional*, defaults to `True`):
            A step is fed a mix of the last label's vector and the mean of all label vectors under the last step's
            distribution, instead of the label's vector alone.
        global_embedding_scale (`float`, *optional*): a constant share of that mean, in place of the learned gate.
        repeat_mask (`bool`, *optional*, defaults to `True`): a label can't be emitted twice, in training and search.
        word_dropout (`float`, *optional*, defaults to 0.1): share of tokens replaced by the unknown one in training.
        embedding_dropout (`float`, *optional*, defaults to 0.25): on the word vectors.
        hidden_dropout (`float`, *optional*, defaults to 0.25): between layers and on the encoder's output.
        decoder_dropout (`float`, *optional*, defaults to 0.25): on the decoder's inputs, layers and read-out.
        embedding_std (`float`, *optional*, defaults to 0.1): standard deviation of the initial word and label vectors.
        initializer_range (`float`, *optional*, defaults to 0.02): standard deviation of a transformer's initial weights.
        label_order (`str`, *optional*, defaults to `"frequency"`):
            Order of the labels in the sequence that training shows: `"frequency"`, `"rare_first"`, `"alphabetical"`,
            `"given"`, `"topological"` (parents first), `"random"` (anew each time a document is seen), `"dynamic"` (the
            decoder's own, with `sequence_loss="alignment"`).
        label_ranks (`list[int]`, *optional*):
            Place of each label in that order, a permutation; made by training from training rows. Their numbers if not given.
        sequence_loss (`str`, *optional*, defaults to `"sequence_ce"`):
            `"sequence_ce"`: cross-entropy of the ordered sequence. `"ocd"`: the decoder runs on its own choices, and each step's
            target is spread over the labels still missing. `"alignment"`: targets take the places at which the decoder
            would emit them. `"set_bce"`: binary cross-entropy of each label's probability of being emitted at all.
        alignment (`str`, *optional*, defaults to `"predicted"`):
            `"predicted"`: a step that predicts a true label keeps it; `"minimal"`: the cheapest assignment of all.
        ocd_sample_rate (`float`, *optional*, defaults to 0.5):
            share of the steps of `"ocd"` whose label is drawn; the most probable one is taken at the others.
        auxiliary_weight (`float`, *optional*, defaults to 0.0):
            weight of the loss of a head that scores each label by itself; 0 leaves the head out.
        set_bce_weight (`float`, *optional*, defaults to 0.0): weight of `"set_bce"` beside another `sequence_loss`.
        scores (`str`, *optional*, defaults to `"beam"`):
            What a label's score is: `"beam"`, its share of the found sequences' probability; `"hazard"`, its probability of
            being emitted at any step of the greedy sequence; `"auxiliary"`, the auxiliary head's; `"rescored"`, as `"beam"` with
            sequences weighed by the auxiliary head too.
        decision (`str`, *optional*, defaults to `"sequence"`):
            Which labels a document gets where nobody gives thresholds: `"sequence"`, the most probable label set that the search
            found, all its orders counted; `"expected_f1"`, of the found sets the one with the highest expected F1;
            `"thresholds"`, those whose score reaches its threshold.
        num_beams (`int`, *optional*, defaults to 5): sequences that the search keeps.
        max_labels (`int`, *optional*): the largest label set that search may answer with; all labels if not given.
        end_bias (`float`, *optional*, defaults to 0.0):
            Subtracted in search from the logit of ending; larger sets with a positive one. Tuned on validation rows.
        rescoring_weight (`float`, *optional*, defaults to 1.0): weight of the auxiliary head in `scores="rescored"`.
        label_parents (`list[list[int]]`, *optional*):
            Parents of each label; search emits no label before all of its parents.
        label_exclusions (`list[list[int]]`, *optional*): groups of labels of which search emits one at most.
        tfidf_path (`bool`, *optional*, defaults to `False`): the document's tf-idf vector joins the decoder's state.
        tfidf_size (`int`, *optional*, defaults to 64): width to which that vector is projected.
        tfidf_dropout (`float`, *optional*, defaults to 0.5): on that vector's words and on its projection.
        linear_readout (`bool`, *optional*, defaults to `False`):
            Each step adds the log-odds of the labels by one linear support vector machine a label over the document's tf-idf weights
            to the decoder's scores; the machines are fitted on the training rows before anything is trained.
        readout_tokens (`int`, *optional*, defaults to 1024): tokens that each machine keeps, those of the largest weights.
        planting_fingerprint (`dict`, *optional*): of the rows that the machines were fitted on.
        num_channels (`int`, *optional*, defaults to 3): of the small ResNet's images.
        attention_implementation (`str`, *optional*, defaults to `"auto"`):
            of `label_attention="encoder"`: `"eager"`, `"blocks"`, `"sdpa"` or `"auto"` (`label_attention.py`).
        pad_token_id (`int`, *optional*, defaults to 0): padding of the text.
        unk_token_id (`int`, *optional*, defaults to 1): the unknown token of the text.
    """

    model_type = "sgm"
    sub_configs: ClassVar[dict[str, Any]] = {
        "text_config": AutoConfig,
        "backbone_config": AutoConfig,
        "vision_config": AutoConfig,
    }
    # what a Trainer doesn't gather
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "hidden_states",
        "attentions",
        "sequences",
        "sequence_scores",
        "auxiliary_logits",
        "past_key_values",
    ]

    vocab_size: int = 30000
    encoder: Literal["lstm", "gru", "transformer", "image"] = "lstm"
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    backbone_config: dict[str, Any] | PreTrainedConfig | None = None
    vision_config: dict[str, Any] | PreTrainedConfig | None = None
    hidden_size: int = 256
    embedding_size: int | None = None
    num_hidden_layers: int = 1
    bidirectional: bool = True
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    max_position_embeddings: int = 512
    backbone_chunk_length: int | None = None
    backbone_chunk_overlap: int = 0
    encoder_self_attention: bool = False
    self_attention_heads: int = 4
    decoder_cell: Literal["lstm", "gru"] = "lstm"
    decoder_size: int | None = None
    decoder_layers: int = 1
    label_embedding_size: int | None = None
    attention_size: int | None = None
    label_context_attention: bool = False
    label_attention: Literal["none", "decoder", "encoder", "both"] = "none"
    global_embedding: bool = True
    global_embedding_scale: float | int | None = None
    repeat_mask: bool = True
    word_dropout: float | int = 0.1
    embedding_dropout: float | int = 0.25
    hidden_dropout: float | int = 0.25
    decoder_dropout: float | int = 0.25
    embedding_std: float | int = 0.1
    initializer_range: float | int = 0.02
    label_order: Literal["frequency", "rare_first", "alphabetical", "given", "topological", "random", "dynamic"] = (
        "frequency"
    )
    label_ranks: list[int] | None = None
    sequence_loss: Literal["sequence_ce", "ocd", "alignment", "set_bce"] = "sequence_ce"
    alignment: Literal["predicted", "minimal"] = "predicted"
    ocd_sample_rate: float | int = 0.5
    auxiliary_weight: float | int = 0.0
    set_bce_weight: float | int = 0.0
    scores: Literal["beam", "hazard", "auxiliary", "rescored"] = "beam"
    decision: Literal["sequence", "expected_f1", "thresholds"] = "sequence"
    num_beams: int = 5
    max_labels: int | None = None
    end_bias: float | int = 0.0
    rescoring_weight: float | int = 1.0
    label_parents: list[list[int]] | None = None
    label_exclusions: list[list[int]] | None = None
    tfidf_path: bool = False
    tfidf_size: int = 64
    tfidf_dropout: float | int = 0.5
    linear_readout: bool = False
    readout_tokens: int = 1024
    planting_fingerprint: dict[str, Any] | None = None
    num_channels: int = 3
    attention_implementation: Literal["auto", "eager", "blocks", "sdpa"] = "auto"
    is_encoder_decoder: bool = True  # `generate` reads it
    pad_token_id: int | None = 0
    unk_token_id: int | None = 1

    def __post_init__(self, **kwargs):
        self.text_config = text_backbone_of(self)
        self.backbone_config = backbone_config(self.backbone_config, field="backbone_config", default="resnet")
        self.vision_config = backbone_config(self.vision_config, field="vision_config", default="vit")
        has_images = self.backbone_config is not None or self.vision_config is not None
        if has_images:
            self.encoder = "image"
        elif self.encoder == "image":
            self.backbone_config = CONFIG_MAPPING["resnet"](
                num_channels=self.num_channels,
                embedding_size=16,
                hidden_sizes=[32, 64, 128],
                depths=[1, 1, 1],
                layer_type="basic",
                out_features=["stage3"],
            )
        if self.text_config is not None and not has_images:
            adopt_text_backbone(self)
        super().__post_init__(**kwargs)

    def _forget_labels(self):
        super()._forget_labels()
        self.label_ranks, self.label_parents, self.label_exclusions = None, None, None

    # -- what others ask for ----------------------------------------------------------------------------------------

    @property
    def decoder_vocab_size(self) -> int:
        """Padding, begin, end, and the labels."""
        return self.num_labels + 3

    @property
    def decoder_width(self) -> int:
        """Width of the decoder's state."""
        return self.decoder_size or self.hidden_size

    @property
    def label_width(self) -> int:
        """Width of the label vectors."""
        return self.label_embedding_size or self.decoder_width

    @property
    def has_linear_readout(self) -> bool:
        return self.linear_readout

    @property
    def has_label_context(self) -> bool:
        """Whether the decoder attends to label vectors."""
        return self.label_context_attention or self.label_attention in ("decoder", "both")

    @property
    def has_label_wise_encoder(self) -> bool:
        """Whether every label reads the document with an attention of its own."""
        return self.label_attention in ("encoder", "both")

    @property
    def has_auxiliary_head(self) -> bool:
        """Whether each label is scored by itself too."""
        return self.auxiliary_weight > 0 or self.has_label_wise_encoder

    def get_text_config(self, decoder=None, encoder=None) -> PreTrainedConfig:
        """As `PreTrainedConfig.get_text_config`; of the decoder, a configuration that tells its vocabulary of labels."""
        if decoder and not encoder:
            return PreTrainedConfig(
                vocab_size=self.decoder_vocab_size,
                hidden_size=self.decoder_width,
                num_hidden_layers=self.decoder_layers,
                num_attention_heads=1,
            )
        return super().get_text_config(decoder=decoder, encoder=encoder)

    # -- what is refused --------------------------------------------------------------------------------------------

    def validate_encoder(self):
        """Sizes that the chosen encoder can be built with, and probabilities that are some."""
        sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        sizes += ("embedding_size", "max_position_embeddings", "backbone_chunk_length", "self_attention_heads")
        check_positive(self, (*sizes, "num_channels"))
        for name in ("word_dropout", "embedding_dropout", "hidden_dropout", "decoder_dropout", "tfidf_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in [0, 1), found {getattr(self, name)}")
        for name in ("embedding_std", "initializer_range"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"`{name}` must not be negative, found {getattr(self, name)}")
        if self.encoder_self_attention and self.hidden_size % self.self_attention_heads:
            raise ValueError(
                f"`hidden_size` must be a multiple of `self_attention_heads`, found {self.hidden_size} and "
                f"{self.self_attention_heads}"
            )
        check_text_encoder(self, two_directions=self.bidirectional)
        given = [
            name for name in ("text_config", "backbone_config", "vision_config") if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ValueError(
                f"give one of `text_config`, `backbone_config`, `vision_config`, found {', '.join(given)}"
            )

    def validate_decoder(self):
        """Sizes of the decoder and ranges of its numbers."""
        sizes = ("decoder_size", "decoder_layers", "label_embedding_size", "attention_size", "num_beams", "tfidf_size")
        sizes += ("readout_tokens",)
        check_positive(self, sizes)
        if self.global_embedding_scale is not None:
            if not self.global_embedding:
                raise ValueError("`global_embedding_scale` is of `global_embedding`, which is switched off")
            if not 0 <= self.global_embedding_scale <= 1:
                raise ValueError(f"`global_embedding_scale` must be in [0, 1], found {self.global_embedding_scale}")
        if not 0 <= self.ocd_sample_rate <= 1:
            raise ValueError(f"`ocd_sample_rate` must be in [0, 1], found {self.ocd_sample_rate}")
        for name in ("auxiliary_weight", "set_bce_weight", "rescoring_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"`{name}` must not be negative, found {getattr(self, name)}")
        if not abs(self.end_bias) < float("inf"):
            raise ValueError(f"`end_bias` must be a finite number, found {self.end_bias}")
        if self.scores in ("auxiliary", "rescored") and not self.auxiliary_weight:
            raise ValueError(f"`scores='{self.scores}'` needs a trained head: give `auxiliary_weight`, found 0")
        for name in ("tfidf_path", "linear_readout"):
            if getattr(self, name) and self.encoder == "image":
                raise ValueError(f"`{name}` is of texts, found the encoder 'image'")
        if self.linear_readout and self.scores == "auxiliary":
            raise ValueError(
                "`linear_readout` adds to the decoder's steps, and `scores='auxiliary'` reads none of them"
            )

    def validate_labels(self):
        """The order of the labels and the rules of the search fit the labels."""
        if self.label_order == "dynamic" and self.sequence_loss in ("sequence_ce", "set_bce"):
            raise ValueError(
                f"`label_order='dynamic'` needs `sequence_loss='alignment'` or 'ocd', found '{self.sequence_loss}'"
            )
        if self.label_ranks is not None and sorted(self.label_ranks) != list(range(self.num_labels)):
            raise ValueError(
                f"`label_ranks` must hold each of 0 to {self.num_labels - 1} once, found {len(self.label_ranks)} numbers"
                + (f" from {min(self.label_ranks)} to {max(self.label_ranks)}" if self.label_ranks else "")
            )
        if self.min_labels > self.num_labels:
            raise ValueError(f"`min_labels` must be at most the {self.num_labels} labels, found {self.min_labels}")
        LabelConstraints.from_config(self)  # refuses rules that contradict themselves


__all__ = ["SgmConfig"]
