"""What `make` does on a machine that lacks things: the two scripts, run with stand-ins for the system's own programs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
PROGRAMS = (
    "mosquitto",
    "mosquitto_pub",
    "influxd",
    "victoria-metrics",
    "chromium",
    "chromedriver",
    "mbpoll",
    "socat",
    "node",
    "npm",
)
NEEDED = ("bash", "chmod", "dirname", "env", "rm", "sh", "tee", "true")


class Machine:
    """A machine of nothing but a few shell tools and stand-ins; what the stand-ins were told is in `log`."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.log = folder / "bin", folder / "log"
        self.bin.mkdir()
        self.log.touch()
        for name in NEEDED:
            (self.bin / name).symlink_to(str(shutil.which(name)))
        self.has("id", "echo 1000")
        for script in ("system-packages", "newest-python"):
            shutil.copy(SCRIPTS / script, folder)
        self.folder = folder

    def has(self, name: str, script: str = "exit 0") -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """The script sees only this machine: /usr/sbin, which it adds itself, is taken out of its text."""
        path = self.folder / script
        path.write_text(
            path.read_text()
            .replace(':/usr/sbin:/usr/local/sbin"', '"')
            .replace("/usr/sbin/policy-rc.d", f"{self.folder}/policy-rc.d")
        )
        return subprocess.run(
            [path], env={"PATH": str(self.bin)}, cwd=self.folder, capture_output=True, text=True, timeout=30
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.has("python3.12", "exit 0")
    return made


def test_where_everything_is_there_nothing_is_said_or_done(machine: Machine) -> None:
    for program in PROGRAMS:
        machine.has(program)
    done = machine.run("system-packages")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("rights", ["no apt-get", "no root"])
def test_where_it_may_not_install_it_names_what_will_be_skipped_and_goes_on(machine: Machine, rights: str) -> None:
    for program in PROGRAMS[1:]:
        machine.has(program)
    if rights == "no root":
        machine.has("apt-get")
        machine.has("sudo", "exit 1")
    done = machine.run("system-packages")
    assert done.returncode == 0
    assert "this needs apt-get and root (or sudo without a password): mosquitto" in done.stderr
    assert "tests of everything that passes a broker" in done.stderr


def test_where_it_may_it_installs_what_is_missing_and_starts_no_service(machine: Machine) -> None:
    machine.has("mosquitto")
    machine.has("apt-get")
    machine.has(
        "sudo",
        f'shift; echo "$@" >> {machine.log}; [ -e {machine.folder}/policy-rc.d ] && echo held >> {machine.log}; exec "$@"',
    )
    done = machine.run("system-packages")
    assert done.returncode == 0, done.stderr
    said = machine.log.read_text().splitlines()
    installs = [line.split()[-1] for line in said if " install " in line]
    assert installs == [
        "mosquitto-clients",
        "influxdb",
        "victoria-metrics",
        "chromium",
        "chromium-driver",
        "mbpoll",
        "socat",
        "nodejs",
        "npm",
    ]
    assert all(said[at + 1] == "held" for at, line in enumerate(said) if " install " in line)
    assert not (machine.folder / "policy-rc.d").exists()


def test_a_package_that_the_distribution_lacks_does_not_stop_the_others(machine: Machine) -> None:
    machine.has("sudo", 'shift; exec "$@"')
    machine.has("apt-get", f'case "$*" in *influxdb) exit 100;; *) echo "$@" >> {machine.log};; esac')
    done = machine.run("system-packages")
    assert done.returncode == 0
    assert "influxdb could not be installed" in done.stderr
    assert "chromium-driver" in machine.log.read_text()


def test_the_newest_python_that_works_is_chosen(machine: Machine) -> None:
    machine.has("python3.13", "exit 1")  # such as a shim without a Python behind it
    machine.has("python3.11")
    assert machine.run("newest-python").stdout == f"{machine.bin}/python3.12\n"


def test_without_a_python_it_says_what_to_install(tmp_path: Path) -> None:
    done = Machine(tmp_path).run("newest-python")
    assert done.returncode == 1
    assert "apt-get install python3 python3-venv" in done.stderr


def test_the_makefile_has_the_words_that_the_pages_use() -> None:
    makefile = (SCRIPTS.parent / "Makefile").read_text()
    words = {"setup", "demo", "test", "check", "bench", "long", "soak", "docs"}
    assert {line.split(":")[0] for line in makefile.splitlines() if line.split(":")[0] in words} == words
    assert os.access(SCRIPTS.parent / ".ci" / "run", os.X_OK)
