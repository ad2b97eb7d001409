"""What LightDXML asks its index: whether there is one, the labels near to documents, how near all of them are.

Shape legend: B documents, D width, L labels, S nearest labels, n labels of a block.
"""

from pathlib import Path

import torch
from torch.nn import functional as F

from .label_graph import GRAPH_FILE, LabelGraph, has_hnswlib
from .label_index import cosines, nearest_labels, unit_blocks
from .label_tables import StoredTable, read_rows


class LabelSearch:
    """The part of a model that searches its buffers `index_vectors` and `trained_labels`; to be mixed into a `PreTrainedModel`."""

    def _begin_search(self) -> None:
        """To be called where the model is made."""
        self._known_index: tuple[tuple, bool] = ((), False)
        self._known_graph: tuple[tuple, LabelGraph | None] = ((), None)
        self.register_load_state_dict_post_hook(LabelSearch._notice_index)

    @property
    def has_index(self) -> bool:
        """Whether a cycle has filled the index."""
        if not torch.compiler.is_compiling():  # a graph can't look, it goes by what was noticed before
            self._notice_index()
        return self._known_index[1]

    def _notice_index(self, *_loaded) -> None:
        """Looks whether there is an index; also wherever one may have come in, so that a compiled graph knows."""
        state = self._index_state()
        if state != self._known_index[0]:  # looking through all vectors takes time: once for each state of them
            values_LD = self._index_values()
            self._known_index = state, not values_LD.is_meta and bool(values_LD.any())

    def train(self, mode: bool = True):
        """As `torch.nn.Module.train`, which `from_pretrained` ends with; an index is noticed."""
        super().train(mode)
        self._notice_index()
        return self

    def _index_values(self) -> torch.Tensor:
        return self.index_vectors.values if isinstance(self.index_vectors, StoredTable) else self.index_vectors

    def _index_state(self) -> tuple:
        """Another tuple whenever the vectors of the index have changed."""
        return _state_of(self._index_values())

    @torch.no_grad()
    def set_index(self, vectors_LD: torch.Tensor) -> None:
        """Fills the index: one vector a label, of any length; a label of the vector 0 is near to nothing. `ValueError` for another shape."""
        if vectors_LD.shape != self.index_vectors.shape:
            raise ValueError(f"vectors of shape {tuple(vectors_LD.shape)}, expected {tuple(self.index_vectors.shape)}")
        for rows, units_nD in unit_blocks(vectors_LD, self.config.block_size):
            self.index_vectors[rows] = units_nD.to(self.index_vectors)
        self._notice_index()

    def label_graph(self) -> LabelGraph | None:
        """The graph of the index's vectors as they are now, made where there is none yet; `None` without hnswlib."""
        settings = self.config
        state = (*self._index_state(), *_state_of(self.trained_labels), settings.hnsw_m, settings.hnsw_ef_construction)
        if state != self._known_graph[0]:
            file = Path(settings.loaded_from["path_or_repo_id"], GRAPH_FILE) if settings.hnsw_cache else None
            graph, self._known_graph = None, ((), None)  # the one before goes first: of many labels two take much room
            if has_hnswlib():
                vectors_LD = read_rows(self.index_vectors, slice(None)).detach().float().cpu()
                graph = LabelGraph(vectors_LD, self.trained_labels.cpu(), settings, file=file)
            self._known_graph = state, graph
        return self._known_graph[1]

    @torch.no_grad()
    def shortlist(
        self, documents_BD: torch.Tensor, size: int | None = None
    ) -> tuple[torch.LongTensor, torch.FloatTensor]:
        """The labels nearest to documents in the index.

        Args:
            documents_BD (`torch.Tensor` of shape `(B, D)`): from `encode`.
            size (`int`, *optional*): S; `config.shortlist_size`.

        Returns:
            `(ids, cosines)` of shape `(B, min(S, L))`, best first; padded with -1 and 0 where fewer labels were trained.
        """
        size = min(self.config.shortlist_size if size is None else size, self.config.num_labels)
        if self.config.index == "hnsw":
            graph = self.label_graph()
            found = None if graph is None else graph.nearest(documents_BD, size)
            if found is not None:
                return found[0].to(documents_BD.device), found[1].to(documents_BD.device)
        return nearest_labels(
            documents_BD,
            self.index_vectors,
            size,
            is_trained_L=self.trained_labels,
            block_size=self.config.block_size,
        )

    def similarities(self, documents_BD: torch.Tensor, rows: slice = slice(None)) -> torch.FloatTensor:
        """Cosines of documents and the index's vectors of these labels, float32 `(B, n)`.

        Args:
            documents_BD (`torch.Tensor` of shape `(B, D)`): from `encode`.
            rows (`slice`, *optional*): the labels; all of them.
        """
        return cosines(F.normalize(documents_BD.float(), dim=1), read_rows(self.index_vectors, rows))


def _state_of(values: torch.Tensor) -> tuple:
    """What changes whenever these values do; what was made in inference mode doesn't count its changes."""
    return values.data_ptr(), 0 if values.is_inference() else values._version, values.shape


__all__ = ["LabelSearch"]
