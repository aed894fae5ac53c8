"""The table [data] of a study file: where examples come from, and what they are made of."""

import string
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from lorasweep.errors import UserError
from lorasweep.study.forms import DEFAULTS, Form
from lorasweep.study.scorers import DEFAULT_RULES
from lorasweep.study.sections import (
    COUNT,
    SEED,
    Evaluate,
    Model,
    Positive,
    Section,
    Seed,
    Sources,
    Text,
)

SOURCES = 'files, "hub:OWNER/NAME:SPLIT", "bundled", or "bundled:NAME"'
COLUMNS = "a table that says what the file calls each column, or a list of its columns' names"
CHOICES = "a list of texts, a table of texts by label, or the name of a column of lists"
# What a table of template_args may hold: what a template's Jinja can compare.
ARGUMENT = "true, false, a number or a text for each name"
# What questions are not trained or scored by so far.
OF_OTHER_FORMS = {
    "model": ("chat_template",),
    "data": ("columns", "answer", "label", "group", "source", "template", "learn", "null_answer"),
    "evaluate": ("stop",),
}
ASKED_OF_QA = ("context", "question")


def _columns(value: Any) -> Any:
    texts = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(texts, list) or not all(isinstance(t, str) and t for t in texts):
        raise ValueError(f"expected {COLUMNS}")
    if len(texts) != len(set(texts)):
        raise ValueError("a column occurs twice")
    return value


def _choices(value: Any) -> Any:
    if isinstance(value, str) and value:
        return value
    texts = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(texts, list) or not all(isinstance(t, str) and t.strip() for t in texts):
        raise ValueError(f"expected {CHOICES}")
    if len(texts) < 2:
        raise ValueError("a choice is between at least two texts")
    if len(texts) != len(set(texts)):
        raise ValueError("a choice occurs twice")
    return value


def _template_args(value: Any) -> Any:
    if not isinstance(value, dict) or not all(
        isinstance(each, bool | int | float | str) for each in value.values()
    ):
        raise ValueError(f"expected {ARGUMENT}")
    return value


Columns = Annotated[dict[str, str] | list[str], BeforeValidator(_columns)]
Choices = Annotated[list[str] | dict[str, str] | str, BeforeValidator(_choices)]
TemplateArgs = Annotated[dict[str, Any], BeforeValidator(_template_args)]
ColumnName = Annotated[str, Field(min_length=1)]


def _all_or_some(role: str) -> Any:
    """Return the field of how many examples of a set are taken."""
    return Field(default=None, description=f"{COUNT}; left out, all examples of {role} are taken")


class Data(Section):
    """Where examples come from, how many, their form, and the prompt they are put in.

    Fields that are left out are the form's (`forms.DEFAULTS`).
    """

    train: Sources = Field(min_length=1, description=SOURCES)
    eval: Sources = Field(default=[], description=SOURCES)
    test: Sources = Field(default=[], description=SOURCES)
    form: Form = Field(default="qa", description='"qa", "completion", "choice", "chat" or "text"')
    columns: Columns = Field(default={}, description=COLUMNS)
    num_train: Positive | None = _all_or_some("train")
    num_eval: Positive | None = _all_or_some("eval")
    num_test: Positive | None = _all_or_some("test")
    seed: Seed = Field(default=0, description=SEED)
    max_tokens: Positive | None = Field(
        default=None, description=f"{COUNT}; left out, it is what the model has positions for"
    )
    too_long: Literal["error", "skip"] = Field(default="error", description='"error" or "skip"')
    sample: Literal["paragraph", "question"] = Field(
        default="paragraph", description='"paragraph" or "question"'
    )
    split: Literal["auto", "article", "paragraph", "question"] = Field(
        default="auto", description='"auto", "article", "paragraph" or "question"'
    )
    template: Literal["none", "chat"] = Field(default="none", description='"none" or "chat"')
    prompt: str = Field(
        default=DEFAULTS["qa"].prompt,
        description="a text with columns in braces; for qa {context} and {question}",
    )
    answer: str = Field(default=DEFAULTS["qa"].answer, description="a text with columns in braces")
    choices: Choices | None = Field(default=None, description=CHOICES)
    label: ColumnName = Field(default="label", description="the column of the right choice")
    group: ColumnName | None = Field(default=None, description="a column's name")
    source: ColumnName | None = Field(default=None, description="a column's name")
    system: str = Field(default="", description="a text: the system turn of rows without one")
    template_args: TemplateArgs = Field(default={}, description=ARGUMENT)
    learn: Literal["assistant", "last"] = Field(
        default="assistant", description='"assistant" or "last"'
    )
    unanswerable: Literal["leave out", "learn"] = Field(
        default="leave out", description='"leave out" or "learn"'
    )
    null_answer: Text = Field(
        default="unanswerable", description="a text: the answer of what cannot be answered"
    )

    @model_validator(mode="before")
    @classmethod
    def _what_the_form_takes(cls, values: Any) -> Any:
        """Fill in what the form has for what is left out; a wrong form is told of as a field."""
        form = values.get("form", "qa") if isinstance(values, dict) else None
        if not isinstance(form, str) or form not in DEFAULTS:
            return values
        chat = {"template": "chat"} if form == "chat" else {}
        its = DEFAULTS[form]
        return {"prompt": its.prompt, "answer": its.answer, **chat, **values}

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        if self.num_test is not None and not self.test:
            raise ValueError("num_test is given, but there is no test set: name files in test")
        if self.split in ("paragraph", "question") and self.eval:
            raise ValueError("split says how train is split, but eval names a set of its own")
        if self.form == "chat" and self.template == "none":
            raise ValueError('template = "none", but form = "chat" has turns: leave template out')
        for field in ("system", "template_args"):
            if getattr(self, field) and self.template == "none":
                raise ValueError(f'{field} is given, but template = "none": set template = "chat"')
        if self.choices is not None and self.form != "choice":
            raise ValueError(f'choices are given, but form = "{self.form}": set form = "choice"')
        return self

    @field_validator("prompt")
    @classmethod
    def _prompt_fits_the_form(cls, prompt: str, info: ValidationInfo) -> str:
        if info.data.get("form") == "qa":
            _refuse_prompt_of_qa(prompt)
        else:
            named_columns(prompt)
        if info.data.get("template") == "none" and prompt != prompt.rstrip():
            raise ValueError("the prompt ends in white space; the answer brings its own space")
        return prompt

    @field_validator("answer")
    @classmethod
    def _answer_names_columns(cls, answer: str) -> str:
        named_columns(answer)
        return answer


def _refuse_prompt_of_qa(prompt: str) -> None:
    for field in ASKED_OF_QA:
        if prompt.count(f"{{{field}}}") != 1:
            raise ValueError(f"the prompt needs {{{field}}} exactly once")
    if prompt.index("{context}") > prompt.index("{question}"):
        raise ValueError("the prompt has the context after the question; trees need it before")


def named_columns(template: str) -> list[str]:
    """Return the columns that a text names in braces; ValueError where its braces do not match."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{error}; a brace that is no column's is written twice") from None
    return [field for _, field, _, _ in parts if field is not None]


def filled(template: str, row: Mapping[str, Any]) -> str:
    """Return a template with a row's columns in their places; KeyError where one lacks."""
    parts = string.Formatter().parse(template)
    return "".join(text + ("" if name is None else str(row[name])) for text, name, _, _ in parts)


def refuse_what_is_not_trained_yet(model: Model, data: Data, evaluate: Evaluate) -> None:
    """Raise UserError for a form of data, scorers or rules that runs are not trained or scored by.

    The report speaks of exact match and F1 by SQuAD v1.1's rules alone. What would be read and
    then ignored is refused too.
    """
    if data.form != "qa":
        raise UserError(f'data.form = "{data.form}": this version trains on questions alone ("qa")')
    if data.unanswerable == "learn":
        raise UserError('data.unanswerable = "learn": this version leaves such questions out')
    if tuple(evaluate.scorers) != DEFAULTS["qa"].scorers or evaluate.rank_by != "f1":
        raise UserError(
            "evaluate.scorers: this version scores runs by exact_match and f1, and ranks by f1"
        )
    if evaluate.rules != DEFAULT_RULES:
        raise UserError(
            f'evaluate.rules = "{evaluate.rules}": runs are scored by "{DEFAULT_RULES}"; '
            "`lorasweep score --rules` scores their answers by others"
        )
    for section, table in ((model, "model"), (data, "data"), (evaluate, "evaluate")):
        for name in OF_OTHER_FORMS[table]:
            if getattr(section, name) != type(section).model_fields[name].default:
                raise UserError(f"{table}.{name}: this version does not use it yet; leave it out")
