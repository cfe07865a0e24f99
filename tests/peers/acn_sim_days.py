"""Days on Caltech's charging network in ACN-Sim (acnportal), its own earliest-deadline and least-laxity algorithms beside our plans. One line of JSON a day.

    acn_sim_days.py SESSIONS.csv KWH TRANSFORMER_KW SEED...

Network: `caltech_acn` with its 54 EVSEs and their pilot steps (AeroVironment: 0 and 6 to 32 A; ClipperCreek: 0, 8, 16, 24 and 32 A).
A day: sessions drawn from the file until they need KWH, each at the time of day that it was measured at, at an EVSE that is free. Departure is the measured
one, known at plug-in to all algorithms; the need is the energy that was delivered. Left out: stays overnight or begun before 5, below 2 kWh, and those
which 95 % of 32 A could not have given. Vehicles take what they are given (no taper), every 5 minutes is decided anew, and nobody knows who will come.

The simulator's own check judges every schedule: `refused` counts those that it finds beyond a limit. Ours is a plan over the phasors of its constraint
matrix; the first step's currents are rounded down to pilot steps, and what rounding and the polygon leave is given in whole steps, in the order of what
was cut and then of laxity, as long as the true norm of every constraint holds.
"""

import csv
import json
import math
import random
import sys
import warnings
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from acnportal import acnsim
from acnportal.acnsim.events import EventQueue, PluginEvent
from acnportal.acnsim.models import EV, Battery
from acnportal.algorithms import BaseAlgorithm, SortedSchedulingAlgo, earliest_deadline_first, least_laxity_first

from aggregator.flexibility.plan import plan
from aggregator.flexibility.problem import Branch, Problem, Session

ZONE = ZoneInfo("America/Los_Angeles")
MINUTES = 5
STEP_H = MINUTES / 60
VOLTS = 208
MOST_KW = 32 * VOLTS / 1000
MET_KWH = 0.1  # the simulator's own threshold (analysis.proportion_of_demands_met)


def drawn(path, kwh, seed):
    """(EVSE, arrival, departure, kWh) of a day; steps of 5 minutes since midnight, arrival rounded up and departure down."""
    found = []
    lines = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        come, gone = (
            datetime.fromisoformat(row[key]).astimezone(ZONE) for key in ("connected_utc", "disconnected_utc")
        )
        energy, stay_h = float(row["energy_kwh"] or 0), (gone - come).total_seconds() / 3600
        first, last = math.ceil((come.hour * 60 + come.minute) / MINUTES), (gone.hour * 60 + gone.minute) // MINUTES
        same_day = come.date() == gone.date() and come.hour >= 5
        if same_day and 2 <= energy <= 0.95 * MOST_KW * stay_h and last - first >= 2:
            found.append((first, last, energy))
    chance = random.Random(seed)
    chance.shuffle(found)
    taken = {station: [] for station in acnsim.sites.caltech_acn().station_ids}
    sessions = []
    for first, last, energy in found:
        free = [name for name, stays in taken.items() if all(last <= a or first >= b for a, b in stays)]
        if free and sum(one[3] for one in sessions) < kwh:
            station = chance.choice(free)
            taken[station].append((first, last))
            sessions.append((station, first, last, energy))
    return sessions


class Planned(BaseAlgorithm):
    """Our plan as one of the simulator's algorithms."""

    def __init__(self):
        super().__init__()
        self.max_recompute = 1

    def schedule(self, active_sessions):
        site = self.interface.infrastructure_info()
        if not active_sessions:
            return {}
        phasors = site.constraint_matrix * np.exp(1j * np.deg2rad(site.phases))
        at = {one.station_id: site.get_station_index(one.station_id) for one in active_sessions}
        found = plan(self.problem(active_sessions, site, phasors, at), 30.0)
        wanted = np.zeros(site.num_stations)
        for station, place in at.items():
            wanted[place] = found.assets[station].charge_kw[0] * 1000 / VOLTS
        rates = self.in_pilot_steps(active_sessions, site, phasors, at, wanted)
        return {station: [rates[place]] for station, place in at.items()}

    @staticmethod
    def problem(active_sessions, site, phasors, at):
        """Half an hour in steps of 5 minutes, then half-hours; the value of energy is its promise alone."""
        left = max(one.remaining_time for one in active_sessions)
        counts = [1] * min(6, left)
        counts += [min(6, left - begin) for begin in range(6, left, 6)]
        ends, steps = np.cumsum(counts), len(counts)
        sessions = [
            Session(
                one.station_id, 0, max(int(np.searchsorted(ends, one.remaining_time, side="right")), 1), 0.0, one.remaining_demand,
                one.remaining_demand, site.max_pilot[at[one.station_id]] * VOLTS / 1000, charge_ratio=1.0,
            )
            for one in active_sessions
        ]  # fmt: skip
        branches = [
            Branch(name, float(limit), {station: complex(row[place]) * 1000 / VOLTS for station, place in at.items() if row[place]})
            for name, limit, row in zip(site.constraint_ids, site.constraint_limits, phasors, strict=True)
        ]  # fmt: skip
        return Problem(
            np.array(counts) * STEP_H, np.zeros(steps), np.zeros(steps), np.full(steps, 0.1), np.zeros(steps), 1000.0, 0.0,
            sessions=sessions, branches=branches, few_short_ratio=0.5,
        )  # fmt: skip

    @staticmethod
    def in_pilot_steps(active_sessions, site, phasors, at, wanted):
        rates = np.zeros(site.num_stations)
        for place in at.values():
            rates[place] = max(
                (step for step in site.allowable_pilots[place] if step <= wanted[place] + 1e-6), default=0
            )

        def laxity(one):
            return one.remaining_time - one.remaining_demand / (
                site.max_pilot[at[one.station_id]] * VOLTS / 1000 * STEP_H
            )

        def lost(one):
            return rates[at[one.station_id]] - wanted[at[one.station_id]]

        for order in (sorted(active_sessions, key=lost), sorted(active_sessions, key=laxity)):
            raised = True
            while raised:
                raised = False
                for one in order:
                    place = at[one.station_id]
                    before = rates[place]
                    above = [step for step in site.allowable_pilots[place] if step > before]
                    if above and before * VOLTS / 1000 * STEP_H < one.remaining_demand:
                        rates[place] = above[0]
                        if (np.abs(phasors @ rates) <= site.constraint_limits + 1e-6).all():
                            raised = True
                        else:
                            rates[place] = before
        return rates


def simulated(sessions, transformer_kw, algorithm):
    queue = EventQueue()
    for number, (station, first, last, energy) in enumerate(sessions):
        queue.add_event(PluginEvent(first, EV(first, last, energy, station, str(number), Battery(energy, 0, MOST_KW))))
    network = acnsim.sites.caltech_acn(transformer_cap=transformer_kw)
    day = acnsim.Simulator(network, algorithm, queue, datetime(2021, 5, 1, tzinfo=ZONE), period=MINUTES, verbose=False)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        day.run()
    vehicles = list(day.ev_history.values())
    return {
        "kwh": round(float(sum(one.energy_delivered for one in vehicles)), 3),
        "met": sum(bool(one.remaining_demand <= MET_KWH) for one in vehicles),
        "nearly_met": sum(bool(one.remaining_demand <= 0.25) for one in vehicles),
        "refused": sum("Invalid schedule" in str(one.message) for one in said),
    }


def main(path, kwh, transformer_kw, *seeds):
    for seed in map(int, seeds):
        sessions = drawn(path, float(kwh), seed)
        day = {
            "seed": seed,
            "sessions": len(sessions),
            "kwh": round(sum(one[3] for one in sessions), 3),
            "edf": simulated(sessions, float(transformer_kw), SortedSchedulingAlgo(earliest_deadline_first)),
            "llf": simulated(sessions, float(transformer_kw), SortedSchedulingAlgo(least_laxity_first)),
            "plan": simulated(sessions, float(transformer_kw), Planned()),
        }
        print(json.dumps(day), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
