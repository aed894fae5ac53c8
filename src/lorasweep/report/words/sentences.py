"""What the analysis found, in sentences that claim no more than it does."""

from lorasweep.folder.findings import BASE, Comparison, DecoderAnalysis, Difference, Edge, Power
from lorasweep.folder.records import Results
from lorasweep.folder.scores import scores_of
from lorasweep.report.words.language import Strings
from lorasweep.scoring.stats.intervals import NO_SPREAD

MOST_NAMES = 6


def name_of(run: str, results: Results, say: Strings) -> str:
    """Return what people call a run or the base model within a sentence."""
    return say("sentences.base") if run == BASE else results.names[run]


def tied_sentence(found: DecoderAnalysis, results: Results, say: Strings) -> str:
    """Say which runs may be the best one, and where none is right, what helps."""
    done = (run for run in results.runs if run.state == "done")
    scores = [s for run in done if (s := scores_of(run.metrics, "greedy"))]
    if any(each.scores["exact_match"].mean for each in scores) or not scores:
        return _tie(found, results, say)
    nothing = say("sentences.nothing_right")
    has_f1 = any(each.rank.mean for each in scores)
    return f"{nothing} {_tie(found, results, say)}" if has_f1 else nothing


def _tie(found: DecoderAnalysis, results: Results, say: Strings) -> str:
    assert found.tied_best is not None
    members, number = found.tied_best.members, len(found.tied_best.p_values)
    names = [results.names[run] for run in members]
    if number == 1:
        return say("sentences.only_run", name=names[0])
    if (card := results.data.get("eval")) and card.paragraphs == 1:
        return say("sentences.one_paragraph")
    if len(names) == 1:
        return say("sentences.one_best", name=names[0], all=say.integer(number))
    key = "sentences.all_tied" if len(names) == number else "sentences.tied"
    tied, listed = say.integer(len(names)), say.list(names, most=MOST_NAMES)
    return say(key, number=tied, all=say.integer(number), names=listed, best=names[0])


def difference_sentence(
    each: Comparison, found: Difference, metric: str, results: Results, say: Strings
) -> str:
    """Say what one metric's difference between two runs shows."""
    pair = [name_of(run, results, say) for run in (each.run, each.against)]
    better, worse = pair if found.mean > 0 else pair[::-1]
    low, high = found.interval or (0.0, 0.0)
    sides = sorted(map(abs, (low, high))) if found.is_shown else (low, high)
    write = say.interval if found.is_shown else say.signed_interval
    words = say(
        f"sentences.{_key(found)}", name=pair[0], against=pair[1], metric=metric, better=better,
        worse=worse, size=say.decimal(abs(found.mean)), difference=say.signed(found.mean),
        interval=write((sides[0], sides[1])), p=say.p_value(found.adjusted_p_value),
    )  # fmt: skip
    return _capital(words, say)


def _key(found: Difference) -> str:
    """Return which sentence a difference takes: whether it is shown, and has an interval."""
    if found.interval is None:
        if not found.is_shown:
            return "no_interval"
        return "shown_everywhere" if found.reason == NO_SPREAD else "shown_without_interval"
    if found.is_shown:
        return "shown"
    return "not_shown_alone" if found.interval[0] * found.interval[1] > 0 else "not_shown"


def f1_sentence(each: Comparison, results: Results, say: Strings) -> str:
    """Say what the difference in F1 shows."""
    return difference_sentence(each, each.rank, say("column.f1"), results, say)


def em_sentence(each: Comparison, results: Results, say: Strings) -> str:
    """Say what the difference in exact match shows."""
    return difference_sentence(
        each, each.scores["exact_match"], say("column.exact_match"), results, say
    )


def power_sentence(found: Power, results: Results, say: Strings) -> str:
    """Say which difference the questions could settle."""
    one, other = (results.names[run] for run in found.runs)
    if found.smallest_difference is None:
        return say("sentences.no_power", one=one, other=other)
    settled = say(
        "sentences.power", one=one, other=other, power=say.percent(found.power),
        smallest=say.decimal(found.smallest_difference),
    )  # fmt: skip
    difference = say.decimal(found.difference)
    if found.num_questions is None:
        return f"{settled} {say('sentences.never_settled', difference=difference)}"
    needed = say.integer(int(float(f"{found.num_questions:.2g}")))
    return f"{settled} {say('sentences.questions_needed', difference=difference, number=needed)}"


def edge_sentence(edge: Edge, say: Strings) -> str:
    """Say that the best value of an axis is the last one tried."""
    return say(
        "sentences.edge", axis=edge_axis(edge, say),
        value=say.axis_value(edge.axis, edge.value),
        suggestion=say.axis_value(edge.axis, edge.suggestion),
    )  # fmt: skip


def edge_axis(edge: Edge, say: Strings) -> str:
    """Name an edge's axis, and the method where that is full fine-tuning."""
    axis = say(f"column.{edge.axis}")
    return f"{axis} ({say('chart.full')})" if edge.method == "full" else axis


def _capital(sentence: str, say: Strings) -> str:
    """Return the sentence with a capital where it begins with the base model."""
    begins = sentence.startswith(say("sentences.base"))
    return sentence[:1].upper() + sentence[1:] if begins else sentence
