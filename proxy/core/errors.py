"""The one error tree. Services raise these; each edge (web, cli) translates them once.

SidecarError                 code "internal"
├── InvalidInput             what the caller sent cannot be accepted
│   ├── InvalidName          a project, group or file name breaks its grammar
│   ├── InvalidParameters    a query has values that its API does not take
│   ├── NameHeld             a name with files cannot be released
│   ├── InvalidUpload        the form or the archive is not publishable
│   │   ├── BadArchive       the archive is broken, unsafe, or not what its name says
│   │   ├── InvalidFields    the form breaks the API's own grammar (GitLab: `{"error": …}`)
│   │   │   └── MissingFields
│   │   ├── Gone             an `:action` that indexes had once
│   │   ├── FileTooLarge     over `max_upload_size`
│   │   └── NameTaken        the file name exists in the project
│   ├── NotAcceptable        no representation satisfies `Accept`
│   ├── TooSlow              a body did not come in time
│   └── TokenNameTaken       a token of this name is in use
├── Refused                  access or policy says no
│   ├── Unauthorized         credentials are missing or unknown
│   │   └── InvalidToken     the token is known, but expired or revoked
│   ├── TooManyGuesses       unknown credentials, again and again
│   ├── Forbidden            known, but not allowed
│   │   └── LacksScope       the token has not the scope
│   └── NotFound             absent, or not to be known
├── UpstreamTrouble          an upstream cannot answer now (the name may exist)
│   ├── UpstreamBroken       it answered, but not with what it promised
│   └── Offline              it is not asked: the instance opens no connection
├── StorageTrouble           the data directory cannot be read or written
│   ├── NotStored            an upload cannot be kept, whatever the reason
│   └── StorageFull          no space (or no inode) left
└── InvalidConfig            the settings cannot be used; carries every fault
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class SidecarError(Exception):
    """Base of all; `message` is written for the person who reads it."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(SidecarError):
    code = "invalid"


class InvalidName(InvalidInput):
    code = "invalid-name"


class InvalidParameters(InvalidInput):
    code = "invalid-parameters"


class NameHeld(InvalidInput):
    code = "name-held"


class InvalidUpload(InvalidInput):
    code = "invalid-upload"


class BadArchive(InvalidUpload):
    code = "bad-archive"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Validation failed: {reason}")


class InvalidFields(InvalidUpload):
    code = "invalid-fields"


class MissingFields(InvalidFields):
    code = "missing-fields"


class Gone(InvalidUpload):
    code = "gone"


class FileTooLarge(InvalidUpload):
    code = "file-too-large"


class NameTaken(InvalidUpload):
    code = "name-taken"


class NotAcceptable(InvalidInput):
    code = "not-acceptable"


class TooSlow(InvalidInput):
    code = "too-slow"


class TokenNameTaken(InvalidInput):
    code = "token-name-taken"


class Refused(SidecarError):
    """`rule` is the id of the rule that refused, empty where there was none to name."""

    code = "refused"

    def __init__(self, message: str, *, rule: str = "") -> None:
        super().__init__(message)
        self.rule = rule


class Unauthorized(Refused):
    code = "unauthorized"


class InvalidToken(Unauthorized):
    code = "invalid-token"


class TooManyGuesses(Refused):
    """`retry_after` is in seconds."""

    code = "too-many-guesses"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many wrong credentials from this address; try again in {retry_after} s")
        self.retry_after = retry_after


class Forbidden(Refused):
    code = "forbidden"


class LacksScope(Forbidden):
    code = "insufficient-scope"

    def __init__(self, rule: str = "") -> None:
        super().__init__("The request requires higher privileges than provided by the access token.", rule=rule)


class NotFound(Refused):
    code = "not-found"


class UpstreamTrouble(SidecarError):
    """`retry_after` says in how many seconds it may be worth asking again; None where nobody told."""

    code = "upstream-trouble"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UpstreamBroken(UpstreamTrouble):
    code = "upstream-broken"


class Offline(UpstreamTrouble):
    code = "offline"


class StorageTrouble(SidecarError):
    code = "storage-trouble"


class NotStored(StorageTrouble):
    code = "not-stored"


class StorageFull(StorageTrouble):
    code = "storage-full"


class InvalidConfig(SidecarError):
    """`faults` are `key.path: what is wrong` lines, in the order of the file."""

    code = "invalid-config"

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)
