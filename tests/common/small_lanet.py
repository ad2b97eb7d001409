"""A tiny model of the made-up shop's customers, saved with its processor, whose labels look at each other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch

import hf_mlc  # noqa: F401  # what is saved then carries its code
from hf_mlc.events.demo import ITEMS, generate_customers
from hf_mlc.label_storage import store_label_space
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.modeling_lanet import LanetForMultiLabelClassification
from hf_mlc.modeling.processing_events import EventProcessor


CUSTOMERS = list(generate_customers(12))
COLUMNS = {"event_user": "customer", "event_time": "day", "event_label": "item", "event_amount": "quantity"}


def event_processor(**settings) -> EventProcessor:
    """Of the shop: gaps of days, four bins of quantities, three events."""
    usual = {
        "look_back": 3,
        "gap_values": [0.0, 1.0, 2.0, 4.0, 7.0, 14.0],
        "amount_edges": [2.0, 4.0, 8.0],
        "time_kind": "date",
        "columns": COLUMNS,
    }
    return EventProcessor(list(ITEMS), **usual | settings)


def save_event_model(folder: Path, **settings) -> Path:
    """Saves one of random weights, large enough to tell histories and labels apart."""
    torch.manual_seed(0)
    processor = event_processor()
    usual = {
        "num_labels": len(ITEMS),
        "embed_dim": 4,
        "num_heads": 2,
        "num_gaps": processor.num_gaps,
        "num_amount_bins": processor.num_amount_bins,
    }
    config = LanetConfig(**usual | settings)
    events = [event for customer in CUSTOMERS for event in customer["events"]]
    counts = Counter(item for event in events for item in event["labels"])
    space = LabelSpace(list(ITEMS), counts=np.array([counts[item] for item in ITEMS]), num_documents=len(events))
    store_label_space(config, space)
    model = LanetForMultiLabelClassification(config).eval()
    model.set_training_statistics(torch.from_numpy(space.counts), len(events))
    with torch.no_grad():
        for layer in model.encoder.layers:
            if layer.attention is not None:
                layer.attention.query_key_value.weight.mul_(3)
        model.head.weight.mul_(5)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
