"""Time and peak memory of each way to decode a chain over the labels, by the number of labels.

    python benchmarks/label_chain_decoding.py [--json] [--labels 14 159 983] [--documents 64] [--known_sets 2000]

Relations are MSDN's (kernels 2, 4, 8: 256 states) with random weights, base logits random: what decoding costs does not
depend on what they say. Encoder and head are left out. The table of states and the list of known sets are made once for any number of
documents, but where relations read the document (`document_relations`), each of which then has a table of its own; their rows say milliseconds a making, the others milliseconds a document, of batches of the given size. Milliseconds are
of processor time, the least of three calls after the first, in one thread. Memory is by how much the resident size of a
process, one a measurement, grows at most in the first call (Linux).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import time
from pathlib import Path

import torch

from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification
from hf_mlc.modeling.msdn_chain import TableChain, WindowChain
from hf_mlc.modeling.msdn_decoding import ChainDecoder, OrderedChain
from hf_mlc.modeling.msdn_exact import forward_marginals, viterbi
from hf_mlc.modeling.msdn_known_sets import KnownSets, SetScorer, pack_sets
from hf_mlc.modeling.msdn_search import beam_search, greedy, sample


REPEATS, CARDINALITY = 3, 3
MADE_ONCE = ("table of states", "list of known sets")


class Setting:
    """Random base logits, relations and known sets of one number of labels."""

    @torch.no_grad()
    def __init__(self, num_labels: int, args: argparse.Namespace):
        torch.manual_seed(0)
        config = MsdnConfig(num_labels=num_labels, input_size=1, hidden_size=1, num_orders=args.orders)
        self.relations = MsdnForMultiLabelClassification(config).eval().relations
        torch.nn.init.normal_(self.relations.output)
        self.logits_BL = torch.randn(args.documents, num_labels) - 2
        self.relation = self.relations.of_order(0)
        self.table_LS = self.relation.state_table().detach()
        self.window = WindowChain(self.relation, num_labels, step=self.relation.step, window=self.relation.reach)
        self.orders = [
            OrderedChain(TableChain(table), torch.randperm(num_labels)) for table in self.relations.state_tables()
        ]
        config = MsdnConfig(num_labels=num_labels, input_size=1, hidden_size=1, document_relations=True)
        reading = MsdnForMultiLabelClassification(config).eval()
        torch.nn.init.normal_(reading.relations.output)
        self.reading = ChainDecoder(reading.chains())
        self.added_BMD = reading.relations.added_by_documents(torch.randn(args.documents, 1))
        sets_SL = (torch.rand(args.known_sets, num_labels) < CARDINALITY / num_labels).unique(dim=0)
        self.known = KnownSets(0, num_labels)
        self.known.fill(pack_sets(sets_SL), torch.ones(len(sets_SL)))

    def decodings(self):
        """Name -> what is called to decode the batch, or to make what is made once."""
        z, table = self.logits_BL, self.table_LS
        one, sets_SL = self.orders[:1], self.known.sets_SL
        restricted = ChainDecoder(one, known=self.known, known_sets="restrict")
        favoured = ChainDecoder(one, known=self.known, known_sets="favour")
        default, several = ChainDecoder(one), ChainDecoder(self.orders)
        return {
            "table of states": lambda: self.relation.state_table(),
            "list of known sets": lambda: SetScorer(table, sets_SL),
            "greedy": lambda: greedy(z, table),
            "greedy, no table": lambda: greedy(z, self.window),
            "beam 8": lambda: beam_search(z, table, num_beams=8),
            "beam 8, no table": lambda: beam_search(z, self.window, num_beams=8),
            "sample 100": lambda: sample(z, table, num_samples=100),
            "viterbi": lambda: viterbi(z, table),
            "marginals": lambda: forward_marginals(z, table),
            "viterbi and marginals": lambda: default(z),
            "the same, a table each": lambda: self.reading(z, self.added_BMD),
            "known sets, restrict": lambda: restricted(z),
            "known sets, favour": lambda: favoured(z),
            f"{len(self.orders)} orders": lambda: several(z),
        }


def resident(field: str) -> float:
    """This process's resident size, now ("VmRSS") or at its peak ("VmHWM"), in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def measure(setting: Setting, name: str, results) -> None:
    """Milliseconds and the growth of the resident size; puts a pair."""
    torch.set_num_threads(1)
    call = setting.decodings()[name]
    ctypes.CDLL(None).malloc_trim(0)  # what is free but resident would hide what is needed
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak so far
    before = resident("VmRSS")
    with torch.no_grad():
        call()
        grown, seconds = resident("VmHWM") - before, []
        for _ in range(REPEATS):
            start = time.process_time()
            call()
            seconds.append(time.process_time() - start)
    units = 1 if name in MADE_ONCE else len(setting.logits_BL)
    results.put((1000 * min(seconds) / units, grown))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, nargs="+", default=[14, 159, 983])
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument(
        "--known_sets", type=int, default=2000, help="label sets drawn at random, 3 labels each on average"
    )
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    fork, found = multiprocessing.get_context("fork"), []
    for num_labels in args.labels:
        setting = Setting(num_labels, args)
        for name in setting.decodings():
            results = fork.SimpleQueue()
            process = fork.Process(target=measure, args=(setting, name, results))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"'{name}' with {num_labels} labels ended with {process.exitcode}")
            milliseconds, grown = results.get()
            found.append({"labels": num_labels, "decoding": name, "ms": milliseconds, "peak_mib": grown})
    if args.json:
        print(json.dumps(found))
        return
    print(f"{'labels':>8}  {'decoding':<24}{'ms':>10}{'':<12}{'MiB':>8}")
    for row in found:
        unit = "a making" if row["decoding"] in MADE_ONCE else "a document"
        print(f"{row['labels']:>8}  {row['decoding']:<24}{row['ms']:>10.3f} {unit:<11}{row['peak_mib']:>8.1f}")


if __name__ == "__main__":
    main()
