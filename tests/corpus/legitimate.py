"""What must pass with ``ROOT`` as the only directory that may be mounted, and nothing else opened. Data only."""

from textwrap import indent
from typing import Any, Final

_IN_SERVICE: Final = {
    "an image alone": "",
    "command": "command: [sleep, '600']",
    "published ports": "ports: ['8080:80', '127.0.0.1:8443:443/tcp', '9000-9002:9000-9002/udp']",
    "published ports, long": "ports: [{target: 80, published: '8080', host_ip: 127.0.0.1, protocol: tcp}]",
    "environment": "environment: {URL: 'postgres://user:pa$$word@db/x', DEBUG: 'false', FILE: /etc/passwd}",
    "environment as a list": "environment: ['SECRET=/var/run/docker.sock', 'A=privileged: true']",
    "root itself": "volumes: [ROOT:/data]",
    "directory below the root": "volumes: [ROOT/site:/usr/share/nginx/html:ro]",
    "directory that is not there yet": "volumes: [ROOT/new/one:/data]",
    "path with dots and slashes": "volumes: [ROOT//a/./b/../site/:/data]",
    "path with a dollar": "volumes: ['ROOT/a$$b:/data']",
    "path with spaces": "volumes: ['ROOT/my site:/data']",
    "bind, long": (
        "volumes: [{type: bind, source: ROOT/site, target: /data, read_only: true, bind: {create_host_path: false}}]"
    ),
    "bind with labels and slave propagation": "volumes: ['ROOT/site:/data:ro,rslave,z']",
    "temporary filesystems": "tmpfs: [/tmp, '/run:size=64m,mode=1777']",
    "temporary filesystem, long": "volumes: [{type: tmpfs, target: /cache, tmpfs: {size: 1000000}}]",
    "anonymous volume": "volumes: [/var/lib/data]",
    "only the capabilities needed": "cap_drop: [ALL]\ncap_add: [CHOWN, NET_BIND_SERVICE, CAP_SETUID]",
    "hardening": (
        "read_only: true\nuser: '1000:1000'\nsecurity_opt: ['no-new-privileges:true', 'apparmor=docker-default']"
    ),
    "limits": "mem_limit: 512m\ncpus: 0.5\npids_limit: 100\nulimits: {nofile: {soft: 1024, hard: 4096}}\nshm_size: 64m",
    "limits of deploy": (
        "deploy: {replicas: 2, resources: {limits: {cpus: '0.5', memory: 50M}, reservations: {memory: 20M}}}"
    ),
    "health check": "healthcheck: {test: [CMD, 'true'], interval: 10s, retries: 3}",
    "hooks": "post_start: [{command: [chown, -R, '1000', /data], user: root}]\npre_stop: [{command: [sync]}]",
    "logs kept small": "logging: {driver: json-file, options: {max-size: 10m, max-file: '3', tag: '{{.Name}}'}}",
    "logs of the default driver": "logging: {options: {max-size: 10m}}",
    "own kernel parameters": (
        "sysctls: {net.core.somaxconn: 1024, net.ipv4.ip_unprivileged_port_start: 0, kernel.shm_rmid_forced: 1}"
    ),
    "hosts and names": (
        "extra_hosts: ['host.docker.internal:host-gateway', 'db:10.0.0.5']\nhostname: web\ndns: [1.1.1.1]"
    ),
    "no network": "network_mode: none",
    "plain bridge": "network_mode: bridge",
    "private namespaces": "ipc: private\ncgroup: private",
    "shareable memory": "ipc: shareable",
    "sooner to be ended": "oom_score_adj: 500",
    "labels": "labels: {traefik.enable: 'true', com.example.team: blue}",
    "extension fields": "x-note: {privileged: true}",
    "default of a variable": "command: 'echo ${NOTHING:-hello}'",
    "interactive": "tty: true\nstdin_open: true\ninit: true\nstop_grace_period: 30s\nrestart: unless-stopped",
}

_WHOLE: Final = {
    "web and database": """\
services:
  web:
    image: IMAGE
    depends_on: {db: {condition: service_healthy}}
    networks: [front, back]
    ports: ['8080:80']
  db:
    image: IMAGE
    environment: {POSTGRES_PASSWORD: secret}
    healthcheck: {test: [CMD, 'true']}
    volumes: ['pgdata:/var/lib/postgresql/data']
    networks: [back]
networks: {front: , back: {internal: true}}
volumes: {pgdata: }
""",
    "namespaces of a service": """\
services:
  vpn: {image: IMAGE, ipc: shareable}
  app: {image: IMAGE, network_mode: 'service:vpn', pid: 'service:vpn', ipc: 'service:vpn'}
""",
    "volumes of a service": """\
services:
  data: {image: IMAGE, volumes: ['shared:/data']}
  app: {image: IMAGE, volumes_from: ['data:ro']}
volumes: {shared: }
""",
    "links within": "services: {db: {image: IMAGE}, app: {image: IMAGE, links: ['db:database']}}",
    "merged defaults": """\
x-defaults: &defaults
  image: IMAGE
  restart: unless-stopped
services:
  web: {<<: *defaults, tty: true}
  job: {<<: *defaults, restart: 'no'}
""",
    "extended service": "services: {base: {image: IMAGE, tty: true}, web: {extends: {service: base}}}",
    "config with content": """\
services: {web: {image: IMAGE, configs: [{source: site, target: /etc/site.conf, mode: 0444}]}}
configs: {site: {content: "server { listen 80; root $$document_root; }"}}
""",
    "network of others": "services: {web: {image: IMAGE, networks: [proxy]}}\nnetworks: {proxy: {external: true}}",
    "own addresses": """\
services: {web: {image: IMAGE, networks: {net: {ipv4_address: 172.28.5.2, aliases: [www]}}}}
networks:
  net:
    driver: bridge
    driver_opts: {com.docker.network.driver.mtu: '1400', com.docker.network.bridge.enable_icc: 'true'}
    ipam: {config: [{subnet: 172.28.5.0/24}]}
""",
    "named volumes": """\
services: {web: {image: IMAGE, volumes: ['data:/a', 'cache:/b:ro', {type: volume, source: logs, target: /c}]}}
volumes:
  data: {name: shop-data, labels: {team: blue}}
  cache: {driver: local, driver_opts: {type: tmpfs, device: tmpfs, o: 'size=100m,uid=1000'}}
  logs: {driver: local}
""",
    "volume that is a directory below the root": """\
services: {web: {image: IMAGE, volumes: ['data:/data']}}
volumes: {data: {driver_opts: {type: none, o: bind, device: ROOT/site}}}
""",
    "JSON": '{"services": {"web": {"image": "IMAGE", "volumes": ["ROOT/site:/data"]}}}',
}

STACKS: Final[dict[str, str]] = {
    **{name: f"services:\n  web:\n    image: IMAGE\n{indent(keys, '    ')}\n" for name, keys in _IN_SERVICE.items()},
    **_WHOLE,
}
"""Compose files, by what they are for."""

_ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "image alone": {},
    "name": {"name": "web-1"},
    "ports": {"ports": {"80": "8080", "443/tcp": None}},
    "ports on loopback": {"ports": {"80": "127.0.0.1:8080"}},
    "ports as a list": {"ports": ["8080:80", "53:53/udp"]},
    "environment": {"environment": {"A": "b", "N": 1, "DEBUG": True}},
    "environment that looks dangerous": {"environment": {"SOCKET": "/var/run/docker.sock", "MODE": "privileged"}},
    "named volume": {"volumes": {"data": "/data"}},
    "named volume, read-only": {"volumes": {"data": "/data:ro"}},
    "named volume, long": {"volumes": {"my-data_1.x": {"bind": "/data", "mode": "rw"}}},
    "named volume, not copied": {"volumes": {"data": "/data:nocopy"}},
    "volume called etc": {"volumes": {"etc": "/data"}},
    "root itself": {"volumes": {"ROOT": "/data"}},
    "root with a slash": {"volumes": {"ROOT/": "/data"}},
    "below the root": {"volumes": {"ROOT/site": "/data:ro"}},
    "not there yet": {"volumes": {"ROOT/new/one": "/data"}},
    "dots and slashes": {"volumes": {"ROOT//a/./b/../site/": "/data"}},
    "spaces": {"volumes": {"ROOT/my site": "/data"}},
    "directory called etc": {"volumes": {"ROOT/etc/proc": "/data"}},
    "target in etc": {"volumes": {"ROOT/site": "/etc/nginx"}},
    "relabelled": {"volumes": {"ROOT/site": "/data:ro,Z"}},
    "slave": {"volumes": {"ROOT/site": "/data:rslave"}},
    "several": {"volumes": {"ROOT/a": "/a", "ROOT/b": "/b", "data": "/c"}},
    "networks": {"networks": ["front", "back"]},
    "no network": {"networks": ["none"]},
    "plain bridge": {"networks": ["bridge"]},
    "network called hostel": {"networks": ["hostel"]},
    "network by id": {"networks": ["9411c7a23d49"]},
    "health check": {"health_check": {"cmd": "true", "interval": "10s", "retries": 3}},
    "limits": {"resources": {"cpu": "0.5", "memory": "512m"}},
    "restart": {"restart_policy": "unless-stopped"},
    "command": {"command": "sleep 600", "entrypoint": ["sh", "-c"]},
    "user and directory": {"user": "1000:1000", "working_dir": "/srv"},
    "root in the container": {"user": "root"},
    "labels": {"labels": {"com.example.team": "blue", "traefik.enable": "true"}},
    "not started": {"start": False},
}

CONTAINERS: Final = {name: {"image": "IMAGE", **arguments} for name, arguments in _ARGUMENTS.items()}
"""Arguments of ``create-container``, by what they are for."""
