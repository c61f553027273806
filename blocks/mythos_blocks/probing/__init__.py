"""Looking into a looped transformer while it runs."""

from mythos_blocks.probing.sites import Seen, at_site, sites

__all__ = ["Seen", "at_site", "sites"]
