"""SGM's encoder under the heads that its decoder is compared with: the same network, sizes, training and validation rule.

What differs from SGM is how the label set is read off the document, so that a difference is the sequence's and not tf-idf's or
the training's. A document becomes one vector as in the decoder's first step, from the mean of its states and what an additive
attention reads, and on it stands a sigmoid a label (binary relevance), a softmax over the label sets of the training rows (label
powerset), or a sigmoid a label that also reads the labels before it (a classifier chain, the frequent labels first, greedy). A
second form of binary relevance lets every label read the document with an attention of its own.

These models live in a comparison's process only: `fit` shows them to `train` and `load_model` as an architecture of their
own and takes them back.

Shape legend: B documents, m tokens, D width of the encoder, d width of a document's vector, L labels, S label sets.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from transformers import initialization as init

from hf_mlc.comparing.arms import Fitted, Job, ours
from hf_mlc.comparing.arms.problem_transformations import powerset_scores
from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.label_attention import label_attention
from hf_mlc.modeling.losses import targets_from_ids
from hf_mlc.modeling.modeling_sgm import SgmPreTrainedModel
from hf_mlc.modeling.multi_label import MultiLabelOutput
from hf_mlc.modeling.sgm_decoder import AdditiveAttention
from hf_mlc.modeling.sgm_encoder import SgmEncoder


MODEL_TYPE = "sgm-same-encoder"
HEADS = {
    "same-encoder-per-label": "per_label",
    "same-encoder-label-wise": "label_wise",
    "same-encoder-powerset": "powerset",
    "same-encoder-chain": "chain",
}
LEAST = 1e-6  # what a score is kept away from 0 and 1 by, so that its logit is finite


def fit(job: Job, folder: Path) -> Fitted:
    """As `ours.fit`, the job's runner naming the head."""
    # a search that isn't there has no end to be tuned
    settings = {
        **job.settings,
        "model_type": MODEL_TYPE,
        "head": HEADS[job.runner],
        "end_biases": [],
        "decision": "thresholds",
    }
    if settings["head"] == "powerset":
        settings["label_sets"] = _label_sets(job, ["train", "validation"] if settings.get("refit") else ["train"])
    with ours.shown(SameEncoderModel, like="sgm"):
        return ours.fit(replace(job, settings=settings), folder)


def _label_sets(job: Job, splits: list[str]) -> list[list[int]]:
    """The label sets of the rows that are trained on in the end, each once."""
    space = job.rows.label_space()
    rows = (labels for split in splits for labels in job.rows.read(split)["labels"])
    return [list(ids) for ids in sorted({tuple(sorted(set(space.encode(labels).tolist()))) for labels in rows})]


@strict
class SameEncoderConfig(SgmConfig):
    r"""
    Configuration of [`SameEncoderModel`]: of [`SgmConfig`] what concerns the encoder, `decoder_size`, `attention_size` and
    `label_ranks`.

    Args:
        head (`str`, *optional*, defaults to `"per_label"`): `"per_label"`, `"label_wise"`, `"powerset"` or `"chain"`.
        label_sets (`list[list[int]]`, *optional*): of a powerset, the sets that it chooses from.
    """

    model_type = MODEL_TYPE
    _auto_class = None  # no code is saved beside the weights
    searches = False  # so thresholds may choose the smallest set, as those of other models without a search

    head: Literal["per_label", "label_wise", "powerset", "chain"] = "per_label"
    label_sets: list[list[int]] | None = None
    is_encoder_decoder: bool = False


class Reading(nn.Module):
    """A document's vector, as the first step of the decoder has it: the mean of its states, and what an additive attention
    reads with that mean as its query, through one layer.
    """

    def __init__(self, config: SameEncoderConfig):
        super().__init__()
        compared = config.attention_size or config.decoder_width
        self.keys = nn.Linear(config.hidden_size, compared, bias=False)
        self.attention = AdditiveAttention(config.hidden_size, compared)
        self.read_out = nn.Linear(2 * config.hidden_size, config.decoder_width)
        self.dropout = nn.Dropout(config.decoder_dropout)

    def forward(self, hidden_BmD: torch.Tensor, mask_Bm: torch.BoolTensor) -> torch.Tensor:
        mask_Bm1 = mask_Bm[..., None]
        mean_BD = (hidden_BmD * mask_Bm1).sum(dim=1) / mask_Bm1.sum(dim=1).clamp(min=1)
        weights_Bm = self.attention(mean_BD, self.keys(hidden_BmD), mask_Bm).to(hidden_BmD.dtype)
        context_BD = (weights_Bm[:, None] @ hidden_BmD).squeeze(1)
        return self.dropout(torch.tanh(self.read_out(torch.cat([mean_BD, context_BD], dim=1))))


class PerLabelHead(nn.Module):
    """A sigmoid a label: binary relevance."""

    def __init__(self, config: SameEncoderConfig):
        super().__init__()
        self.reading = Reading(config)
        self.output = nn.Linear(config.decoder_width, self.num_outputs(config))

    def num_outputs(self, config: SameEncoderConfig) -> int:
        return config.num_labels

    def forward(self, hidden_BmD, mask_Bm, targets_BL, log_odds_BL=None) -> torch.Tensor:
        """What the loss is of; with the labels' log-odds by linear machines where there are some."""
        outputs = self.read(hidden_BmD, mask_Bm)
        return outputs if log_odds_BL is None else outputs + self.of_log_odds(log_odds_BL)

    def read(self, hidden_BmD, mask_Bm) -> torch.Tensor:
        """What the network says by itself."""
        return self.output(self.reading(hidden_BmD, mask_Bm))

    def of_log_odds(self, log_odds_BL: torch.Tensor) -> torch.Tensor:
        """What the labels' log-odds by other means add to what `forward` gives."""
        return log_odds_BL

    def answer(self, trained_BL: torch.Tensor) -> torch.Tensor:
        """Logits of the labels, `(B, L)`, from what `forward` gave without targets."""
        return trained_BL

    def loss(self, model: "SameEncoderModel", trained_BL, targets_BL, num_items_in_batch) -> torch.Tensor:
        return model.compute_loss(trained_BL, labels=targets_BL, num_items_in_batch=num_items_in_batch)


class LabelWiseHead(PerLabelHead):
    """A sigmoid a label on what the label's own attention reads: the stronger form of binary relevance."""

    def __init__(self, config: SameEncoderConfig):
        nn.Module.__init__(self)
        self.query_LD = nn.Parameter(torch.empty(config.num_labels, config.hidden_size))
        self.weight_LD = nn.Parameter(torch.empty(config.num_labels, config.hidden_size))
        self.bias_L = nn.Parameter(torch.empty(config.num_labels))

    def read(self, hidden_BmD, mask_Bm) -> torch.Tensor:
        read_BLD = label_attention(self.query_LD, hidden_BmD, hidden_BmD, mask_Bm)
        return (read_BLD * self.weight_LD).sum(dim=2) + self.bias_L


class PowersetHead(PerLabelHead):
    """A softmax over the label sets of the training rows; scores as those of `powerset_scores`."""

    def __init__(self, config: SameEncoderConfig):
        super().__init__(config)
        self.register_buffer("sets_SL", _sets(config))

    def num_outputs(self, config: SameEncoderConfig) -> int:
        return len(config.label_sets)

    def of_log_odds(self, log_odds_BL: torch.Tensor) -> torch.Tensor:
        """Of independent labels, the log-odds of a set against the empty one are the sum of its labels'."""
        return log_odds_BL @ self.sets_SL.T

    def answer(self, trained_BS: torch.Tensor) -> torch.Tensor:
        return powerset_scores(trained_BS.float().softmax(dim=1), self.sets_SL).clamp(LEAST, 1 - LEAST).logit()

    def loss(self, model: "SameEncoderModel", trained_BS, targets_BL, num_items_in_batch) -> torch.Tensor:
        """Cross-entropy of the document's set; a set that no training row has teaches nothing."""
        common_BS = targets_BL @ self.sets_SL.T
        same_BS = (common_BS == self.sets_SL.sum(dim=1)) & (common_BS == targets_BL.sum(dim=1, keepdim=True))
        losses_B = -(trained_BS.float().log_softmax(dim=1) * same_BS).sum(dim=1)
        return losses_B.sum() / (len(losses_B) if num_items_in_batch is None else num_items_in_batch)


class ChainHead(PerLabelHead):
    """A sigmoid a label that reads the labels before it in `label_ranks`: true ones in training, its own answers after."""

    def __init__(self, config: SameEncoderConfig):
        super().__init__(config)
        self.links_LL = nn.Parameter(torch.empty(config.num_labels, config.num_labels))
        self.order = sorted(range(config.num_labels), key=_ranks(config).__getitem__)
        self.register_buffer("before_LL", _before(config))

    def forward(self, hidden_BmD, mask_Bm, targets_BL, log_odds_BL=None) -> torch.Tensor:
        alone_BL, links_LL = super().forward(hidden_BmD, mask_Bm, None, log_odds_BL), self.links_LL * self.before_LL
        if targets_BL is not None:
            return alone_BL + targets_BL @ links_LL
        answers_BL, logits_BL = torch.zeros_like(alone_BL), alone_BL.clone()
        for label in self.order:
            logits_BL[:, label] += answers_BL @ links_LL[:, label]
            answers_BL[:, label] = (logits_BL[:, label] >= 0).to(answers_BL)
        return logits_BL


HEAD_CLASSES = {
    "per_label": PerLabelHead,
    "label_wise": LabelWiseHead,
    "powerset": PowersetHead,
    "chain": ChainHead,
}


class SameEncoderModel(SgmPreTrainedModel):
    """SGM's encoder with another head."""

    config: SameEncoderConfig
    config_class = SameEncoderConfig
    _auto_class = None

    def __init__(self, config: SameEncoderConfig):
        super().__init__(config)
        self.encoder = SgmEncoder(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.head = HEAD_CLASSES[config.head](config)
        self.post_init()

    def get_input_embeddings(self):
        if self.config.encoder == "transformer":
            return self.encoder.backbone.get_input_embeddings()
        return self.encoder.embeddings.word_embeddings

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, LabelWiseHead):
            # small queries: attention starts near uniform
            bound = self.config.hidden_size**-0.5
            init.normal_(module.query_LD, std=0.05)
            init.uniform_(module.weight_LD, -bound, bound)
            init.zeros_(module.bias_L)
        elif isinstance(module, PowersetHead):
            init.copy_(module.sets_SL, _sets(self.config))
        elif isinstance(module, ChainHead):
            init.zeros_(module.links_LL)
            init.copy_(module.before_LL, _before(self.config))

    @torch.no_grad()
    def set_training_statistics(self, counts_L: torch.Tensor, num_documents: int) -> None:
        super().set_training_statistics(counts_L, num_documents)
        if self.encoder.readout is not None and self.output_bias() is not None:
            self.output_bias().zero_()  # how frequent labels are is in the machines' log-odds

    def output_bias(self) -> nn.Parameter | None:
        if self.config.head == "powerset":
            return None  # its outputs are sets
        return self.head.bias_L if self.config.head == "label_wise" else self.head.output.bias

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        labels: torch.Tensor | None = None,
        label_ids: torch.LongTensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> MultiLabelOutput:
        """As every architecture's. `logits` are not read off the targets, and are left out in training with a loss."""
        targets_BL = None if labels is None else labels.float()
        if label_ids is not None:
            targets_BL = targets_from_ids(label_ids, self.config.num_labels)
        read = self.encoder(input_ids, attention_mask, token_type_ids)
        hidden_BmD, loss, logits_BL = self.dropout(read.last_hidden_state), None, None
        if targets_BL is not None:
            trained = self.head(hidden_BmD, read.mask, targets_BL, read.log_odds)
            loss = self.head.loss(self, trained, targets_BL, num_items_in_batch)
        if targets_BL is None or not self.training:
            logits_BL = self.head.answer(self.head(hidden_BmD, read.mask, None, read.log_odds))
        return MultiLabelOutput(loss=loss, logits=logits_BL)


def _sets(config: SameEncoderConfig) -> torch.Tensor:
    sets_SL = torch.zeros(len(config.label_sets), config.num_labels)
    for row, ids in enumerate(config.label_sets):
        sets_SL[row, ids] = 1
    return sets_SL


def _ranks(config: SameEncoderConfig) -> list[int]:
    return config.label_ranks or list(range(config.num_labels))


def _before(config: SameEncoderConfig) -> torch.Tensor:
    """1 where the row's label comes before the column's, `(L, L)`."""
    ranks_L = torch.tensor(_ranks(config))
    return (ranks_L[:, None] < ranks_L[None]).float()
