"""The report of a study: one page, a written report, figures and tables."""

from lorasweep.report.page import write_report

__all__ = ["write_report"]
