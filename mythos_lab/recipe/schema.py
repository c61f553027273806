"""The schema of a recipe: the whole of one training run."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from mythos_blocks import Slot, Spec, SpecLike
from mythos_blocks.declaring.slots import ObjectiveSlot, PenaltySlot
from mythos_blocks.declaring.spec import Declaration, as_spec, json_schema
from mythos_blocks.declaring.types import AtMost, Count, Many, NonNegative
from mythos_lab.recipe.batch_sizes import BatchWarmup, ends
from mythos_lab.recipe.file_schema import of_files
from mythos_lab.recipe.places import Name
from mythos_lab.recipe.rounding import Rounding

CODES = (
    "depth.no_effect",
    "gradient.missing",
    "halting.mass",
    "loops.mean",
    "stability.growth",
    "stability.rho",
    "tables.reach",
    "task.shortcut",
    "schedule.length",
    "gradient.clip",
    "loss.terms",
    "seed.no_effect",
    "splits.shared",
    "mup.no_effect",
)
"""The codes of the effect check's findings, which a recipe may waive."""


class Group(Declaration):
    """Parameters that the optimiser treats otherwise than the rest."""

    slot: str = Field(
        description="Whose parameters: those of all components of a slot (injection, norm, halting, ...), or of a part "
        "of the model (embedding, head, prelude, core, coda)."
    )
    lr: NonNegative = Field(1.0, description="Times the optimiser's learning rate.")
    weight_decay: NonNegative = Field(1.0, description="Times the weight decay that the optimiser gives them.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set & {"lr", "weight_decay"}:
            raise ValueError("a group needs lr or weight_decay, else its parameters are treated as the rest")
        return self


class Training(Declaration):
    """How the model is trained."""

    max_steps: Many = Field(1000, description="Optimiser steps.")
    batch_size: Count = Field(64, description="Sequences in a step, over all devices.")
    batch_warmup: BatchWarmup | None = Field(
        None, description="Fewer sequences in the first steps; null has batch_size in all. Rates go by steps still."
    )
    num_microbatches: Count = Field(
        1,
        description="Parts in which each device computes its sequences, one after the other, so that fewer activations "
        "live at a time; the step is that of the whole batch. Divides the sequences of a device. Each part draws noise "
        "of its own, and has its own terms that are no means over tokens or sequences (experts' balance loss).",
    )
    checkpointing: Literal["none", "layer", "iteration"] = Field(
        "none",
        description="What a step computes again in its backward pass instead of keeping it, with the same gradients: "
        "every layer, of which its input is kept; or every iteration of the loop, of which its state is kept, so that "
        "memory follows the gradient window by one state an iteration. Objectives that weigh all iterations then have "
        "those before the window computed again too, so that memory does not follow the loop count.",
    )
    start: str | None = Field(
        None,
        description="Whose weights training begins with: a folder of a finished run, or safetensors of the same model; "
        "null initialises them by the seed.",
    )
    start_with: Literal["weights", "everything"] = Field(
        "weights",
        description="What is taken of start: its weights, as they were evaluated; or everything, to go on where that "
        "run ended, with its optimiser and its steps, which max_steps counts too.",
    )
    optimizer: Annotated[SpecLike, Slot("optimizer")] = Field("adamw", description="The optimiser.")
    groups: list[Group] = Field(
        [], description="Parameters with learning rates and decays of their own; what several say is multiplied."
    )
    schedule: Annotated[SpecLike, Slot("schedule")] = Field("cosine", description="The learning rate over the steps.")
    objective: ObjectiveSlot = Field("final", description="What training minimises.")
    penalties: list[PenaltySlot] = Field([], description="Terms added to the objective.")
    rounding: Rounding | None = Field(
        None,
        description="Training for weights that are rounded when they are used (quantisation-aware): the matrices of "
        "the core's layers as a step has them; null leaves them as they are.",
    )
    gradient_clip: NonNegative = Field(1.0, description="Largest norm of the gradient; 0 does not clip.")
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Decay of an exponential moving average of the weights over the steps, which is evaluated, "
        "measured and saved in their place; null evaluates the weights themselves.",
    )
    solved_at: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="Validation accuracy at which the task counts as solved, and training ends; null trains all steps.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Dtype of the products (autocast) in training, validation and all measures; weights and the loop's "
        "state stay float32.",
    )
    validate_every: Many = Field(100, description="Steps between validations; also between checkpoints.")
    log_every: Many = Field(10, description="Steps between logged training metrics.")
    compile: bool = Field(
        False,
        description="Compile the layers of the model that trains (torch.compile), each once for all iterations and "
        "loop counts: the same step to rounding. The checks, the cost, validation and measures run them as they are.",
    )
    num_threads: Annotated[Count, AtMost(4096)] | None = Field(
        None, description="CPU threads of each process; null leaves torch's choice, or an equal share for each device."
    )
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = Field("auto", description="Lightning's accelerator.")
    num_devices: Annotated[Count, AtMost(4096)] = Field(
        1,
        description="Devices that share every batch, a process each; on CPUs, processes. Divides batch_size. Each "
        "draws noise of its own, and has its own terms that are no means over tokens or sequences (experts' balance "
        "loss).",
    )
    strategy: Literal["auto", "ddp", "fsdp2"] = Field(
        "auto",
        description="How devices share the model: ddp (auto, with several) keeps all of it on each; fsdp2 spreads "
        "weights, gradients and optimiser state, and gathers the weights for each step.",
    )

    @property
    def shared_by(self) -> Literal["ddp", "fsdp2"] | None:
        """The strategy that ``auto`` comes to; ``None`` for one device."""
        if self.num_devices == 1:
            return None
        return "ddp" if self.strategy == "auto" else self.strategy

    def samples(self, index: int) -> range:
        """The samples of the training split that step ``index`` (0-based) reads: those after the step before it."""
        before = self._ends()
        if index < len(before):
            return range(before[index - 1] if index else 0, before[index])
        begin = (before[-1] if before else 0) + (index - len(before)) * self.batch_size
        return range(begin, begin + self.batch_size)

    @property
    def num_samples(self) -> int:
        """Samples that all steps read."""
        return self.samples(self.max_steps - 1).stop

    def _ends(self) -> tuple[int, ...]:
        warmup = self.batch_warmup
        if warmup is None:
            return ()
        return ends(warmup.first, self.batch_size, warmup.num_steps(self.max_steps), self.num_devices)

    @model_validator(mode="after")
    def _devices_share_batches(self) -> Self:
        if self.batch_size % self.num_devices:
            raise ValueError(f"num_devices={self.num_devices} must divide batch_size={self.batch_size}")
        if (warmup := self.batch_warmup) is not None:
            if warmup.first >= self.batch_size:
                raise ValueError(f"batch_warmup.first={warmup.first} must be below batch_size={self.batch_size}")
            if warmup.first % self.num_devices:
                raise ValueError(f"num_devices={self.num_devices} must divide batch_warmup.first={warmup.first}")
            if (steps := warmup.num_steps(self.max_steps)) > self.max_steps:
                raise ValueError(f"batch_warmup.steps={steps} must not exceed max_steps={self.max_steps}")
        if self.strategy != "auto" and self.num_devices == 1:
            raise ValueError(f"strategy={self.strategy} needs num_devices above 1")
        if (each := self.batch_size // self.num_devices) % self.num_microbatches:
            raise ValueError(f"num_microbatches={self.num_microbatches} must divide the {each} sequences of a device")
        if self.solved_at is not None and self.validate_every >= self.max_steps:
            raise ValueError(
                f"solved_at={self.solved_at:g} ends training after a validation, and validate_every="
                f"{self.validate_every} has none before the last of max_steps={self.max_steps}"
            )
        if self.start_with != "weights" and self.start is None:
            raise ValueError(f"start_with={self.start_with} needs start, the folder of a run")
        return self


class Evaluation(Declaration):
    """What is measured on the trained model."""

    batch_size: Count = Field(256, description="Sequences in an evaluation batch.")
    depth_factor: Count = Field(4, description="The depth curve ends at so many times the evaluated loop count.")
    breadth: Annotated[int, Field(ge=1, le=1024)] = Field(
        1,
        description="Starts of an initial state that is drawn, whose answers are put together by a vote and by the "
        "readout's confidence (metrics breadth/*); 1 measures none of it.",
    )
    ood: bool = Field(
        True, description="Measure the depth curve on samples out of distribution too, for tasks that have such."
    )
    knockouts: bool = Field(
        True, description="Measure the quality lost when each loop component is replaced by its off kind."
    )


MeasureSlot = Annotated[SpecLike, Slot("measure")]


class Monitor(Declaration):
    """What is measured of the loops while the model trains."""

    every: Many | None = Field(
        None,
        description="Steps from one look to the next; null looks with each validation. The untrained model and the "
        "trained one are looked at too.",
    )
    measures: list[MeasureSlot] | None = Field(
        None,
        description="What is measured, as metrics under live/; null takes the stability of a model that loops "
        "(sigma_max and rho of the last iteration's Jacobian, the largest Lyapunov exponent, whether the state "
        "settles), and [] nothing.",
    )
    num_samples: Count = Field(
        2, description="Samples of the validation split on which it is measured, the same at every step."
    )

    @model_validator(mode="after")
    def _something_is_measured(self) -> Self:
        if self.measures == []:
            usual = type(self).model_fields["num_samples"].default
            if self.every is not None or self.num_samples != usual:
                field = "num_samples" if self.every is None else "every"
                raise ValueError(f"{field} says how measures are taken, and measures=[] takes none")
        return self


class Stability(Declaration):
    """What is not allowed to happen in training."""

    max_spectral_radius: Annotated[float, Field(gt=0)] = Field(1.0, description="rho(A) must stay below it.")
    on_violation: Literal["stop", "warn"] = Field("stop", description="What to do when it does not.")


class Tracking(Declaration):
    """Where the run is logged."""

    uri: str | None = Field(
        None, description="MLflow tracking URI; null takes MLFLOW_TRACKING_URI or sqlite:///mlflow.db."
    )
    experiment: str | None = Field(
        None, description="MLflow experiment; null takes MLFLOW_EXPERIMENT_NAME, MLFLOW_EXPERIMENT_ID or mythos."
    )


class Recipe(Declaration):
    """One training run, from model to tracking."""

    version: Annotated[Literal[1], Field(description="Version of the recipe format.")] = 1
    name: Name = Field(description="Name of the run.")
    description: str = Field("", min_length=0, description="What the recipe is for.")
    imports: list[str] = Field([], description="Python modules to import, for the components that they register.")
    seed: int = Field(
        0,
        ge=0,
        lt=2**31,
        description="Seed of the initial weights and the loop counts; the data has its own, task.seed.",
    )
    mask: Literal["causal", "full", "task"] = Field(
        "causal", description="Which positions attention may read: earlier ones, all, or those that the task allows."
    )
    model: Annotated[SpecLike, Slot("model")] = Field(description="The model.")
    task: Annotated[SpecLike, Slot("task")] = Field(description="What it learns.")
    training: Training = Field(default_factory=lambda: Training(), description="How it is trained.")
    evaluation: Evaluation = Field(default_factory=lambda: Evaluation(), description="What is measured afterwards.")
    measures: list[MeasureSlot] | None = Field(
        None,
        description="What is measured of the loops at training's end; null takes what is cheap: the loop verdict, "
        "where the model loops. `mythos measure RUN` takes more of a finished run.",
    )
    monitor: Monitor = Field(
        default_factory=lambda: Monitor(), description="What is measured of the loops in training."
    )
    stability: Stability = Field(default_factory=lambda: Stability(), description="What must not happen in training.")
    tracking: Tracking = Field(default_factory=lambda: Tracking(), description="Where it is logged.")
    waive: list[str] = Field([], description="Codes of the effect check's findings that this recipe accepts.")

    @field_validator("waive")
    @classmethod
    def _codes_exist(cls, codes: list[str]) -> list[str]:
        from mythos_blocks.declaring.registry import suggest

        for code in codes:
            if code not in CODES:
                raise ValueError(f"unknown finding {code!r}; {suggest(code, CODES)}")
        return codes

    def model_spec(self) -> Spec:
        """The model's spec, typed."""
        return as_spec(self.model)


def recipe_schema() -> dict[str, Any]:
    """JSON Schema of a recipe file: what the model validates, as a file may say it."""
    return of_files(json_schema(Recipe))
