"""What the documentation site has beside docs/: pages of the repository's root, and links to files as their names."""

import re
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])+)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files, config):
    """Add the pages of the root."""
    for name in PAGES:
        files.append(File.generated(config, name, content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links between docs/ and the root to pages of the site; what is no page is named, and has to exist."""
    at_root = page.file.src_uri in PAGES
    folder = ROOT if at_root else ROOT / "docs" / Path(page.file.src_uri).parent

    def linked(match):
        text, target, anchor = match[1], match[2], match[3] or ""
        found = (folder / target).resolve()
        if not found.exists() and not found.name.endswith(".html"):
            raise PluginError(f"{page.file.src_uri}: links to {target}, which is not there")
        for base in (ROOT / "docs", ROOT):
            if found.is_relative_to(base):
                place = found.relative_to(base).as_posix()
                if base == ROOT / "docs" or place in PAGES:
                    up = "../" * page.file.src_uri.count("/")
                    return f"[{text}]({up}{place}{anchor})"
        return text

    return _LINK.sub(linked, markdown)
