"""Phases 1 and 2 of a cycle, and what is made after the last epoch: encode, centroids, label embeddings, shortlists.

Shape legend: N training rows, L labels, D width, S shortlist, F rows of label features.
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse

from hf_mlc.cycles.centroids import FeatureVectors, label_centroids, label_counts
from hf_mlc.cycles.encoding import batches_of_rows, encode_rows
from hf_mlc.cycles.folder import CycleFolder, array_written_together, delete_cycles, key_of, rng_of
from hf_mlc.cycles.proxy import label_embeddings, train_proxy
from hf_mlc.cycles.rows import NumberedRows, RaggedColumn, is_ragged, label_table
from hf_mlc.cycles.shortlists import Recall, fill_shortlists
from hf_mlc.errors import UserError
from hf_mlc.files import written_whole
from hf_mlc.modeling.label_index import unit_blocks
from hf_mlc.modeling.modeling_lightdxml import TARGETS
from hf_mlc.run_facts import Stopwatch


if TYPE_CHECKING:
    from hf_mlc.cycles.trainer import LightDxmlTrainer


VECTORS_FILE, INDEX_FILE, SHORTLISTS_FILE = "vectors.npy", "label_vectors.npy", "shortlists.npy"
FEATURE_VECTORS_FILE = "label_feature_vectors.npy"
PROXY_PHASE = 1  # which of a cycle's random numbers are those of its pairs' order
# of the configuration, what index and lists are made by
OF_LABELS = (
    *("proxy", "proxy_hidden", "proxy_epochs", "proxy_learning_rate", "proxy_batch_size"),
    *("index", "hnsw_m", "hnsw_ef_construction", "hnsw_ef"),
)
# of the weights, what no document's vector hangs on
NOT_OF_DOCUMENTS = ("classifier", "index_vectors", "trained_labels")


def _mapped(file: Path) -> torch.Tensor:
    """An array's file as a tensor, read where it is looked at; what is written to it stays in memory."""
    return torch.from_numpy(np.load(file, mmap_mode="c"))


class CycleMaker:
    """Makes the cycles of one training: what they have in common, and the files between them.

    Several processes share the work: each encodes some of the rows and seeks the labels near them; the first one makes the label
    embeddings. They need one disk.

    Args:
        trainer ([`~hf_mlc.cycles.trainer.LightDxmlTrainer`]): model, rows, arguments, processes.
    """

    def __init__(self, trainer: LightDxmlTrainer):
        self.trainer = trainer
        self.model, self.args, self.config = trainer.model, trainer.args, trainer.model.config
        self.rows = self._inputs_of(trainer.train_dataset)
        self.labels_NL = label_table(trainer.train_dataset, self.config.num_labels)
        self.trained_L = label_counts(self.labels_NL) > 0
        self.feature_rows, self.features_FL = None, None
        self.unseen = np.zeros(0, np.int64)  # labels that may be found by their features, and have no training row
        if trainer.label_features is not None:
            self.feature_rows = self._inputs_of(trainer.label_features)
            self.features_FL = label_table(trainer.label_features, self.config.num_labels)
            self.unseen = self._unseen_labels()
        self._tell_of_lost_labels()
        num_findable = int(self.trained_L.sum()) + len(self.unseen)
        self.num_near = min(self.config.shortlist_size, max(1, num_findable))

    def _tell_of_lost_labels(self) -> None:
        """Of a model that training goes on from: which of its labels the index will not hold any more."""
        if not self.model.has_index:
            return
        is_lost_L = self.model.trained_labels.cpu().numpy() & ~self.trained_L
        is_lost_L[self.unseen] = False
        if is_lost_L.any():
            self.trainer.tell(
                f"{int(is_lost_L.sum()):,} of the {int(self.model.trained_labels.sum()):,} labels that the model could find have no "
                "training row here, and can't be found any more: train on rows of all its labels to keep them"
            )

    def _unseen_labels(self) -> np.ndarray:
        """Those with features alone, where a bias can say how rare they are; without one there are none, and that is said."""
        ids = np.flatnonzero((label_counts(self.features_FL) > 0) & ~self.trained_L)
        if self.config.label_bias or not len(ids):
            return ids
        self.trainer.tell(f"labels of features alone, which can't be found without label_bias: {len(ids):,}")
        return ids[:0]

    # -- what is asked for

    def make(self, cycle: int | str, *, lists: bool = True) -> dict[str, Any]:
        """Fills the model's index and writes the shortlists of the training rows.

        Phases that this folder's run has made of the same weights before are not made again.

        Args:
            cycle (`int` or `str`): from 0, or `"last"`.
            lists (`bool`, *optional*, defaults to `True`): whether shortlists are needed.

        Returns:
            Facts: seconds of each phase, recalls of the lists.
        """
        # a run that goes on from a checkpoint takes up its random state after this: nothing here may have a part in it
        with torch.random.fork_rng([self.args.device] if self.args.device.type == "cuda" else []):
            return self._make(cycle, lists)

    def _make(self, cycle: int | str, lists: bool) -> dict[str, Any]:
        folder = CycleFolder(self.args.output_dir, cycle)
        if self._is_main:
            folder.begin(self._key(cycle), self._ground)
        self._wait()
        phases = {"encode": self._encode, "labels": self._make_index, "shortlists": self._make_shortlists}
        if not lists:
            del phases["shortlists"]
        facts: dict[str, Any] = {"cycle": cycle}
        for name, phase in phases.items():
            found = folder.facts(name)
            self._wait()  # the first process must not end the phase before all have looked
            if found is None:
                stopwatch = Stopwatch()
                found = phase(folder, cycle)
                found = {**stopwatch.read(), **found}
                if self._is_main:
                    folder.end(name, found)
                self._wait()
            elif name == "labels":
                self._read_index(folder)
            facts[name] = found
        if self._is_main and not self.args.keep_cycle_files:  # not before all phases are noted to have ended
            for file in (VECTORS_FILE, FEATURE_VECTORS_FILE):
                folder.file(file).unlink(missing_ok=True)
        stopwatch = Stopwatch()
        facts["validation"] = {f"recall@{self.num_near}": self.validation_recall(), **stopwatch.read()}
        return facts

    def shortlists(self, cycle: int) -> np.ndarray | None:
        """The shortlists of a cycle, int32 `(N, S)`, as a memory map; `None` where they are gone, of other rows, or of another index
        than the model's."""
        folder = CycleFolder(self.args.output_dir, cycle)
        files = [folder.file(name) for name in (SHORTLISTS_FILE, INDEX_FILE)]
        if folder.facts("shortlists") is None or folder.ground != self._ground or not all(map(Path.exists, files)):
            return None
        index_LD = self.model.index_vectors
        for labels, units_nD in unit_blocks(_mapped(files[1]), self.config.block_size):
            if not torch.equal(units_nD, index_LD[labels].cpu()):
                return None
        return np.load(files[0], mmap_mode="r")

    @torch.no_grad()
    def forget_index(self) -> None:
        """Leaves the model without an index until the next cycle: it scores all labels that have training rows."""
        if self.model.has_index:
            self.model.index_vectors.zero_()
            self.model.trained_labels.copy_(torch.from_numpy(self.trained_L))

    def delete(self, cycle: int | str) -> None:
        """Deletes the files of a cycle, unless they are to be kept."""
        if self._is_main and not self.args.keep_cycle_files:
            CycleFolder(self.args.output_dir, cycle).delete()

    def delete_all(self) -> None:
        """As `delete`, of all cycles, those of a run before this one too."""
        if self._is_main and not self.args.keep_cycle_files:
            delete_cycles(self.args.output_dir)

    # -- phases

    def _encode(self, folder: CycleFolder, cycle: int | str) -> dict[str, Any]:
        self._write_vectors(folder.file(VECTORS_FILE), self.rows, "Encoding documents")
        facts = {"documents": len(self.rows)}
        if self.feature_rows is not None:
            self._write_vectors(folder.file(FEATURE_VECTORS_FILE), self.feature_rows, "Encoding label features")
            facts["label_features"] = len(self.feature_rows)
        return facts

    def _make_index(self, folder: CycleFolder, cycle: int | str) -> dict[str, Any]:
        """Label embeddings of the documents' vectors, into the model and its file; made by the first process."""
        facts: dict[str, Any] = {"unseen_labels": len(self.unseen)} if self.feature_rows is not None else {}
        if self._is_main:
            vectors_ND = np.load(folder.file(VECTORS_FILE), mmap_mode="r")
            centroids_LD = label_centroids(self.labels_NL, vectors_ND, features=self._feature_vectors(folder))
            proxy, config = self.model.proxy, self.config
            if config.proxy != "none":
                losses = train_proxy(
                    proxy,
                    centroids_LD,
                    vectors_ND,
                    self.labels_NL,
                    epochs=config.proxy_epochs,
                    learning_rate=config.proxy_learning_rate,
                    batch_size=config.proxy_batch_size,
                    rng=rng_of(self.args.seed, cycle, PROXY_PHASE),
                    device=self.args.device,
                    progress=self._progress,
                )
                facts["proxy_loss"] = losses
            embeddings_LD = label_embeddings(proxy, centroids_LD, device=self.args.device)
            with written_whole(folder.file(INDEX_FILE), binary=True) as stream:
                np.save(stream, embeddings_LD.numpy())
            with written_whole(folder.file("proxy.npz"), binary=True) as stream:
                np.savez(stream, **{name: value.cpu().numpy() for name, value in proxy.state_dict().items()})
        self._wait()
        self._read_index(folder)
        return facts

    def _make_shortlists(self, folder: CycleFolder, cycle: int | str) -> dict[str, Any]:
        vectors_ND = np.load(folder.file(VECTORS_FILE), mmap_mode="r")
        num_rows, batch_size = len(self.rows), self.args.cycle_batch_size
        blocks = [np.arange(start, min(start + batch_size, num_rows)) for start in range(0, num_rows, batch_size)]
        with self._array(folder.file(SHORTLISTS_FILE), (num_rows, self.num_near), "int32") as shortlists_NS:
            recall = fill_shortlists(
                self.model,
                vectors_ND,
                self.labels_NL,
                shortlists_NS,
                blocks[self._rank :: self._num_ranks],
                # what has no training row can't be learned: a list would teach nothing but its absence
                listed_L=None if self.features_FL is None else self.trained_L,
                device=self.args.device,
                progress=self._progress,
            )
        return {f"recall@{self.num_near}": self._summed(recall).value}

    def validation_recall(self) -> float | None:
        """The share of the validation rows' labels that their shortlists hold, by the index as it is; `None` without such rows."""
        if self._validation is None:
            return None
        rows, batches, labels_NL = self._validation
        recall = Recall()
        for numbers, vectors_BD in self._encoded(rows, batches, "Recall on validation rows"):
            recall.count(self.model.shortlist(vectors_BD, self.num_near)[0].cpu().numpy(), numbers, labels_NL)
        return self._summed(recall).value

    @cached_property
    def _validation(self) -> tuple[NumberedRows, list[np.ndarray], sparse.csr_array] | None:
        """Validation rows, this process's batches of them, and their labels."""
        dataset = self.trainer.eval_dataset
        if dataset is None or isinstance(dataset, dict) or not len(dataset):
            return None
        batches = self._share(self._lengths(dataset), len(dataset))
        return self._inputs_of(dataset), batches, label_table(dataset, self.config.num_labels)

    # -- parts of them

    def _write_vectors(self, file: Path, rows: NumberedRows, description: str) -> None:
        """The vectors of rows, this process's share of them, into an array that all write together."""
        batches = self._share(self._lengths(rows.dataset), len(rows))
        with self._array(file, (len(rows), self.config.embed_dim), self.args.cycle_dtype) as vectors_ND:
            for numbers, vectors_BD in self._encoded(rows, batches, description):
                vectors_ND[numbers] = vectors_BD.cpu().numpy()

    def _feature_vectors(self, folder: CycleFolder) -> FeatureVectors | None:
        if self.features_FL is None:
            return None
        vectors_FD = np.load(folder.file(FEATURE_VECTORS_FILE), mmap_mode="r")
        return FeatureVectors(self.features_FL, vectors_FD, self.args.label_feature_weight)

    def _read_index(self, folder: CycleFolder) -> None:
        """What the file of label embeddings holds becomes the model's index, and the proxy what made them."""
        vectors_LD = _mapped(folder.file(INDEX_FILE))
        if not math.isfinite(vectors_LD.sum()):  # of unit vectors; every process sees it
            raise UserError(
                "the vectors of documents are no numbers any more: training diverged",
                field="learning_rate",
                accepted=f"a lower one than {self.args.learning_rate}, or max_grad_norm",
            )
        self.model.set_index(vectors_LD)
        self.model.trained_labels.copy_(torch.from_numpy(self.trained_L))
        if len(self.unseen):
            self.model.set_unseen_labels(torch.from_numpy(self.unseen), len(self.rows))
        with np.load(folder.file("proxy.npz")) as content:
            self.model.proxy.load_state_dict({name: torch.from_numpy(content[name]) for name in content.files})

    def _encoded(self, rows: NumberedRows, batches: list[np.ndarray], description: str):
        return encode_rows(
            self.model,
            rows,
            self.trainer.data_collator,
            batches,
            device=self.args.device,
            progress=self._progress,
            description=description,
        )

    def _inputs_of(self, dataset: Any) -> NumberedRows:
        """Rows as they are encoded: without their targets."""
        return NumberedRows(dataset, [name for name in self.trainer.read_columns if name not in TARGETS])

    def _lengths(self, dataset: Any) -> np.ndarray | None:
        return RaggedColumn(dataset, "input_ids").lengths() if is_ragged(dataset, "input_ids") else None

    def _share(self, lengths_N: np.ndarray | None, num_rows: int) -> list[np.ndarray]:
        return batches_of_rows(
            lengths_N, num_rows, self.args.cycle_batch_size, rank=self._rank, num_ranks=self._num_ranks
        )

    @cached_property
    def _ground(self) -> str:
        """What tells the rows and settings of all cycles of this training from others."""
        settings = {
            "seed": self.args.seed,
            "rows": self.rows.digest(),
            "near": self.num_near,
            "dtype": self.args.cycle_dtype,
            **{name: getattr(self.config, name) for name in OF_LABELS},
        }
        tables = [self.labels_NL]
        if self.feature_rows is not None:
            weight = self.args.label_feature_weight
            settings["label_features"] = {"rows": self.feature_rows.digest(), "weight": weight}
            tables.append(self.features_FL)
        return key_of(settings, {}, *(part for table in tables for part in (table.indptr, table.indices)))

    def _key(self, cycle: int | str) -> str:
        weights = {
            name: value for name, value in self.model.state_dict().items() if not name.startswith(NOT_OF_DOCUMENTS)
        }
        return key_of({"cycle": cycle, "ground": self._ground}, weights)

    def _summed(self, recall: Recall) -> Recall:
        """The recall on the rows of all processes."""
        if self._num_ranks == 1:
            return recall
        counts = torch.tensor([recall.found, recall.pairs], device=self.args.device)
        return Recall(*self.trainer.accelerator.reduce(counts, reduction="sum").tolist())

    def _array(self, file, shape: tuple[int, ...], dtype: str):
        return array_written_together(file, shape, dtype, is_main=self._is_main, wait=self._wait)

    def _wait(self) -> None:
        self.trainer.accelerator.wait_for_everyone()

    @property
    def _rank(self) -> int:
        return self.args.process_index

    @property
    def _num_ranks(self) -> int:
        return self.args.world_size

    @property
    def _is_main(self) -> bool:
        return self.args.process_index == 0

    @property
    def _progress(self) -> bool:
        return self._is_main and not self.args.disable_tqdm
