"""The documentation site: docs/*.md as they stand. Built by scripts/docs."""
import pathlib
import re

root = pathlib.Path(__file__).parent.parent
project = "neuroinhib"
author = copyright = "the neuroinhib authors"
header = (root / "include/neuroinhib/version.hpp").read_text()
release = ".".join(re.search(rf"NEUROINHIB_VERSION_{part} (\d+)", header)[1] for part in ("MAJOR", "MINOR", "PATCH"))

extensions = ["myst_parser", "sphinxcontrib.katex", "sphinx_copybutton"]
exclude_patterns = ["snippets", "requirements.txt"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links to files outside docs/; tests/docs/links.cmake checks all

html_theme = "furo"
html_title = f"neuroinhib {release}"
html_static_path = [str(root / "build/docs_static")]  # KaTeX's style and fonts, copied there by scripts/docs
katex_css_path = "katex/katex.min.css"
