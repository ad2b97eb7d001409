"""How labels depend on each other in MSDN: 1-D convolutions of several widths over the label axis.

Two forms, both without a recurrence in training. In a chain (`CausalRelations`) a label's relation logit comes of the answers
before it; of labels on both sides, a guess of all is refined by those around each (`ParallelRelations`). Either holds the relations
of several orders of the labels side by side, in grouped convolutions, and works through all of them in one call.

All places are those of the chain, not the labels' numbers: who calls puts the labels in order and back.

Shape legend: B documents or label vectors, M orders, L labels, I input channels, C channels of one convolution, S scales, K the
largest kernel, k one kernel, N = 2^k states of k labels, H width of a document, D = C x S channels of all convolutions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init


class GroupedConvolution(nn.Module):
    """M convolutions side by side, each over the channels of its own order; zeros beyond both ends of the labels.

    Args:
        num_orders (`int`): M.
        in_channels, out_channels (`int`): of one of them.
        kernel_size (`int`): labels that it sees.
        dilation (`int`, *optional*, defaults to 1): how far apart they are.
    """

    def __init__(self, num_orders: int, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1):
        super().__init__()
        self.num_orders, self.kernel_size, self.dilation = num_orders, kernel_size, dilation
        self.weight = nn.Parameter(torch.empty(num_orders, out_channels, in_channels, kernel_size))
        self.bias = nn.Parameter(torch.empty(num_orders, out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As `nn.Conv1d`: even in +-1 / sqrt(in_channels x kernel_size)."""
        bound = (self.weight.shape[2] * self.kernel_size) ** -0.5
        init.uniform_(self.weight, -bound, bound)
        init.uniform_(self.bias, -bound, bound)

    def forward(
        self, values_BMIL: torch.Tensor, *, left: int, right: int, orders: slice = slice(None)
    ) -> torch.Tensor:
        """`(B, M, I, L)` to `(B, M, C, L')`, L' = L + left + right - (kernel_size - 1) x dilation.

        Args:
            values_BMIL (`torch.Tensor` of shape `(B, M, I, L)`): channels first.
            left, right (`int`): zeros added before and behind the labels; a negative number takes labels away.
            orders (`slice`, *optional*): of the orders, those that the values are of.
        """
        return _convolve(values_BMIL, self.weight[orders], self.bias[orders], left, right, self.dilation)


def _convolve(values_BMIL, weight_MCIk, bias_MC, left: int, right: int, dilation: int = 1) -> torch.Tensor:
    mapped = F.conv1d(
        F.pad(values_BMIL.flatten(1, 2), (left, right)),
        weight_MCIk.flatten(0, 1),
        bias_MC.flatten(),
        dilation=dilation,
        groups=len(weight_MCIk),
    )
    return mapped.unflatten(1, bias_MC.shape)


def _of_several_widths(
    convolutions: Iterable[GroupedConvolution],
    values_BMIL: torch.Tensor,
    *,
    is_causal: bool,
    orders: slice,
    added_BMD: torch.Tensor | None = None,
) -> torch.Tensor:
    """ReLU of several convolutions one after the other in the channels, `(B, M, D, L)`; of their sum with `added_BMD`, if given.

    Causal ones see the labels before each place, others the labels around it. As one convolution of the largest width, the
    narrower ones filled up with zeros: that is faster than each by itself, as all have few channels.
    """
    convolutions = list(convolutions)
    largest = max(convolution.kernel_size for convolution in convolutions)
    weights = []
    for convolution in convolutions:
        missing = largest - convolution.kernel_size
        fill = (missing, 0) if is_causal else (missing // 2, missing // 2)
        weights.append(F.pad(convolution.weight[orders], fill))
    bias_MC = torch.cat([convolution.bias[orders] for convolution in convolutions], dim=1)
    # causal: as many zeros on the left and the last label cropped, so that what place j reads ends at label j - 1
    left, right = (largest, -1) if is_causal else (largest // 2, largest // 2)
    sums_BMDL = _convolve(values_BMIL, torch.cat(weights, dim=1), bias_MC, left, right)
    return torch.relu(sums_BMDL if added_BMD is None else sums_BMDL + added_BMD[..., None])


def table_of_states(
    sums: Sequence[torch.Tensor], output_xLD: torch.Tensor, added_xD: torch.Tensor | None = None
) -> torch.Tensor:
    """Relation logits of all states `(x, L, 2^K)`, x any dimensions, from what the convolutions sum up to before their ReLU.

    Args:
        sums (`Sequence[torch.Tensor]` of shapes `(x, L, 2^k, C)`): of each convolution, as `CausalRelations.state_sums`.
        output_xLD (`torch.Tensor` of shape `(x, L, D)`): the labels' weights of the channels.
        added_xD (`torch.Tensor` of shape `(x, D)`, *optional*): added to the sums at every place.
    """
    outputs = output_xLD.chunk(len(sums), dim=-1)
    added = [None] * len(sums) if added_xD is None else added_xD.chunk(len(sums), dim=-1)
    most = max(sums_xLNC.shape[-2] for sums_xLNC in sums)
    tables = []
    for sums_xLNC, output_xLC, added_xC in zip(sums, outputs, added, strict=True):
        if added_xC is not None:
            sums_xLNC = sums_xLNC + added_xC[..., None, None, :]
        table_xLN = torch.einsum("...lnc,...lc->...ln", torch.relu(sums_xLNC), output_xLC)
        # a wider kernel's states end in the narrower ones'
        repeats = [1] * (table_xLN.ndim - 1) + [most // table_xLN.shape[-1]]
        tables.append(table_xLN.repeat(repeats))
    return sum(tables)


class CausalRelations(nn.Module):
    """The relation logit of each label given the answers before it, for M orders.

        V[:, j] = [2 y_j - 1 ; 1 ; y_j E_j]                                  a label's answer, e + 2 channels
        A_k     = ReLU(conv_k(V) + P_k f)    position j sees the labels j-k ... j-1: the shift by one, no label sees itself
        r_j     = u_j . [A_k1 ; A_k2 ; ...][:, j]                            u_j = 0 at first: training starts without relations

    The channel of ones tells a label whose answer is no from a place before the first label, where all channels are 0. Dilated
    blocks, where there are some, work on A, each adding ReLU(conv(A)) of its own and earlier positions.

    P_k f is there with `document_relations`: what the document's vector f adds to a channel (with a bias), the same at every place. Then one
    answer may say much of another in one document and nothing in the next; without it, the same in all.

    Parameters:
        label_embeddings (`(M, L, e)`): E; convolutions; output (`(M, L, D)`): u; projection (`H` to `M x D`): P, or none.
    """

    def __init__(self, config):
        super().__init__()
        orders, labels, size = config.num_orders, config.num_labels, config.label_embedding_size
        kernels = config.effective_kernel_sizes
        width = config.channels * len(kernels)
        self.label_embeddings = nn.Parameter(torch.empty(orders, labels, size))
        self.convolutions = nn.ModuleList(GroupedConvolution(orders, size + 2, config.channels, k) for k in kernels)
        self.blocks = nn.ModuleList(
            GroupedConvolution(orders, width, width, max(kernels), dilation) for dilation in config.dilations
        )
        self.output = nn.Parameter(torch.empty(orders, labels, width))
        self.projection = nn.Linear(config.hidden_size, orders * width) if config.document_relations else None
        self.dropout = nn.Dropout(config.relation_dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Label vectors of deviation 1, as `nn.Embedding`; the output at 0."""
        init.normal_(self.label_embeddings)
        init.zeros_(self.output)

    @property
    def largest_kernel(self) -> int:
        """K: a state of the chain, without dilated blocks, is the answers of so many last labels."""
        return max(convolution.kernel_size for convolution in self.convolutions)

    @property
    def reach(self) -> int:
        """How many labels back the furthest one is that a label's relation logit depends on."""
        return self.largest_kernel + sum(block.dilation * (block.kernel_size - 1) for block in self.blocks)

    def added_by_documents(self, documents_BH: torch.Tensor) -> torch.Tensor | None:
        """P f, `(B, M, D)`, or `None` where relations don't read the document.

        Args:
            documents_BH (`torch.Tensor` of shape `(B, H)`): f; zeros are a document of which nothing is known.
        """
        if self.projection is None:
            return None
        return self.projection(documents_BH).unflatten(1, (len(self.output), -1))

    def forward(
        self, history_BML: torch.Tensor, orders: slice = slice(None), *, added_BMD: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Relation logits `(B, M, L)`, of all positions at once.

        Args:
            history_BML (`torch.Tensor` of shape `(B, M, L)`): answers in each order, 0 or 1; the last one is never read.
            orders (`slice`, *optional*): of the orders, those that the answers are in.
            added_BMD (`torch.Tensor` of shape `(B, M, D)`, *optional*):
                of `added_by_documents`, in the same orders; relations that read the document need it.

        Raises:
            `ValueError`: it is missing, or of no use.
        """
        maps_BMDL = self._maps(history_BML, self.label_embeddings[orders], orders, added_BMD)
        return torch.einsum("bmcl,mlc->bml", maps_BMDL, self.output[orders])

    def step(
        self,
        window_BMW: torch.Tensor,
        position: int,
        orders: slice = slice(None),
        *,
        added_BMD: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Relation logits `(B, M)` of one position, from the answers just before it: what a search asks.

        Args:
            window_BMW (`torch.Tensor` of shape `(B, M, W)`):
                answers in each order, that of label `position` - 1 last; W at least `reach`, or else `position`. What
                would stand before the first label isn't read.
            position (`int`): from 0 to L - 1.
            orders (`slice`, *optional*): of the orders, those that the answers are in.
            added_BMD (`torch.Tensor` of shape `(B, M, D)`, *optional*): as `forward` takes it.
        """
        seen = min(position, self.reach)
        # one place more, which stands for the label itself and is seen by none
        window_BMl = F.pad(window_BMW[:, :, window_BMW.shape[2] - seen :], (0, 1))
        embeddings_Mle = self.label_embeddings[orders, position - seen : position + 1]
        maps_BMD = self._maps(window_BMl, embeddings_Mle, orders, added_BMD)[..., -1]
        return torch.einsum("bmc,mc->bm", maps_BMD, self.output[orders, position])

    def _maps(self, answers_BMl, embeddings_Mle, orders: slice, added_BMD) -> torch.Tensor:
        """What the convolutions make of the answers before each position, `(B, M, D, l)`."""
        self._check_added(added_BMD)
        signal_BMIl = self._signal(answers_BMl.to(self.output.dtype), embeddings_Mle)
        if added_BMD is not None:
            added_BMD = added_BMD.to(self.output.dtype)
        maps_BMDl = _of_several_widths(
            self.convolutions, signal_BMIl, is_causal=True, orders=orders, added_BMD=added_BMD
        )
        for block in self.blocks:
            earlier = block.dilation * (block.kernel_size - 1)
            maps_BMDl = maps_BMDl + torch.relu(block(maps_BMDl, left=earlier, right=0, orders=orders))
        return self.dropout(maps_BMDl)

    def _check_added(self, added: torch.Tensor | None) -> None:
        if (added is None) != (self.projection is None):
            raise ValueError(
                "relations that read the document (`document_relations`) need what it adds to their channels, and others take "
                f"nothing, found {'none' if added is None else tuple(added.shape)}"
            )

    def _signal(self, answers_BMl: torch.Tensor, embeddings_Mle: torch.Tensor) -> torch.Tensor:
        """V: `(B, M, e + 2, l)`."""
        answers_BM1l = answers_BMl[:, :, None]
        parts = [2 * answers_BM1l - 1, torch.ones_like(answers_BM1l), answers_BM1l * embeddings_Mle.transpose(1, 2)]
        return torch.cat(parts, dim=2)

    def state_tables(self, orders: slice = slice(None), *, added_MD: torch.Tensor | None = None) -> torch.Tensor:
        """The relation logit of each position for each state of the K labels before it, `(M, L, 2^K)`.

        Bit i of a state is the answer of label j - 1 - i; bits of labels before the first change nothing. Made once for any
        number of documents, unless relations read them; holds about `M L 2^K C` numbers.

        Args:
            orders (`slice`, *optional*): of which orders.
            added_MD (`torch.Tensor` of shape `(M, D)`, *optional*): of one document, as `forward` takes it.

        Raises:
            `ValueError`: with dilated blocks, where a position depends on more than K labels.
        """
        self._check_added(added_MD)
        return table_of_states(self.state_sums(orders), self.output[orders], added_MD)

    def state_sums(self, orders: slice = slice(None)) -> list[torch.Tensor]:
        """Of each convolution what it sums up to before its ReLU in each state of the k labels that it sees, `(M, L, 2^k, C)`,
        without what a document adds."""
        if self.blocks:
            raise ValueError(
                "with `dilations` a label depends on more than the largest kernel's labels: no table of states"
            )
        embeddings_MLe = self.label_embeddings[orders]
        num_orders, num_labels, _ = embeddings_MLe.shape
        answers_2ML = embeddings_MLe.new_tensor([0.0, 1.0])[:, None, None].expand(2, num_orders, num_labels)
        signal_2MIL = self._signal(answers_2ML, embeddings_MLe)
        sums = []
        for convolution in self.convolutions:
            sums_MLNC = convolution.bias[orders][:, None, None].expand(-1, num_labels, -1, -1)
            for back in range(1, convolution.kernel_size + 1):
                # the last tap reads label j - 1, the first one label j - k; before the first label there are zeros
                parts_ML2C = torch.einsum("smil,mci->mlsc", signal_2MIL, convolution.weight[orders][..., -back])
                parts_ML2C = F.pad(parts_ML2C, (0, 0, 0, 0, back, 0))[:, :num_labels]
                # a label further back is the next higher bit
                sums_MLNC = (parts_ML2C[:, :, :, None] + sums_MLNC[:, :, None]).flatten(2, 3)
            sums.append(sums_MLNC)
        return sums

    def of_order(self, number: int, *, added_BD: torch.Tensor | None = None) -> ChainRelation:
        """The relation of one order by itself, as `msdn_search` asks for it, of some documents where it reads them."""
        return ChainRelation(self, number, added_BD)


class ChainRelation:
    """One order's relation of a `CausalRelations`: relation logits of label vectors in the chain's order.

    Args:
        relations (`CausalRelations`): all of them.
        number (`int`): of the order, from 0.
        added_BD (`torch.Tensor` of shape `(B, D)`, *optional*):
            what documents add. Label vectors are theirs one document after the other, as many of each.
    """

    def __init__(self, relations: CausalRelations, number: int, added_BD: torch.Tensor | None = None):
        self.relations, self.orders, self.added_BD = relations, slice(number, number + 1), added_BD

    @property
    def reach(self) -> int:
        """Labels that `step` reads."""
        return self.relations.reach

    def __call__(self, history_NL: torch.Tensor) -> torch.Tensor:
        return self.relations(history_NL[:, None], self.orders, added_BMD=self._added(len(history_NL)))[:, 0]

    def step(self, window_NW: torch.Tensor, position: int) -> torch.Tensor:
        """As `CausalRelations.step`, `(N, W)` to `(N,)`."""
        added_N1D = self._added(len(window_NW))
        return self.relations.step(window_NW[:, None], position, self.orders, added_BMD=added_N1D)[:, 0]

    def of_rows(self, documents: slice) -> ChainRelation:
        """That of some of the documents."""
        return ChainRelation(
            self.relations, self.orders.start, None if self.added_BD is None else self.added_BD[documents]
        )

    def state_table(self) -> torch.Tensor:
        """As `CausalRelations.state_tables`, `(L, 2^K)`, where it is the same for all documents."""
        return self.relations.state_tables(self.orders)[0]

    def _added(self, num_rows: int) -> torch.Tensor | None:
        """What their documents add to so many label vectors, `(N, 1, D)`."""
        if self.added_BD is None:
            return None
        return self.added_BD.repeat_interleave(num_rows // max(len(self.added_BD), 1), dim=0)[:, None]


class ParallelRelations(nn.Module):
    """Guesses of all labels, refined by those around each, for M orders.

        V   = [ g_i ; (shown) ; E ; P f ]                    a guess a label, its vector, the document
        A_k = ReLU(conv_k(V)), as many places as there are labels, k odd
        z_{i+1} = z_0 + conv_1(dropout([A_k1 ; A_k2 ; ...])) conv_1 = 0 at first: training starts without relations
        g_i = sigmoid(z_i)

    the same weights in each step i. With `label_mask_rate` < 1 training shows some true labels: those stand in g as 0 or 1, and a
    further channel tells which they are. So a search may fix labels one by one and ask again.

    Parameters:
        label_embeddings (`(M, L, e)`): E; projection (`H` to `M x e`): P; convolutions; output: conv_1.
    """

    def __init__(self, config):
        super().__init__()
        orders, labels, size = config.num_orders, config.num_labels, config.label_embedding_size
        kernels = config.effective_kernel_sizes
        self.shows_labels, self.num_steps = config.label_mask_rate < 1, config.refinement_steps
        self.label_embeddings = nn.Parameter(torch.empty(orders, labels, size))
        self.projection = nn.Linear(config.hidden_size, orders * size)
        in_channels = 1 + self.shows_labels + 2 * size
        self.convolutions = nn.ModuleList(GroupedConvolution(orders, in_channels, config.channels, k) for k in kernels)
        self.output = GroupedConvolution(orders, config.channels * len(kernels), 1, 1)
        self.dropout = nn.Dropout(config.relation_dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Label vectors of deviation 1, as `nn.Embedding`; the output at 0."""
        init.normal_(self.label_embeddings)
        init.zeros_(self.output.weight)
        init.zeros_(self.output.bias)

    def forward(
        self, base_BML: torch.Tensor, documents_BH: torch.Tensor, shown_BML: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Logits `(B, M, L)` after each step, the last ones those that count.

        Args:
            base_BML (`torch.Tensor` of shape `(B, M, L)`): z_0 in each order.
            documents_BH (`torch.Tensor` of shape `(B, H)`): f.
            shown_BML (`torch.Tensor` of shape `(B, M, L)`, *optional*):
                in each order, answers that are known, 0 or 1; anything negative where a label is to be found out.
        """
        num_orders, num_labels = base_BML.shape[1:]
        embedded_BMeL = self.label_embeddings.transpose(1, 2).expand(base_BML.shape[0], -1, -1, -1)
        projected_BMe = self.projection(documents_BH).unflatten(1, (num_orders, -1))
        fixed = [embedded_BMeL, projected_BMe[..., None].expand(-1, -1, -1, num_labels)]
        is_shown_BML = torch.zeros_like(base_BML, dtype=torch.bool) if shown_BML is None else shown_BML >= 0
        if self.shows_labels:
            fixed.insert(0, is_shown_BML[:, :, None].to(embedded_BMeL.dtype))
        elif shown_BML is not None:
            raise ValueError("a model that was never shown a label (`label_mask_rate` 1) can't be told any")
        refined, logits_BML = [], base_BML
        for _ in range(self.num_steps):
            guesses_BML = logits_BML.sigmoid()
            if shown_BML is not None:
                guesses_BML = torch.where(is_shown_BML, shown_BML.to(guesses_BML.dtype), guesses_BML)
            signal_BMIL = torch.cat([guesses_BML[:, :, None], *fixed], dim=2)
            maps_BMCL = _of_several_widths(self.convolutions, signal_BMIL, is_causal=False, orders=slice(None))
            logits_BML = base_BML + self.output(self.dropout(maps_BMCL), left=0, right=0)[:, :, 0]
            refined.append(logits_BML)
        return refined


# modules that know how they start; a model's `_init_weights` calls their `reset_parameters`
SELF_INITIALISED = (GroupedConvolution, CausalRelations, ParallelRelations)


def build_relations(config) -> CausalRelations | ParallelRelations:
    """The relations that `config.variant` names."""
    return CausalRelations(config) if config.variant == "causal" else ParallelRelations(config)


__all__ = [
    "SELF_INITIALISED",
    "CausalRelations",
    "ChainRelation",
    "GroupedConvolution",
    "ParallelRelations",
    "build_relations",
    "table_of_states",
]
