"""Faults on demand: which request of which route goes wrong, and how."""

from __future__ import annotations

import threading
from dataclasses import dataclass


KINDS = ("drop", "drop_after", "500", "429", "slow")


@dataclass
class Fault:
    """One order: let `after` requests of the route pass, then spoil `times` (`None`: all that follow).

    `kind`: "drop" cuts the connection before anything is done, and in the middle of the body where a file is being
    downloaded; "drop_after" does what was asked and cuts the connection instead of saying so; "500" and "429" are answers
    of that status; "slow" waits `seconds` and then answers as always.
    """

    route: str
    kind: str
    times: int | None
    after: int
    seconds: float


class Faults:
    """The orders that stand."""

    def __init__(self, routes: tuple[str, ...]):
        self.routes, self.orders, self.lock = routes, [], threading.Lock()

    def add(self, fault: Fault) -> None:
        if fault.route not in self.routes or fault.kind not in KINDS:
            raise ValueError(f"no such fault: {fault}; routes: {self.routes}, kinds: {KINDS}")
        with self.lock:
            self.orders.append(fault)

    def clear(self) -> None:
        with self.lock:
            self.orders.clear()

    def next(self, route: str) -> Fault | None:
        """The fault that the request at hand has to suffer."""
        with self.lock:
            for fault in [fault for fault in self.orders if fault.route == route]:
                if fault.after > 0:
                    fault.after -= 1
                elif fault.times is None:
                    return fault
                elif fault.times > 0:
                    fault.times -= 1
                    return fault
        return None
