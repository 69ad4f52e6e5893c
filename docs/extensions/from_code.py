"""``{diagram} NAME`` and ``{modules} FOLDER``: pictures and tables that are made from the code."""

import diagrams
import modules
from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Diagram(SphinxDirective):
    """One of the pictures of ``diagrams.py``, within the page."""

    required_arguments = 1

    def run(self):
        """Draw it."""
        self.env.note_reread()  # it is made from files that Sphinx does not watch
        draw = {"rooms": diagrams.rooms, "training-step": diagrams.training_step}
        return [nodes.raw("", draw[self.arguments[0]](), format="html")]


class Modules(SphinxDirective):
    """A table of the modules of a folder of the package."""

    required_arguments = 1

    def run(self):
        """Write it."""
        self.env.note_reread()
        return self.parse_text_to_nodes(modules.table(self.arguments[0]))


def setup(app):
    """Register the directives."""
    app.add_directive("diagram", Diagram)
    app.add_directive("modules", Modules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
