"""Which MQTT user may use which topic, in mosquitto's words. Not who a user is: that is a certificate or a password.

An edge's topics hold its facility and its id on two levels, and a mosquitto pattern knows the user name as one string only. So there are no
patterns: the file names every edge, as user `facility.edge`, and an edge that is taken out of it is shut out.
"""

from collections.abc import Iterable

from wattline.authority import CertificateRefused, edge_user
from wire.topics import AGGREGATOR_STATUS, PREFIX, all_edges, edge_topic

UP = ("batch", "status", "result")  # an edge writes, the aggregator reads
DOWN = ("ack", "command", "factors", "schedule")  # the aggregator writes, an edge reads
HEADER = (
    "# Written by `wattline certs acl`; write it anew when an edge comes or goes, then reload the broker (SIGHUP).\n"
)


def edge_of(user: str) -> tuple[str, str]:
    """Facility and edge of a user name `facility.edge`. Raises CertificateRefused."""
    facility, dot, edge = user.partition(".")
    if not dot:
        raise CertificateRefused(f"edge {user!r}: expected FACILITY.EDGE, such as works.gw-01")
    edge_user(facility, edge)
    return facility, edge


def acl(edges: Iterable[str]) -> str:
    """The text of mosquitto's acl_file for the aggregator and these edges, each `facility.edge`."""
    aggregator = ["user aggregator"]
    aggregator += [f"topic read {all_edges(kind)}" for kind in UP]
    aggregator += [f"topic read {all_edges('status')}/+"]  # the further pages of a long status
    aggregator += [f"topic write {all_edges(kind)}" for kind in DOWN]
    aggregator += [f"topic write {AGGREGATOR_STATUS}"]
    blocks = [aggregator]
    for user in sorted(set(edges)):
        facility, edge = edge_of(user)
        blocks.append(
            [
                f"user {user}",
                *(f"topic write {edge_topic(facility, edge, kind)}" for kind in UP),
                f"topic write {PREFIX}/{facility}/{edge}/status/+",
                *(f"topic read {edge_topic(facility, edge, kind)}" for kind in DOWN),
                f"topic read {AGGREGATOR_STATUS}",
            ]
        )
    return HEADER + "".join("\n" + "\n".join(block) + "\n" for block in blocks)
