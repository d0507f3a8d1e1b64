"""What aiohttp itself logs. It quotes a request that is no HTTP, and any part of one may be a secret."""

from __future__ import annotations

import logging
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError


class _WithoutRequests(logging.Filter):
    """Such a line keeps the address, and the kind of the error in place of its words and its trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and _quotes_request(error):
            record.msg = f"{record.getMessage()}: {type(error).__name__}"
            record.args = ()
            record.exc_info = record.exc_text = None
        return True


_FILTER: Final = _WithoutRequests()


def leave_requests_out() -> None:
    """From now on, in this process; harmless when repeated."""
    logging.getLogger("aiohttp.server").addFilter(_FILTER)


def _quotes_request(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, HttpProcessingError):
            return True
        error = error.__cause__ or error.__context__
    return False
