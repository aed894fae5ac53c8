"""Limitations: what this study cannot say, each from a fact of its records."""

from lorasweep.report.blocks import Items, Section
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import analysis_of, standing
from lorasweep.report.words.language import Strings
from lorasweep.report.words.sentences import edge_axis

# Below this the bootstrap over paragraphs is known to give intervals that are too narrow.
FEW_PARAGRAPHS = 50


def limitations(outcome: Outcome, say: Strings) -> Section:
    """List what the facts of the study limit."""
    facts = [*_of_data(outcome, say), *_of_runs(outcome, say), *_of_tests(outcome, say)]
    base = outcome.results.base
    facts.append(say("limitations.one_model", name=base.name))
    facts += [say("limitations.base_note", note=base.note)] if base.note else []
    return Section("limitations", say("limitations.title"), [Items("", facts)])


def _of_data(outcome: Outcome, say: Strings) -> list[str]:
    cards, facts = outcome.results.data, []
    card = cards.get("eval")
    if card and card.paragraphs < FEW_PARAGRAPHS:
        facts.append(say.count("limitations.few_paragraphs", card.paragraphs))
    if card and card.shared_contexts:
        facts.append(say.count("data.leak", card.shared_contexts, name=say("data.eval")))
    if left_out := sum(card.too_long for card in cards.values()):
        facts.append(say.count("limitations.too_long", left_out))
    # Sets of the same sources count the same questions.
    if left_out := sum({tuple(c.sources): c.unanswerable for c in cards.values()}.values()):
        facts.append(say.count("limitations.unanswerable", left_out))
    return facts


def _of_runs(outcome: Outcome, say: Strings) -> list[str]:
    runs, facts = outcome.results.runs, []
    if outcome.num_unfinished:
        facts.append(say.count("limitations.unfinished", outcome.num_unfinished))
    if failed := sum(run.state == "failed" for run in runs):
        facts.append(say.count("limitations.failed", failed))
    if stopped := sum(run.state == "stopped" for run in runs):
        facts.append(say.count("limitations.stopped", stopped))
    if len({run.configuration.seed for run in runs}) == 1:
        facts.append(say("limitations.one_seed"))
    if "full" not in {run.configuration.method for run in runs}:
        facts.append(say("limitations.no_full"))
    return facts


def _of_tests(outcome: Outcome, say: Strings) -> list[str]:
    found, best, facts = analysis_of(outcome.results), standing(outcome.results), []
    if found is None or found.tied_best is None:
        return [say("limitations.no_tests")]
    for edge in found.ablation.edges if found.ablation else []:
        value = say.axis_value(edge.axis, edge.value)
        facts.append(say("limitations.edge", axis=edge_axis(edge, say), value=value))
    if best and best.not_compared:
        facts.append(say.count("limitations.not_compared", len(best.not_compared)))
    if "test" not in outcome.results.data:
        facts.append(say("sentences.selection_bias"))
    return facts
