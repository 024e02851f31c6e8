"""Twenty insight tasks for the bench: the starter library's six, and fourteen that companies ask for besides."""

from domain.conversation import Role
from domain.fields import CustomField, FieldType, Option, Owner
from domain.ids import derived_id
from domain.starter import STARTER_FIELDS, STARTER_TASKS
from domain.tasks import AITask, EffectiveTask, TaskSpec

ENGINE = "gemini"
FIVE = ("csat", "sentiment", "summary", "contact-reason", "next-actions")
"""What a company that begins switches on."""

_BY_KEY = {field.key: field for field in STARTER_FIELDS}


def _effective(task: AITask, spec: TaskSpec, fields: tuple[CustomField, ...]) -> EffectiveTask:
    return EffectiveTask(task=task, version_id=spec.version_id(), spec=spec, fields=fields, engine=ENGINE)


def _more(
    slug: str,
    kind: FieldType,
    question: str,
    prompt: str,
    *,
    options: tuple[tuple[str, str], ...] = (),
    role: Role | None = None,
    **limits: float,
) -> EffectiveTask:
    """A task with one field. options: id and meaning of each."""
    key = slug.replace("-", "_")
    field = CustomField(
        id=derived_id("bench", "field", key),
        key=key,
        type=kind,
        label=slug.replace("-", " ").capitalize(),
        description=question,
        owner=Owner.OPERATOR,
        options=tuple(
            Option(id=name, label=name.replace("_", " ").capitalize(), meaning=meaning) for name, meaning in options
        ),
        minimum=limits.get("low"),
        maximum=limits.get("high"),
        max_length=600,
    )
    spec = TaskSpec(
        purpose=question[:200],
        prompt=prompt,
        field_keys=(key,),
        evidence_role=role,
        min_words=4,
        fuse=True,
        max_output_tokens=512,
    )
    task = AITask(id=derived_id("bench", "task", slug), slug=slug, label=field.label, owner=Owner.OPERATOR)
    return _effective(task, spec, (field,))


_STARTER = tuple(
    _effective(starter.task, starter.spec, tuple(_BY_KEY[key] for key in starter.spec.field_keys))
    for starter in STARTER_TASKS
)

_MORE = (
    _more(
        "nps",
        FieldType.INTEGER,
        "How likely the customer is to recommend the company, 0 to 10.",
        "Take the number if the customer gives one for recommending the company to others. Do not derive it from "
        "satisfaction with this contact. Without words about recommending, or warning others, the kind is `unknown`.",
        role=Role.CUSTOMER,
        low=0,
        high=10,
    ),
    _more(
        "outcome",
        FieldType.CHOICE,
        "How the conversation ended for what the customer came for.",
        "Judge the state at the end, not what was hoped for. A promise to call back is `open`. If the "
        "customer accepts a "
        "workaround it is `partly`. Words of thanks alone say nothing about the outcome.",
        options=(
            ("solved", "What the customer came for is done, and nothing is left to do."),
            ("partly", "Some of it is done, or a workaround was accepted."),
            ("open", "It is promised, passed on or waiting for somebody."),
            ("refused", "The company said no, and the customer leaves without it."),
        ),
    ),
    _more(
        "topics",
        FieldType.MULTI_CHOICE,
        "Everything the conversation is about, not only its main reason.",
        "Choose every topic on which at least one question is asked or one thing is done. Small talk and the "
        "greeting are "
        "no topics. An option that is only mentioned in passing does not count.",
        options=(
            ("price", "What something costs, discounts, a better offer."),
            ("quality", "How well a product or service works or is made."),
            ("delivery_time", "When something comes or somebody arrives."),
            ("staff", "How people of the company behaved."),
            ("website", "The website, the app or an online account."),
            ("contract", "Terms, notice periods, renewal."),
            ("payment", "How or when money is paid, taken or returned."),
            ("privacy", "Use, deletion or a leak of personal data."),
        ),
    ),
    _more(
        "effort",
        FieldType.INTEGER,
        "How much trouble the customer had to get this far, 1 (none) to 5 (a great deal).",
        "Count what the customer says about earlier contacts, waiting, being passed on and repeating "
        "themselves. Length of "
        "this conversation is no effort by itself. Without any word about it the kind is `unknown`.",
        role=Role.CUSTOMER,
        low=1,
        high=5,
    ),
    _more(
        "repeat-contact",
        FieldType.BOOLEAN,
        "Whether the customer has been in touch about the same thing before.",
        "Yes when either side says so, by phone, mail, chat or in a shop. An earlier order is no earlier contact.",
    ),
    _more(
        "callback-promised",
        FieldType.BOOLEAN,
        "Whether the company promises to get in touch again.",
        "Yes for a call, a mail or a visit that somebody of the company says will happen. `You can always "
        "call us` is none.",
        role=Role.AGENT,
    ),
    _more(
        "refund-requested",
        FieldType.BOOLEAN,
        "Whether the customer asks for money back.",
        "Yes when the customer asks for a refund, a credit or a reversal of a charge, granted or not. A "
        "question about the "
        "rules of refunds is no request.",
        role=Role.CUSTOMER,
    ),
    _more(
        "greeting",
        FieldType.CHOICE,
        "Whether the agent opens as the script asks.",
        "Look at the agent's first turns only. A name of the company and an offer of help are both needed "
        "for `complete`.",
        options=(
            ("complete", "Names the company and offers help."),
            ("partial", "One of the two."),
            ("missing", "Neither."),
        ),
        role=Role.AGENT,
    ),
    _more(
        "identity-check",
        FieldType.CHOICE,
        "Whether the agent makes sure who the customer is before account details are named.",
        "Masked data still shows that it was asked for and given. If no account details come up, choose `not_needed`.",
        options=(
            ("done", "Two details are asked for and given before anything is disclosed."),
            ("late", "Done, but after details were disclosed."),
            ("missing", "Details are disclosed without it."),
            ("not_needed", "Nothing about an account is disclosed."),
        ),
        role=Role.AGENT,
    ),
    _more(
        "empathy",
        FieldType.INTEGER,
        "How far the agent takes up the customer's situation, 1 (not at all) to 5 (fully).",
        "Set phrases count little: look for words that take up what this customer said. An agent who had no "
        "occasion gets "
        "`unknown`.",
        role=Role.AGENT,
        low=1,
        high=5,
    ),
    _more(
        "competitors",
        FieldType.TEXT,
        "Which other companies the customer names, and what is said of them.",
        "One line for each company, with what the customer says about it in a few words. Names of products "
        "of our own and "
        "of partners do not count. If none is named, the kind is `unknown`.",
        role=Role.CUSTOMER,
    ),
    _more(
        "root-cause",
        FieldType.TEXT,
        "What caused the trouble, as far as the conversation tells.",
        "One sentence about the cause, not the symptom and not the solution. Keep apart what is known and "
        "what is only "
        "supposed. If no cause is named, the kind is `unknown`.",
    ),
    _more(
        "vulnerability",
        FieldType.CHOICE,
        "Whether the customer says something that calls for special care.",
        "Only the customer's own words count, never a guess from tone or age. Being annoyed or in a hurry is none.",
        options=(
            ("health", "Illness, disability, pregnancy or bereavement."),
            ("money", "Cannot pay, debts, loss of income."),
            ("pressure", "Somebody urges or threatens the customer."),
            ("none", "Enough is said, and nothing of the kind."),
        ),
        role=Role.CUSTOMER,
    ),
    _more(
        "offer-made",
        FieldType.CHOICE,
        "What the agent offers beyond what the customer asked for.",
        "A repair, a refund or an apology that is due is no offer. Choose `none` when the agent only answers.",
        options=(
            ("upgrade", "A larger or better product or plan."),
            ("addition", "Something to go with what the customer has."),
            ("discount", "A lower price or a voucher."),
            ("none", "Nothing of the kind."),
        ),
        role=Role.AGENT,
    ),
)  # fmt: skip

TASKS = (*_STARTER, *_MORE)


def tasks(count: int) -> tuple[EffectiveTask, ...]:
    """The first so many."""
    return TASKS[:count]


def five() -> tuple[EffectiveTask, ...]:
    return tuple(task for task in TASKS if task.task.slug in FIVE)
