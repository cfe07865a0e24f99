"""A spool on a disk that is full: as long as everything is acknowledged writing goes on, nothing is lost, and no number comes twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ANSWERED_AT_ONCE = """
import json, sys
from pathlib import Path
from edge_agent.seal import Batcher
from edge_agent.spool import Limits, Spool
from wire.block import Block, Shape
from wire.messages import Ack
shapes = {"gauge": Shape(("active_power_kw",), (-3,)), "counter": Shape(("energy_import_kwh",), (-2,))}
given, lasts, at_ms = [], [], 0
for life in range(3):
    spool = Spool(Path(sys.argv[1]) / "spool", "works", "gw-01", Limits(max_bytes=1 << 30), "m1")
    batcher = Batcher(spool, "works", "gw-01", None, lambda: 1_795_248_000_000)
    for flush in range(400):
        for name in sys.argv[2:]:
            at_ms += 1000
            batcher.add_block(Block("incomer", shapes[name], (at_ms,), ((at_ms,),)))
        made = batcher.seal()
        spool.sync()
        for epoch, seq in made:
            found = spool.epochs[epoch].read(seq)
            spool.acknowledge(Ack("store-1", epoch, [(seq, seq, found[0].digest.hex())]))
        given += made
    lasts.append((spool.current.identity.epoch, spool.current.last_seq))
    spool.close()
gaps = [gap.kind for gap in spool.gaps]
print(json.dumps({"given": given, "waiting": batcher.waiting_readings, "lasts": lasts, "gaps": gaps}))
"""


@pytest.mark.parametrize("classes", [["counter"], ["gauge"], ["counter", "gauge"]], ids="-".join)
def test_a_disk_full_of_acknowledged_batches_takes_new_ones(tmp_path: Path, classes: list[str]) -> None:
    script, disk = tmp_path / "writes.py", tmp_path / "disk"
    script.write_text(ANSWERED_AT_ONCE)
    disk.mkdir()
    mount = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(disk)]
    if (probe := subprocess.run(mount, capture_output=True, timeout=60)).returncode:
        pytest.skip(f"no mount of a small disk here: {probe.stderr.decode().strip()}")
    command = f"mount -t tmpfs -o size=128k tmpfs {disk} && PYTHONPATH={Path.cwd()} {sys.executable} {script} {disk} {' '.join(classes)}"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", command], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    numbers = [tuple(pair) for pair in found["given"]]
    assert len(numbers) == len(set(numbers)) == 3 * 400 * len(classes)
    assert (found["waiting"], found["gaps"]) == (0, [])
    assert len({epoch for epoch, _ in found["lasts"]}) == 1, "what is acknowledged may go without ending the epoch"
    assert found["lasts"][-1][1] == len(numbers)
