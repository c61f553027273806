"""What of the working directory is brought to a cluster's machines."""

from mythos_lab.search.engines.carrying import packed
from tests.lab.search.tiny import write


def test_links_hidden_files_and_what_runs_wrote_stay_here_and_the_spaces_file_comes_along(tmp_path):
    for path in (
        "book.txt",
        "mine/parts.py",
        "mine/runs/kept.txt",
        ".env",
        "mine/.key",
        "runs/a/run.json",
        "mlflow.db",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "mine/linked.txt").symlink_to(tmp_path / ".env")
    (tmp_path / "elsewhere").symlink_to("/etc")
    (tmp_path / "studies/tiny/trials").mkdir(parents=True)
    space = write(tmp_path / "studies", space={"seed": {"int": [0, 1]}})
    with packed(space) as folder:
        assert [each.name for each in folder.iterdir()] == ["carried"], "Python looks for modules here, and finds none"
        copy = folder / "carried"
        found = {str(path.relative_to(copy)) for path in copy.rglob("*") if not path.is_dir()}
        assert (copy / "book.txt").read_text() == "book.txt"
    assert found == {"book.txt", "mine/parts.py", "mine/runs/kept.txt", "studies/tiny.yaml"}
    assert not folder.exists() and (tmp_path / "book.txt").read_text() == "book.txt"
