"""The labels nearest to a document by a graph of neighbours (Malkov and Yashunin, "Hierarchical Navigable Small World Graphs", 2018).

hnswlib makes and searches it; the vectors are all that it is made of, so it needn't be kept. One thread makes the same graph each time.

Shape legend: B documents, D width, L labels, N labels in the graph, S nearest labels.
"""

from pathlib import Path

import torch
from transformers.utils import logging


try:
    import hnswlib
except ImportError:
    hnswlib = None

logger = logging.get_logger(__name__)

GRAPH_FILE = "label_index.hnsw"
_SEED = 100
_CHECKED_VECTORS = 64  # of a graph that was read


def has_hnswlib() -> bool:
    """Whether a graph can be made; says once what is missing where it can't."""
    if hnswlib is None:
        logger.warning_once("hnswlib is not installed: the index compares with all labels; `pip install hf_mlc[ann]`")
    return hnswlib is not None


class LabelGraph:
    """A graph over the labels that may be found.

    Args:
        vectors_LD (`torch.Tensor` of shape `(L, D)`): unit rows, float32, on the CPU.
        is_trained_L (`torch.BoolTensor` of shape `(L,)`): labels that may be found.
        config (`LightDxmlConfig`): the graph's settings.
        file (`Path`, *optional*): a graph that was saved; taken if it holds these vectors, and else made anew.
    """

    def __init__(self, vectors_LD: torch.Tensor, is_trained_L: torch.BoolTensor, config, *, file: Path | None = None):
        self.ids_N = is_trained_L.nonzero().squeeze(1)
        self.config = config
        self.graph = None
        if file is not None and file.is_file():
            self.graph = self._read(file, vectors_LD)
        if self.graph is None:
            self.graph = hnswlib.Index(space="cosine", dim=vectors_LD.shape[1])
            self.graph.init_index(
                max_elements=max(1, len(self.ids_N)),
                ef_construction=config.hnsw_ef_construction,
                M=config.hnsw_m,
                random_seed=_SEED,
            )
            if len(self.ids_N):
                self.graph.add_items(
                    vectors_LD[self.ids_N].numpy(), self.ids_N.numpy(), num_threads=config.hnsw_threads
                )

    def _read(self, file: Path, vectors_LD: torch.Tensor):
        """The graph of a file, or `None` where it is another's: of other labels, other vectors or other settings."""
        config = self.config
        graph = hnswlib.Index(space="cosine", dim=vectors_LD.shape[1])
        try:
            graph.load_index(str(file))
            checked = self.ids_N[:: max(1, len(self.ids_N) // _CHECKED_VECTORS)]
            settings = (
                config.hnsw_m,
                max(config.hnsw_m, config.hnsw_ef_construction),
            )  # hnswlib's, no fewer than neighbours
            fits = graph.element_count == len(self.ids_N) and (graph.M, graph.ef_construction) == settings
            fits = fits and torch.allclose(
                torch.as_tensor(graph.get_items(checked.numpy())), vectors_LD[checked], atol=1e-5
            )
        except RuntimeError:  # cut short, of another width, or a label isn't there
            fits = False
        if not fits:
            logger.warning(f"{file} is no graph of this model's labels and settings and is made anew")
        return graph if fits else None

    def save(self, file: Path) -> None:
        """Writes the graph beside the file, then renames."""
        beside = file.with_name(file.name + ".part")
        self.graph.save_index(str(beside))
        beside.replace(file)

    def nearest(self, queries_BD: torch.Tensor, size: int) -> tuple[torch.LongTensor, torch.FloatTensor] | None:
        """As `nearest_labels`, nearly: `(ids, cosines)` of shape `(B, min(S, L))` on the CPU; `None` where the graph finds too few.

        Args:
            queries_BD (`torch.Tensor` of shape `(B, D)`): documents.
            size (`int`): S.
        """
        found = min(size, len(self.ids_N))
        ids_BS = torch.full((len(queries_BD), size), -1)
        cosines_BS = torch.zeros(len(queries_BD), size)
        if not found or not len(queries_BD):
            return ids_BS, cosines_BS
        self.graph.set_ef(max(self.config.hnsw_ef or 0, self.config.shortlist_size, size))
        try:
            ids, distances = self.graph.knn_query(
                queries_BD.detach().float().cpu().numpy(), k=found, num_threads=torch.get_num_threads()
            )
        except RuntimeError:  # parts of the graph can't be reached from where the search began
            logger.warning_once(
                "the graph of labels found too few: `hnsw_m` is small; such documents are compared with all"
            )
            return None
        ids_BS[:, :found] = torch.as_tensor(ids.astype("int64"))
        cosines_BS[:, :found] = 1 - torch.as_tensor(distances)
        return ids_BS, cosines_BS


__all__ = ["GRAPH_FILE", "LabelGraph", "has_hnswlib"]
