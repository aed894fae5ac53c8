"""Method: what was trained and how it was scored, in words and as the values of the study."""

from lorasweep.report.blocks import Block, Code, Notice, Paragraph, Section
from lorasweep.report.load import Outcome
from lorasweep.report.sections.method.settings import settings
from lorasweep.report.sections.method.works import citations
from lorasweep.report.words.language import Strings
from lorasweep.study.decoders import parse_decoder
from lorasweep.study.study import Study

# A finished study says what "auto" came to; one that was never prepared has titles, as most do.
SPLITS = {"auto": "method.by_article", "article": "method.by_article",
          "paragraph": "method.by_paragraph", "question": "method.by_question"}  # fmt: skip
# Sentences on what only some studies use, and the first authors of the works that they cite.
OF_ADAPTERS = {"rslora": "kalajdzievski", "lora_plus": "hayou"}
OF_DECODERS = {"top_k": "fan", "nucleus": "holtzman"}


def method(outcome: Outcome, say: Strings) -> Section:
    """Write the method from the study, and list its values."""
    results, study = outcome.results, outcome.study
    blocks: list[Block] = [
        Paragraph(_questions(study, say)),
        Code(say("method.prompt"), results.prompt),
    ]
    blocks.append(Paragraph(_training(outcome, say)))
    cited = citations(outcome, say)
    if study:
        blocks.append(Paragraph(_scoring(study, cited, say)))
        named = {name: cited[name] for name in ("efron", "westfall", "hansen")}
        blocks.append(Paragraph(say("method.statistics", **named)))
    blocks.append(settings(outcome, say) or Notice(say("method.no_recipe")))
    return Section("method", say("method.title"), blocks)


def _questions(study: Study | None, say: Strings) -> str:
    """Say which questions were drawn and what of a question's text is learned."""
    masking = say("method.masking")
    if study is None:
        return masking
    data = study.data
    split = say("method.own_files") if data.eval else say(SPLITS[data.split])
    unit = say("method.drawn_alone" if data.sample == "question" else "method.drawn_whole")
    seed = say("method.data_seed", seed=data.seed)
    return " ".join([split, unit, seed, masking])


def _training(outcome: Outcome, say: Strings) -> str:
    results = outcome.results
    methods = {run.configuration.method for run in results.runs}
    sentences = [
        say("method.base", base=results.base.name, precision=results.base.precision,
            parameters=say.integer(results.base.num_parameters))
    ]  # fmt: skip
    sentences += [say("method.lora")] if "lora" in methods else []
    sentences += [say("method.full")] if "full" in methods else []
    cited = citations(outcome, say)
    sentences += [
        say(f"method.{key}", **{name: cited[name]})
        for key, name in OF_ADAPTERS.items()
        if name in cited
    ]
    sentences += [_recipe(outcome.study, cited, say)] if outcome.study else []
    if lanes := max((run.pack.lanes for run in results.runs), default=0):
        sentences.append(say.count("method.packs", lanes))
    return " ".join(sentences)


def _recipe(study: Study, cited: dict[str, str], say: Strings) -> str:
    """Say how long and by what steps runs train; the schedule is constant, linear or cosine."""
    recipe = study.recipe
    return say(
        "method.recipe", epochs=say.count("method.epochs", recipe.epochs),
        batch=say.integer(recipe.batch_size), schedule=say(f"method.{recipe.schedule}"),
        warmup=say.percent(recipe.warmup), decay=say.plain(recipe.weight_decay),
        norm=say.plain(recipe.max_grad_norm), loshchilov=cited["loshchilov"],
    )  # fmt: skip


def _scoring(study: Study, cited: dict[str, str], say: Strings) -> str:
    evaluate = study.evaluate
    sentences = [
        say("method.scoring", tokens=say.integer(evaluate.max_new_tokens),
            decoders=say.list(evaluate.decoders), rajpurkar=cited["rajpurkar"])
    ]  # fmt: skip
    if any(parse_decoder(name).samples for name in evaluate.decoders):
        sentences.append(say.count("method.draws", evaluate.draws))
    sentences += [
        say(f"method.{key}", **{name: cited[name]})
        for key, name in OF_DECODERS.items()
        if name in cited
    ]
    return " ".join(sentences)
