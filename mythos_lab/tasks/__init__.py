"""What a model learns: tasks as components, which importing this package registers."""

from mythos_lab.tasks.algorithmic.addition import Addition
from mythos_lab.tasks.algorithmic.composite_arithmetic import CompositeArithmetic
from mythos_lab.tasks.algorithmic.dyck import Dyck
from mythos_lab.tasks.algorithmic.listops import ListOpsLite
from mythos_lab.tasks.algorithmic.maze import Maze
from mythos_lab.tasks.algorithmic.modular_addition import ModularAddition
from mythos_lab.tasks.algorithmic.multiplication import Multiplication
from mythos_lab.tasks.algorithmic.parity import Parity
from mythos_lab.tasks.algorithmic.sequences import Copy, Reverse, Sorting
from mythos_lab.tasks.algorithmic.sudoku import Sudoku
from mythos_lab.tasks.algorithmic.word_problem import WordProblem
from mythos_lab.tasks.base import IGNORE, Batch, Shortcut, Task
from mythos_lab.tasks.compositional.boolean import Boolean
from mythos_lab.tasks.compositional.composition import RelationalComposition
from mythos_lab.tasks.compositional.igsm_lite import IGSMLite
from mythos_lab.tasks.compositional.kinship import Kinship, PublishedKinship
from mythos_lab.tasks.compositional.p_hop import PHop
from mythos_lab.tasks.compositional.reachability import PublishedReachability, Reachability
from mythos_lab.tasks.generated import Generated
from mythos_lab.tasks.recall.mad_compression import Compression
from mythos_lab.tasks.recall.mad_copying import SelectiveCopying
from mythos_lab.tasks.recall.mad_fuzzy import FuzzyRecall
from mythos_lab.tasks.recall.mad_memorization import Memorization
from mythos_lab.tasks.recall.mad_recall import InContextRecall, NoisyRecall
from mythos_lab.tasks.recall.mqar import MQAR
from mythos_lab.tasks.text import Text

__all__ = [
    "IGNORE",
    "MQAR",
    "Addition",
    "Batch",
    "Boolean",
    "CompositeArithmetic",
    "Compression",
    "Copy",
    "Dyck",
    "FuzzyRecall",
    "Generated",
    "IGSMLite",
    "InContextRecall",
    "Kinship",
    "ListOpsLite",
    "Maze",
    "Memorization",
    "ModularAddition",
    "Multiplication",
    "NoisyRecall",
    "PHop",
    "Parity",
    "PublishedKinship",
    "PublishedReachability",
    "Reachability",
    "RelationalComposition",
    "Reverse",
    "SelectiveCopying",
    "Shortcut",
    "Sorting",
    "Sudoku",
    "Task",
    "Text",
    "WordProblem",
]
