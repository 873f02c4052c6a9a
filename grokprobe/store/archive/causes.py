"""Why object storage failed, in words of ours.

The library's own words hold addresses, queries with tokens and whole answers, which may repeat the
request with its credentials. So what it says is recognised, never passed on: a cause names no
address; a place has the URL without user, password and query.
"""

import re
from urllib.parse import parse_qs, urlsplit

from obstore.store import ObjectStore

BUCKET_MISSING = ("NoSuchBucket", "ContainerNotFound")
REFUSED_CREDENTIALS = "the credentials are not accepted"
OTHER_REGION = "the bucket is in another region, which AWS_REGION names"

SILENT = "no answer in time"

# Codes in the answers of S3 and GCS, then of Azure.
MEANINGS = {
    **dict.fromkeys(BUCKET_MISSING, "there is no such bucket"),
    "AccessDenied": "access is denied",
    "AuthorizationFailure": "access is denied",
    "AuthorizationPermissionMismatch": "access is denied",
    "InvalidAccessKeyId": REFUSED_CREDENTIALS,
    "SignatureDoesNotMatch": REFUSED_CREDENTIALS,
    "InvalidToken": REFUSED_CREDENTIALS,
    "ExpiredToken": "the credentials have expired",
    "AuthenticationFailed": REFUSED_CREDENTIALS,
    "InvalidAuthenticationInfo": REFUSED_CREDENTIALS,
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "AuthorizationHeaderMalformed": OTHER_REGION,
    "PermanentRedirect": OTHER_REGION,
    "SlowDown": "it asks for fewer requests",
    "401": REFUSED_CREDENTIALS,  # some answers have no code, those to HEAD no body at all
    "403": "access is denied",
}

# Where clouds give credentials to their own machines, which is asked where none are set.
OF_THE_MACHINE = re.compile(r"https?://(169\.254\.|metadata\.google|\[?fd00:ec2)")
STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>(\w{1,64})</Code>")
REFUSED_DELETION = re.compile(r"\(code: (\w{1,64})\)")  # of one object, by an answer that is 200
URL = re.compile(r"Error performing [A-Z]+ (https?://\S+)")
OF_THE_SYSTEM = re.compile(
    r'(?:code: \d+,\s+kind: \w+,\s+message: "([^"]+)"|: ([^:]+) \(os error \d+\))'
)
SIGNS = (
    ("without LOCATION", OTHER_REGION),
    ("dns error", "its host name is not known"),
    ("TimedOut", SILENT),
    ("kind: Timeout", SILENT),
    ("invalid peer certificate", "its certificate is not trusted"),
    ("InvalidCertificate", "its certificate is not trusted"),
    ("InvalidMessage", "it does not speak TLS"),
    ("IncompleteMessage", "the connection was cut"),
    ("UnexpectedEof", "the connection was cut"),
)


def cause_of(error: Exception) -> str:
    """Why it failed, for everybody: no address, no name of a bucket or of an object, no secret."""
    text = str(error)
    if OF_THE_MACHINE.search(text):
        return "no credentials are set, and this machine has none of its own"
    if status := STATUS.search(text):
        code = CODE.search(text)
        meaning = MEANINGS.get(code[1] if code else "") or MEANINGS.get(status[1])
        answered = f"{status[1]} {code[1]}" if code else status[1]
        return f"{meaning} ({answered})" if meaning else f"it answered {answered}"
    if refused := REFUSED_DELETION.search(text):
        return f"{MEANINGS.get(refused[1], 'it refuses')} ({refused[1]})"
    if of_system := OF_THE_SYSTEM.search(text):
        return of_system[1] or of_system[2]
    return next((meaning for sign, meaning in SIGNS if sign in text), type(error).__name__)


def name_of(store: ObjectStore) -> str:
    """A store in words: a folder, or a bucket and its address where one was given."""
    given = getattr(store, "config", None)
    if not given:
        return repr(store)  # which panics for an Azure store whose account a variable names
    bucket, address = (
        next((given[name] for name in names if name in given), "")
        for names in (("bucket", "container_name"), ("endpoint", "base_url"))
    )
    return f"{bucket} at {address}" if address else str(bucket)


def place_of(error: Exception, path: str, store: str) -> str:
    """Where it failed, for logs: the URL that was asked, else the path in the store."""
    if (found := URL.search(str(error))) is None:
        return f"{path} in {store}"
    parts = urlsplit(found[1])
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if prefix := "".join(parse_qs(parts.query).get("prefix", [])).rstrip("/"):  # of a listing
        url = f"{url.rstrip('/')}/{prefix}"
    return url if url.endswith(path) else f"{path} at {url}"


def lacks_bucket(error: Exception) -> bool:
    """Whether what was not found is the bucket: then nothing is known of the object."""
    code = CODE.search(str(error))
    return code is not None and code[1] in BUCKET_MISSING
