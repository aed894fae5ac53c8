"""The report of a study: one page, its figures and its tables."""

from lorasweep.report.page import write_report

__all__ = ["write_report"]
