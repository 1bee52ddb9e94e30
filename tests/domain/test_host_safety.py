"""What may be asked of the host: each rule in each form, and no path that leads where it may not."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from docker.types import ContainerConfig, DeviceRequest, HostConfig, Mount
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.catalogue.containers import CreateContainer
from domain.catalogue.networks import CreateNetwork
from domain.host_safety import (
    HostSafety,
    Violation,
    container_violations,
    network_violations,
    request_violations,
    stack_violations,
    volume_violations,
)
from domain.host_safety.paths import NEVER, HostPaths

pytestmark = pytest.mark.promise("P7")

CLOSED = HostSafety()
HOME = "/home" + "/me"
SECRET = "tell-nobody-Zx81"
LINKS = {"/srv/data/out": "/opt", "/srv/data/in": "/srv/data/a", "/srv/data/run": "/run", "/srv/link": "/mnt/big"}


def follow(path: str) -> str:
    """A host of our own: ``LINKS`` at any depth, nothing else."""
    real = os.path.normpath("/" + path.lstrip("/"))
    for link, target in LINKS.items():
        if real == link or real.startswith(f"{link}/"):
            return target + real.removeprefix(link)
    return real


def of_stack(rules: HostSafety = CLOSED, **sections: Any) -> list[Violation]:
    tree = {"name": "shop", "services": {"web": {"image": "a"}}, **sections}
    return stack_violations(tree, rules, follow, ["/srv/data/own"])


def of_service(rules: HostSafety = CLOSED, **keys: Any) -> list[Violation]:
    return of_stack(rules, services={"web": {"image": "a", **keys}, "db": {"image": "b"}})


def of_host_config(rules: HostSafety = CLOSED, **keys: Any) -> list[Violation]:
    return request_violations({"Image": "a", "HostConfig": keys}, rules, follow, ["/srv/data/own"])


def of_volumes(volumes: Mapping[str, Any], rules: HostSafety = CLOSED) -> list[Violation]:
    command = CreateContainer.model_validate({"image": "a", "volumes": volumes})
    return container_violations(command, rules, follow, ["/srv/data/own"])


def ids(found: list[Violation]) -> list[str]:
    return [violation.rule.removeprefix("host-safety/") for violation in found]


# --- settings -------------------------------------------------------------------------------------------------------


def test_nothing_is_open_by_default() -> None:
    assert not any(CLOSED.model_dump().values())


def test_every_setting_is_described() -> None:
    assert all(field.description for field in HostSafety.model_fields.values())


def test_settings_are_read_from_json_in_the_forms_people_write() -> None:
    given_ = {"mount_roots": ["/srv//data/"], "capabilities": ["cap_net_admin"], "security_options": ["seccomp:x"]}
    rules = HostSafety.model_validate(given_)
    assert rules.mount_roots == ("/srv/data",)
    assert rules.capabilities == ("NET_ADMIN",)
    assert rules.security_options == ("seccomp=x",)
    assert HostSafety.model_validate_json('{"mount_roots": ["/srv/data"]}').mount_roots == ("/srv/data",)


@pytest.mark.parametrize(
    "settings",
    [
        {"privilegd": True},
        {"privileged": "yes"},
        {"privileged": 1},
        {"mount_roots": "/srv"},
        {"mount_roots": [1]},
        *({key: [path]} for key in ("mount_roots", "remote_mount_roots") for path in ("/", "//", "/.", "", "srv", "~")),
        *({"mount_roots": [path]} for path in ("/etc", "/ETC/x", "/proc/1", "/run/user/1", "/var/run", "/dev/shm")),
        *({"mount_roots": [path]} for path in ("/srv/..", "/a/../b", "C:\\x", "/a:b", "/a\0b", f"{HOME}/.ssh")),
        *({"devices": [path]} for path in ("/dev", "/", "sda", "/etc/x", "/dev/../etc", "/dev//")),
    ],
    ids=str,
)
def test_what_is_no_setting(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HostSafety.model_validate(settings)


# --- each rule, in the form of a stack and in the form of a request -------------------------------------------------

NFS = {"type": "nfs", "o": "addr=10.0.0.1", "device": ":/x"}
CDI = {"Driver": "cdi", "DeviceIDs": ["a/b=c"]}

RULES: list[tuple[str, str, Any, dict[str, Any], dict[str, Any]]] = [
    (
        "bind-mount",
        "mount_roots",
        ["/opt"],
        {"volumes": [{"type": "bind", "source": "/opt/x", "target": "/x"}]},
        {"Binds": ["/opt/x:/x:ro"]},
    ),
    (
        "bind-mount",
        "mount_roots",
        ["/opt"],
        {"volumes": [{"type": "bind", "source": "/opt", "target": "/x"}]},
        {"Mounts": [Mount("/x", "/opt", type="bind")]},
    ),
    (
        "shared-propagation",
        "shared_propagation",
        True,
        {"volumes": [{"type": "bind", "source": "/srv/data/a", "target": "/x", "bind": {"propagation": "shared"}}]},
        {"Binds": ["/srv/data/a:/x:ro,shared"]},
    ),
    (
        "shared-propagation",
        "shared_propagation",
        True,
        {"volumes": [{"type": "bind", "source": "/srv/data/a", "target": "/x", "bind": {"propagation": "rshared"}}]},
        {"Mounts": [Mount("/x", "/srv/data/a", type="bind", propagation="rshared")]},
    ),
    ("volumes-from", "volumes_from", True, {"volumes_from": ["container:x:ro"]}, {"VolumesFrom": ["x:ro"]}),
    ("privileged", "privileged", True, {"privileged": True}, {"Privileged": True}),
    ("host-network", "host_network", True, {"network_mode": "host"}, {"NetworkMode": "host"}),
    ("host-pid", "host_pid", True, {"pid": "host"}, {"PidMode": "host"}),
    ("host-ipc", "host_ipc", True, {"ipc": "host"}, {"IpcMode": "host"}),
    ("host-uts", "host_uts", True, {"uts": "host"}, {"UTSMode": "host"}),
    ("host-cgroup", "host_cgroup", True, {"cgroup": "host"}, {"CgroupnsMode": "host"}),
    ("host-users", "host_users", True, {"userns_mode": "host"}, {"UsernsMode": "host"}),
    ("join-container", "join_containers", True, {"pid": "container:x"}, {"PidMode": "container:x"}),
    ("join-container", "join_containers", True, {"network_mode": "service:x"}, {"NetworkMode": "container:x"}),
    ("join-container", "join_containers", True, {"external_links": ["x:y"]}, {"Links": ["x:y"]}),
    ("capability", "capabilities", ["NET_ADMIN"], {"cap_add": ["CAP_NET_ADMIN"]}, {"CapAdd": ["net_admin"]}),
    ("capability", "capabilities", ["ALL"], {"cap_add": ["SYS_ADMIN"]}, {"CapAdd": ["SYS_ADMIN"]}),
    (
        "device",
        "devices",
        ["/dev/snd"],
        {"devices": [{"source": "/dev/snd", "target": "/dev/x"}]},
        {"Devices": [{"PathOnHost": "/dev/snd/timer", "PathInContainer": "/dev/x", "CgroupPermissions": "rw"}]},
    ),
    ("gpu", "gpus", True, {"gpus": [{"count": -1}]}, {"DeviceRequests": [DeviceRequest(capabilities=[["gpu"]])]}),
    ("device-request", "device_requests", True, {"devices": [{"source": "a/b=c"}]}, {"DeviceRequests": [CDI]}),
    ("device-request", "device_requests", True, {"gpus": [{"driver": "cdi"}]}, {"DeviceRequests": [{"Count": -1}]}),
    (
        "device-cgroup-rule",
        "device_cgroup_rules",
        True,
        {"device_cgroup_rules": ["a *:* rwm"]},
        {"DeviceCgroupRules": ["a *:* rwm"]},
    ),
    (
        "security-option",
        "security_options",
        ["seccomp=unconfined"],
        {"security_opt": ["seccomp:unconfined"]},
        {"SecurityOpt": ["seccomp=unconfined"]},
    ),
    (
        "security-option",
        "security_options",
        ["systempaths=unconfined"],
        {"security_opt": ["systempaths=unconfined"]},
        {"MaskedPaths": []},
    ),
    ("runtime", "runtimes", ["runsc"], {"runtime": "runsc"}, {"Runtime": "runsc"}),
    ("runtime", "runtimes", ["process"], {"isolation": "process"}, {"Isolation": "process"}),
    ("cgroup-parent", "cgroup_parent", True, {"cgroup_parent": "/x"}, {"CgroupParent": "/x"}),
    (
        "sysctl",
        "sysctls",
        ["vm.swappiness"],
        {"sysctls": {"vm.swappiness": "1"}},
        {"Sysctls": {"vm.swappiness": "1"}},
    ),
    ("oom-protection", "oom_protection", True, {"oom_score_adj": -1}, {"OomScoreAdj": -1}),
    ("oom-protection", "oom_protection", True, {"oom_kill_disable": True}, {"OomKillDisable": True}),
    ("annotation", "annotations", ["a.b"], {"annotations": {"a.b": "x"}}, {"Annotations": {"a.b": "x"}}),
    (
        "driver",
        "drivers",
        ["syslog"],
        {"logging": {"driver": "syslog", "options": {"syslog-address": "unix:///x"}}},
        {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "unix:///x"}}},
    ),
]


def opened(setting: str, value: Any) -> HostSafety:
    return HostSafety.model_validate({"mount_roots": ["/srv/data"], setting: value})


@pytest.mark.parametrize(("rule", "setting", "value", "service", "host_config"), RULES)
def test_a_setting_opens_what_its_rule_refuses(
    rule: str, setting: str, value: Any, service: dict[str, Any], host_config: dict[str, Any]
) -> None:
    rooted = HostSafety(mount_roots=("/srv/data",))
    for found in (of_service(rooted, **service), of_host_config(rooted, **host_config)):
        assert [(ids([each])[0], each.setting) for each in found] == [(rule, setting)]
        assert f"`{setting}` under host_safety in the auth file would allow it" in found[0].message
    assert of_service(opened(setting, value), **service) == []
    assert of_host_config(opened(setting, value), **host_config) == []


IN_SECTIONS: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("external-volume", "external_volumes", True, {"volumes": {"data": {"name": "x", "external": True}}}),
    ("network-volume", "network_volumes", True, {"volumes": {"data": {"driver_opts": NFS}}}),
    ("driver", "drivers", ["sshfs"], {"volumes": {"data": {"driver": "sshfs", "driver_opts": {"sshcmd": "x"}}}}),
    ("driver", "drivers", ["macvlan"], {"networks": {"net": {"driver": "macvlan", "driver_opts": {"parent": "e"}}}}),
    ("driver", "drivers", ["bridge"], {"networks": {"net": {"driver_opts": {"com.docker.network.bridge.name": "b"}}}}),
    ("driver", "drivers", ["x/y"], {"networks": {"net": {"ipam": {"driver": "x/y"}}}}),
    ("public-subnet", "public_subnets", True, {"networks": {"net": {"ipam": {"config": [{"subnet": "8.8.8.0/24"}]}}}}),
    ("host-network", "host_network", True, {"networks": {"net": {"name": "host", "external": True}}}),
    (
        "bind-mount",
        "mount_roots",
        ["/opt"],
        {"volumes": {"data": {"driver_opts": {"type": "tmpfs", "o": "ro,rbind", "device": "/opt/x"}}}},
    ),
    ("privileged", "privileged", True, {"services": {"web": {"post_start": [{"command": ["x"], "privileged": True}]}}}),
]


@pytest.mark.parametrize(("rule", "setting", "value", "sections"), IN_SECTIONS)
def test_a_setting_opens_what_is_refused_of_a_stack(
    rule: str, setting: str, value: Any, sections: dict[str, Any]
) -> None:
    assert [(ids([each])[0], each.setting) for each in of_stack(**sections)] == [(rule, setting)]
    assert of_stack(HostSafety.model_validate({setting: value}), **sections) == []


def test_every_setting_is_tried() -> None:
    tried = {rule[1] for rule in RULES} | {rule[1] for rule in IN_SECTIONS} | {"remote_mount_roots"}
    assert tried == set(HostSafety.model_fields)


EVERYTHING = HostSafety.model_validate(
    {
        name: (["x"] if name not in ("mount_roots", "remote_mount_roots", "devices") else [])
        if "tuple" in str(field.annotation)
        else True
        for name, field in HostSafety.model_fields.items()
    }
)


@pytest.mark.parametrize(
    ("rule", "sections"),
    [
        ("mount-kind", {"services": {"web": {"volumes": [{"type": "npipe", "source": "x", "target": "/x"}]}}}),
        ("mount-kind", {"services": {"web": {"volumes": [{"type": "volume", "bind": {"propagation": "x"}}]}}}),
        ("unknown", {"services": {"web": {"volumes": [{"type": "volume", "source": "x", "host_path": "/"}]}}}),
        ("namespace", {"services": {"web": {"network_mode": "ns:/proc/1/ns/net"}}}),
        ("namespace", {"services": {"web": {"pid": "ns:/proc/1/ns/pid"}}}),
        ("compose-label", {"services": {"web": {"labels": {"com.docker.compose.project": "x"}}}}),
        ("volume-name", {"volumes": {"data": {"name": "/etc"}}}),
        ("volume-options", {"volumes": {"data": {"driver_opts": {"type": "ext4", "device": "/dev/sda1"}}}}),
        ("volume-options", {"volumes": {"data": {"driver_opts": {"mountpoint": "/"}}}}),
        ("file", {"configs": {"site": {"file": "/etc/shadow"}}}),
        ("file", {"secrets": {"key": {}}}),
        ("variable", {"services": {"web": {"image": "${NOTHING:-a}"}}}),
    ],
)
def test_some_things_nothing_opens(rule: str, sections: dict[str, Any]) -> None:
    (found,) = of_stack(EVERYTHING, **sections)
    assert ids([found]) == [rule]
    assert found.setting is None
    assert found.message.endswith("; nothing allows it")


# --- places ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (of_volumes({"/etc": "/x"}), "volumes./etc: a protected place of the host, or a directory that holds one; "),
        (of_service(volumes=[{}, {"type": "bind", "source": "/opt"}]), "services.web.volumes.1: outside the "),
        (of_service(cap_add=["ALL"]), "services.web.cap_add: adds the capability ALL; `capabilities` under "),
        (of_stack(volumes={"d": {"driver": "x"}}), "volumes.d.driver: needs the driver x; `drivers` under host_safety"),
        (of_host_config(Binds=["a:/x", "/etc:/x"]), "HostConfig.Binds.1: a protected place"),
        (of_service(annotations={"a\nb\x1b": "c"}), "services.web.annotations: sets the annotation a\\u000ab\\u001b; "),
    ],
)
def test_a_message_names_the_place_and_the_cure(found: list[Violation], message: str) -> None:
    assert found[-1].message.startswith(message)


@pytest.mark.promise("P6")
def test_no_message_repeats_a_value_that_may_be_a_secret() -> None:
    found = of_stack(
        services={
            "web": {
                "environment": {"A": SECRET, "B": f"${SECRET}"},
                "logging": {"driver": "gelf", "options": {"gelf-address": SECRET}},
                "security_opt": [f"seccomp={SECRET}"],
                "annotations": {"a": SECRET},
                "sysctls": {"a.b": SECRET},
            }
        },
        volumes={"data": {"driver_opts": {"type": "cifs", "o": f"password={SECRET}", "device": SECRET}}},
        configs={"site": {"content": SECRET}},
    )
    assert len(found) == 6
    assert SECRET not in str(found)


# --- what is ordinary -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "service",
    [
        {"cap_drop": ["ALL"], "cap_add": ["CHOWN", "CAP_NET_BIND_SERVICE"]},
        {"security_opt": ["no-new-privileges:true", "no-new-privileges", "apparmor=docker-default", "seccomp=builtin"]},
        {"network_mode": "service:db", "pid": "service:db", "ipc": "service:db", "volumes_from": ["db:ro", "db"]},
        {"network_mode": "none", "ipc": "shareable", "cgroup": "private"},
        {"network_mode": "front"},
        {"sysctls": {"net.core.somaxconn": "1", "net.ipv4.conf.all.rp_filter": "1", "kernel.shmmax": "1"}},
        {"oom_score_adj": 500, "oom_kill_disable": False, "privileged": False},
        {"extra_hosts": ["x=host-gateway"], "ports": [{"target": 80, "published": "80"}], "user": "0"},
        {"volumes": [{"type": "tmpfs", "target": "/x"}, {"type": "volume", "target": "/y"}], "tmpfs": ["/z"]},
        {"logging": {"driver": "json-file", "options": {"max-size": "1m"}}},
    ],
)
def test_ordinary_services_pass(service: dict[str, Any]) -> None:
    assert of_service(**service) == []


ZERO: dict[str, Any] = {
    "Binds": None,
    "Mounts": [],
    "NetworkMode": "shop_default",
    "PidMode": "",
    "Privileged": False,
    "CapAdd": None,
    "OomKillDisable": False,
    "OomScoreAdj": 0,
    "MaskedPaths": None,
    "LogConfig": {"Type": "", "Config": {}},
    "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
    "ConsoleSize": [0, 0],
    "SomethingNew": None,
    "SomethingElse": {},
}


def test_a_request_as_compose_sends_it_passes() -> None:
    assert of_host_config(**ZERO) == []


def test_a_request_as_this_server_sends_it_passes() -> None:
    host = HostConfig(
        version="1.41",
        binds=["data:/data:ro", "/srv/data/site:/x:rw"],
        port_bindings={"80/tcp": [("127.0.0.1", "8080")]},
        network_mode="front",
        nano_cpus=5 * 10**8,
        mem_limit=2**29,
        restart_policy={"Name": "always", "MaximumRetryCount": 0},
    )
    body = ContainerConfig(
        "1.41", "shop/web:1", ["sh"], user="1000", environment={"A": "b"}, ports=[(80, "tcp")], host_config=host
    )
    assert request_violations(body, HostSafety(mount_roots=("/srv/data",)), follow, []) == []


# --- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"hostConfig": {"Privileged": True}}, "hostConfig"),
        ({"HOSTCONFIG": {"Privileged": True}}, "HOSTCONFIG"),
        ({"HostConfig": {"privileged": True}}, "HostConfig.privileged"),
        ({"HostConfig": {"KernelBackdoor": 1}}, "HostConfig.KernelBackdoor"),
        ({"HostConfig": {"Mounts": [{"Type": "tmpfs", "type": "bind", "Source": "/"}]}}, "HostConfig.Mounts.0.type"),
        ({"HostConfig": {"LogConfig": {"type": "syslog"}}}, "HostConfig.LogConfig.type"),
        ({"Runtime": "x"}, "Runtime"),
    ],
)
def test_a_key_that_is_spelled_otherwise_is_refused(body: dict[str, Any], place: str) -> None:
    (found,) = request_violations(body, EVERYTHING, follow, [])
    assert ids([found]) == ["unknown"]
    assert found.message.startswith(f"{place}: ")


@pytest.mark.parametrize(
    ("keys", "rules"),
    [
        ({"Binds": ["/srv/data:/x:ro:z"]}, ["mount-kind"]),
        ({"Binds": ["/srv/data"]}, ["mount-kind"]),
        ({"Binds": ["../etc:/x"]}, ["volume-name"]),
        ({"Binds": ["C:\\x:/x"]}, ["mount-kind"]),
        ({"Mounts": ["x"]}, ["mount-kind"]),
        ({"Mounts": [{"Type": "volume", "Source": "a/b"}]}, ["volume-name"]),
        ({"VolumeDriver": "sshfs"}, ["driver"]),
        ({"Cgroup": "container:x"}, ["join-container"]),
        ({"NetworkMode": " Host"}, ["host-network"]),
        ({"OomScoreAdj": "-5"}, ["oom-protection"]),
        ({"Privileged": "false"}, ["privileged"]),
    ],
)
def test_odd_requests_are_refused(keys: dict[str, Any], rules: list[str]) -> None:
    assert ids(of_host_config(HostSafety(mount_roots=("/srv/data",)), **keys)) == rules


def test_a_mount_that_makes_a_volume_is_judged_by_its_driver() -> None:
    options = {"type": "none", "o": "bind", "device": "/etc"}
    mount = {"Type": "volume", "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": options}}}
    assert ids(of_host_config(Mounts=[mount])) == ["bind-mount"]


def test_the_host_network_is_refused_as_an_endpoint() -> None:
    body: dict[str, Any] = {"NetworkingConfig": {"EndpointsConfig": {"front": {}, "host": {}}}}
    assert ids(request_violations(body, CLOSED, follow, [])) == ["host-network"]


def test_containers_of_the_same_stack_may_be_joined() -> None:
    host = {"NetworkMode": "container:a1", "VolumesFrom": ["a1:ro"], "Links": ["/shop-db-1:db"]}
    assert len(request_violations({"HostConfig": host}, CLOSED, follow, [])) == 3
    assert request_violations({"HostConfig": host}, CLOSED, follow, [], ["a1", "shop-db-1"]) == []


# --- volumes and networks -------------------------------------------------------------------------------------------


def test_a_volume_that_exists_is_judged_by_what_it_is() -> None:
    found = {"Name": "data", "Driver": "local", "Options": {"type": "none", "o": "bind", "device": "/etc"}}
    assert ids(volume_violations(found, CLOSED, follow, [])) == ["bind-mount"]
    assert volume_violations({"Name": "data", "Driver": "local", "Options": None}, CLOSED, follow, []) == []
    assert ids(volume_violations({"Name": "data", "Driver": "sshfs"}, CLOSED, follow, [])) == ["driver"]


@pytest.mark.parametrize(
    ("driver", "rules"),
    [("bridge", []), ("overlay", []), ("host", ["host-network"]), ("macvlan", ["driver"]), ("x/y", ["driver"])],
)
def test_networks(driver: str, rules: list[str]) -> None:
    assert ids(network_violations(CreateNetwork(name="net", driver=driver), CLOSED)) == rules


# --- paths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("/srv/data", "ok"),
        ("/srv/data/", "ok"),
        ("//srv/./data//a/", "ok"),
        ("/srv/data/a/../b", "ok"),
        ("/srv/data/in", "ok"),
        ("/srv/data/etc", "ok"),
        ("/srv/link/x", "ok"),
        ("/mnt/big/x", "ok"),
        ("/srv/database", "mount_roots"),
        ("/srv", "mount_roots"),
        ("/SRV/data", "mount_roots"),
        ("/srv/data/..", "mount_roots"),
        ("/srv/data/out", "mount_roots"),
        ("/srv/data/run", None),
        ("/srv/data/own", None),
        ("/srv/data/OWN/x", None),
        ("/srv/data/docker.sock", None),
        ("/srv/data/Podman.Sock", None),
        ("/srv/data/a:b", None),
        ("/srv/data/a\0b", None),
        ("srv/data", None),
        ("~/x", None),
        ("C:\\x", None),
        ("\\\\.\\pipe\\docker_engine", None),
        ("/", None),
        ("/..", None),
        ("", None),
        ("/proc/self/cwd/srv/data", None),
        ("/var", None),
        ("/Etc/x", None),
        (HOME, None),
        (f"{HOME}/.SSH/x", None),
    ],
)
def test_paths(path: str, setting: str | None) -> None:
    rules = HostSafety(mount_roots=("/srv/data", "/srv/link"))
    protected = ["/srv/data/own"] if "own" in path.lower() else []
    tree = {"services": {"web": {"volumes": [{"type": "bind", "source": path, "target": "/x"}]}}}
    found = stack_violations(tree, rules, follow, protected)
    assert [each.setting for each in found] == ([] if setting == "ok" else [setting])


def test_a_directory_that_holds_a_protected_one_is_refused() -> None:
    assert [each.setting for each in of_volumes({"/srv/data": "/x"}, opened("privileged", True))] == [None]


def test_a_protected_place_is_protected_by_its_real_name_too() -> None:
    rules = HostSafety(mount_roots=("/mnt/big", "/mnt/other"))
    command = CreateContainer(image="a", volumes={"/mnt/big/own": "/x"})
    assert container_violations(command, rules, follow, []) == []
    assert ids(container_violations(command, rules, follow, ["/srv/link/own"])) == ["bind-mount"]


def test_a_root_in_another_root_is_not_followed() -> None:
    """A container that writes in the outer one could make it a link to anywhere."""
    assert ids(of_volumes({"/srv/data/out": "/x"}, HostSafety(mount_roots=("/srv/data", "/srv/data/out"))))


@pytest.mark.parametrize("error", [OSError, ValueError])
def test_a_path_that_cannot_be_followed_is_refused(error: type[Exception]) -> None:
    def fail(path: str) -> str:
        if path == "/srv/data/x":
            raise error
        return path

    command = CreateContainer(image="a", volumes={"/srv/data/x": "/x"})
    (found,) = container_violations(command, HostSafety(mount_roots=("/srv/data",)), fail, [])
    assert found.setting is None


def test_only_paths_in_a_root_are_followed() -> None:
    """Otherwise the answer would tell where links of the host lead."""
    asked: list[str] = []

    def note(path: str) -> str:
        asked.append(path)
        return path

    command = CreateContainer(image="a", volumes={"/opt/x": "/x"})
    assert container_violations(command, HostSafety(mount_roots=("/srv/data",)), note, [])
    assert "/opt/x" not in asked


def test_a_dollar_is_doubled_in_a_rendered_model() -> None:
    mounts = [{"type": "bind", "source": "/srv/data/$$x", "target": "/x"}]
    rules = HostSafety(mount_roots=("/srv/data",))
    assert of_service(rules, volumes=mounts) == []
    tree = {"services": {"web": {"volumes": mounts}}}
    assert ids(stack_violations(tree, rules, follow, ["/srv/data/$x"])) == ["bind-mount"]


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("/srv/data/x", "ok"),
        ("/srv//data/./x/", "ok"),
        ("/srv/data/x/../y", None),
        ("/srv/data/..", None),
        ("/local/x", "remote_mount_roots"),
        ("/srv/data/own", None),
        ("/etc", None),
    ],
)
def test_on_a_remote_host_only_its_own_roots_count(path: str, setting: str | None) -> None:
    rules = HostSafety(mount_roots=("/local",), remote_mount_roots=("/srv/data",))
    command = CreateContainer(image="a", volumes={path: "/x"})
    found = container_violations(command, rules, None, ["/srv/data/own"] if path.endswith("own") else [])
    assert [each.setting for each in found] == ([] if setting == "ok" else [setting])


@pytest.mark.parametrize(
    ("device", "allowed"),
    [
        ("/dev/snd", True),
        ("/dev/snd/timer", True),
        ("/dev//snd/./timer", True),
        ("/dev/snd/../sda", False),
        ("/dev/sda", False),
        ("/dev", False),
        ("/", False),
        ("/dev/sndx", False),
        ("/srv/data/out", False),
    ],
)
def test_devices(device: str, allowed: bool) -> None:
    found = of_host_config(HostSafety(devices=("/dev/snd",)), Devices=[{"PathOnHost": device}])
    assert ids(found) == ([] if allowed else ["device"])


# --- a real tree ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = Path(os.path.realpath(tmp_path_factory.mktemp("host")))
    for directory in ("open/a/b", "open/own/x", "outside/x", "open-beside"):
        (base / directory).mkdir(parents=True)
    for link, target in {
        "open/la": "a",
        "open/lo": "../outside",
        "open/labs": str(base / "outside"),
        "open/lup": "..",
        "open/lown": "own",
        "open/lx": "/",
        "open/loop": "loop",
        "open/a/lb": "../../outside/x",
        "open/a/lr": "../..",
        "outside/back": "../open/a",
    }.items():
        (base / link).symlink_to(target)
    return base


NAMES = "a b x own Own open outside open-beside la lo labs lup lown lx loop lb lr back new .. . ... etc"
SEGMENTS = st.sampled_from([*NAMES.split(), ""])
PATHS = st.builds(
    lambda start, names, end: start + "/".join(names) + end,
    st.sampled_from(["/", "/open/", "/open/a/", "/../", "//open//"]),
    st.lists(SEGMENTS, max_size=7),
    st.sampled_from(["", "/", "/.", "//"]),
)


def judged(base: Path, path: str) -> bool:
    rules = HostSafety(mount_roots=(str(base / "open"),))
    command = CreateContainer(image="a", volumes={path: "/x"})
    return not container_violations(command, rules, os.path.realpath, [str(base / "open/own")])


def safe(base: Path, path: Path) -> bool:
    """Whether a path, taken as it is, lies in the root and has nothing to do with the protected directory."""
    own, folded = base / "open/own", Path(str(path).lower())
    apart = not folded.is_relative_to(str(own).lower()) and not own.is_relative_to(path)
    return path.is_relative_to(base / "open") and apart


@given(path=PATHS)
@example(path="/open/a/../la/b//")
@example(path="/open/lo/back")
def test_a_path_is_accepted_exactly_if_all_it_may_mean_is_safe(tree: Path, path: str) -> None:
    written = f"{tree}{path}"
    short = os.path.normpath(written)
    meanings = [Path(short), Path(os.path.realpath(written)), Path(os.path.realpath(short))]
    assert judged(tree, written) == all(safe(tree, meaning) for meaning in meanings)


@given(
    names=st.lists(
        st.text("abc.é $~\\-", min_size=1, max_size=5).filter(lambda name: name not in (".", "..")), max_size=5
    )
)
def test_what_is_truly_below_a_root_is_accepted(tree: Path, names: list[str]) -> None:
    assert judged(tree, "/".join([f"{tree}/open/a/b", *names]))


@given(path=PATHS)
def test_on_a_remote_host_text_alone_decides(tree: Path, path: str) -> None:
    written = f"{tree}{path}"
    rules = HostSafety(remote_mount_roots=(f"{tree}/open",))
    command = CreateContainer(image="a", volumes={written: "/x"})
    accepted = not container_violations(command, rules, None, [f"{tree}/open/own"])
    assert accepted == (".." not in written.split("/") and safe(tree, Path(os.path.normpath(written))))


def spelled(name: str) -> st.SearchStrategy[str]:
    """The name as another path that leads there: detours, doubled slashes, other case."""
    ways = [f"./{name}", f"/{name}", f"x/../{name}", f"{name}/.", f"{name}//", f"{name}/x/..", name.upper(), name]
    return st.sampled_from(ways)


@given(data=st.data())
def test_no_spelling_of_a_protected_place_is_open_whatever_root_is(data: st.DataObject) -> None:
    """Nor one below it, nor one through a link to it."""
    place = [name.replace("*", "me") for name in data.draw(st.sampled_from(NEVER))]
    names = [data.draw(spelled(name)) for name in place]
    end = data.draw(st.sampled_from(["", "/", "/.", "/x", "/x/../y", "//"]))
    start = data.draw(st.sampled_from(["/", "//", "/../", "/srv/../", "/./"]))
    roots = data.draw(
        st.sampled_from([("/srv", "/" + "/".join(place)), (f"/{place[0]}",), ("/" + "/".join(place[:-1] or place),)])
    )
    path = start + "/".join(names) + end
    for resolve in (os.path.normpath, lambda written: f"/srv/{written}", None):
        assert HostPaths(roots, resolve, ()).refusal(path) is not None, path
    linked = HostPaths(("/srv",), lambda written: path if written == "/srv/link" else os.path.normpath(written), ())
    assert linked.refusal("/srv/link") is not None


@given(path=st.text(max_size=30))
def test_no_text_is_a_way_out(path: str) -> None:
    for source in (path, f"/{path}", f"/srv/data/{path}"):
        mounts = [{"type": "bind", "source": source, "target": "/x"}]
        found = of_service(HostSafety(mount_roots=("/srv/data",)), volumes=mounts)
        plain = source.replace("$$", "$")
        if not found:
            assert Path(follow(plain)).is_relative_to("/srv/data")
            assert Path(os.path.normpath(plain)).is_relative_to("/srv/data")
