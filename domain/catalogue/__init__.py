"""The tools and prompts of the product."""

from domain.catalogue import approvals, audit, audit_export, containers, identity, networks, replay, stacks, system
from domain.catalogue.tool import Catalogue

CATALOGUE = Catalogue(
    (
        *containers.TOOLS,
        *networks.TOOLS,
        *stacks.TOOLS,
        *system.TOOLS,
        *audit.TOOLS,
        *approvals.TOOLS,
        *audit_export.TOOLS,
        *replay.TOOLS,
        *identity.TOOLS,
    )
)

__all__ = ["CATALOGUE", "Catalogue"]
