"""Tables of label vectors: how their rows are read, and how they are stored in two bytes a number or in one.

Shape legend: L rows, D width, n rows that are read.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init


# a table of at most so many numbers is kept at hand in float32 once it is read (128 MB): what takes little room anyway answers at once
MOST_KEPT = 2**25


class StoredTable(nn.Module):
    """Vectors in half precision, or as whole numbers of -127 to 127 times a number of their row; for reading alone.

    Either is a buffer of whole numbers, so that loading in another precision, which casts what is floating, leaves it alone.

    Buffers:
        values (`torch.Tensor` of shape `(L, D)`): int16, the bits of half-precision numbers, or int8.
        scales (`torch.FloatTensor` of shape `(L, 1)`, of int8): what 1 stands for in a row.
    """

    def __init__(self, num_rows: int, width: int, dtype: str):
        super().__init__()
        self.is_int8 = dtype == "int8"
        self.register_buffer("values", torch.zeros(num_rows, width, dtype=torch.int8 if self.is_int8 else torch.int16))
        if self.is_int8:
            self.register_buffer("scales", torch.zeros(num_rows, 1))
        self._known: tuple[tuple, torch.Tensor | None] = ((), None)

    def reset_parameters(self) -> None:
        init.zeros_(self.values)
        if self.is_int8:
            init.zeros_(self.scales)

    @property
    def shape(self) -> torch.Size:
        return self.values.shape

    @classmethod
    @torch.no_grad()
    def of(cls, vectors_LD: torch.Tensor, dtype: str) -> "StoredTable":
        """The table that holds these vectors, rounded.

        Args:
            vectors_LD (`torch.Tensor` of shape `(L, D)`): any floating dtype.
            dtype (`str`): `"float16"` or `"int8"`.

        Raises:
            `ValueError`: a number that half precision hasn't got, or that is none.
        """
        table = cls(*vectors_LD.shape, dtype)
        if table.is_int8:
            if not vectors_LD.isfinite().all():
                raise ValueError("a table of int8 holds finite numbers, found others")
            scales_L1 = vectors_LD.float().abs().amax(dim=1, keepdim=True) / 127
            table.scales = scales_L1
            table.values = (vectors_LD.float() / scales_L1.clamp(min=1e-30)).round().to(torch.int8)
            return table
        halves_LD = vectors_LD.to(torch.float16)
        if not halves_LD.isfinite().all():
            raise ValueError("a table of float16 holds finite numbers up to 65504, found others")
        table.values = halves_LD.view(torch.int16)
        return table

    def forward(self, ids: torch.LongTensor) -> torch.FloatTensor:
        return self.read(ids)

    def read(self, rows: slice | torch.LongTensor) -> torch.FloatTensor:
        """The vectors of these rows, float32 `(n, D)`, or of the shape of the ids with D behind."""
        if self.values.numel() > MOST_KEPT or torch.compiler.is_compiling():
            return self._read(rows)
        stored = (self.values, *((self.scales,) if self.is_int8 else ()))
        state = tuple((one.data_ptr(), 0 if one.is_inference() else one._version, one.device) for one in stored)
        if state != self._known[0]:
            with torch.inference_mode(False), torch.no_grad():  # a later call may be one that gradients go through
                self._known = state, self._read(slice(None))
        return self._known[1][rows] if isinstance(rows, slice) else F.embedding(rows, self._known[1])

    def _read(self, rows: slice | torch.LongTensor) -> torch.FloatTensor:
        if self.is_int8:
            return self.values[rows].float() * self.scales[rows].float()
        return self.values[rows].view(torch.float16).float()

    def __getstate__(self) -> dict:
        """Without the numbers that are at hand: a copy finds its own."""
        return {**self.__dict__, "_known": ((), None)}


def read_rows(table: nn.Embedding | torch.Tensor | StoredTable, rows: slice | torch.LongTensor) -> torch.Tensor:
    """Vectors of a table in any form, `(n, D)`, or of the shape of the ids with D behind; of an embedding with its gradients."""
    if isinstance(table, StoredTable):
        return table.read(rows)
    if isinstance(table, nn.Embedding):
        return table.weight[rows] if isinstance(rows, slice) else table(rows)
    return table[rows] if isinstance(rows, slice) else F.embedding(rows, table)


__all__ = ["StoredTable", "read_rows"]
