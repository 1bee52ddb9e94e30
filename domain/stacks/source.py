"""Which parts of a Compose file the server takes: what would make Compose read the host, build or run programs, is not.

The check runs before Compose sees anything, since rendering a file already reads what the file names: ``env_file``,
``include`` and ``extends`` open host files, and a newer Compose may know keys that do the same. So the keys of the
Compose specification that are harmless in this respect are listed, and all others are refused.
Source: https://github.com/compose-spec/compose-spec/blob/main/spec.md
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from domain.canonical import JSON
from domain.errors import InvalidArgumentsError
from domain.stacks.strict_yaml import Document, Path, as_json

MOST_SERVICES: Final = 100
_MOST_PROBLEMS: Final = 5

_TOP: Final = frozenset({"configs", "name", "networks", "secrets", "services", "version", "volumes"})
_SERVICE_KEYS: Final = """
    annotations attach blkio_config cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count
    cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset depends_on deploy
    device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint environment expose extends external_links
    extra_hosts gpus group_add healthcheck hostname image init ipc isolation labels links logging mac_address mem_limit
    mem_reservation mem_swappiness memswap_limit network_mode networks oom_kill_disable oom_score_adj pid pids_limit
    platform ports post_start pre_stop privileged pull_policy read_only restart runtime scale secrets security_opt
    shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts volumes
    volumes_from working_dir
"""
_SERVICE: Final = frozenset(_SERVICE_KEYS.split())
_FROM_HOST: Final = "it would be read from the server's own files or environment"
_REASONS: Final[Mapping[str, str]] = {
    "include": f"{_FROM_HOST}; write everything into one file",
    "env_file": f"{_FROM_HOST}; write the values under environment",
    "label_file": f"{_FROM_HOST}; write the labels under labels",
    "credential_spec": _FROM_HOST,
    "build": "images are not built here; name one that exists under image",
    "develop": "it watches files of a developer's machine",
    "profiles": "all services of the file are deployed; leave out what shall not run",
    "provider": "it would run a program on the server",
    "models": "it would run a program on the server",
    "use_api_socket": "it would hand the Docker socket to the container",
}
_INSTEAD: Final[Mapping[str, str]] = {
    "configs": "write the text under content",
    "secrets": "pass the value under the service's environment, which is sealed in the log",
}
_NOT_HERE: Final = "not a key that this server knows of Compose"


def accepted_source(document: Document) -> bytes:
    """Return the JSON that Compose may render; extension fields (``x-…``), which nothing reads, are left out.

    Raises:
        InvalidArgumentsError: naming line and key of each thing that is refused, without values.
    """
    tree = document.tree
    if not isinstance(tree, dict) or not isinstance(tree.get("services"), dict) or not tree["services"]:
        raise InvalidArgumentsError("a Compose file has a mapping `services` with at least one service")
    if len(tree["services"]) > MOST_SERVICES:
        raise InvalidArgumentsError(f"a stack has at most {MOST_SERVICES} services")
    if problems := [f"{document.place(path)}: {why}" for path, why in _refused(tree)]:
        left = len(problems) - _MOST_PROBLEMS
        more = f"; and {left} more" if left > 0 else ""
        raise InvalidArgumentsError("; ".join(problems[:_MOST_PROBLEMS]) + more, hint="correct the file")
    return as_json(_without_extensions(tree))


def _refused(tree: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    yield from _unknown(tree, (), _TOP)
    for name, service in _mappings(tree["services"]):
        path = ("services", name)
        yield from _unknown(service, path, _SERVICE)
        extends = service.get("extends")
        if isinstance(extends, dict) and "file" in extends:
            yield (*path, "extends", "file"), _FROM_HOST
    for section, instead in _INSTEAD.items():
        for name, entry in _mappings(tree.get(section)):
            for key in ("file", "environment"):
                if key in entry:
                    yield (section, name, key), f"{_FROM_HOST}; {instead}"


def _unknown(mapping: dict[str, Any], path: Path, known: frozenset[str]) -> Iterator[tuple[Path, str]]:
    for key in mapping:
        if key not in known and not key.startswith("x-"):
            yield (*path, key), _REASONS.get(key, _NOT_HERE)


def _mappings(section: JSON) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the entries that are mappings; of others Compose itself says that they should be."""
    if isinstance(section, dict):
        yield from ((name, entry) for name, entry in section.items() if isinstance(entry, dict))


def _without_extensions(tree: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in tree.items() if not key.startswith("x-")}
    for section, entries in kept.items():
        if isinstance(entries, dict):
            kept[section] = {
                name: {key: value for key, value in entry.items() if not key.startswith("x-")}
                if isinstance(entry, dict)
                else entry
                for name, entry in entries.items()
            }
    return kept
