"""Charts: points come in; Vega-Lite, SVG and PNG go out, in the page's language."""

__all__ = ["analysis_charts", "drawing", "run_charts", "trade_off_charts"]
