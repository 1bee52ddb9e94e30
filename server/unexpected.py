"""What becomes of an exception that nobody foresaw."""

import logging
import traceback

from domain.errors import DockerMcpError

logger = logging.getLogger(__name__)


def unexpected(error: Exception, where: str) -> DockerMcpError:
    """Log where ``error`` came from and return what the caller may hear.

    Neither gets the exception's own words: an argument that is secret may stand in them.
    """
    problem = f"unexpected {type(error).__name__} in the server"
    logger.error("%s: %s\n%s", where, problem, "".join(traceback.format_tb(error.__traceback__)))
    return DockerMcpError(problem, code="internal_error")
