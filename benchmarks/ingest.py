"""How fast signed batches become durable and acknowledged in each store, without a broker. Prints one JSON line per figure.

    python benchmarks/ingest.py [--store duckdb|influxdb] [--url URL] [--batches N] [--rounds N] [--edges N]

Batches are in the live shape: 6 devices x 34 quantities x 1 instant = 204 readings. `cpu_us_per_batch` is the whole process.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from aggregator.ingest import Ingest
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.influx_http import Server
from aggregator.stores.influx_store import InfluxStore
from aggregator.stores.store import Store
from aggregator.trust import Trust, TrustedEdge
from wire.batch import Sealer
from wire.block import Block, Shape
from wire.content import ClockJson, Content, pack
from wire.keys import SigningKey
from wire.messages import Ack
from wire.quantities import QUANTITIES, Carrier
from wire.topics import edge_topic

T0: Final = 1_760_000_000_000
DEVICES: Final = 6
QUANTITIES_PER_DEVICE: Final = 34
TIMEOUT_S: Final = 120.0
READINGS: Final = DEVICES * QUANTITIES_PER_DEVICE


def sealed(edges: int, batches: int, key: SigningKey) -> list[tuple[str, bytes]]:
    """Batches of `edges` edges in turn, as they travel."""
    quantities = [name for name, row in QUANTITIES.items() if row.carrier is Carrier.ELECTRICITY][
        :QUANTITIES_PER_DEVICE
    ]
    shape = Shape(tuple(quantities), tuple(-2 if name.endswith("kwh") else -3 for name in quantities))
    sources = random.Random(7)
    topics = [edge_topic("works", f"gw-{n}", "batch") for n in range(edges)]
    sealers = [Sealer(topic, key) for topic in topics]
    prev = [""] * edges
    made = []
    for number in range(batches):
        edge, seq = number % edges, number // edges + 1
        blocks = [
            Block(f"meter-{n}", shape, (T0 + seq * 1000 + n,), tuple((sources.randrange(10**6),) for _ in quantities))
            for n in range(DEVICES)
        ]
        shapes, packed = pack(blocks)
        content = Content(
            "works",
            f"gw-{edge}",
            "e1",
            seq,
            prev[edge],
            T0 + seq * 1000,
            "gauge",
            ClockJson(True),
            shapes=shapes,
            blocks=packed,
        )
        frame, sha256 = sealers[edge].seal(content)
        prev[edge] = sha256.hex()
        made.append((topics[edge], frame))
    return made


def opened(args: argparse.Namespace, directory: Path, number: int) -> Store:
    if args.store == "influxdb":
        return InfluxStore(Server(args.url, f"bench_{time.time_ns()}_{number}"), directory / "ledger.sqlite")
    return DuckDBStore(directory / "readings.duckdb")


def one_round(store: Store, arriving: list[tuple[str, bytes]], key: SigningKey, edges: int) -> dict[str, float]:
    """Offer all batches as fast as they are taken; the round ends when the last is acknowledged."""
    acknowledged = 0

    def answer(_facility: str, _edge: str, ack: Ack) -> None:
        nonlocal acknowledged
        acknowledged += sum(last - first + 1 for first, last, _ in ack.committed)

    trust = Trust([TrustedEdge("works", f"gw-{n}", (key.public,)) for n in range(edges)])
    with Ingest(store, "bench", trust, lambda: T0 + 10**7, answer) as ingest:
        begun, cpu = time.perf_counter(), time.process_time()
        for topic, frame in arriving:
            while not ingest.offer(topic, frame):
                if time.perf_counter() - begun > TIMEOUT_S:
                    raise TimeoutError(f"{acknowledged} of {len(arriving)} batches acknowledged in {TIMEOUT_S} s")
                time.sleep(0.001)
        ingest.drain(TIMEOUT_S)
        wall_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu
        assert acknowledged == len(arriving), (acknowledged, len(arriving), ingest.figures())
        assert ingest.figures().new_rows == len(arriving) * READINGS
        commits = ingest.figures().commits
    return {
        "readings_per_s": len(arriving) * READINGS / wall_s,
        "cpu_us_per_batch": cpu_s / len(arriving) * 1e6,
        "cpu_ns_per_reading": cpu_s / len(arriving) / READINGS * 1e9,
        "batches_per_commit": len(arriving) / commits,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("duckdb", "influxdb"), default="duckdb")
    parser.add_argument("--url", default="http://127.0.0.1:8086", help="of the InfluxDB 1.x server")
    parser.add_argument("--batches", type=int, default=6_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--edges", type=int, default=50)
    args = parser.parse_args()
    key = SigningKey.generate()
    arriving = sealed(args.edges, args.batches, key)
    rounds = []
    for number in range(args.rounds):
        with tempfile.TemporaryDirectory() as directory:
            store = opened(args, Path(directory), number)
            rounds.append(one_round(store, arriving, key, args.edges))
            store.close()
    for figure in rounds[0]:
        values = [each[figure] for each in rounds]
        line = {"figure": f"ingest.{args.store}.{figure}", "median": round(statistics.median(values), 1)}
        print(json.dumps({**line, "low": round(min(values), 1), "high": round(max(values), 1), "rounds": len(values)}))


if __name__ == "__main__":
    main()
