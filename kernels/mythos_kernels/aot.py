"""``python -m mythos_kernels.aot``: compile every kernel for sm_80 and sm_90, on a machine without a GPU.

Exits 1 where a kernel does not compile or needs more shared memory than the target has, 2 under Triton's
interpreter, which replaces the compiler.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import mythos_kernels
from mythos_kernels.cases import AotCase
from mythos_kernels.dispatch import interpreting

SHARED_LIMIT = {80: 166_912, 90: 232_448}
"""Bytes of shared memory that one program can have, by compute capability."""

_DTYPES = {"float32": "fp32", "bfloat16": "bf16"}


def compile_case(case: AotCase, capability: int, dtype: str) -> tuple[int, int]:
    """Bytes of the cubin and of shared memory of one kernel; raises what the compiler raises."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = {name: case.signature.get(name, "constexpr").format(dtype=dtype) for name in case.kernel.arg_names}
    signature.update(dict.fromkeys(case.constants, "constexpr"))
    # A launch specialises on pointers and integers divisible by 16, without which Triton emits scalar loads and stores.
    aligned = [i for i, (name, text) in enumerate(signature.items()) if text[0] == "*" or name in case.aligned]
    attrs = {(i,): [["tt.divisibility", 16]] for i in aligned}
    source = ASTSource(fn=case.kernel, signature=signature, constexprs=dict(case.constants), attrs=attrs)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": case.num_warps})
    return len(compiled.asm["cubin"]), int(compiled.metadata.shared)


def discover() -> list[AotCase]:
    """The cases of every ``<operation>/kernel.py``, in which each function named ``*_kernel`` must appear."""
    cases: list[AotCase] = []
    for package in pkgutil.iter_modules(mythos_kernels.__path__):
        if not package.ispkg:
            continue
        module = importlib.import_module(f"mythos_kernels.{package.name}.kernel")
        listed = {case.kernel.__name__ for case in module.AOT_CASES}
        missing = {name for name in vars(module) if name.endswith("_kernel")} - listed
        assert not missing, f"{module.__name__}: no AOT case for {sorted(missing)}"
        cases += module.AOT_CASES
    return cases


def main(cases: list[AotCase]) -> int:
    """Compile all cases, print a table, and return the exit status."""
    failures = 0
    for case in cases:
        for capability, limit in SHARED_LIMIT.items():
            for name, dtype in _DTYPES.items():
                label = f"{case.kernel.__name__:<16} {case.label:<24} sm_{capability} {name:<9}"
                try:
                    cubin, shared = compile_case(case, capability, dtype)
                except Exception as error:  # whatever the compiler raises is the finding
                    print(f"FAIL  {label} {' '.join(str(error).split())[:200]}")
                    failures += 1
                    continue
                too_much = shared > limit
                failures += too_much
                print(f"{'FAIL' if too_much else 'ok  '}  {label} cubin {cubin:>6} B, shared {shared:>6} of {limit} B")
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    if interpreting():
        print("TRITON_INTERPRET is set: the interpreter replaces the compiler; unset it", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(discover()))
