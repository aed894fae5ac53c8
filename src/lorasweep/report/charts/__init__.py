"""Charts: points come in; Vega-Lite, SVG and PNG go out, in the page's language."""
