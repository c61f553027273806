"""The parts of looped transformers, and the transformer that is made of them.

>>> from mythos_blocks import LoopedTransformer
>>> model = LoopedTransformer(256, width=64, core={"injection": "lti", "loops": {"kind": "fixed", "num_loops": 4}})
>>> model(torch.zeros(1, 8, dtype=torch.long)).logits.shape
torch.Size([1, 8, 256])
"""

from mythos_blocks import slots as slots  # declares the slots that the imports below fill
from mythos_blocks.attention import GroupedQueryAttention, LatentAttention, Mixer, MultiHeadAttention
from mythos_blocks.cache import Cache
from mythos_blocks.component import Component, Module, component
from mythos_blocks.depth_adapter import DepthAdapter, DepthLoRA, LoopAffine, LoopLoRA, NoAdapter
from mythos_blocks.depth_attention import AllTokens, NoDepthAttention, OwnToken
from mythos_blocks.depth_signal import Coordinates, DepthSignal, Learned, NoSignal, Rotary, Sinusoidal
from mythos_blocks.exit import (
    AccelerationExit,
    ArgmaxExit,
    CosineExit,
    EntropyExit,
    Exit,
    ExitState,
    KLExit,
    LatentExit,
    MinPKLExit,
    NoExit,
)
from mythos_blocks.feedforward import (
    GELU,
    ExpertAttention,
    MixtureOfExperts,
    ReLU2,
    RoutedExperts,
    SeparableConvolution,
    SwiGLU,
)
from mythos_blocks.frame import Frame
from mythos_blocks.generation import Decoder, Generation, Sampling, generate, left_padded
from mythos_blocks.gradient import GradientPolicy, Implicit, OneStep, Segments, Window
from mythos_blocks.halting import (
    ACT,
    ExpertChoice,
    GateCDF,
    Halting,
    HaltingState,
    NoHalting,
    Ponder,
    QHead,
    TokenChoice,
)
from mythos_blocks.hierarchical_loop import HierarchicalLoop
from mythos_blocks.initial_state import (
    FixedState,
    InitialState,
    Input,
    LearnedState,
    NormalState,
    TruncatedNormalState,
    UnitState,
    Zeros,
)
from mythos_blocks.initialization import FanIn, Initialization, Normal
from mythos_blocks.injection import (
    FFN,
    LTI,
    Add,
    Concat,
    Gate,
    Injection,
    LTIInput,
    Modulated,
    NoInjection,
    ScaledAdd,
)
from mythos_blocks.interface import FinalNormInterface, Interface, NoInterface, NormInterface, ProjectionInterface
from mythos_blocks.iterations import Iterations, Step
from mythos_blocks.kv_policy import KVPolicy, PerLoop, RecursionWise
from mythos_blocks.layer import (
    Layer,
    MixtureLayer,
    PostNormLayer,
    PreNormLayer,
    SandwichLayer,
    StreamNormLayer,
)
from mythos_blocks.loop import Loop
from mythos_blocks.loop_lora import LoopLoRALinears, add_loop_lora
from mythos_blocks.loop_state import LoopState
from mythos_blocks.loops import Fixed, LoopSampler, Poisson, PoissonLognormal, Uniform
from mythos_blocks.mask import AttentionMask
from mythos_blocks.model import LoopedTransformer, ModelOutput, knocked_out
from mythos_blocks.norm import AdaptiveNorm, LayerNorm, NoNorm, PerLoopNorm, RMSNorm
from mythos_blocks.objective import Blended, Expected, Final, Objective, PowerWeighted, SupervisedHalting
from mythos_blocks.penalty import (
    Distillation,
    FixedPoint,
    GateImprovement,
    JacobianRadius,
    Penalty,
    WeightCosine,
    ZLoss,
)
from mythos_blocks.registry import declare_slot, load_plugins
from mythos_blocks.spec import BuildError, Slot, Spec, SpecLike, build
from mythos_blocks.stabilizer import NoStabilizer, SpectralClip, Stabilizer
from mythos_blocks.stack import Stack
from mythos_blocks.update import (
    GRU,
    LSTM,
    Damped,
    GatedResidual,
    Highway,
    HyperConnections,
    OuterNorm,
    Replace,
    Residual,
    Update,
)

__all__ = [
    "NegativeBinomial",
    "Geometric",
    "Curriculum",
    "Choice",
    "RecursionWise",
    "Segments",
    "OneStep",
    "Implicit",
    "SupervisedHalting",
    "TokenChoice",
    "QHead",
    "Ponder",
    "GateCDF",
    "ExpertChoice",
    "MinPKLExit",
    "LatentExit",
    "KLExit",
    "EntropyExit",
    "CosineExit",
    "ArgmaxExit",
    "AccelerationExit",
    "Cache",
    "Decoder",
    "Generation",
    "Sampling",
    "generate",
    "left_padded",
    "add_loop_lora",
    "LoopLoRALinears",
    "OuterNorm",
    "HyperConnections",
    "GatedResidual",
    "Damped",
    "LSTM",
    "GRU",
    "Rotary",
    "Coordinates",
    "LoopLoRA",
    "LoopAffine",
    "ScaledAdd",
    "Modulated",
    "LTIInput",
    "Gate",
    "Concat",
    "FFN",
    "UnitState",
    "TruncatedNormalState",
    "NormalState",
    "LearnedState",
    "InitialState",
    "FixedState",
    "PerLoopNorm",
    "LayerNorm",
    "AdaptiveNorm",
    "StreamNormLayer",
    "SandwichLayer",
    "PostNormLayer",
    "MixtureLayer",
    "Layer",
    "SeparableConvolution",
    "RoutedExperts",
    "ReLU2",
    "ExpertAttention",
    "GELU",
    "OwnToken",
    "NoDepthAttention",
    "AllTokens",
    "MultiHeadAttention",
    "Mixer",
    "Step",
    "HierarchicalLoop",
    "Stabilizer",
    "SpectralClip",
    "NoStabilizer",
    "ZLoss",
    "WeightCosine",
    "Penalty",
    "JacobianRadius",
    "GateImprovement",
    "FixedPoint",
    "Distillation",
    "PowerWeighted",
    "Objective",
    "Final",
    "Expected",
    "Blended",
    "ACT",
    "Add",
    "AttentionMask",
    "BuildError",
    "Component",
    "DepthAdapter",
    "DepthLoRA",
    "DepthSignal",
    "Exit",
    "ExitState",
    "FanIn",
    "FinalNormInterface",
    "Fixed",
    "Frame",
    "GradientPolicy",
    "GroupedQueryAttention",
    "Halting",
    "HaltingState",
    "Highway",
    "Initialization",
    "Injection",
    "Input",
    "Interface",
    "Iterations",
    "KVPolicy",
    "LTI",
    "LatentAttention",
    "Learned",
    "Loop",
    "LoopSampler",
    "LoopState",
    "LoopedTransformer",
    "MixtureOfExperts",
    "ModelOutput",
    "Module",
    "NoAdapter",
    "NoExit",
    "NoHalting",
    "NoInjection",
    "NoInterface",
    "NoNorm",
    "NoSignal",
    "NormInterface",
    "Normal",
    "PerLoop",
    "Poisson",
    "PoissonLognormal",
    "PreNormLayer",
    "ProjectionInterface",
    "RMSNorm",
    "Replace",
    "Residual",
    "Sinusoidal",
    "Slot",
    "Spec",
    "SpecLike",
    "Stack",
    "SwiGLU",
    "Uniform",
    "Update",
    "Window",
    "Zeros",
    "build",
    "component",
    "declare_slot",
    "knocked_out",
    "load_plugins",
]
