#!/usr/bin/env bash
# Makes sure that what the tests need besides an engine is here: PostgreSQL's server programs, a static busybox,
# Chromium, npm, and the programs of Prometheus and Alertmanager.
set -euo pipefail

packages=(postgresql busybox-static chromium)
command -v npm >/dev/null || packages+=(npm)  # it may be here by other ways
programs=/usr/local/bin
templates=/usr/share/prometheus/alertmanager  # where Debian's Alertmanager looks for them
monitoring=(prometheus promtool prometheus-alertmanager amtool)

have_packages() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && [ -x /bin/busybox ] && command -v chromium >/dev/null && command -v npm >/dev/null; }
have_monitoring() { [ -e "$templates/default.tmpl" ] && command -v "${monitoring[@]}" | wc -l | grep -qx "${#monitoring[@]}"; }

have_packages && have_monitoring && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "The tests need PostgreSQL's server programs, busybox-static, Chromium, npm, Prometheus and Alertmanager:" >&2
    echo "  sudo apt-get install ${packages[*]} prometheus prometheus-alertmanager" >&2
    exit 1
fi
apt-get update -qq
if ! have_packages; then
    echo "Installing the packages ${packages[*]} for the tests." >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
fi
if ! have_monitoring; then
    # Unpacked beside the package system: installed, they would run as services, now and after every start.
    echo "Putting ${monitoring[*]} into $programs, from the packages prometheus and prometheus-alertmanager." >&2
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download prometheus prometheus-alertmanager)
    for package in "$work"/*.deb; do
        dpkg-deb -x "$package" "$work/unpacked"
    done
    for program in "${monitoring[@]}"; do
        install -m 755 "$work/unpacked/usr/bin/$program" "$programs/$program"
    done
    install -D -m 644 "$work/unpacked$templates/"*.tmpl -t "$templates"
fi
