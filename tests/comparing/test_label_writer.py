"""The recurrence that writes a document's labels: taught in one call, searched step by step, with the same numbers."""

from __future__ import annotations

import itertools

import pytest
import torch

from hf_mlc.comparing.arms.label_writer import LabelWriter
from hf_mlc.modeling.label_sequences import EOS, LABEL_OFFSET


H = 6


def writer_of(num_labels: int = 3, **settings) -> LabelWriter:
    torch.manual_seed(0)
    writer = LabelWriter(
        num_labels=num_labels, document_size=H, ranks=range(num_labels), size=7, label_size=4, **settings
    ).eval()
    with torch.no_grad():
        for parameter in writer.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return writer


def documents(number: int) -> torch.Tensor:
    return torch.randn(number, H, generator=torch.Generator().manual_seed(1))


def log_probability(writer: LabelWriter, document_1H: torch.Tensor, labels: tuple[int, ...]) -> torch.Tensor:
    sequence = torch.tensor([[*(label + LABEL_OFFSET for label in labels), EOS]])
    return writer(document_1H, sequence).gather(2, sequence[..., None]).sum()


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_enough_beams_find_the_most_probable_set_and_exact_marginals(cell):
    writer = writer_of(cell=cell, num_beams=20)  # there are 16 sequences of three labels
    document_BH = documents(5)
    answer = writer.answer(document_BH)
    for row in range(5):
        p = torch.zeros(2, 2, 2)  # of the sets, over all orders of their labels
        for size in range(4):
            for labels in itertools.permutations(range(3), size):
                there = tuple(int(label in labels) for label in range(3))
                p[there] += log_probability(writer, document_BH[row : row + 1], labels).exp()
        assert torch.allclose(p.sum(), torch.tensor(1.0), atol=1e-5)  # no label twice, no padding, an end for sure
        best = torch.tensor([int(place) for place in torch.unravel_index(p.argmax(), p.shape)])
        assert torch.equal(answer.chosen_BL[row].long(), best)
        marginals_L = torch.stack([p[1].sum(), p[:, 1].sum(), p[:, :, 1].sum()])
        assert torch.allclose(answer.logits_BL[row].sigmoid(), marginals_L, atol=1e-4)


def test_a_step_knows_nothing_of_what_is_yet_to_be_written():
    writer, document_1H = writer_of(4), documents(1)
    one = writer(document_1H, torch.tensor([[3, 4, 5, EOS]]))
    other = writer(document_1H, torch.tensor([[3, 4, 6, EOS]]))
    assert torch.equal(one[:, :3], other[:, :3]) and not torch.allclose(one[:, 3], other[:, 3])


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("num_labels", [1, 4])
def test_documents_without_labels_and_a_single_label_are_written_too(num_beams, num_labels):
    torch.manual_seed(0)
    writer = LabelWriter(
        num_labels=num_labels, document_size=H, ranks=range(num_labels), size=8, dropout=0.0, num_beams=num_beams
    )
    document_BH = documents(64)
    targets_BL = (document_BH[:, :num_labels] > 0.4).float()
    assert (targets_BL.sum(dim=1) == 0).any()
    optimizer = torch.optim.Adam(writer.parameters(), lr=0.03)
    for _ in range(80):
        optimizer.zero_grad()
        loss, logits_BL = writer.loss(writer, document_BH, targets_BL, None)
        loss.backward()
        optimizer.step()
    assert torch.isfinite(logits_BL).all()
    answer = writer.eval().answer(document_BH)
    assert (answer.chosen_BL == targets_BL.bool()).all(dim=1).float().mean() > 0.9
    assert torch.isfinite(answer.logits_BL).all()


def test_an_answer_does_not_depend_on_the_batch():
    writer, document_BH = writer_of(num_beams=2), documents(6)
    whole, alone = writer.answer(document_BH), writer.answer(document_BH[4:5])
    assert torch.allclose(whole.logits_BL[4], alone.logits_BL[0], atol=1e-4)
    assert torch.equal(whole.chosen_BL[4], alone.chosen_BL[0])
