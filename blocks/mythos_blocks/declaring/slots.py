"""The slots of a looped transformer, as types for constructor signatures.

A slot is a place that takes one component. Its ``off`` kind is the component that removes it, which
is what ablations and knock-outs put in its place; its ``default`` kind is what a mapping without
``kind`` means.
"""

from __future__ import annotations

from typing import Annotated

from mythos_blocks.declaring.registry import declare_slot
from mythos_blocks.declaring.spec import Slot, SpecLike

declare_slot("model", "A whole model, from tokens to logits.", default="looped_transformer")
declare_slot("prefix", "What stands before the tokens of every sequence.", off="none")
declare_slot("position_embedding", "What tells each position where it stands, before the first layer.", off="none")
declare_slot("core", "The looped layers and everything that happens once per iteration.", default="loop")
declare_slot("stack", "Layers applied once, one after the other: the prelude and the coda.", default="sequence")
declare_slot("layer", "One layer: attention and feed-forward with their norms and residuals.", default="pre_norm")
declare_slot("norm", "Normalisation of a vector over its channels.")
declare_slot("attention", "How positions read each other.")
declare_slot("depth_attention", "How a position reads its own states of earlier iterations.", off="none")
declare_slot("feedforward", "What each position computes on its own.")
declare_slot("injection", "How the input e enters every iteration.", off="none")
declare_slot("update", "How the core's output becomes the next state.", off="replace")
declare_slot("depth_signal", "What tells the core which iteration it is in.", off="none")
declare_slot("depth_adapter", "What changes the tied core from iteration to iteration.", off="none")
declare_slot("initial_state", "The state before the first iteration.", off="input")
declare_slot("halting", "Which iterations the readout weighs, position by position.", off="none")
declare_slot("exit", "When a position stops iterating outside training.", off="none")
declare_slot("interface", "What the coda reads of the state that leaves the loop.", off="none")
declare_slot("kv_policy", "Which iterations share keys and values.", off="per_loop")
declare_slot("gradient", "Which iterations a training step differentiates, and how.", off="window")
declare_slot("loops", "How many iterations a training step runs, and how many get gradient.")
declare_slot("objective", "The training loss, from what the model predicts after its iterations.")
declare_slot("penalty", "A term that is added to the training loss.")
declare_slot("stabilizer", "What is done to the core's weights after every step to keep the loop stable.", off="none")
declare_slot("initialization", "The distribution of the initial weights.")

PrefixSlot = Annotated[SpecLike, Slot("prefix")]
PositionEmbeddingSlot = Annotated[SpecLike, Slot("position_embedding")]
CoreSlot = Annotated[SpecLike, Slot("core")]
StackSlot = Annotated[SpecLike, Slot("stack")]
LayerSlot = Annotated[SpecLike, Slot("layer")]
NormSlot = Annotated[SpecLike, Slot("norm")]
AttentionSlot = Annotated[SpecLike, Slot("attention")]
FeedforwardSlot = Annotated[SpecLike, Slot("feedforward")]
InjectionSlot = Annotated[SpecLike, Slot("injection")]
UpdateSlot = Annotated[SpecLike, Slot("update")]
DepthSignalSlot = Annotated[SpecLike, Slot("depth_signal")]
DepthAdapterSlot = Annotated[SpecLike, Slot("depth_adapter")]
InitialStateSlot = Annotated[SpecLike, Slot("initial_state")]
HaltingSlot = Annotated[SpecLike, Slot("halting")]
LoopsSlot = Annotated[SpecLike, Slot("loops")]
InitializationSlot = Annotated[SpecLike, Slot("initialization")]
ExitSlot = Annotated[SpecLike, Slot("exit")]
InterfaceSlot = Annotated[SpecLike, Slot("interface")]
KVPolicySlot = Annotated[SpecLike, Slot("kv_policy")]
GradientSlot = Annotated[SpecLike, Slot("gradient")]
DepthAttentionSlot = Annotated[SpecLike, Slot("depth_attention")]
ObjectiveSlot = Annotated[SpecLike, Slot("objective")]
PenaltySlot = Annotated[SpecLike, Slot("penalty")]
StabilizerSlot = Annotated[SpecLike, Slot("stabilizer")]
