"""The results of a study as Python objects: its tables as DataFrames, its charts as Altair's."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import PrivateAttr

from lorasweep.folder import records
from lorasweep.folder.scores import Prediction, Scores

if TYPE_CHECKING:
    import pandas as pd

    from lorasweep.report.blocks import Section
    from lorasweep.report.load import Outcome
    from lorasweep.report.words.language import Strings


class Results(records.Results):
    """results.json of a study's folder, and the report's tables and charts by their file names.

    A notebook shows it as the summary and the leaderboard.
    """

    _out: Path = PrivateAttr()

    @classmethod
    def load(cls, out: Path | str) -> Self:
        """Read a study's folder; UserError where it holds no results that can be read."""
        from lorasweep.report.load import load_outcome

        results = cls.model_validate(dict(load_outcome(Path(out)).results))
        results._out = Path(out)
        return results

    @property
    def leaderboard(self) -> "pd.DataFrame":
        """All runs and the base model, the highest F1 first."""
        return self.tables["leaderboard"]

    @cached_property
    def tables(self) -> dict[str, "pd.DataFrame"]:
        """The report's tables as plain values; an interval takes two columns."""
        import pandas as pd

        from lorasweep.report.tables import column_names, plain_rows

        return {
            table.id: pd.DataFrame(plain_rows(table), columns=column_names(table))
            for section in self._sections
            for table in section.tables()
        }

    @cached_property
    def charts(self) -> dict[str, Any]:
        """The report's figures as Altair charts."""
        from lorasweep.report.charts.drawing import altair_chart

        return {
            figure.id: altair_chart(figure.spec, self._say)
            for section in self._sections
            for figure in section.figures()
        }

    def predictions(self, decoder: str = "greedy") -> "pd.DataFrame":
        """Return all answers of a decoder, a row each, under the name of their run or "base"."""
        import pandas as pd

        answers = {"base": self._outcome.base_predictions(decoder)}
        answers |= {
            self.names[run.id]: self._outcome.predictions(run, decoder) for run in self.runs
        }
        fields = [name for name in Prediction.model_fields if name != "scores"]
        rows = [{"run": name, **each.model_dump()} for name, of in answers.items() for each in of]
        return pd.DataFrame(rows, columns=["run", *fields, *self._scorers])

    @property
    def _scorers(self) -> list[str]:
        """The scorers of the study, in its order: answers have a column for each."""
        metrics = [self.base.metrics, *(run.metrics for run in self.runs)]
        found = (list(s.scores) for of in metrics for s in of.values() if isinstance(s, Scores))
        return next(found, [])

    def _repr_html_(self) -> str:
        from lorasweep.report.page import notebook_html

        return notebook_html(self.study, self._sections, self._say)

    @cached_property
    def _outcome(self) -> "Outcome":
        from lorasweep.report.load import load_outcome

        return load_outcome(self._out)

    @cached_property
    def _say(self) -> "Strings":
        from lorasweep.report.words.language import DEFAULT_LANGUAGE, Strings

        return Strings.load(self._outcome.language or DEFAULT_LANGUAGE)

    @cached_property
    def _sections(self) -> "list[Section]":
        from lorasweep.report.page import make_sections

        return make_sections(self._outcome, self._say)
