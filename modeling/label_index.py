"""The labels nearest to a document by cosine: by comparing with all of them, block by block, or by a graph of hnswlib.

Shape legend: B documents, D width, L labels, S nearest labels, n labels of a block.
"""

import torch
from torch.nn import functional as F

from .label_tables import StoredTable, read_rows


# scores of a block: few documents are compared with more labels at once, so that a block is worth its calls
MIN_BLOCK_SCORES = 2**20


def _slices(num_labels: int, size: int):
    """The labels, `size` of them at a time."""
    return (slice(start, min(start + size, num_labels)) for start in range(0, num_labels, size))


def blocks(table_LD: torch.Tensor | StoredTable, block_size: int, num_rows: int):
    """Slices of the labels of a table, `block_size` at a time.

    Of a plain float32 table they are longer where there are few documents: only scores are held then. Of any other the rows of a
    block are made float32, and are never more than `block_size`.
    """
    num_labels, size = table_LD.shape[0], block_size
    if isinstance(table_LD, torch.Tensor) and table_LD.dtype == torch.float32:
        size = max(size, MIN_BLOCK_SCORES // max(1, num_rows))
    return _slices(num_labels, size)


def unit_blocks(vectors_LD: torch.Tensor, block_size: int):
    """`(labels, their vectors scaled to length 1)`, float32, `block_size` labels at a time: a whole table of them is never made."""
    for rows in _slices(vectors_LD.shape[0], block_size):
        yield rows, F.normalize(vectors_LD[rows].float(), dim=1)


class RunningTop:
    """The best S of scores that come block by block; ties go to the block that came first."""

    def __init__(self, size: int):
        self.size = size
        self.values_BS: torch.Tensor | None = None
        self.ids_BS: torch.Tensor | None = None

    def add(self, scores_Bn: torch.Tensor, first: int) -> None:
        """Scores of the labels from `first` on."""
        values, ids = scores_Bn.topk(min(self.size, scores_Bn.shape[1]), dim=1)
        ids = ids + first
        if self.values_BS is not None:
            values, ids = torch.cat([self.values_BS, values], 1), torch.cat([self.ids_BS, ids], 1)
            values, places = values.topk(min(self.size, values.shape[1]), dim=1)
            ids = ids.gather(1, places)
        self.values_BS, self.ids_BS = values, ids


def cosines(units_BD: torch.Tensor, vectors_nD: torch.Tensor) -> torch.FloatTensor:
    """Products of unit vectors `(B, n)`, in float32 under autocast too: in half precision most of the nearest labels would be as near as
    each other."""
    with torch.autocast(units_BD.device.type, enabled=False):
        return units_BD.float() @ vectors_nD.float().T


@torch.no_grad()
def nearest_labels(
    queries_BD: torch.Tensor,
    vectors_LD: torch.Tensor | StoredTable,
    size: int,
    *,
    is_trained_L: torch.BoolTensor | None = None,
    block_size: int = 16384,
) -> tuple[torch.LongTensor, torch.FloatTensor]:
    """The `size` labels of the highest cosine, exactly; never more than a block of all scores is held.

    Args:
        queries_BD (`torch.Tensor` of shape `(B, D)`): documents, of any length.
        vectors_LD (`torch.Tensor` of shape `(L, D)` or `StoredTable`): unit rows; zero rows are alike to everything.
        size (`int`): S.
        is_trained_L (`torch.BoolTensor` of shape `(L,)`, *optional*): labels that may be found; all of them.
        block_size (`int`, *optional*, defaults to 16384):
            labels compared at once; of a float32 table more where there are few documents, 2**20 scores together.

    Returns:
        `(ids, cosines)` of shape `(B, min(S, L))`, best first; where fewer labels may be found, padded with -1 and 0.
    """
    queries_BD = F.normalize(queries_BD.float(), dim=1)
    best = RunningTop(size)
    for block in blocks(vectors_LD, block_size, len(queries_BD)):
        cosines_Bn = cosines(queries_BD, read_rows(vectors_LD, block))
        if is_trained_L is not None:
            cosines_Bn.masked_fill_(~is_trained_L[block], float("-inf"))
        best.add(cosines_Bn, block.start)
    missing_BS = best.values_BS == float("-inf")
    return best.ids_BS.masked_fill(missing_BS, -1), best.values_BS.masked_fill(missing_BS, 0.0)


__all__ = ["MIN_BLOCK_SCORES", "RunningTop", "blocks", "cosines", "nearest_labels", "unit_blocks"]
