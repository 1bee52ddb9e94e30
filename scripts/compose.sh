#!/usr/bin/env bash
# Makes sure that Docker's Compose plugin (v2) is here. On Debian and Ubuntu, as root, it installs one.
set -euo pipefail

plugins=/usr/local/lib/docker/cli-plugins

have() {
    local plugin
    for plugin in ~/.docker/cli-plugins "$plugins" /usr/local/libexec/docker/cli-plugins \
        /usr/lib/docker/cli-plugins /usr/libexec/docker/cli-plugins; do
        [ -x "$plugin/docker-compose" ] && return 0
    done
    return 1
}

have && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Docker Compose v2 is missing: the tools for stacks will say so, all others work. Install one of" >&2
    echo "  docker-compose-plugin (Docker's packages), docker-compose (Debian 13), docker-compose-v2 (Ubuntu)" >&2
    exit 1
fi

apt-get update -qq
for package in docker-compose-plugin docker-compose-v2 docker-compose; do
    if apt-cache policy "$package" | grep -Eq 'Candidate: ([0-9]+:)?([2-9]|[1-9][0-9])\.'; then
        echo "Installing the package $package." >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package" >/dev/null
        have && exit 0
    fi
done

# Debian 12 has only version 1. The package of Debian 13 needs nothing but libc 2.34, so its plugin runs here too;
# it is unpacked beside the package system, which keeps knowing Debian 12 alone.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
if [ "$codename" != bookworm ]; then
    echo "No package of Docker Compose v2 for this system: see https://docs.docker.com/compose/install/linux/" >&2
    exit 1
fi
echo "Installing Docker Compose v2 into $plugins, from the package docker-compose of Debian 13." >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/sources" "$work/state/lists/partial" "$work/cache/archives/partial" "$work/package"
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    if [ -f "$file" ] && grep -q bookworm "$file"; then
        sed 's/bookworm/trixie/g' "$file" >"$work/sources/${file##*/}"
        [ "${file##*/}" = sources.list ] && mv "$work/sources/sources.list" "$work/sources/main.list"
    fi
done
options=(-qq -o "Dir::State=$work/state" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$work/cache"
    -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources" -o APT::Sandbox::User=root)
apt-get "${options[@]}" update
(cd "$work/package" && apt-get "${options[@]}" download docker-compose)
dpkg-deb -x "$work"/package/docker-compose_*.deb "$work/unpacked"
mkdir -p "$plugins"
install -m 755 "$work/unpacked/usr/libexec/docker/cli-plugins/docker-compose" "$plugins/docker-compose"
