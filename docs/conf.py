"""The documentation site: docs/*.md as they stand. Built by scripts/docs."""
import pathlib
import re
import sys

from docutils import nodes

root = pathlib.Path(__file__).parent.parent
project = "neuroinhib"
author = copyright = "the neuroinhib authors"
header = (root / "include/neuroinhib/version.hpp").read_text()
release = ".".join(re.search(rf"NEUROINHIB_VERSION_{part} (\d+)", header)[1] for part in ("MAJOR", "MINOR", "PATCH"))

extensions = ["myst_parser", "sphinxcontrib.katex", "sphinx_copybutton"]
exclude_patterns = ["snippets", "static", "requirements.txt"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"neuroinhib {release}"
html_theme_options = {"top_of_page_buttons": []}
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["static", str(root / "build/docs_static")]  # the second: KaTeX's style and fonts, copied by scripts/docs
html_css_files = ["site.css"]
katex_css_path = "katex/katex.min.css"

sys.path.insert(0, str(root / "docs"))
import reference  # noqa: E402: of this folder

public_names = reference.read(root / "build/doxygen")


def prepare(app, docname, source):
    """Links to bench/NOTES.md lead to the site's page of it. A page of reference/ gets what the headers of its folder say."""
    source[0] = source[0].replace("](../bench/NOTES.md", "](notes.md")
    folder = docname.removeprefix("reference/")
    if folder not in (docname, "index"):
        source[0] += reference.page(public_names, "" if folder == "neuroinhib" else folder)


def spell_out_comparisons(app, doctree, docname):
    """KaTeX reads equations from the page's HTML, in which "<i" begins a tag."""
    for equation in doctree.findall(lambda node: isinstance(node, (nodes.math, nodes.math_block))):
        equation.children = [nodes.Text(equation.astext().replace("<", r"\lt ").replace(">", r"\gt "))]


def setup(app):
    app.connect("source-read", prepare)
    app.connect("doctree-resolved", spell_out_comparisons)
    app.connect("env-get-outdated", lambda *_: [f"reference/{page.stem}" for page in (root / "docs/reference").glob("*.md")])
