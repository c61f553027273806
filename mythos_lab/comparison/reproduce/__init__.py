"""What a published system claims, held against what its recipe does here: protocols, their studies, their pages."""

from mythos_lab.comparison.reproduce.bands import Finding as Finding
from mythos_lab.comparison.reproduce.index import write_index as write_index
from mythos_lab.comparison.reproduce.page import concluding as concluding
from mythos_lab.comparison.reproduce.page import write_again as write_again
from mythos_lab.comparison.reproduce.plan import plan as plan
from mythos_lab.comparison.reproduce.protocol import Protocol as Protocol
from mythos_lab.comparison.reproduce.protocol import load_protocol as load_protocol

__all__ = ["Finding", "Protocol", "concluding", "load_protocol", "plan", "write_again", "write_index"]
