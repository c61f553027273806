"""Compile every kernel ahead of time: ``python -m mythos_kernels.aot [MODULE ...]``. Needs triton, needs no GPU.

Without arguments, the cases of every ``mythos_kernels.<operation>.kernel``. Prints a row per compiled case and a line
per failure; exit status 1 if anything failed, 2 if nothing could be tried.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import mythos_kernels
from mythos_kernels.cases import AotCase
from mythos_kernels.dispatch import interpreting

# Shared memory that one block may opt in to, in bytes, by compute capability (CUDA C++ Programming Guide, technical
# specifications per compute capability: 163 KB and 227 KB). Triton checks it only when a kernel is loaded on a GPU.
SHARED_LIMIT = {80: 166_912, 90: 232_448}
DTYPES = ("fp32", "bf16")


def kernel_modules() -> list[str]:
    """The ``kernel`` module of every operation in this package."""
    return [f"mythos_kernels.{m.name}.kernel" for m in pkgutil.iter_modules(mythos_kernels.__path__) if m.ispkg]


def compile_case(case: AotCase, capability: int, dtype: str) -> Any:
    """Triton's compiled kernel (``.asm``, ``.metadata``), specialised like a launch on aligned tensors."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types = {name: text.format(dtype=dtype) for name, text in case.signature.items()}
    signature = {name: "constexpr" if name in case.constants else types[name] for name in case.kernel.arg_names}
    aligned = [i for i, text in enumerate(signature.values()) if text.startswith("*")]
    source = ASTSource(
        fn=case.kernel,
        signature=signature,
        constexprs=dict(case.constants),
        attrs={(i,): [["tt.divisibility", 16]] for i in aligned},
    )
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": case.num_warps})


def uncovered(module: ModuleType) -> list[str]:
    """Kernels (functions named ``*_kernel``) of a module that none of its cases compiles."""
    covered = {id(case.kernel) for case in module.AOT_CASES}
    return [name for name, value in vars(module).items() if name.endswith("_kernel") and id(value) not in covered]


def compile_module(module: ModuleType) -> Iterator[str]:
    """Print a row per compiled specialisation, and yield a line per failure."""
    for name in uncovered(module):
        yield f"{module.__name__}.{name}: in no AOT_CASES"
    for case in module.AOT_CASES:
        for capability, limit in SHARED_LIMIT.items():
            for dtype in DTYPES:
                name = f"{case.kernel.__name__} [{case.label}]"
                try:
                    compiled = compile_case(case, capability, dtype)
                except Exception as error:  # Triton's own errors, and those of ptxas, share no base class
                    yield f"{name} sm_{capability} {dtype}: {_first_lines(error)}"
                    continue
                shared = compiled.metadata.shared
                print(f"{name:<52} sm_{capability}  {dtype:<5} {len(compiled.asm['cubin']):>9,} {shared:>9,}", flush=True)
                if shared > limit:
                    yield f"{name} sm_{capability} {dtype}: {shared} bytes of shared memory, the limit is {limit}"


def _first_lines(error: Exception) -> str:
    return f"{type(error).__name__}: {' | '.join(line.strip() for line in str(error).splitlines() if line.strip())}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m mythos_kernels.aot", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="modules with AOT_CASES (default: all of ours)")
    names = parser.parse_args(argv).modules or kernel_modules()
    if interpreting():
        print("aot: TRITON_INTERPRET replaces the compiler; unset it and run again", file=sys.stderr)
        return 2
    print(f"{'kernel':<52} target dtype     cubin    shared")
    failures = [line for name in names for line in compile_module(importlib.import_module(name))]
    for line in failures:
        print(f"FAILED {line}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
