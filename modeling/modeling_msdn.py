"""MSDN: each label's logit from the document, and from the labels around it, by convolutions over the label axis.

An encoder reads the document into one vector, of which a linear layer makes base logits: binary relevance. Convolutions of
several widths over the labels, in an order in which neighbours mean something, then add what the labels say about each other
(msdn_relations.py). They take the place of the recurrent memory of other models of label dependence, at some thousand parameters
(a reconstruction from the abstract of Kim, Park and Hong, "Multi-Scale Label Relation Learning for Multi-Label Classification
Using 1-Dimensional Convolutional Neural Networks", arXiv:2107.05941; its layers, sizes and losses are ours).

In the causal variant the labels are a chain, `P(y|x) = prod_j P(y_j | x, labels before j)`: trained with the true answers as
history, all labels in one convolution, and searched afterwards. In the parallel variant guesses of all labels are refined together.

Shape legend: B documents, T tokens, H width of a document, L labels, M orders of the labels, P label ids a document, S chosen labels or
known sets, D channels of a relation.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import initialization as init

from .configuration_msdn import MsdnConfig
from .label_attention import exporting
from .losses import UNKNOWN, targets_from_ids
from .msdn_chain import TableChain, WindowChain
from .msdn_decoding import ChainDecoder, OrderedChain
from .msdn_document_chain import DocumentChain
from .msdn_known_sets import KnownSets
from .msdn_relations import SELF_INITIALISED as OF_RELATIONS
from .msdn_relations import build_relations
from .msdn_set_forest import SetForest
from .msdn_unmasking import settled_again, unmask
from .multi_label import MultiLabelOutput
from .set_scores import with_fewest
from .text_model import TextPreTrainedModel
from .text_pooling import SELF_INITIALISED as OF_DOCUMENTS
from .text_pooling import EncodedDocument, build_document_encoder


@dataclass
class MsdnOutput(MultiLabelOutput):
    r"""
    Output of [`MsdnForMultiLabelClassification`], what [`MultiLabelOutput`] holds and:

    Args:
        base_logits (`torch.FloatTensor` of shape `(B, L)`): of the document alone, before labels say anything of each other.
        relation_inputs (`torch.FloatTensor` of shape `(B, M, D)`, *optional*):
            what the document adds to the channels of each order's relations, with `document_relations`.
        set_bonus (`torch.FloatTensor` of shape `(B, S)`, *optional*):
            what a forest adds to the log-probability of each known set, with `forest_weight`; where documents are answered.
    """

    base_logits: torch.FloatTensor | None = None
    relation_inputs: torch.FloatTensor | None = None
    set_bonus: torch.FloatTensor | None = None


class MsdnPreTrainedModel(TextPreTrainedModel):
    """Initialisation and what transformers wants to know about the architecture."""

    config: MsdnConfig
    has_data_parallel = False  # decoders are kept with the weights that they were made of
    _keep_in_fp32_modules_strict = {"edges"}  # of bins: rounded ones would move values to other bins

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, (*OF_RELATIONS, *OF_DOCUMENTS)):
            module.reset_parameters()
        elif isinstance(module, KnownSets):
            init.zeros_(module.packed)
            init.zeros_(module.counts)
        elif isinstance(module, SetForest):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                init.zeros_(module.bias)
        else:
            self._init_reader(module, (nn.GRU, nn.LSTM))


class MsdnForMultiLabelClassification(MsdnPreTrainedModel):
    """An encoder, base logits and relations between the labels; what `AutoModel` returns for `model_type` "msdn"."""

    def __init__(self, config: MsdnConfig):
        super().__init__(config)
        if config.encoder == "mlp":
            if config.input_size is None:
                raise ValueError("`input_size` is needed by the encoder 'mlp': the columns of a row, found none")
            self.main_input_name, self.input_modalities = "input_features", ("table",)
        self.supports_gradient_checkpointing = config.encoder not in ("mlp", "bag_of_words")
        self.encoder = build_document_encoder(config)
        self.head = nn.Linear(config.hidden_size, config.num_labels)
        self.relations = build_relations(config)
        self.known_sets = KnownSets(config.num_known_sets, config.num_labels)
        self.set_forest: SetForest | None = None
        if config.num_forest_trees:
            self.make_room_for_forest()
        self._kept_orders: tuple[Any, torch.LongTensor | None] = (None, None)
        self._kept_decoder: _KeptDecoder | None = None
        self.post_init()

    # -- parts that others ask for -------------------------------------------------------------------------------------

    def output_bias(self) -> nn.Parameter:
        return self.head.bias

    def parameter_split(self) -> dict[str, int]:
        """Parameters of the encoder, of the head that binary relevance has too, and of the relations between labels."""
        parts = {"encoder": self.encoder, "head": self.head, "relation": self.relations}
        return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}

    def make_room_for_forest(self) -> None:
        """A forest of the configuration's sizes (`num_forest_trees`, ...), to be filled."""
        sizes = self.config.num_forest_trees, self.config.num_forest_nodes, self.config.num_forest_entries
        self.set_forest = SetForest(*sizes).to(self.device)

    def label_orders(self, device: torch.device) -> torch.LongTensor:
        """The label at each place of each order, `(M, L)`; kept on the device until the configuration has others."""
        config = self.config
        wanted = (config.label_ranks, config.num_labels, config.label_order, config.label_order_seed)
        known, orders_ML = self._kept_orders
        if known != wanted or orders_ML.device != device:
            with torch.inference_mode(False):  # it outlives the call
                orders_ML = torch.tensor(config.label_orders, device=device)
            self._kept_orders = copy.deepcopy(wanted), orders_ML
        return orders_ML

    # -- forward -----------------------------------------------------------------------------------------------------

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        input_features: torch.FloatTensor | None = None,
        labels: torch.Tensor | None = None,
        label_ids: torch.LongTensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> MsdnOutput | tuple:
        r"""
        In training mode with targets, `logits` of the causal variant are those that the loss is of: of each label given the true
        answers before it, the mean over the orders. Otherwise they are of the scores that `config.scores` names, and `chosen`
        the sets of `config.decoding`. All are in the user's order of labels.

        Args:
            input_ids (`torch.LongTensor` of shape `(B, T)`, *optional*): token ids; this or `inputs_embeds`, of texts.
            attention_mask (`torch.Tensor` of shape `(B, T)`, *optional*):
                1 for text, 0 for padding, in any places; if not given, everything but the padding token is text.
            token_type_ids (`torch.LongTensor` of shape `(B, T)`, *optional*): for backbones that take them.
            inputs_embeds (`torch.Tensor` of shape `(B, T, E)`, *optional*): word vectors in place of ids.
            input_features (`torch.FloatTensor` of shape `(B, P)`, *optional*): rows of a table, of the encoder `"mlp"`.
            labels (`torch.Tensor` of shape `(B, L)`, *optional*):
                multi-hot targets, any dtype; -100 is unknown: it costs nothing, and as history stands the model's own guess.
            label_ids (`torch.LongTensor` of shape `(B, P)`, *optional*): the same as ids, padded with -100.
            num_items_in_batch (`int` or `torch.Tensor`, *optional*): documents in the whole optimiser step.
            output_hidden_states, output_attentions (`bool`, *optional*): return those of an encoder of texts as well.
            return_dict (`bool`, *optional*): a [`MsdnOutput`] (the default) or a tuple of what isn't `None`.
        """
        config = self.config
        return_dict = config.return_dict if return_dict is None else return_dict
        encoded = self._encode(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
            input_features=input_features,
            output_hidden_states=config.output_hidden_states if output_hidden_states is None else output_hidden_states,
            output_attentions=config.output_attentions if output_attentions is None else output_attentions,
        )
        base_BL, inputs_BMD = self.head(encoded.vector), self._relation_inputs(encoded.vector)
        loss, logits_BL, chosen_BL, bonus_BS = None, None, None, None
        if labels is not None or label_ids is not None:
            loss, logits_BL = self._loss(base_BL, encoded.vector, inputs_BMD, labels, label_ids, num_items_in_batch)
        if not self.training or logits_BL is None:
            bonus_BS = self._set_bonus(input_features)
            logits_BL, chosen_BL = self._answers(base_BL, encoded.vector, inputs_BMD, bonus_BS)
        output = MsdnOutput(
            loss=loss,
            logits=logits_BL,
            chosen=chosen_BL,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            base_logits=base_BL,
            relation_inputs=inputs_BMD,
            set_bonus=bonus_BS,
        )
        return output if return_dict else output.to_tuple()

    def _encode(self, **inputs) -> EncodedDocument:
        """What the encoder makes of the inputs that it reads; others mustn't be there."""
        inputs = {name: value for name, value in inputs.items() if value is not None}
        for name in ("input_ids", "inputs_embeds") if self.config.encoder == "mlp" else ("input_features",):
            if name in inputs:
                raise ValueError(f"the encoder '{self.config.encoder}' doesn't read `{name}`")
        return self.encoder.encode(**inputs)

    # -- losses ------------------------------------------------------------------------------------------------------

    def _loss(
        self, base_BL, documents_BH, inputs_BMD, labels, label_ids, num_items_in_batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, a mean over the orders, and the logits that it is of, a mean over them too."""
        num_labels = self.config.num_labels
        if labels is None:
            targets_BL = targets_from_ids(label_ids, num_labels)
        elif labels.ndim == 2 and labels.shape[1] == num_labels:
            targets_BL = labels.float()
        else:  # the message of the one place that refuses it
            return self.compute_loss(base_BL, labels=labels), base_BL
        if self.config.variant == "causal":
            logits_BML = self._teacher_forced(base_BL, targets_BL, inputs_BMD)
            return self._mean_loss(logits_BML, targets_BL, num_items_in_batch), logits_BML.mean(dim=1)
        shown_BL = self._shown(targets_BL)
        refined = self._refined(base_BL, documents_BH, shown_BL)
        hidden_BL = targets_BL if shown_BL is None else targets_BL.masked_fill(shown_BL >= 0, UNKNOWN)
        losses = [self._mean_loss(base_BL[:, None], targets_BL, num_items_in_batch)]
        losses += [self._mean_loss(logits_BML, hidden_BL, num_items_in_batch) for logits_BML in refined]
        return sum(losses) / len(losses), refined[-1].mean(dim=1)

    def _mean_loss(self, logits_BML: torch.Tensor, targets_BL: torch.Tensor, num_items_in_batch) -> torch.Tensor:
        """The mean over the orders of the configured loss."""
        num_orders = logits_BML.shape[1]
        return self.compute_loss(
            logits_BML.flatten(0, 1),
            labels=targets_BL.repeat_interleave(num_orders, dim=0),
            num_items_in_batch=None if num_items_in_batch is None else num_items_in_batch * num_orders,
        )

    def _relation_inputs(self, documents_BH: torch.Tensor) -> torch.Tensor | None:
        """`MsdnOutput.relation_inputs`; `None` where relations don't read the document, or read it in their own way."""
        return self.relations.added_by_documents(documents_BH) if self.config.variant == "causal" else None

    def _teacher_forced(
        self, base_BL: torch.Tensor, targets_BL: torch.Tensor, inputs_BMD: torch.Tensor | None
    ) -> torch.Tensor:
        """Logits given the true answers before each label, `(B, M, L)` in the user's order.

        An unknown answer is guessed by the base logits, and so is a share `false_history_rate` of all in training.
        """
        guesses_BL = base_BL.detach() > 0
        is_guessed_BL = targets_BL == UNKNOWN
        if self.training and self.config.false_history_rate:
            is_guessed_BL = is_guessed_BL | (torch.rand_like(base_BL.detach()) < self.config.false_history_rate)
        return self.logits_given(base_BL, torch.where(is_guessed_BL, guesses_BL, targets_BL > 0.5), inputs_BMD)

    def logits_given(
        self, base_BL: torch.Tensor, answers_BL: torch.Tensor, inputs_BMD: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits of each label given the answers before it in each order, `(B, M, L)`; of the causal variant.

        Args:
            base_BL (`torch.Tensor` of shape `(B, L)`): `MsdnOutput.base_logits`.
            answers_BL (`torch.Tensor` of shape `(B, L)`): 0 or 1, in the user's order as all else here.
            inputs_BMD (`torch.Tensor` of shape `(B, M, D)`, *optional*):
                `MsdnOutput.relation_inputs`; with `document_relations` they are needed.
        """
        orders_ML = self.label_orders(base_BL.device)
        relations_BML = self.relations(answers_BL[:, orders_ML], added_BMD=inputs_BMD)
        return base_BL[:, None] + _in_users_order(relations_BML, orders_ML)

    def _shown(self, targets_BL: torch.Tensor) -> torch.Tensor | None:
        """True answers that the parallel variant is shown in training, negative where they are hidden or unknown."""
        rate = self.config.label_mask_rate
        if not self.training or rate == 1:
            return None
        hidden_B1 = rate + (1 - rate) * torch.rand_like(targets_BL[:, :1])
        is_hidden_BL = torch.rand_like(targets_BL) < hidden_B1
        return torch.where(is_hidden_BL | (targets_BL == UNKNOWN), -1.0, targets_BL)

    def _refined(self, base_BL, documents_BH, shown_BL=None) -> list[torch.Tensor]:
        """Logits after each step of the parallel variant, `(B, M, L)` in the user's order."""
        orders_ML = self.label_orders(base_BL.device)
        shown_BML = None if shown_BL is None else shown_BL[:, orders_ML]
        refined = self.relations(base_BL[:, orders_ML], documents_BH, shown_BML)
        return [_in_users_order(logits_BML, orders_ML) for logits_BML in refined]

    # -- answers -----------------------------------------------------------------------------------------------------

    @torch.compiler.disable  # a loop over the labels
    def _answers(
        self,
        base_BL: torch.Tensor,
        documents_BH: torch.Tensor,
        inputs_BMD: torch.Tensor | None,
        bonus_BS: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.BoolTensor | None]:
        """Logits of the scores that `config.scores` names, and the sets of `config.decoding` where they decide."""
        config = self.config
        if config.variant == "parallel":
            logits_BL, chosen_BL = self._unmasked(base_BL, documents_BH)
        elif exporting():
            raise ValueError("a search over a chain of labels can't be exported, found the variant 'causal'")
        else:
            with torch.autocast(base_BL.device.type, enabled=False):  # sums over many labels and sets
                answer = self.chain_decoder()(base_BL, inputs_BMD, bonus_BS, with_sets=self.decides_on_sets)
            logits_BL, chosen_BL = answer.logits_BL, answer.chosen_BL
        if not self.decides_on_sets or exporting():  # what was exported decides by its scores
            return logits_BL, None
        return logits_BL, with_fewest(chosen_BL, logits_BL, config.min_labels)

    @torch.compiler.disable  # a walk as long as the deepest tree
    def _set_bonus(self, input_features: torch.Tensor | None) -> torch.Tensor | None:
        """`MsdnOutput.set_bonus`; `None` without a forest."""
        config = self.config
        if not config.has_forest:
            return None
        if config.known_sets != "restrict":
            raise ValueError(
                f"`forest_weight` needs `known_sets` 'restrict', found '{config.known_sets}'; or set it to 0"
            )
        if self.set_forest is None or not self.set_forest.is_grown:
            raise ValueError(
                f"`forest_weight` {config.forest_weight} needs a forest over the label sets of the training rows, found none: a training "
                f"with it grows one (train --model_name_or_path OUT --known_sets restrict --forest_weight {config.forest_weight})"
            )
        return config.forest_weight * self.set_forest.log_votes(input_features, len(self.known_sets))

    def chains(self) -> list[OrderedChain]:
        """The chain of each order, as searches see it: as a table of states where that is small enough. The causal variant's."""
        config, orders = self.config, self.config.label_orders
        if config.document_relations:
            chains = [
                DocumentChain(self.relations, number, has_table=config.is_exact) for number in range(len(orders))
            ]
        elif config.is_exact:
            chains = [TableChain(table_LS) for table_LS in self.relations.state_tables()]
        else:
            relations = [self.relations.of_order(number) for number in range(len(orders))]
            chains = [
                WindowChain(relation, config.num_labels, step=relation.step, window=relation.reach)
                for relation in relations
            ]
        return [OrderedChain(chain, order) for chain, order in zip(chains, orders, strict=True)]

    @torch.no_grad()
    def chain_decoder(self) -> ChainDecoder:
        """The search that `config` asks for. Its tables are kept until a weight, a known set or a setting is another one."""
        config = self.config
        names = ("decoding", "scores", "decision", "num_beams", "num_samples", "known_sets", "known_set_weight")
        settings = {name: getattr(config, name) for name in (*names, "min_labels")}
        of_order = (config.label_ranks, config.num_labels, config.label_order, config.label_order_seed)
        # numbers against numbers, since some ways to change a weight count no version; in one comparison, for which a GPU waits
        weights_N = torch.cat([weight.flatten() for weight in self.relations.parameters()])
        # these may be many more, and are only ever filled in or loaded
        known = [] if config.known_sets == "off" else [(sets, _version(sets)) for sets in self.known_sets.buffers()]
        kept = self._kept_decoder
        if kept is None or kept.made_for != (settings, of_order) or not kept.is_of(weights_N, known):
            is_training = self.relations.training
            try:
                # what is made here outlives the call and the mode it came in
                self.relations.eval()
                with (
                    torch.inference_mode(False),
                    torch.no_grad(),
                    torch.autocast(weights_N.device.type, enabled=False),
                ):
                    decoder = ChainDecoder(self.chains(), known=self.known_sets, **settings)
            finally:
                self.relations.train(is_training)
            kept = _KeptDecoder(copy.deepcopy((settings, of_order)), weights_N, known, decoder)
            self._kept_decoder = kept
        return kept.decoder

    def _unmasked(self, base_BL: torch.Tensor, documents_BH: torch.Tensor) -> tuple[torch.Tensor, torch.BoolTensor]:
        """Logits and sets of the parallel variant: with all labels hidden, or with the surest shown round by round."""

        config, refine = self.config, self._refiner(base_BL, documents_BH)
        logits_BL = refine()
        if config.label_mask_rate == 1 or (config.scores == "marginals" and not self.decides_on_sets):
            return logits_BL, logits_BL > 0
        chosen_BL, settled_BL, _ = unmask(refine, logits_BL, num_rounds=config.unmasking_rounds)
        return (settled_BL if config.scores == "decoded" else logits_BL), chosen_BL

    def _refiner(self, base_BL: torch.Tensor, documents_BH: torch.Tensor) -> Callable[..., torch.Tensor]:
        """What `unmask` asks of the parallel variant: float32 logits given some answers, or given none."""

        def refine(answers_BL: torch.Tensor | None = None, is_known_BL: torch.Tensor | None = None) -> torch.Tensor:
            shown_BL = None if answers_BL is None else torch.where(is_known_BL, answers_BL, -1.0)
            return self._refined(base_BL, documents_BH, shown_BL)[-1].mean(dim=1).float()

        return refine

    # -- explanations --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def token_weights(self, chosen_ids_S: torch.LongTensor, **inputs: torch.Tensor) -> torch.FloatTensor:
        """Each token's share in the document's vector, for all labels the same, `(B, S, T)`: rows sum to 1, padding is 0.

        Raises:
            `NotImplementedError`: of a model of tables, which reads no tokens.
        """
        if not self.has_token_weights:
            return super().token_weights(chosen_ids_S, **inputs)
        return self.encoder.token_weights(**inputs)[:, None].expand(-1, len(chosen_ids_S), -1)

    @property
    def has_token_weights(self) -> bool:
        """Whether there are tokens: not of tables."""
        return self.config.encoder != "mlp"

    @torch.no_grad()
    def path_inputs(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the scores hang on that would jump on the way from one document to another: the label set that is found, and in
        which round each label of it, or the sets that are drawn; and what a forest says of known sets. Each is `(B, anything)`."""
        encoded, bonus_BS = self._encode(**inputs), self._set_bonus(inputs.get("input_features"))
        found = self._choices(self.head(encoded.vector), encoded.vector, bonus_BS)
        if bonus_BS is not None:
            found["set_bonus_BS"] = bonus_BS
        return {name: value.flatten(1) for name, value in found.items()}

    def label_logits(self, chosen_ids_S: torch.LongTensor, **inputs) -> torch.FloatTensor:
        """Logits of a few chosen labels, `(B, S)`, with gradients: what explanations ask for many times over.

        They are those of `forward`. Where a search or samples give them, their gradients are of the scores given what was found or
        drawn.

        Args:
            chosen_ids_S (`torch.LongTensor` of shape `(S,)`): the labels.
            inputs: what `forward` takes, without targets; and what `path_inputs` found, of as many rows, or else it is found anew.
        """
        names = ("answers_BL", "rounds_BL", "drawn_BMNL", "set_bonus_BS")
        given = {name: inputs.pop(name) for name in names if name in inputs}
        encoded = self._encode(**inputs)
        base_BL = self.head(encoded.vector)
        bonus_BS = (
            given.pop("set_bonus_BS") if "set_bonus_BS" in given else self._set_bonus(inputs.get("input_features"))
        )
        choices = given or self._choices(base_BL, encoded.vector, bonus_BS)
        if self.config.variant == "parallel":
            refine = self._refiner(base_BL, encoded.vector)
            logits_BL = refine()
            if choices:
                logits_BL = settled_again(refine, logits_BL, **choices)
        else:
            if "drawn_BMNL" in given:
                shape = (self.config.num_orders, -1, self.config.num_labels)
                choices = {"drawn_BMNL": given["drawn_BMNL"].unflatten(1, shape)}
            inputs_BMD = self._relation_inputs(encoded.vector)
            with torch.autocast(base_BL.device.type, enabled=False):
                logits_BL = self.chain_decoder().scores_given(base_BL, choices, inputs_BMD, bonus_BS)
        return logits_BL[:, chosen_ids_S]

    @torch.no_grad()
    def _choices(
        self, base_BL: torch.Tensor, documents_BH: torch.Tensor, bonus_BS: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """As `path_inputs`, in the shapes that their names tell."""
        if self.config.variant == "causal":
            inputs_BMD = self._relation_inputs(documents_BH)
            with torch.autocast(base_BL.device.type, enabled=False):
                return self.chain_decoder().choices(base_BL, inputs_BMD, bonus_BS)
        if self.config.scores == "marginals":
            return {}
        refine = self._refiner(base_BL, documents_BH)
        answers_BL, _, rounds_BL = unmask(refine, refine(), num_rounds=self.config.unmasking_rounds)
        return {"answers_BL": answers_BL, "rounds_BL": rounds_BL}


class _KeptDecoder(NamedTuple):
    """A search, and what it was made of: settings, the relations' weights, the known sets' buffers and their versions."""

    made_for: Any
    weights_N: torch.Tensor
    known: list[tuple[torch.Tensor, int]]
    decoder: ChainDecoder

    def is_of(self, weights_N: torch.Tensor, known: list[tuple[torch.Tensor, int]]) -> bool:
        """Whether these are the same numbers on the same device, and the same buffers."""
        own = self.weights_N
        return (
            len(known) == len(self.known)
            and all(
                one is other and version == since
                for (one, version), (other, since) in zip(known, self.known, strict=True)
            )
            and (own.shape, own.dtype, own.device) == (weights_N.shape, weights_N.dtype, weights_N.device)
            and torch.equal(own, weights_N)
        )


def _version(tensor: torch.Tensor) -> int:
    """How often a tensor was written to; those of inference mode don't tell."""
    return 0 if tensor.is_inference() else tensor._version


def _in_users_order(values_BML: torch.Tensor, orders_ML: torch.LongTensor) -> torch.Tensor:
    """Values of the labels at the places of each order, as values of the labels."""
    return values_BML.gather(2, orders_ML.argsort(dim=1).expand_as(values_BML))


__all__ = ["MsdnForMultiLabelClassification", "MsdnOutput", "MsdnPreTrainedModel"]
