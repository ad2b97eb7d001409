"""What a LightDXML model of many labels costs, counted: bytes a label, a feature and a document, and the work of a cycle.

What is counted here can be checked against a running model: `benchmarks/label_scale.py` prints both. All of it grows with the
number of labels or of documents, nothing with both.

Shape legend: L labels, V features, N documents, D width, S shortlist, M (document, label) pairs, U labels of a step.
"""

from __future__ import annotations

from dataclasses import dataclass


FLOAT = 4
# Adam keeps two numbers beside each weight
WITH_ADAM = 3 * FLOAT
# hnswlib, of a label: its number, and at each link list how many there are
_GRAPH_LABEL, _GRAPH_COUNT = 8, 4
# hnswlib, of a label that is in the lowest layer alone: the pointer to its upper link lists, its layer, a lock, the entry of the
# table from label to place, and two visited marks
_GRAPH_BESIDE = 8 + 4 + 40 + 64 + 4
# of a name as short as "label 123456": a Python string, and its entries in the lists and dicts of a configuration and a label space
NAME_BYTES = 400
# counts of a label in the metrics of an evaluation, and its training counts
COUNT_BYTES = 8 * 10


@dataclass(frozen=True)
class CycleSize:
    """What decides the cost of a training.

    Args:
        num_labels (`int`): L.
        num_documents (`int`): N.
        num_features (`int`): V.
        num_pairs (`int`): M, true (document, label) pairs.
        nonzeros (`int`): features of a document.
        embed_dim (`int`): D.
        shortlist_size (`int`): S.
        hnsw_m (`int`, *optional*): neighbours in the index's graph; `None` where the index is exact.
        proxy_epochs (`int`, *optional*, defaults to 8): passes over the pairs in a cycle's first phase.
    """

    num_labels: int
    num_documents: int
    num_features: int
    num_pairs: int
    nonzeros: int
    embed_dim: int
    shortlist_size: int
    hnsw_m: int | None = None
    proxy_epochs: int = 8


def label_bytes(size: CycleSize) -> dict[str, int]:
    """Bytes a label, by what they are for; the graph's are those of hnswlib 0.8."""
    row = size.embed_dim * FLOAT
    parts = {
        "classifier row and bias, with Adam's two moments": size.embed_dim * WITH_ADAM + WITH_ADAM,
        "vector of the index": row,
        # the embeddings are written over the centroids, and read from their file block by block
        "centroid and label embedding, while a cycle makes them": row,
        "name and counts": NAME_BYTES + COUNT_BYTES,
    }
    if size.hnsw_m is not None:
        links = 2 * size.hnsw_m * FLOAT + _GRAPH_COUNT  # twice as many in the lowest layer
        parts["graph of the index"] = row + links + _GRAPH_LABEL + _GRAPH_BESIDE
        parts["copy of its vectors, while it is made"] = row
    return parts


def feature_bytes(size: CycleSize) -> int:
    """Bytes a feature: its vector with Adam's two moments."""
    return size.embed_dim * WITH_ADAM


def document_bytes(size: CycleSize) -> dict[str, int]:
    """Bytes a training document: in memory, and on the disk, from where files are mapped."""
    labels = size.num_pairs / size.num_documents
    return {
        # a pair: its id and a 1; its id, document and order in phase 1; what the table is made of; and a pointer
        "labels, in memory": round(labels * (8 + 12 + 16)) + 8,
        "vector, on the disk": size.embed_dim * FLOAT,
        "shortlist, on the disk": size.shortlist_size * 4,
        "features and labels, on the disk": size.nonzeros * 8 + round(labels * 8) + 8,
    }


def stated_peak(size: CycleSize, *, imported: int) -> int:
    """The memory, in bytes, that a training on the CPU should stay within: what the imports take and what is counted above.

    Batches and their gradients come on top; they depend on neither labels nor documents.
    """
    in_memory = sum(bytes_ for name, bytes_ in document_bytes(size).items() if name.endswith("in memory"))
    labels, features = sum(label_bytes(size).values()), feature_bytes(size)
    return imported + size.num_labels * labels + size.num_features * features + size.num_documents * in_memory


def cycle_flops(size: CycleSize, *, epochs: int = 1) -> dict[str, float]:
    """Multiplications and additions of a cycle, by phase; a gradient step costs three times what its forward pass does.

    The classifier's are those of one list a document. Where a step's documents share one list, it is U instead of S.
    """
    width, documents = size.embed_dim, size.num_documents
    encode = 2 * documents * (size.nonzeros * width + width**2)
    return {
        "encode": encode,
        "centroids": 2 * size.num_pairs * width,
        "proxy": 3 * 2 * size.num_pairs * width**2 * size.proxy_epochs,
        "shortlists, exact": 2 * documents * size.num_labels * width,
        "classifier": epochs * 3 * (encode + 2 * documents * size.shortlist_size * width),
    }


@dataclass(frozen=True)
class Card:
    """A GPU, as its data sheet says.

    Args:
        name (`str`): what it is called.
        memory_gb (`float`): its memory, 10^9 bytes.
        tflops (`float`): 10^12 multiplications and additions a second, in the precision of the products.
        memory_gb_s (`float`): what it reads from that memory, 10^9 bytes a second.
        link_gb_s (`float`): what it sends to the other GPUs and gets from them, 10^9 bytes a second.
    """

    name: str
    memory_gb: float
    tflops: float
    memory_gb_s: float
    link_gb_s: float


# NVIDIA's data sheet of the A100 80GB SXM: TF32 without sparsity; of NVLink's 600 GB/s half goes each way
A100 = Card("A100 80GB", memory_gb=80, tflops=156, memory_gb_s=2039, link_gb_s=300)


def gpu_plan(size: CycleSize, *, processes: int, batch_size: int, card: Card = A100) -> dict[str, float]:
    """What a training on several GPUs asks of each, at the least: work and traffic over what the data sheet promises.

    Every process reads `batch_size` documents a step, each scored against a list of its own; features and the encoder are on
    each GPU. Label tables are whole on each, as DDP has them, and their sparse gradients travel; or, which is not built, their
    rows are split: then a process sends its documents' vectors and lists to all others, and gets back the logits of the
    labels that they hold and the gradient of its vectors. The first process makes the label embeddings, in its machine's memory.

    Returns:
        `dict`: `"memory_gb"` of each GPU with whole tables and `"memory_gb_split"`; of a cycle its vectors, `"encode_seconds"`, its
        label embeddings, `"proxy_seconds"`, and exact shortlists, `"shortlist_seconds"`; of one epoch its products,
        `"product_seconds"`, the rows that are read and written, `"row_seconds"`, and what travels, `"link_seconds"` and
        `"link_seconds_split"`.
    """
    width, steps = size.embed_dim, size.num_documents / (processes * batch_size)
    # the classifier with its optimizer, and the index; all else lies in the machine's memory
    table = size.embed_dim * WITH_ADAM + WITH_ADAM + size.embed_dim * FLOAT
    features = size.num_features * feature_bytes(size)
    flops = cycle_flops(size)
    # a scored row is read, and its gradient and Adam's update read and write the row and two moments
    rows_a_step = batch_size * (size.shortlist_size + size.nonzeros)
    row_bytes = rows_a_step * width * FLOAT * (1 + 1 + 6)
    vectors = 2 * batch_size * width * FLOAT * (processes - 1)
    lists = batch_size * size.shortlist_size * (FLOAT + 2 * FLOAT) * (processes > 1)
    unsplit = batch_size * size.shortlist_size * (width * FLOAT + 8) * (processes - 1)
    # the encoder's sparse gradients go to all others in either case
    encoder = batch_size * size.nonzeros * (width * FLOAT + 8) * (processes - 1)
    link = card.link_gb_s * 1e9
    return {
        "memory_gb": (size.num_labels * table + features) / 1e9,
        "memory_gb_split": (size.num_labels * table / processes + features) / 1e9,
        "encode_seconds": flops["encode"] / processes / (card.tflops * 1e12),
        "proxy_seconds": flops["proxy"] / (card.tflops * 1e12),
        "shortlist_seconds": flops["shortlists, exact"] / processes / (card.tflops * 1e12),
        "product_seconds": flops["classifier"] / processes / (card.tflops * 1e12),
        "row_seconds": steps * row_bytes / (card.memory_gb_s * 1e9),
        "link_seconds": steps * (unsplit + encoder) / link,
        "link_seconds_split": steps * (vectors + lists + encoder) / link,
    }
