"""What the library of a store raised → whether to ask again, and what to tell the user."""

from errno import EDQUOT, EFBIG, ENOSPC
from typing import Any

from fursure.remote.place import RemotePath

TRIES = 7  # with the pauses between them, half a minute: longer than most servers are away
_EXPIRED = "the credentials have expired; renew them and repeat the command, which continues"
_WRONG = "the credentials are wrong; look at AWS_ACCESS_KEY_ID and at AWS_PROFILE"
_REGION = "the bucket lies in another region; set AWS_DEFAULT_REGION to that one"
_WORDS = {  # what S3 calls it -> what to do
    "NoSuchBucket": "there is no such bucket; look at its name and at the endpoint",
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "InvalidAccessKeyId": _WRONG,
    "InvalidToken": _WRONG,
    "SignatureDoesNotMatch": _WRONG,
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
}
_SIGN_IN = "set HF_TOKEN to a token that may read it, or run `hf auth login`"
_WORDS_OF_HUB = {  # what the hub's library calls it -> what to do
    "RepositoryNotFoundError": f"there is no such repository, or it is private: look at its name; "
    f"if private, {_SIGN_IN}",
    "GatedRepoError": f"the repository is gated: accept its terms on its page, then {_SIGN_IN}",
    "RevisionNotFoundError": "the repository has no such branch, tag or commit",
    "HFValidationError": "that names no repository; it is hf://datasets/ORG/NAME, or with @BRANCH",
}
_FORBIDDEN = "no permission; the credentials need the rights to list it, and to read or write it"
CHANGED = "it changed while it was being read; repeat the command"
_PASSING = {"RequestTimeout", "SlowDown", "Throttling", "RequestLimitExceeded"}  # though below 500
_STRANGER = (
    "there are no credentials and strangers may not read it; give some by the environment or a "
    "profile, as for the provider's own tools"
)


def is_unsigned(error: Exception) -> bool:
    """Return whether there are no credentials at all; a public bucket needs none."""
    return type(error).__name__ == "NoCredentialsError"


def concerns_one(error: Exception) -> bool:
    """Return whether an error may be of this file alone, and those of others can be read."""
    return isinstance(error, FileNotFoundError) or (
        isinstance(error, PermissionError) and code_of(error) in {"AccessDenied", "403", ""}
    )


def is_full_disk(error: Exception) -> bool:
    """Return whether what failed is our own disk."""
    return isinstance(error, OSError) and error.errno in {ENOSPC, EDQUOT, EFBIG}


def may_pass(error: Exception) -> bool:
    """Return whether asking again may help."""
    if isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError):
        return False
    if (status := _status(error)) is not None:
        return status >= 500 or status in {408, 409, 425, 429} or code_of(error) in _PASSING
    return type(error).__name__ not in {
        "NoCredentialsError", "ProfileNotFound", "InvalidRegionError", "ParamValidationError",
        "ValueError", "TypeError", "UnauthorizedSSOTokenError", "TokenRetrievalError",
    }  # fmt: skip


def code_of(error: BaseException) -> str:
    """Return what S3 calls an error, "" where it is none of S3's."""
    return str(_answer_of_s3(error).get("Error", {}).get("Code", ""))


def why_refused(error: Exception, place: RemotePath, anonymous: bool) -> str:
    """Say what is wrong, and what to do, without the words that may hold a secret."""
    status, known = _status(error), _WORDS.get(code_of(error)) or _words_of_hub(error)
    if known is None and isinstance(error, FileNotFoundError):
        known = "nothing lies there"
    elif known is None and (isinstance(error, PermissionError) or status in {401, 403}):
        known = _STRANGER if anonymous else _FORBIDDEN
    if known is not None:
        return known
    what = _own_words(error, place) if status is None else f"the server answers {status}"
    if (code := code_of(error)).isalpha():  # an answer without a body has a number there
        what += f" ({code})"
    return f"{what}, also after {TRIES} tries" if may_pass(error) else what


def _words_of_hub(error: BaseException) -> str | None:
    names = (type(raised).__name__ for raised in (error, error.__cause__))
    return next((_WORDS_OF_HUB[name] for name in names if name in _WORDS_OF_HUB), None)


def _status(error: BaseException) -> int | None:
    """Return the status of HTTP that an error stands for, if any."""
    told = _answer_of_s3(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    answer = getattr(error, "response", None)  # of the hub's library
    own = (getattr(error, "status", None), getattr(error, "code", None))
    numbers = (told, *own, getattr(answer, "status_code", None))
    return next((number for number in numbers if isinstance(number, int)), None)


def _answer_of_s3(error: BaseException) -> dict[str, Any]:
    response = getattr(error.__cause__, "response", None)
    return response if isinstance(response, dict) else {}


def _own_words(error: Exception, place: RemotePath) -> str:
    """Return an error's own words, unless they might repeat what must stay secret."""
    text = " ".join(str(error).split())[:200]
    secrets = [place.userinfo.partition(":")[2], place.address.removeprefix(str(place))]
    leaks = "://" in text or any(secret and secret in text for secret in secrets)
    return type(error).__name__ if leaks or not text else text
