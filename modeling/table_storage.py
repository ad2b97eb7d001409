"""How a LightDXML is stored: its tables in full, in half precision or in a byte a number, and the graph of its index beside them.

Shape legend: L labels, D width.
"""

import copy
from pathlib import Path

import torch

from .label_graph import GRAPH_FILE
from .label_tables import StoredTable


class TableStorage:
    """The part of a model that makes its tables small and saves them; to be mixed into a `PreTrainedModel`."""

    # a compressed model may be all buffers, of which transformers looks at none for these two

    @property
    def dtype(self) -> torch.dtype:
        return next((values.dtype for values in self.parameters() if values.is_floating_point()), torch.float32)

    @property
    def device(self) -> torch.device:
        return self.trained_labels.device

    @torch.no_grad()
    def compress(self, dtype: str = "float16") -> "TableStorage":
        """This model with smaller tables, to be downloaded and to predict, not to be trained.

        Args:
            dtype (`str`, *optional*, defaults to `"float16"`):
                of the tables of labels: `"float16"`, or `"int8"` with one scale a label. Vectors of tokens become float16.

        Raises:
            `ValueError`: another dtype, a model that is compressed already, or numbers that it hasn't got.
        """
        if dtype not in ("float16", "int8"):
            raise ValueError(f"`dtype` must be 'float16' or 'int8', found {dtype!r}")
        if self.config.table_dtype != "float32":
            raise ValueError(f"the tables are compressed already, `table_dtype` is {self.config.table_dtype!r}")
        config = copy.deepcopy(self.config)
        config.table_dtype = dtype
        smaller = type(self)(config)
        tables = {"classifier": self.classifier.weight, "index_vectors": self.index_vectors}
        for name, vectors_LD in tables.items():
            setattr(smaller, name, StoredTable.of(vectors_LD, dtype))
        if config.encoder != "transformer":
            words = self.get_input_embeddings().weight
            smaller.encoder.embeddings.word_embeddings = StoredTable.of(words, "float16")
        kept = smaller.state_dict()
        missing = smaller.load_state_dict(
            {name: values for name, values in self.state_dict().items() if name in kept}, strict=False
        ).missing_keys
        assert all(name.endswith((".values", ".scales")) for name in missing), missing
        return smaller.to(self.device).eval()

    def table_bytes(self) -> dict[str, int]:
        """Bytes of what is stored, by what it is: `encoder`, `classifier`, `index`, `proxy`, which predicts nothing."""
        sizes = dict.fromkeys(("encoder", "classifier", "index", "proxy"), 0)
        of_others = {"classifier": "classifier", "classifier_bias": "classifier", "index_vectors": "index"}
        of_others |= {"trained_labels": "index", "proxy": "proxy"}
        for name, values in self.state_dict().items():
            sizes[of_others.get(name.partition(".")[0], "encoder")] += values.numel() * values.element_size()
        return sizes

    def save_pretrained(self, save_directory, is_main_process: bool = True, *args, **kwargs):
        """As [`MultiLabelPreTrainedModel.save_pretrained`]; with `config.hnsw_cache`, the index's graph as well."""
        super().save_pretrained(save_directory, is_main_process, *args, **kwargs)
        if self.config.index == "hnsw" and self.config.hnsw_cache and self.has_index:
            graph = self.label_graph()
            if graph is not None and is_main_process:
                graph.save(Path(save_directory, GRAPH_FILE))


__all__ = ["TableStorage"]
