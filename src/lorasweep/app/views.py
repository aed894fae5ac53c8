"""What the app shows, as rows and as HTML; every text of a study or a visitor is escaped."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from lorasweep.analysis.results import ranked
from lorasweep.errors import UserError
from lorasweep.folder.records import BaseRecord, Results, RunRecord
from lorasweep.folder.scores import eval_loss_of, scores_of
from lorasweep.forecast.status import Status
from lorasweep.scoring.failures.breakdown import Row
from lorasweep.scoring.failures.spans import occurrences, words_of

if TYPE_CHECKING:
    from lorasweep.finished.asking import Reply

HEADERS = ["Run", "EM", "F1", "F1, 95 % interval", "Evaluation loss", "Trainable numbers"]
MOST_FAILURES = 50

# Characters around an answer that are shown of its text, on each side.
EXCERPT = 300

STYLE = """
.scroll { overflow-x: auto; }
button.primary { background: #9a3f00; color: #fff; border-color: #9a3f00; }
button.primary:hover { background: #7c3200; }
.runs { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
.runs td { border: 0; border-bottom: 1px solid #8884; padding: 0.3em 0.6em; text-align: right; }
.runs td:first-child { text-align: left; } .runs thead td { font-weight: bold; }
.reply { border: 1px solid #8884; border-radius: 8px; padding: 0.6em 1em; margin: 0.5em 0; }
.reply h3 { margin: 0 0 0.3em 0; }
.reply .answer { font-size: 1.2em; }
.reply .tokens span { display: inline-block; margin-right: 0.6em; white-space: pre; }
.reply .tokens small, .reply small { opacity: 0.75; }
.text { white-space: pre-wrap; }
mark { background: #ffd54a; color: #000; border-radius: 3px; padding: 0 2px; }
details { margin: 0.4em 0; } summary { cursor: pointer; }
"""


def title(study: str, has_report: bool) -> str:
    """Return the study's name, and the way to its report."""
    link = '<p><a href="report/index.html" target="_blank">The report</a></p>' if has_report else ""
    return (
        f"<h1>{escape(study)}</h1>{link}<p>This page shows a study and answers questions; "
        "it trains and changes nothing.</p>"
    )


def wait(seconds: float, is_first: bool, is_cancelled: bool) -> str:
    """Return what a visitor reads while a question is answered."""
    if is_cancelled:
        return '<p role="status">Stopping.</p>'
    first = " The first question loads the model, which may take a minute." if is_first else ""
    return f'<p role="status">Answering, {seconds:.0f} s so far.{first}</p>'


def mistake(error: UserError) -> str:
    """Return a visitor's mistake in words."""
    return f'<p role="alert">{escape(str(error))}</p>'


def leaderboard(results: Results | None, decoder: str) -> str:
    """Return a table of the scored runs, the best F1 first, `*` where a run is tied for best."""
    if results is None:
        return ""
    found = results.analysis.decoders.get(decoder) if results.analysis else None
    tied = found.tied_best.members if found and found.tied_best else []
    rows = [
        _row(("* " if run.id in tied else "") + results.names[run.id], run, decoder)
        for run in ranked(results, decoder)
    ]
    table = [HEADERS, *rows, _row("base model", results.base, decoder)]
    cells = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in table]
    head, *body = (f"<tr>{row}</tr>" for row in cells)
    rows_ = "".join(body)
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Leaderboard">'
        f'<table class="runs"><thead>{head}</thead><tbody>{rows_}</tbody></table></div>'
    )


def _row(name: str, record: RunRecord | BaseRecord, decoder: str) -> list[str]:
    scores, loss = scores_of(record.metrics, decoder), eval_loss_of(record.metrics)
    trained = record.trainable_parameters if isinstance(record, RunRecord) else 0
    last = ["" if loss is None else f"{loss:.3f}", f"{trained:,}"]
    if scores is None:
        return [name, "", "", "", *last]
    interval = scores.rank.interval
    bounds = f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "none"
    return [
        name,
        f"{scores.scores['exact_match'].mean:.1f}",
        f"{scores.rank.mean:.1f}",
        bounds,
        *last,
    ]


def work(status: Status) -> str:
    """Return how far the study is: its runs by state, and those that are in training."""
    counts = ", ".join(f"{number} {state}" for state, number in status.counts.items() if number)
    left = "" if not status.seconds_left else f", about {status.seconds_left / 60:.0f} minutes left"
    bars = "".join(
        f'<p><progress max="1" value="{run.share_trained:.3f}"></progress> {escape(run.label)}: '
        f"{run.share_trained:.0%} trained</p>"
        for run in status.runs
        if run.state == "running"
    )
    who = f"At work{left}." if status.is_busy else "Nobody is at work in this folder."
    return f"<p>Runs: {counts}. {who}</p>{bars}"


def replies(context: str, found: "Sequence[Reply]") -> str:
    """Return the answers side by side: each with its tokens, and where it stands in the text."""
    return "".join(_reply(context, reply) for reply in found)


def _reply(context: str, reply: "Reply") -> str:
    tokens = "".join(
        f'<span style="border-bottom: 3px solid rgba(30,120,220,{token.probability:.2f})">'
        f"{escape(token.text.strip() or repr(token.text))} <small>{token.probability:.0%}</small>"
        "</span>"
        for token in reply.tokens
    )
    cut = "" if reply.ended else " <small>(cut at the longest answer allowed)</small>"
    return (
        f'<div class="reply"><h3>{escape(reply.who)}</h3>'
        f'<div class="answer">{escape(reply.text) or "<i>nothing</i>"}{cut}</div>'
        f'<div class="tokens">{tokens}</div>{in_text(context, reply.text)}</div>'
    )


def in_text(context: str, answer: str) -> str:
    """Return what is around the first place where the answer's words stand, if there is one."""
    places = occurrences(answer, words_of(context))
    if not places:
        return "<small>The answer does not stand in the text.</small>"
    start, end = places[0].start, places[0].end
    before, after = context[:start], context[end:]
    if len(before) > EXCERPT:
        before = "… " + before[-EXCERPT:].partition(" ")[2]
    if len(after) > EXCERPT:
        after = after[:EXCERPT].rpartition(" ")[0] + " …"
    marked = f"{escape(before)}<mark>{escape(context[start:end])}</mark>{escape(after)}"
    return f'<div class="text">{marked}</div>'


def failures(rows: Sequence[Row], contexts: dict[str, str], kind: str) -> str:
    """Return the wrong answers of a class (or of all, for ""), each with its text to unfold."""
    wrong = [row for row in rows if row.failure is not None and kind in ("", row.failure)]
    shown = "".join(_failure(row, contexts[row.id]) for row in wrong[:MOST_FAILURES])
    more = len(wrong) - MOST_FAILURES
    rest = f"<p>and {more} more, in the report.</p>" if more > 0 else ""
    return f"<p>{len(wrong)} of {len(rows)} answers.</p>{shown}{rest}"


def _failure(row: Row, context: str) -> str:
    right = " / ".join(dict.fromkeys(row.answers))
    return (
        f"<details><summary>{escape(row.question)} — <b>{escape(row.prediction) or 'nothing'}</b>"
        f" instead of {escape(right)} <small>({escape(str(row.failure))}, "
        f"F1 {100 * row.f1:.0f})</small></summary>{in_text(context, row.answers[0])}</details>"
    )
