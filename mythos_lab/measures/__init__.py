"""What the loops of a model do: measures as components, which importing this package registers."""

from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.coda_lens import CodaLens
from mythos_lab.measures.commit import Commit
from mythos_lab.measures.decoder_margin import DecoderMargin
from mythos_lab.measures.depth import DepthCurveMeasure, Knockout
from mythos_lab.measures.difficulty import Difficulty
from mythos_lab.measures.logit_lens import LogitLens
from mythos_lab.measures.loop_jacobian import LoopJacobian
from mythos_lab.measures.loop_verdict import LoopVerdict
from mythos_lab.measures.lyapunov import Lyapunov
from mythos_lab.measures.measuring import measure
from mythos_lab.measures.probe_floor import ProbeFloor
from mythos_lab.measures.regime import Regime
from mythos_lab.measures.samples import Samples
from mythos_lab.measures.subject import Subject, Trajectory
from mythos_lab.measures.substitution import Displacement, Substitution
from mythos_lab.measures.tuned_lens import TunedLens
from mythos_lab.measures.two_scale import TwoScale

__all__ = [
    "CodaLens",
    "Commit",
    "DecoderMargin",
    "DepthCurveMeasure",
    "Difficulty",
    "Displacement",
    "Knockout",
    "LogitLens",
    "LoopJacobian",
    "LoopVerdict",
    "Lyapunov",
    "Measure",
    "Outcome",
    "ProbeFloor",
    "Regime",
    "Samples",
    "Subject",
    "Substitution",
    "Trajectory",
    "TunedLens",
    "TwoScale",
    "Value",
    "measure",
]
