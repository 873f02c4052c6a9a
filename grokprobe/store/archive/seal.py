"""What proves that the records of a run are all there, each as it was published.

    digest = sum of SHA-256("STEP SHA256") over the checkpoints, modulo 2^256

SHA256 is the digest of a manifest's bytes; nothing stands there for one that cannot be read. The
sum has no order, so one more checkpoint costs one addition. It finds what is missing, stale or
damaged; against who writes both an entry and its seal, `manifests_sha256` of `complete.json` and
the manifests in object storage are the proof.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from grokprobe.store.records import Status

MODULUS = 2**256


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of a run, by digests in hexadecimal."""

    run: str
    manifest: str  # the digest of `run.json`
    created_at: datetime
    completion: str | None  # the digest of `complete.json`; null while it runs
    status: Status
    count: int  # of checkpoints
    unreadable: int  # of them
    digest: str  # over the checkpoints
    latest: int | None  # the last step that can be read
    latest_sha256: str | None  # of its manifest

    def with_checkpoint(self, step: int, manifest: str) -> "Seal":
        """The seal after one more checkpoint, by the digest of its manifest."""
        is_last = self.latest is None or step > self.latest
        return msgspec.structs.replace(
            self,
            count=self.count + 1,
            digest=_shown(int(self.digest, 16) + _term(step, manifest)),
            latest=step if is_last else self.latest,
            latest_sha256=manifest if is_last else self.latest_sha256,
        )


def digest_of(manifests: Mapping[int, str]) -> str:
    """The digest over checkpoints, from those of their manifests by step."""
    return _shown(sum(_term(step, manifest) for step, manifest in manifests.items()))


def encode_seal(seal: Seal) -> bytes:
    """The bytes of a seal: equal for equal contents."""
    return msgspec.json.encode(seal)


def decode_seal(data: Any) -> Seal | None:
    """A seal from its bytes; None for what is none."""
    try:
        seal = msgspec.json.decode(data or b"", type=Seal)
        int(seal.digest, 16)
    except (msgspec.MsgspecError, RecursionError, ValueError, TypeError):
        return None
    return seal


def _term(step: int, manifest: str) -> int:
    return int.from_bytes(sha256(f"{step} {manifest}".encode()).digest(), "big")


def _shown(total: int) -> str:
    return f"{total % MODULUS:064x}"
