"""The tools and prompts of the product."""

from domain.catalogue import audit, containers, networks, system
from domain.catalogue.tool import Catalogue

CATALOGUE = Catalogue((*containers.TOOLS, *networks.TOOLS, *system.TOOLS, *audit.TOOLS))

__all__ = ["CATALOGUE", "Catalogue"]
