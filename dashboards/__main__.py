"""``python -m dashboards``: writes the dashboards' JSON from their one source; ``make docs`` does it too."""

from dashboards.files import write

if __name__ == "__main__":
    write()
