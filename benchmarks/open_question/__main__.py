"""Does an update of its own make a loop a different operator? The measurements of docs/open-question.md.

    python -m benchmarks.open_question              # both tasks, about half an hour of two free cores
    python -m benchmarks.open_question --write-only # the page's tables and figures, from the runs that there are

The text is not in the repository; docs/open-question.md says how to get it. The same command again goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

DOCS = Path("docs")
PAGE, BEGIN, END = DOCS / "open-question.md", "<!-- {}: begin -->", "<!-- {}: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", choices=("reachability", "text"), default=["reachability", "text"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write-only", action="store_true", help="train nothing")
    parser.add_argument("--studies", type=Path, default=Path("studies"), help="the folder of the studies")
    arguments = parser.parse_args()
    from benchmarks.open_question.page import figures, section
    from benchmarks.open_question.runs import finished
    from mythos_blocks import load_plugins

    load_plugins()
    for problem in arguments.tasks:
        if not arguments.write_only:
            work_off(problem, arguments.studies, arguments.workers)
        runs = finished(arguments.studies / f"open-question-{problem}")
        text = section(runs, problem)
        print(f"{problem}\n\n{text}\n")
        for path in figures(runs, problem, DOCS):
            print(f"written: {path}")
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN.format(problem))
        after = rest.split(END.format(problem))[1]
        begin, end = BEGIN.format(problem), END.format(problem)
        PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def work_off(problem: str, folder: Path, workers: int) -> None:
    """Plan a task's study, unless that was done before, and train what is not trained."""
    from benchmarks.open_question.arms import study
    from mythos_lab.comparison.ablate import write
    from mythos_lab.comparison.conclude import recorded
    from mythos_lab.search.spaces.space import load_space
    from mythos_lab.search.study import run_study

    path = folder / f"open-question-{problem}.yaml"
    space = load_space(str(path)) if path.is_file() else write(study(problem), folder)
    run_study(space, num_workers=workers, conclude=recorded)


if __name__ == "__main__":
    main()
