"""What the loops of a model do: measures as components, which importing this package registers."""

from mythos_lab.measures.attention import AttentionMaps
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.carry_fidelity import CarryFidelity
from mythos_lab.measures.coda_lens import CodaLens
from mythos_lab.measures.commit import Commit
from mythos_lab.measures.concept_injection import ConceptInjection
from mythos_lab.measures.decoder_margin import DecoderMargin
from mythos_lab.measures.depth import DepthCurveMeasure
from mythos_lab.measures.difficulty import Difficulty
from mythos_lab.measures.experts import Experts
from mythos_lab.measures.frontier import Frontier
from mythos_lab.measures.halting_audit import HaltingAudit
from mythos_lab.measures.logit_lens import LogitLens
from mythos_lab.measures.loop_jacobian import LoopJacobian
from mythos_lab.measures.loop_verdict import LoopVerdict
from mythos_lab.measures.lyapunov import Lyapunov
from mythos_lab.measures.measuring import measure
from mythos_lab.measures.probe_floor import ProbeFloor
from mythos_lab.measures.quantisation import Quantisation
from mythos_lab.measures.regime import Regime
from mythos_lab.measures.samples import Samples
from mythos_lab.measures.state import StateShape
from mythos_lab.measures.subject import Subject, Trajectory
from mythos_lab.measures.substitution import Displacement, Substitution
from mythos_lab.measures.tuned_lens import TunedLens
from mythos_lab.measures.two_scale import TwoScale
from mythos_lab.measures.without import Knockout

__all__ = [
    "AttentionMaps",
    "CarryFidelity",
    "CodaLens",
    "Commit",
    "ConceptInjection",
    "DecoderMargin",
    "DepthCurveMeasure",
    "Difficulty",
    "Displacement",
    "Experts",
    "Frontier",
    "HaltingAudit",
    "Knockout",
    "LogitLens",
    "LoopJacobian",
    "LoopVerdict",
    "Lyapunov",
    "Measure",
    "Outcome",
    "ProbeFloor",
    "Quantisation",
    "Regime",
    "Samples",
    "StateShape",
    "Subject",
    "Substitution",
    "Trajectory",
    "TunedLens",
    "TwoScale",
    "Value",
    "measure",
]
