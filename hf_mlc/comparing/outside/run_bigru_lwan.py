"""LibMultiLabel's BiGRU with label-wise attention, by its own data sets, network and trainer."""

import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from exchange import answer_request
from libmultilabel.nn import networks
from libmultilabel.nn.data_utils import PAD, UNK, get_dataset_loader, tokenize
from libmultilabel.nn.model import Model
from libmultilabel.nn.nn_utils import init_device, init_trainer, set_seed


NETWORK = ("rnn_dim", "rnn_layers", "embed_dropout", "post_encoder_dropout")
WEIGHTS, WORDS = "weights.pt", "words.json"


def network_of(settings: dict, num_words: int, num_labels: int) -> torch.nn.Module:
    vectors = settings["embed_std"] * torch.randn(num_words, settings["embed_size"])
    vectors[0] = 0  # padding
    return networks.BiGRULWAN(vectors, num_labels, **{name: settings[name] for name in NETWORK})


def loader_of(rows: list, words: dict, request: dict, device, *, shuffle: bool = False):
    settings = request["settings"]
    return get_dataset_loader(
        data=rows,
        classes=list(range(request["num_labels"])),
        device=device,
        max_seq_length=settings["max_seq_length"],
        batch_size=settings["batch_size"],
        shuffle=shuffle,
        data_workers=0,
        word_dict=words,
    )


def read(file: str) -> list:
    content = json.loads(Path(file).read_text(encoding="utf-8"))
    labels = content.get("labels") or [[]] * len(content["texts"])
    # an empty text has no length that the recurrent network could take
    return [
        {"text": tokenize(text) or [UNK], "label": some} for text, some in zip(content["texts"], labels, strict=True)
    ]


def fit(request: dict) -> dict:
    settings, folder = request["settings"], Path(request["folder"])
    set_seed(request["seed"])
    device = init_device()
    train, validation = read(request["train"]), read(request["validation"])
    counts = Counter(word for row in train for word in row["text"])
    words = {PAD: 0, UNK: 1}
    for word, count in counts.most_common():
        if count >= settings["min_vocab_freq"]:
            words[word] = len(words)
    network = network_of(settings, len(words), request["num_labels"])
    metric = settings["val_metric"]
    model = Model(
        classes=list(range(request["num_labels"])),
        network=network,
        learning_rate=settings["learning_rate"],
        optimizer="adam",
        val_metric=metric,
        monitor_metrics=[metric],
        silent=True,
    )
    trainer = init_trainer(
        checkpoint_dir=str(folder / "checkpoints"),
        epochs=settings["epochs"],
        patience=settings["patience"],
        early_stopping_metric=metric,
        val_metric=metric,
        silent=True,
        use_cpu=device.type == "cpu",
    )
    loaders = (
        loader_of(train, words, request, device, shuffle=True),
        loader_of(validation, words, request, device),
    )
    trainer.fit(model, *loaders)
    best = trainer.checkpoint_callback.best_model_path
    model = Model.load_from_checkpoint(best, network=network, weights_only=False)
    torch.save(model.network.state_dict(), folder / WEIGHTS)
    (folder / WORDS).write_text(json.dumps(words), encoding="utf-8")
    return {
        "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        "bytes": sum((folder / name).stat().st_size for name in (WEIGHTS, WORDS)),
        "facts": {"epochs": trainer.current_epoch},
    }


def predict(request: dict) -> dict:
    folder, device = Path(request["folder"]), init_device()
    words = json.loads((folder / WORDS).read_text(encoding="utf-8"))
    network = network_of(request["settings"], len(words), request["num_labels"])
    network.load_state_dict(torch.load(folder / WEIGHTS, map_location=device))
    network = network.to(device).eval()
    start, parts = time.perf_counter(), []
    with torch.inference_mode():
        for batch in loader_of(read(request["rows"]), words, request, device):
            inputs = {name: values.to(device) if name == "text" else values for name, values in batch.items()}
            scores = network(inputs)["logits"].sigmoid()
            best = scores.topk(request["top_k"], dim=1)
            parts.append((best.indices.cpu().numpy(), best.values.cpu().numpy()))
    seconds = time.perf_counter() - start
    ids, scores = (np.concatenate(several) for several in zip(*parts, strict=True))
    np.savez(request["output"], ids=ids.astype(np.int32), scores=scores.astype(np.float32))
    return {"seconds": seconds}


if __name__ == "__main__":
    answer_request({"fit": fit, "predict": predict}, ("libmultilabel", "lightning", "torch", "numpy"))
