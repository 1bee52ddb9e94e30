"""What must not stand in any file of the repository."""

import re

import pytest

from tests.package.build import ROOT, run

# Put together from parts, so that this file does not hold what it looks for.
UNWANTED = {
    "a home directory": rf"/(?:{'ho' + 'me'}|{'Us' + 'ers'})/\w|/{'ro' + 'ot'}/",
    "the host of a package registry": "|".join(
        [r"py" + r"pi\.org", r"python" + r"hosted\.org", r"registry\.npm" + r"js\.org", r"deb\.deb" + r"ian\.org"]
    ),
    "the name of a machine": "far" + "m-",
    "the path of a workplace": "/wo" + "rk/",
}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every text file that is in the repository or would be added to it."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard")
    assert listed.returncode == 0, listed.stderr
    found = {}
    for name in listed.stdout.splitlines():
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in content:
            found[name] = content.decode()
    assert "pyproject.toml" in found
    return found


@pytest.mark.parametrize("what", UNWANTED)
def test_no_file_names(what: str, texts: dict[str, str]) -> None:
    found = {name: re.findall(UNWANTED[what], text) for name, text in texts.items()}
    assert {name: matches for name, matches in found.items() if matches} == {}


def test_no_file_holds_a_private_key(texts: dict[str, str]) -> None:
    mark = "BEGIN" + r" (?:[A-Z]+ )?PRIVATE KEY"
    assert [name for name, text in texts.items() if re.search(mark, text)] == []


@pytest.mark.parametrize(
    "name",
    [
        "cli/dev-server.sh",
        "scripts/compose.sh",
        "scripts/conformance-parts.sh",
        "scripts/engine.sh",
        "scripts/in-memory.sh",
        "scripts/newest.sh",
        "scripts/test-parts.sh",
        "scripts/test.sh",
        "deploy/secrets.sh",
        ".ci/run",
    ],
)
def test_scripts_can_be_run(name: str) -> None:
    listed = run("git", "ls-files", "--stage", name)
    assert listed.stdout.startswith("100755"), f"{name} is not executable in the repository"
