"""The meter's own signature over a reading, in the manner of OCMF 1.0: `OCMF|{payload}|{signature}`. A simulated meter, no calibrated one.

Payload keys as in the "Open Charge Metering Format" of the S.A.F.E. initiative, version 1.0: FV, GI, GS, PG, MV, MM, MS, IS, IT, ID and the
readings RD with TM, TX, RV, RI, RU, ST; ECDSA over secp256r1 with SHA-256, DER in hexadecimal.
"""

import base64
import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

_IMPORT_CODE: Final = "01-00:01.08.00*FF"  # OBIS code of imported active energy
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of secp256r1, FIPS 186-4 D.1.2.3


class SignedMeter:
    """A meter with a key that follows from its serial number, so that a run can be repeated. Its text names the vehicle's tag and is countable."""

    def __init__(self, serial_number: str) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        self.serial_number = serial_number
        seed = int.from_bytes(hashlib.sha256(f"meter key {serial_number}".encode()).digest(), "big")
        self._key = ec.derive_private_key(seed % (_ORDER - 1) + 1, ec.SECP256R1())
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public_key = base64.b64encode(public).decode()
        self._page = 0

    def text(self, at_ms: int, import_wh: int, reason: str, id_tag: str) -> str:
        """The signed text of one reading; `reason` is B (begin), C (charging) or E (end)."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        self._page += 1
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        payload: dict[str, Any] = {
            "FV": "1.0",
            "GI": "device_sim",
            "GS": self.serial_number,
            "PG": f"T{self._page}",
            "MV": "device_sim",
            "MM": "pile meter",
            "MS": self.serial_number,
            "IS": True,
            "IT": "ISO14443",
            "ID": id_tag,
            "RD": [
                {
                    "TM": f"{at:%Y-%m-%dT%H:%M:%S},{at_ms % 1000:03d}+0000 S",
                    "TX": reason,
                    "RV": float(Decimal(import_wh) / 1000),
                    "RI": _IMPORT_CODE,
                    "RU": "kWh",
                    "ST": "G",
                }
            ],
        }
        signed = json.dumps(payload, separators=(",", ":"))
        signature = self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        return f"OCMF|{signed}|" + json.dumps(
            {"SA": "ECDSA-secp256r1-SHA256", "SD": signature.hex()}, separators=(",", ":")
        )
