"""The contracts that every component keeps, as functions over anybody's component; they need no test framework.

Example:
    >>> import pytest
    >>> from mythos_blocks.testing import Case, contracts
    >>> CASE = Case("injection", "lti")
    >>> @pytest.mark.parametrize("contract", contracts("injection"), ids=lambda contract: contract.__name__)
    ... def test_contract(contract):
    ...     contract(CASE)

A contract raises ``AssertionError`` with what it found. This repository holds its own components to the same functions.
"""

from mythos_blocks.testing import attentions as attentions
from mythos_blocks.testing import depths as depths
from mythos_blocks.testing import haltings as haltings
from mythos_blocks.testing import injections as injections
from mythos_blocks.testing import knock_outs as knock_outs
from mythos_blocks.testing import loops as loops
from mythos_blocks.testing import losses as losses
from mythos_blocks.testing import models as models
from mythos_blocks.testing import written as written
from mythos_blocks.testing.case import Case, Contract, contract, contracts

__all__ = ["Case", "Contract", "contract", "contracts"]
