"""Evidence from a running aggregator, verified without it: it holds as it came, and no byte of it can be changed unnamed."""

import dataclasses
import io
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from audit_chain import COUNT, FRAMES, KEY, NOW, TOPIC, sealed, started
from live_plant import Server

from aggregator.audit.evidence import CHECKPOINT, CONTENTS, EVIDENCE, contents_text, frame_name, unzipped, zipped
from aggregator.audit.note import Checkpoint, Verifier, opened, sign
from aggregator.audit.verification import CounterSeen, Verdict, verify
from aggregator.run import Aggregator
from wattline.command import main
from wire.keys import SigningKey

PATH = "/api/v1/facilities/steel/evidence"
SPAN = {"from": NOW + 5_000, "to": NOW + 9_000}  # batches 5 to 8


@pytest.fixture(scope="module")
def aggregator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aggregator]:
    made = started(tmp_path_factory.mktemp("aggregator"))
    with made.ingest:
        for frame, _ in FRAMES:
            assert made.ingest.offer(TOPIC, frame)
        assert made.ingest.drain(20)
        yield made
    made._close()


@pytest.fixture(scope="module")
def client(aggregator: Aggregator) -> Iterator[httpx.Client]:
    with Server(aggregator.services()) as server, httpx.Client(base_url=server.url, timeout=10) as made:
        yield made


@pytest.fixture(scope="module")
def bundle(client: httpx.Client) -> bytes:
    response = client.get(PATH, params=SPAN)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/zip")
    return response.content


@pytest.fixture(scope="module")
def log_key(aggregator: Aggregator) -> Verifier:
    return aggregator.audit.verifier


def test_a_bundle_holds_the_sealed_bytes_and_all_of_it_is_proven(bundle: bytes, log_key: Verifier) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        assert archive.testzip() is None
        frames = [archive.read(name) for name in archive.namelist() if name.startswith("frames/")]
    assert frames == [frame for frame, _ in FRAMES[4:8]]
    verdict = verify(bundle, log_key, [KEY.public])
    assert verdict.faults == []
    assert (verdict.batches, verdict.linked, verdict.unlinked, verdict.size) == (4, 4, 0, COUNT)
    # by hand: batch n carries 1000 kWh and n halves of one, at NOW + n seconds
    assert verdict.counters == [
        CounterSeen("gw", "incomer", "energy_import_kwh", NOW + 5_000, "1002.5", NOW + 8_000, "1004.0", 4, 0)
    ]


def test_the_first_batch_of_an_epoch_has_none_before_it(client: httpx.Client) -> None:
    verdict = verify(client.get(PATH, params={"from": NOW, "to": NOW + 3_000}).content)
    assert (verdict.faults, verdict.batches, verdict.linked, verdict.unlinked) == ([], 2, 1, 0)


def test_a_long_span_is_proven_by_one_batch_of_each_part(client: httpx.Client) -> None:
    """NOW is a whole multiple of 5 s: of batches 1 to 20 the first of each 5 s are 1, 5, 10, 15 and 20."""
    verdict = verify(client.get(PATH, params={"from": NOW, "to": NOW + 60_000, "every_s": 5}).content)
    assert (verdict.faults, verdict.batches, verdict.linked) == ([], 5, 4)
    assert (verdict.counters[0].from_text, verdict.counters[0].to_text) == ("1000.5", "1010.0")


def test_the_list_of_a_thousand_batches_is_read_too(tmp_path: Path) -> None:
    """A month of quarter hours is 2,976 batches; the list of 1,000 is some 90 kB."""
    made, many = started(tmp_path), sealed(1_000)
    with made.ingest:
        for frame, _ in many:
            assert made.ingest.offer(TOPIC, frame)
        assert made.ingest.drain(20)
    evidence = made.services().evidence
    assert evidence is not None
    verdict = verify(evidence.bundle("steel", NOW, NOW + 2_000_000), made.audit.verifier, [KEY.public])
    made._close()
    assert (verdict.faults, verdict.batches, verdict.linked) == ([], 1_000, 999)


def test_the_same_evidence_is_the_same_bytes(client: httpx.Client, bundle: bytes) -> None:
    assert client.get(PATH, params=SPAN).content == bundle


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"from": NOW + 90_000, "to": NOW + 99_000}, 404),
        ({"from": NOW, "to": NOW}, 422),
        ({**SPAN, "every": 5}, 422),
        ({**SPAN, "every_s": -1}, 422),
    ],
)
def test_a_span_without_evidence_is_refused(client: httpx.Client, parameters: dict[str, int], status: int) -> None:
    response = client.get(PATH, params=parameters)
    assert (response.status_code, set(response.json())) == (status, {"error", "thing", "expected", "seen"})


def part_of(bundle: bytes, at: int) -> str:
    """In which file's contents a byte of the bundle is; "" in the zip file's own headers."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        for entry in archive.infolist():
            start = entry.header_offset + 30 + len(entry.filename)
            if start <= at < start + entry.file_size:
                return entry.filename
    return ""


def test_one_changed_byte_anywhere_is_found_and_named(bundle: bytes, log_key: Verifier) -> None:
    """All bytes of the zip file's directory and every 9th of the rest, from another start each time, another bit each time."""
    directory = bundle.index(b"PK\x01\x02")
    places = [*range(random.randrange(9), directory, 9), *range(directory, len(bundle), 3)]
    for at in places:
        changed = bundle[:at] + bytes([bundle[at] ^ 1 << random.randrange(8)]) + bundle[at + 1 :]
        verdict = verify(changed, log_key, [KEY.public])
        assert not verdict.holds, f"byte {at}"
        part = part_of(bundle, at)
        if part:
            assert part in {fault.file for fault in verdict.faults}, f"byte {at} of {part}"
        if part.startswith("frames/"):
            seq = int(part[7:16]) + 1
            assert {fault.batch for fault in verdict.faults if fault.file == part} == {
                f"leaf {seq - 1}, batch {seq} of gw/e1"
            }
            assert all(fault.expected and fault.seen for fault in verdict.faults)


def test_bytes_cut_off_or_added_are_found(bundle: bytes, log_key: Verifier) -> None:
    for changed in (b"", bundle[:100], bundle[:-1], bundle + b"\0", b"\0" + bundle):
        assert not verify(changed, log_key, [KEY.public]).holds


def signed_again(files: dict[str, bytes], key: SigningKey, log_key: Verifier) -> bytes:
    """A bundle whose list of files is signed by whoever has the log's key, as an aggregator that lies would."""
    others = {name: content for name, content in files.items() if name != CONTENTS}
    return zipped(others | {CONTENTS: sign(contents_text(others), log_key.name, key).encode()})


def faults(verdict: Verdict) -> str:
    return "\n".join(map(str, verdict.faults))


def test_an_aggregator_that_lies_is_found_by_the_edges_signature_and_the_log(
    aggregator: Aggregator, bundle: bytes, log_key: Verifier
) -> None:
    """It has the log's key and signs what it likes; it has not the edge's, and the checkpoint was noted before."""
    key, files = aggregator.audit._key, unzipped(bundle)
    name = frame_name(5)

    other = files | {name: FRAMES[10][0]}  # another true batch in its place
    assert f"{name}: leaf 5, batch 6 of gw/e1: expected digest {FRAMES[5][1]}, got {FRAMES[10][1]}" in faults(
        verify(signed_again(other, key, log_key), log_key)
    )

    flipped = bytearray(files[name])
    flipped[-1] ^= 1
    found = faults(verify(signed_again(files | {name: bytes(flipped)}, key, log_key), log_key))
    assert "the signature is not that of key" in found

    value = files[EVIDENCE].replace(b"1002.5", b"1002.4")
    found = faults(verify(signed_again(files | {EVIDENCE: value}, key, log_key), log_key))
    assert "counter gw/incomer/energy_import_kwh" in found
    assert "to be 1002.5 as it was sealed, got 1002.4 from the store" in found

    lacking = {other_name: content for other_name, content in files.items() if other_name != name}
    assert f"{name}: leaf 5, batch 6 of gw/e1: expected the sealed batch, got no such file" in faults(
        verify(signed_again(lacking, key, log_key), log_key)
    )


def test_keys_that_were_noted_elsewhere_decide(bundle: bytes, log_key: Verifier) -> None:
    stranger = SigningKey.generate()
    found = faults(verify(bundle, dataclasses.replace(log_key, key=stranger.public)))
    assert CONTENTS in found
    assert CHECKPOINT in found
    assert "expected a trusted key for edge gw" in faults(verify(bundle, log_key, [stranger.public]))
    assert opened(unzipped(bundle)[CHECKPOINT], log_key).startswith(log_key.name)


def test_a_checkpoint_that_was_noted_is_the_beginning_of_the_log_or_the_log_was_rewritten(
    tmp_path: Path, aggregator: Aggregator, client: httpx.Client, bundle: bytes, log_key: Verifier
) -> None:
    """The log as it was at 7 leaves, and one with the same key whose 7 leaves are others."""
    key = aggregator.audit._key
    noted = sign(Checkpoint(log_key.name, 7, aggregator.audit.root(7)).to_text(), log_key.name, key).encode()
    going_on = client.get(PATH, params={**SPAN, "since": 7}).content
    verdict = verify(going_on, log_key, [KEY.public], noted)
    assert (verdict.faults, verdict.since) == ([], 7)
    assert verify(going_on, log_key, noted=unzipped(going_on)[CHECKPOINT]).since == COUNT

    rewritten = sign(Checkpoint(log_key.name, 7, bytes(32)).to_text(), log_key.name, key).encode()
    assert "expected a log that begins as the noted one" in faults(verify(going_on, log_key, noted=rewritten))
    assert "expected a proof from the noted 7 leaves on (made with since=7), got no proof" in faults(
        verify(bundle, log_key, noted=noted)
    )
    assert "(the noted checkpoint)" in faults(verify(going_on, log_key, noted=noted[:-5]))

    file, checkpoint = tmp_path / "bundle.zip", tmp_path / "noted.txt"
    file.write_bytes(going_on)
    checkpoint.write_bytes(rewritten)
    assert main(["verify", str(file), "--noted", str(checkpoint)]) == 1
    assert client.get(PATH, params={**SPAN, "since": COUNT + 1}).status_code == 422


def test_the_command_says_what_it_found_and_by_its_status(
    tmp_path: Path, bundle: bytes, log_key: Verifier, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bundle.zip"
    file.write_bytes(bundle)
    assert main(["verify", str(file), "--log-key", log_key.to_text(), "--edge-key", KEY.public.to_text()]) == 0
    told = capsys.readouterr().out
    assert "4 sealed batches, 4 linked to the one before, 0 behind a gap" in told
    assert "gw/incomer energy_import_kwh: 1002.5 at 2025-10-09T08:53:25.000Z to 1004.0 at" in told
    assert told.endswith("everything holds\n")

    at = bundle.index(FRAMES[6][0]) + 100
    file.write_bytes(bundle[:at] + bytes([bundle[at] ^ 1]) + bundle[at + 1 :])
    assert main(["verify", str(file)]) == 1
    told = capsys.readouterr().out
    assert f"CHANGED {frame_name(6)}: leaf 6, batch 7 of gw/e1: expected digest {FRAMES[6][1]}, got " in told
    assert main(["verify", str(file), "--json"]) == 1
    assert '"holds": false' in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "none.zip")]) == 2
    assert main(["verify", str(file), "--log-key", "x"]) == 2


def test_to_verify_nothing_of_the_aggregators_extra_is_needed(tmp_path: Path, bundle: bytes) -> None:
    """In a process in which its packages cannot be imported."""
    file = tmp_path / "bundle.zip"
    file.write_bytes(bundle)
    program = (
        "import sys\n"
        "for name in ('numpy', 'duckdb', 'fastapi', 'pydantic', 'uvicorn', 'prometheus_client'): sys.modules[name] = None\n"
        "from wattline.command import main\n"
        f"sys.exit(main(['verify', {str(file)!r}]))"
    )
    root = Path(__file__).parents[3]
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "everything holds"), ran.stderr
