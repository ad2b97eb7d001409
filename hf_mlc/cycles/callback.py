"""When a cycle is made: before its first epoch, and the index once more after the last one; and the facts of each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from hf_mlc.cycles.folder import LAST, read_cycle_facts, write_cycle_facts
from hf_mlc.cycles.optimizers import drop_faded
from hf_mlc.modeling import label_graph
from hf_mlc.run_facts import Stopwatch
from hf_mlc.training.resuming import all_steps_done


if TYPE_CHECKING:
    from hf_mlc.cycles.trainer import LightDxmlTrainer


FADED_STEPS = 100  # so many steps lie between two looks for numbers that have faded


class CycleCallback(TrainerCallback):
    """Makes a cycle where one begins, takes up the one that a checkpoint stands in, and makes the index after the last epoch.

    With `negatives` "random" a cycle makes the index, and no lists; with "all" there is one cycle, of all epochs, that makes nothing.

    Args:
        trainer ([`LightDxmlTrainer`]): whose.
    """

    def __init__(self, trainer: LightDxmlTrainer):
        self.trainer = trainer
        self.cycle_facts: list[dict[str, Any]] = []
        self.cycle: int | None = None  # whose lists are in use
        self.stopwatch: Stopwatch | None = None  # of an epoch

    # -- events

    def on_train_begin(self, args, state, control, **kwargs):
        self.cycle = None
        self.cycle_facts = []
        epoch = epoch_of(state)
        for one in read_cycle_facts(
            args.output_dir
        ):  # of a run that goes on: what lies behind its checkpoint comes again
            if one["cycle"] != LAST and self._has_begun(one["cycle"], state):
                self.cycle_facts.append(_until(one, epoch))
        if args.negatives == "all":  # an index that a base model brought is not of the vectors that are trained now
            self.trainer.cycles.forget_index()
        config = self.trainer.model.config
        if config.index == "hnsw" and label_graph.hnswlib is None:
            self.trainer.tell(
                f"hnswlib is not installed: each document is compared with all {config.num_labels:,} labels, exactly, and the longer"
                " the more there are; `pip install hf_mlc[ann]`"
            )

    def on_epoch_begin(self, args, state, control, **kwargs):
        if all_steps_done(state):
            return
        epoch = epoch_of(state)
        if args.negatives == "all":
            cycle, is_first = 0, False
        else:
            cycle, is_first = epoch // self._length, epoch % self._length == 0 and _is_whole(state)
        if is_first:
            self._make(cycle)
        elif cycle != self.cycle:
            self._take_up(cycle)
        self.stopwatch = Stopwatch()

    def on_step_end(self, args, state, control, optimizer=None, **kwargs):
        if args.device.type == "cpu" and state.global_step % FADED_STEPS == 0:
            drop_faded(optimizer)

    def on_epoch_end(self, args, state, control, **kwargs):
        facts = self._facts_of(self.cycle)
        epoch = {"epoch": math.ceil(state.epoch - 1e-6) - 1, **self.stopwatch.read()}
        facts["classifier"] = _summed([*facts.get("classifier", {}).get("of_epochs", []), epoch])
        self._write()

    def on_save(self, args, state, control, **kwargs):
        # a run that is cut short goes on from here: lists of earlier cycles are of no more use
        for cycle in range(self.cycle or 0):
            self.trainer.cycles.delete(cycle)

    def on_train_end(self, args, state, control, **kwargs):
        facts = self.trainer.cycles.make(LAST, lists=False)
        self._note(facts)
        self._write()
        self._tell(facts, "after the last epoch")
        self.trainer.cycles.delete_all()

    # -- cycles

    def _make(self, cycle: int) -> None:
        facts = self.trainer.cycles.make(cycle, lists=self._needs_lists)
        self._note(facts)
        self._use(cycle, self.trainer.cycles.shortlists(cycle) if self._needs_lists else None)
        if self.trainer.args.save_strategy == "no":  # nobody will come back to the last one
            for before in range(cycle):
                self.trainer.cycles.delete(before)
        self._write()
        self._tell(facts, f"cycle {cycle + 1}")

    def _take_up(self, cycle: int) -> None:
        """The lists of the cycle that the checkpoint stands in; made anew, with the weights as they are, where they are gone."""
        shortlists_NS = self.trainer.cycles.shortlists(cycle) if self._needs_lists else None
        if shortlists_NS is None and self._needs_lists:
            self.trainer.tell(
                f"cycle {cycle + 1}: its shortlists are gone; they are made anew, with the weights of the checkpoint"
            )
            self._make(cycle)
        else:
            self._use(cycle, shortlists_NS)

    def _use(self, cycle: int, shortlists_NS) -> None:
        self.cycle = cycle
        self.trainer.use_shortlists(shortlists_NS)

    @property
    def _needs_lists(self) -> bool:
        return self.trainer.args.negatives == "shortlist"

    def _has_begun(self, cycle: int, state) -> bool:
        """Whether a cycle began before the point at which training stands."""
        epoch = epoch_of(state)
        first = 0 if self.trainer.args.negatives == "all" else cycle * self._length
        return first < epoch or (first == epoch and not _is_whole(state))

    # -- facts

    def _facts_of(self, cycle: int | str) -> dict[str, Any]:
        """The entry of a cycle; a new one where there is none."""
        for one in self.cycle_facts:
            if one["cycle"] == cycle:
                return one
        self.cycle_facts.append({"cycle": cycle})
        return self.cycle_facts[-1]

    def _note(self, facts: dict[str, Any]) -> None:
        """A cycle that was made; one made anew keeps the epochs that it has had."""
        self._facts_of(facts["cycle"]).update(facts)

    def _tell(self, facts: dict[str, Any], name: str) -> None:
        phases = [one for one in ("encode", "labels", "shortlists") if one in facts]
        seconds = ", ".join(f"{one} {facts[one]['seconds']:.1f} s" for one in phases)
        recalls = []
        for rows, one in (("training", "shortlists"), ("validation", "validation")):
            found = [(key, value) for key, value in facts.get(one, {}).items() if key.startswith("recall@")]
            recalls += [f"{key} {value:.4f} on {rows} rows" for key, value in found if value is not None]
        self.trainer.tell("; ".join([f"{name}: {seconds}", *recalls]))

    def _write(self) -> None:
        if self.trainer.args.process_index == 0:
            write_cycle_facts(self.trainer.args.output_dir, self.cycle_facts)

    @property
    def _length(self) -> int:
        return self.trainer.model.config.cycle_epochs


def epoch_of(state) -> int:
    """The epoch that training is in, from 0; at an epoch's end, the next one."""
    return math.floor((state.epoch or 0.0) + 1e-6)


def _is_whole(state) -> bool:
    """Whether training stands between two epochs."""
    epoch = state.epoch or 0.0
    return abs(epoch - round(epoch)) < 1e-6


def _summed(epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """What the epochs of a cycle took together, and each of them."""
    sums = {name: round(sum(one[name] for one in epochs), 2) for name in ("seconds", "cpu_seconds")}
    return {"epochs": len(epochs), **sums, "of_epochs": epochs}


def _until(facts: dict[str, Any], epoch: int) -> dict[str, Any]:
    """A cycle's facts without its epochs from this one on."""
    epochs = [one for one in facts.get("classifier", {}).get("of_epochs", []) if one["epoch"] < epoch]
    kept = {name: value for name, value in facts.items() if name != "classifier"}
    return {**kept, "classifier": _summed(epochs)} if epochs else kept
