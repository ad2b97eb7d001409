"""LightDXML: from a thousand labels to millions, at the cost of a sum of word vectors and a shortlist.

A document is a weighted sum of its tokens' vectors with a residual block on top (tfidf_bag.py), or what any encoder of the Hub makes of
it. Labels have two vectors: a row of the classifier, and a unit vector in an index, which is the centroid of the label's training
documents after a trained map (label_proxy.py). The index gives the S labels nearest to a document (label_index.py); the classifier
scores those alone, and both scores are mixed (score_mix.py). No further model ranks the result. (Mishra, Dasgupta, Jawanpuria, Mishra,
Kumar, "Light-weight Deep Extreme Multilabel Classification", IJCNN 2023, arXiv:2304.11045; written from its description and Astec's.)

Training goes in cycles, of which this file knows nothing but what they leave: the index and the lists that a batch brings along.

Shape legend: B documents, F places of the longest, D width, L labels, S labels of a list, U labels of a list that a batch shares, P
padded label ids, K labels of an answer.
"""

import torch
from torch import nn
from transformers import initialization as init

from .configuration_lightdxml import LightDxmlConfig
from .label_evidence import LabelEvidence
from .label_index import RunningTop, blocks
from .label_proxy import LabelProxy
from .label_sampling import ids_of_labels
from .label_search import LabelSearch
from .label_tables import StoredTable, read_rows
from .losses import columns_of_targets, summed_cross_entropy
from .multi_label import MultiLabelOutput
from .score_mix import mixed_logits, mixed_probabilities
from .table_encoder import EncodedDocument
from .table_storage import TableStorage
from .text_model import TextPreTrainedModel
from .text_pooling import SELF_INITIALISED, PooledTextEncoder
from .tfidf_bag import ResidualBlock, TfidfBag, TokenVectors


# the logit of padding in a list, and of labels that may not be found
NOT_SCORED = -1e4
# many documents with lists of their own are scored against all labels, as one matrix product, where there are no more labels than so
# many lists would hold: a row that is looked up costs as much as so many that are multiplied
_LABELS_PER_LISTED = 32
TARGETS = ("labels", "label_ids", "candidate_ids", "num_items_in_batch")


class LightDxmlPreTrainedModel(TextPreTrainedModel):
    """Initialisation and what transformers wants to know about the architecture."""

    config: LightDxmlConfig
    has_data_parallel = False  # tables and lists of a model in training are its trainer's, too

    def _init_weights(self, module):
        if isinstance(module, (TokenVectors, TfidfBag, ResidualBlock, LabelProxy, StoredTable, *SELF_INITIALISED)):
            module.reset_parameters()
        elif isinstance(module, LightDxmlForMultiLabelClassification):
            super()._init_weights(module)
            if isinstance(module.classifier, nn.Embedding):
                bound = module.config.embed_dim**-0.5
                init.uniform_(module.classifier.weight, -bound, bound)
            if module.classifier_bias is not None:
                init.zeros_(module.classifier_bias.weight)
            if isinstance(module.index_vectors, torch.Tensor):
                init.zeros_(module.index_vectors)
            init.ones_(module.trained_labels)
        elif not isinstance(module, nn.Embedding):  # the model itself starts its tables of labels
            super()._init_weights(module)


class LightDxmlForMultiLabelClassification(LabelSearch, LabelEvidence, TableStorage, LightDxmlPreTrainedModel):
    """An encoder, a classifier scored on shortlists, and the index that makes them; what `AutoModel` returns for "lightdxml".

    Buffers:
        index_vectors (`torch.FloatTensor` of shape `(L, D)`): unit vectors of the labels; 0 before the first cycle.
        trained_labels (`torch.BoolTensor` of shape `(L,)`):
            labels that may be found: with training documents, or with features of their own; others are in no shortlist.
    """

    def __init__(self, config: LightDxmlConfig):
        super().__init__(config)
        num_labels, width = config.num_labels, config.embed_dim
        is_text = config.encoder == "transformer"
        self.supports_gradient_checkpointing = is_text
        if config.encoder == "features":
            self.input_modalities = ("features",)
        self.encoder = PooledTextEncoder(config) if is_text else TfidfBag(config)
        self.residual = ResidualBlock(config) if config.residual else None
        self.classifier_bias = nn.Embedding(num_labels, 1, sparse=config.sparse_labels) if config.label_bias else None
        if config.table_dtype == "float32":
            self.classifier = nn.Embedding(num_labels, width, sparse=config.sparse_labels)
            self.register_buffer("index_vectors", torch.zeros(num_labels, width))
            self.proxy = LabelProxy(config)
        else:
            self.classifier = StoredTable(num_labels, width, config.table_dtype)
            self.index_vectors = StoredTable(num_labels, width, config.table_dtype)
            self.proxy = None  # what it makes is in the index
        self.register_buffer("trained_labels", torch.ones(num_labels, dtype=torch.bool))
        # written by a cycle, on every process alike: DistributedDataParallel needn't send it along with each batch
        self._ddp_params_and_buffers_to_ignore = ["index_vectors", "trained_labels"]
        self._begin_search()
        self.post_init()

    # -- parts that others ask for ------------------------------------------------------------------------------------

    def take_up_sparse_gradients(self) -> None:
        """Lets the tables' gradients be as `config.sparse_gradients` has them now; they are made with what it was then."""
        for module in self.modules():
            if isinstance(module, nn.Embedding) and module in (self.classifier, self.classifier_bias):
                module.sparse = self.config.sparse_labels
            elif isinstance(module, TokenVectors):
                module.sparse = self.config.sparse_tokens

    @property
    def reads_token_ids(self) -> bool:
        return self.config.encoder != "transformer"

    @property
    def reads_token_counts(self) -> bool:
        """Whether a text may be given as a bag, each token once with its count."""
        return self.config.encoder == "tfidf"

    def resize_token_embeddings(self, *args, **kwargs) -> nn.Module:
        """As `PreTrainedModel.resize_token_embeddings`; the new tokens count for nothing until their idf is known."""
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        if self.reads_token_ids:
            self.encoder.resize_idf(embeddings.weight.shape[0])
        return embeddings

    @property
    def scored_columns(self) -> int:
        """How many columns the logits of a document have in evaluation: a shortlist's, or all labels."""
        lists = self.has_index and self.config.scoring == "shortlist"
        return min(self.config.shortlist_size, self.config.num_labels) if lists else self.config.num_labels

    @torch.no_grad()
    def set_training_statistics(self, counts_L: torch.Tensor, num_documents: int) -> None:
        """As [`MultiLabelPreTrainedModel.set_training_statistics`]; also which labels may be found, and the classifier's bias.

        Where documents share a list, which holds most frequent labels most of the time, a label's bias starts at its log-odds in
        training; where each has a list of its own, of the labels that are near, all start at the odds with which one of these is the
        document's.
        """
        super().set_training_statistics(counts_L, num_documents)
        self.trained_labels.copy_(counts_L > 0)
        if self.classifier_bias is None:
            return
        if self.config.shared_shortlist:
            self.classifier_bias.weight.copy_(_log_odds(counts_L, num_documents)[:, None])
        else:
            size = min(self.config.shortlist_size, int((counts_L > 0).sum())) * num_documents
            present = float(counts_L.sum())
            odds = (present + 0.5) / (max(size - present, 0.0) + 0.5)
            self.classifier_bias.weight.fill_(torch.tensor(odds).log())

    @torch.no_grad()
    def set_unseen_labels(self, ids: torch.LongTensor, num_documents: int) -> None:
        """Labels that may be found although no training document has them; the classifier says of them, of any document,
        `ln(0.5 / (num_documents + 0.5))`, the log-odds of a label that was not seen once. Their order is the index's.

        Args:
            ids (`torch.LongTensor` of shape `(n,)`): the labels; their rows, which nothing has taught, become 0.
            num_documents (`int`): training documents.

        Raises:
            `ValueError`: a model without `label_bias`, whose logit of a row of zeros would be even odds.
        """
        if self.classifier_bias is None:
            raise ValueError("`label_bias` must be true where labels without training documents may be found")
        ids = ids.to(self.trained_labels.device)
        self.trained_labels[ids] = True
        self.classifier.weight[ids] = 0.0
        self.classifier_bias.weight[ids] = _log_odds(torch.zeros(1), num_documents).to(self.classifier_bias.weight)

    # -- from documents to lists and scores ---------------------------------------------------------------------------

    def encode(self, **inputs: torch.Tensor) -> torch.Tensor:
        """The vectors of documents, `(B, D)`.

        Args:
            inputs (`torch.Tensor`): what `forward` takes; targets and lists among them are ignored.
        """
        return self._encode(**{name: value for name, value in inputs.items() if name not in TARGETS})[0]

    def _encode(self, **inputs) -> tuple[torch.Tensor, EncodedDocument]:
        unread = ("token_type_ids",) if self.reads_token_ids else ("token_counts", "token_weights")
        if self.reads_token_ids:
            unread += ("output_attentions",)
        encoded = self.encoder.encode(**{name: value for name, value in inputs.items() if name not in unread})
        vector_BD = encoded.vector
        return (vector_BD if self.residual is None else self.residual(vector_BD)), encoded

    def score(self, documents_BD: torch.Tensor, candidate_ids: torch.LongTensor | slice) -> torch.Tensor:
        """Logits of the classifier.

        Args:
            documents_BD (`torch.Tensor` of shape `(B, D)`): from `encode`.
            candidate_ids (`torch.LongTensor` of shape `(B, S)` or `(U,)`, or `slice`):
                labels of each document, or of all of them, by one matrix product; negative ones are padding.

        Returns:
            `torch.Tensor` of shape `(B, S)` or `(B, U)`.
        """
        rows = candidate_ids if isinstance(candidate_ids, slice) else candidate_ids.clamp(min=0)
        if self._scores_all_at_once(documents_BD, candidate_ids):
            return self.score(documents_BD, slice(None)).gather(1, rows).masked_fill(candidate_ids < 0, NOT_SCORED)
        vectors = read_rows(self.classifier, rows).to(documents_BD.dtype)
        if vectors.ndim == 3:
            logits_BS = (vectors @ documents_BD[:, :, None]).squeeze(2)
        else:
            logits_BS = documents_BD @ vectors.T
        if self.classifier_bias is not None:
            logits_BS = logits_BS + read_rows(self.classifier_bias, rows).squeeze(-1)
        if isinstance(candidate_ids, slice):
            return logits_BS
        return logits_BS.masked_fill(candidate_ids < 0, NOT_SCORED)

    def _scores_all_at_once(self, documents_BD: torch.Tensor, candidate_ids: torch.LongTensor | slice) -> bool:
        """Whether lists of their own are cheaper read off the scores of all labels."""
        if isinstance(candidate_ids, slice) or candidate_ids.ndim == 1:
            return False
        num_rows, size = candidate_ids.shape
        dense = not (
            self.config.sparse_labels and torch.is_grad_enabled()
        )  # sparse gradients are of rows that are looked up
        return dense and num_rows > _LABELS_PER_LISTED and self.config.num_labels <= _LABELS_PER_LISTED * size

    def compute_loss(
        self,
        logits_BS: torch.Tensor,
        *,
        labels: torch.Tensor | None = None,
        label_ids: torch.Tensor | None = None,
        candidate_ids: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **weights: torch.Tensor | None,
    ) -> torch.Tensor | None:
        """As [`MultiLabelPreTrainedModel.compute_loss`]; plain cross-entropy of one list for all documents makes no target a cell."""
        config = self.config
        is_plain = config.loss == "bce" and not (config.use_pos_weight or config.label_smoothing or weights)
        is_shared = candidate_ids is not None and candidate_ids.ndim == 1
        if not (is_plain and is_shared and labels is None and label_ids is not None):
            return super().compute_loss(
                logits_BS,
                labels=labels,
                label_ids=label_ids,
                candidate_ids=candidate_ids,
                num_items_in_batch=num_items_in_batch,
                **weights,
            )
        # what pads a list is NOT_SCORED, whose share of the sum is 0
        columns_BP = columns_of_targets(label_ids, candidate_ids)
        total = summed_cross_entropy(logits_BS.float(), columns_BP)
        if config.loss_reduction == "mean":
            total = total / config.num_labels
        return total / (len(logits_BS) if num_items_in_batch is None else num_items_in_batch)

    # -- forward ------------------------------------------------------------------------------------------------------

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_counts: torch.Tensor | None = None,
        token_weights: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        label_ids: torch.LongTensor | None = None,
        candidate_ids: torch.LongTensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> MultiLabelOutput | tuple:
        r"""
        With `candidate_ids`, `logits` are the classifier's of those labels. Without, in evaluation, they are the mixed scores
        (`score_mix.py`) of the shortlist that the index gives, whose labels `candidate_ids` of the output names, or of all labels with
        `config.scoring` "all"; in training, the classifier's of the batch's shortlists and targets together. Before a cycle has
        filled the index, all labels are scored by the classifier. The loss is of the classifier's logits in each case.

        Args:
            input_ids (`torch.LongTensor` of shape `(B, F)`): token ids, or ids of features, 0 for padding.
            attention_mask (`torch.Tensor` of shape `(B, F)`, *optional*):
                1 for text, 0 for padding, in any places; if not given, everything but the padding token is text.
            token_counts (`torch.Tensor` of shape `(B, F)`, *optional*):
                how often each id stands in its document, of the encoder "tfidf"; each id is then given once. Counted if not given.
            token_weights (`torch.Tensor` of shape `(B, F)`, *optional*):
                what each id weighs, in place of tf-idf; the encoder "features" needs it. Rows are to be of length 1.
            token_type_ids (`torch.LongTensor` of shape `(B, F)`, *optional*): for backbones that take them.
            inputs_embeds (`torch.Tensor` of shape `(B, F, D)`, *optional*):
                vectors in place of those of the ids, which but a transformer needs beside them.
            labels (`torch.Tensor` of shape `(B, L)`, *optional*): multi-hot targets, any dtype; -100 is unknown.
            label_ids (`torch.LongTensor` of shape `(B, P)`, *optional*): the same as ids, padded with -100.
            candidate_ids (`torch.LongTensor` of shape `(B, S)` or `(U,)`, *optional*):
                the labels to score, of each document or of all of them, each once; -1 is padding.
            num_items_in_batch (`int` or `torch.Tensor`, *optional*): documents in the whole optimiser step.
            output_hidden_states, output_attentions (`bool`, *optional*): return the encoder's as well.
            return_dict (`bool`, *optional*): a [`MultiLabelOutput`] (the default) or a tuple of what isn't `None`.
        """
        config = self.config
        if output_hidden_states is None:
            output_hidden_states = config.output_hidden_states
        output_attentions = config.output_attentions if output_attentions is None else output_attentions
        return_dict = config.return_dict if return_dict is None else return_dict
        documents_BD, encoded = self._encode(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_counts=token_counts,
            token_weights=token_weights,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
        )
        if config.table_dtype != "float32" and self.training and (labels is not None or label_ids is not None):
            raise ValueError(
                f"tables of labels in {config.table_dtype} are for prediction: train in 'float32', then `compress`"
            )
        cosines_BS = None
        if candidate_ids is None and self.has_index:
            if self.training:
                candidate_ids = self._training_list(documents_BD, labels, label_ids)
            elif config.scoring == "shortlist":
                candidate_ids, cosines_BS = self.shortlist(documents_BD)
            else:
                cosines_BS = self.similarities(documents_BD)
        logits_BS = self.score(documents_BD, slice(None) if candidate_ids is None else candidate_ids)
        loss = self.compute_loss(
            logits_BS,
            labels=labels,
            label_ids=label_ids,
            candidate_ids=candidate_ids,
            num_items_in_batch=num_items_in_batch,
        )
        shown_BS = self._shown(logits_BS, cosines_BS, candidate_ids)
        output = MultiLabelOutput(
            loss=loss,
            logits=shown_BS,
            candidate_ids=candidate_ids,
            hidden_states=encoded.hidden_states if output_hidden_states else None,
            attentions=encoded.attentions if output_attentions else None,
        )
        return output if return_dict else output.to_tuple()

    def _training_list(self, documents_BD, labels, label_ids) -> torch.LongTensor:
        """The union of what the index gives the documents now and of their labels, `(U,)`, ascending."""
        ids = self.shortlist(documents_BD)[0].flatten()
        if label_ids is None and labels is not None:
            label_ids = ids_of_labels(labels)
        if label_ids is not None:
            ids = torch.cat([ids, label_ids.flatten()])
        return ids[ids >= 0].unique()

    def _shown(self, logits_BS, cosines_BS, candidate_ids) -> torch.Tensor:
        """The logits to return: mixed where there are similarities, those of labels that can't be an answer lowest."""
        if cosines_BS is not None:
            there = self.trained_labels.expand_as(logits_BS) if candidate_ids is None else candidate_ids >= 0
            logits_BS = mixed_logits(logits_BS, cosines_BS, self.config.beta, is_there_BS=there)
            return logits_BS.masked_fill(~there, NOT_SCORED)
        if candidate_ids is None and not self.training:
            return logits_BS.masked_fill(~self.trained_labels, NOT_SCORED)
        return logits_BS

    # -- answers ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def predict_topk(self, batch: dict[str, torch.Tensor], k: int = 5) -> tuple[torch.LongTensor, torch.FloatTensor]:
        """As [`MultiLabelPreTrainedModel.predict_topk`]; where all labels are scored, `config.block_size` at a time.

        Where fewer than k labels are in a shortlist, answers are as long as that. Where fewer were trained, -1 with a score of 0 pads.
        """
        if batch.get("candidate_ids") is not None or (self.has_index and self.config.scoring == "shortlist"):
            return super().predict_topk(batch, k)
        documents_BD = self.encode(**batch)
        best, places = RunningTop(k), self._places(documents_BD)
        # the highest scores of all come first: two passes over the labels, but for those that are one block
        kept = [*self._blocks(documents_BD, places)] if len(places) == 1 else None
        tops = self._tops(kept or self._blocks(documents_BD, places)) if self.has_index else None
        for block, logits_Bn, cosines_Bn in kept or self._blocks(documents_BD, places):
            values_Bn = logits_Bn.double()
            if tops is not None:
                values_Bn = mixed_probabilities(
                    logits_Bn, cosines_Bn, self.config.beta, top_logit_B1=tops[0], top_cosine_B1=tops[1]
                )
            best.add(values_Bn.masked_fill(~self.trained_labels[block], float("-inf")), block.start)
        ids_BK = best.ids_BS.masked_fill(best.values_BS == float("-inf"), -1)
        scores_BK = best.values_BS if tops is not None else best.values_BS.sigmoid()
        return ids_BK, scores_BK.clamp(min=0.0).float()

    def _places(self, documents_BD: torch.Tensor) -> list[slice]:
        return [*blocks(self.index_vectors, self.config.block_size, len(documents_BD))]

    def _blocks(self, documents_BD: torch.Tensor, places: list[slice]):
        """All labels block by block: the block, the classifier's logits and the index's cosines, float32 `(B, n)`."""
        for block in places:
            logits_Bn = self.score(documents_BD, block).float()
            cosines_Bn = self.similarities(documents_BD, block) if self.has_index else None
            yield block, logits_Bn, cosines_Bn

    def _tops(self, scored) -> tuple[torch.Tensor, torch.Tensor]:
        """The highest logit and cosine of each document among the trained labels, `(B, 1)` each, from `_blocks`."""
        tops = None
        for block, *scores in scored:
            hidden = ~self.trained_labels[block]
            found = [values.masked_fill(hidden, float("-inf")).amax(dim=1, keepdim=True) for values in scores]
            tops = found if tops is None else [torch.maximum(*pair) for pair in zip(tops, found, strict=True)]
        return tops[0], tops[1]


def _log_odds(counts_L: torch.Tensor, num_documents: int) -> torch.DoubleTensor:
    """Of a document to have each label, from its number of training documents; half a document is added on each side."""
    counts_L = counts_L.to(torch.float64)
    return ((counts_L + 0.5) / (num_documents - counts_L + 0.5)).log()


__all__ = ["NOT_SCORED", "LightDxmlForMultiLabelClassification", "LightDxmlPreTrainedModel"]
