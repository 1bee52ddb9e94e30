"""Who runs this process."""

import os
import pwd

from domain.principal import LOCAL_PREFIX, Principal


def local_principal(role: str) -> Principal:
    """Return the operating-system user as ``local:<name>``; ``role`` is what the configuration gives it."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return Principal(LOCAL_PREFIX + name, role)
