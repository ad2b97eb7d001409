"""Steps and time of an answer: SGM's greedy decoding against a classifier chain, by the number of labels.

    python benchmarks/decoding.py [--json] [--labels 100 1000 10000] [--cardinality 1 2 5] [--documents 32]

A sequence of labels costs as many steps as it has labels, and one for the end, whatever the number of labels L is: L is the
width of the last layer alone. A chain asks every label's classifier in turn: L steps. Both answer the same number of documents, in
one batch. SGM is built with random weights and made to write sequences of the given cardinality (`min_labels` and
`max_labels`); what a step costs does not depend on what the weights say. Its time is that of encoding and decoding. The chain
is scikit-learn's, over linear classifiers fitted with one pass over a few random rows: what its prediction costs does not depend on how
good they are either. Times are the fastest of three answers, in one thread. Steps are counted, not computed: calls of the decoder, and
the classifiers that were asked (scikit-learn asks each of them twice, which is in its time).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings

import numpy as np
import torch

from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification


FEATURES, TRAINING_ROWS, TOKENS, REPEATS = 64, 64, 100, 3


def measure_sgm(num_labels: int, cardinality: int, args: argparse.Namespace) -> dict[str, float]:
    """Steps of the decoder and milliseconds a document of a greedy answer."""
    torch.manual_seed(0)
    config = SgmConfig(
        num_labels=num_labels,
        vocab_size=1000,
        embedding_size=args.width,
        hidden_size=args.width,
        decoder_size=args.width,
        num_beams=1,
        min_labels=cardinality,
        max_labels=cardinality,
    )
    model = SgmForMultiLabelClassification(config).eval()
    batch = {"input_ids": torch.randint(2, 1000, (args.documents, TOKENS))}
    steps, step = 0, model.decoder.step

    def counted(*values, **settings):
        nonlocal steps
        steps += 1
        return step(*values, **settings)

    model.decoder.step = counted
    answers, milliseconds = _timed(lambda: model.label_sequences(batch, num_beams=1), args.documents)
    assert {len(answer) for answer in answers} == {cardinality}
    steps_of_one = steps / (REPEATS + 1)
    with torch.no_grad():
        _, encoding = _timed(lambda: model.encode(**batch), args.documents)
    return {
        "labels": num_labels,
        "cardinality": cardinality,
        "steps": steps_of_one,
        "ms": milliseconds,
        "encoding_ms": encoding,
    }


def measure_chain(num_labels: int, args: argparse.Namespace) -> dict[str, float]:
    """Classifiers asked and milliseconds a document of a chain's answer."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.multioutput import ClassifierChain

    asked = []

    class Counted(SGDClassifier):
        def predict(self, features):
            asked.append(id(self))
            return super().predict(features)

    rng = np.random.default_rng(0)
    features_NF = rng.standard_normal((TRAINING_ROWS, FEATURES))
    truth_NL = rng.random((TRAINING_ROWS, num_labels)) < 0.1
    truth_NL[0], truth_NL[1] = True, False  # every label has both
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chain = ClassifierChain(Counted(max_iter=1, tol=None, random_state=0)).fit(features_NF, truth_NL.astype(int))
    measured_NF = rng.standard_normal((args.documents, FEATURES))
    _, milliseconds = _timed(lambda: chain.predict(measured_NF), args.documents)
    return {"labels": num_labels, "steps": len(set(asked)), "ms": milliseconds}


def _timed(answer, num_documents: int):
    """What `answer` gives, and the milliseconds a document of the fastest of some calls after the first."""
    result, seconds = answer(), []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = answer()
        seconds.append(time.perf_counter() - start)
    return result, 1000 * min(seconds) / num_documents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--cardinality", type=int, nargs="+", default=[1, 2, 5])
    parser.add_argument("--documents", type=int, default=32)
    parser.add_argument("--width", type=int, default=128, help="of embeddings, encoder and decoder")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        "sgm": [measure_sgm(labels, cardinality, args) for labels in args.labels for cardinality in args.cardinality],
        "classifier-chain": [measure_chain(labels, args) for labels in args.labels],
    }
    if args.json:
        print(json.dumps(found))
        return
    print(f"{'system':<20}{'labels':>8}{'cardinality':>13}{'steps':>8}{'ms/doc':>10}{'of it encoding':>17}")
    for system, rows in found.items():
        for row in rows:
            cardinality = row.get("cardinality", "any")
            encoding = f"{row['encoding_ms']:.3f}" if "encoding_ms" in row else "-"
            print(
                f"{system:<20}{row['labels']:>8}{cardinality:>13}{row['steps']:>8.0f}{row['ms']:>10.3f}{encoding:>17}"
            )


if __name__ == "__main__":
    main()
