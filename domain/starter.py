"""The starter library: Custom Fields and AI Tasks that ship with the product, owned by the operator.

They are data: `parley migrate` (or an operator) stores them, a tenant activates what it wants; all are off until then.
Ids are derived from the keys, so that storing them again changes nothing. A change of a prompt is a new version by
its content hash; keys and types never change.

A prompt holds the task's own words only. The rules of answering, the turns and the description of the fields (types,
option ids with labels and meanings) are laid around it by `engines.language_models.layout`, the same for every task.

They may be fused: with the engine that ships, an answer to several tasks is the answers to each, on every labelled case
(tests/unit/test_fused_is_alone.py). What another engine loses by it, its eval set tells.
"""

from domain.conversation import Frozen, Role
from domain.fields import Aggregate, CustomField, FieldType, Option, Owner, Threshold
from domain.ids import derived_id
from domain.tasks import AITask, TaskSpec

RED, AMBER, GREEN = "#d64545", "#e0a100", "#2f9e5b"

CSAT = CustomField(
    id=derived_id("starter", "field", "csat"),
    key="csat",
    type=FieldType.INTEGER,
    label="CSAT",
    description=(
        "How satisfied the customer is with this contact and its outcome: 1 very dissatisfied, 2 dissatisfied, "
        "3 neither, 4 satisfied, 5 very satisfied."
    ),
    owner=Owner.OPERATOR,
    minimum=1,
    maximum=5,
    thresholds=(
        Threshold(high=3, label="Dissatisfied", colour=RED),
        Threshold(low=3, high=4, label="Neutral", colour=AMBER),
        Threshold(low=4, label="Satisfied", colour=GREEN),
    ),
    display_group="Customer experience",
    aggregate=Aggregate.AVERAGE,
)

SENTIMENT = CustomField(
    id=derived_id("starter", "field", "sentiment"),
    key="sentiment",
    type=FieldType.CHOICE,
    label="Sentiment",
    description="What the customer's own words show of their feelings, over the whole conversation.",
    owner=Owner.OPERATOR,
    options=(
        Option(id="positive", label="Positive", meaning="Pleased, grateful or relieved; little or nothing negative."),
        Option(id="neutral", label="Neutral", meaning="Matter-of-fact: asks and answers without showing feelings."),
        Option(id="negative", label="Negative", meaning="Annoyed, angry, disappointed, worried or upset to the end."),
        Option(
            id="mixed",
            label="Mixed",
            meaning="Clearly negative and clearly positive feelings, such as anger that turns into real gratitude.",
        ),
    ),
    display_group="Customer experience",
    aggregate=Aggregate.DISTRIBUTION,
)

SUMMARY = CustomField(
    id=derived_id("starter", "field", "summary"),
    key="summary",
    type=FieldType.TEXT,
    label="Summary",
    description="Who got in touch about what, what was done, and how it ended: at most 80 words, third person.",
    owner=Owner.OPERATOR,
    max_length=1200,
    display_group="Overview",
)

CONTACT_REASON = CustomField(
    id=derived_id("starter", "field", "contact_reason"),
    key="contact_reason",
    type=FieldType.CHOICE,
    label="Contact reason",
    description="The main reason why the customer got in touch: the need behind the contact, not how it ended.",
    owner=Owner.OPERATOR,
    options=(
        Option(
            id="billing",
            label="Billing",
            meaning="A charge, bill, invoice, price, tariff, payment or direct debit that is wrong, unclear or due.",
        ),
        Option(
            id="refund_return",
            label="Refund or return",
            meaning="Money back or goods sent back: a return, an exchange, a refund asked for or still missing.",
        ),
        Option(
            id="delivery",
            label="Delivery",
            meaning="Where a parcel is, a late, missed, lost or misdelivered one, or arranging when it comes.",
        ),
        Option(
            id="technical_issue",
            label="Technical issue",
            meaning="A product, device, connection, app or website does not work as it should.",
        ),
        Option(
            id="account_access",
            label="Account access",
            meaning="Cannot log in: password, code, locked account, lost second factor, changed sign-in details.",
        ),
        Option(
            id="cancellation",
            label="Cancellation",
            meaning="Wants to end a contract, subscription, policy or membership, or to close an account.",
        ),
        Option(
            id="complaint",
            label="Complaint",
            meaning="Complains about staff, service or treatment itself, beyond any single charge, fault or parcel.",
        ),
        Option(
            id="information",
            label="Information",
            meaning="Asks a question: how something works, what is on offer, opening times, terms, availability.",
        ),
        Option(
            id="appointment_booking",
            label="Appointment or booking",
            meaning="Makes, moves, confirms or calls off an appointment, visit, table, trip or reservation.",
        ),
        Option(
            id="order_change",
            label="Order change",
            meaning="Places an order or changes one already placed: items, size, quantity, address, plan.",
        ),
        Option(
            id="fraud_security",
            label="Fraud or security",
            meaning="Payments the customer did not make, a stolen card, phishing, a hacked account, stolen identity.",
        ),
        Option(id="other", label="Other", meaning="A clear reason that none of the others covers."),
    ),
    display_group="Overview",
    aggregate=Aggregate.DISTRIBUTION,
)

CHURN_RISK = CustomField(
    id=derived_id("starter", "field", "churn_risk"),
    key="churn_risk",
    type=FieldType.CHOICE,
    label="Churn risk",
    description="How likely it is, by the customer's own words, that they stop being a customer.",
    owner=Owner.OPERATOR,
    options=(
        Option(id="low", label="Low", meaning="Shows that they stay: content, renewing, buying again, praising."),
        Option(
            id="medium",
            label="Medium",
            meaning="Wavers: compares offers, says they think about leaving, or is left with an unsolved problem.",
        ),
        Option(
            id="high",
            label="High",
            meaning="Cancels, says they will leave or go to a competitor, or makes staying depend on something.",
        ),
    ),
    display_group="Customer experience",
    aggregate=Aggregate.DISTRIBUTION,
)

CHURN_REASON = CustomField(
    id=derived_id("starter", "field", "churn_reason"),
    key="churn_reason",
    type=FieldType.TEXT,
    label="Churn reason",
    description="Why the customer may leave, in a few words; unknown when the churn risk is low or unknown.",
    owner=Owner.OPERATOR,
    max_length=300,
    display_group="Customer experience",
)

NEXT_ACTIONS = CustomField(
    id=derived_id("starter", "field", "next_actions"),
    key="next_actions",
    type=FieldType.TEXT,
    label="Next actions",
    description="What someone still has to do after this conversation, one action a line, with who and when if said.",
    owner=Owner.OPERATOR,
    max_length=1200,
    display_group="Overview",
)

STARTER_FIELDS: tuple[CustomField, ...] = (
    CSAT,
    SENTIMENT,
    SUMMARY,
    CONTACT_REASON,
    CHURN_RISK,
    CHURN_REASON,
    NEXT_ACTIONS,
)

_CSAT_PROMPT = """\
Judge how satisfied the customer is with this contact and its outcome, from 1 (very dissatisfied) to 5 (very satisfied).

- If the customer gives a rating of this contact ("2 out of 5", "I'd give it a ten"), use it: kind `stated`. Convert
  other scales in proportion.
- Otherwise judge from what the customer says about the help, the outcome and how they were treated. What they say in
  the end counts most: 5 delight or warm praise, 4 content and the matter solved, 3 solved at some cost or accepted
  without warmth, 2 disappointed or left without a solution, 1 angry, let down again, or leaving because of it.
- A polite "thanks" or "okay" that closes a conversation is no sign of satisfaction. Sarcasm means the opposite of its
  words. Feelings of other people, and anything {{ parameters.agent_word }} says, do not count.
- If the customer shows neither satisfaction nor dissatisfaction, the kind is `unknown`.
"""

_SENTIMENT_PROMPT = """\
Name the customer's sentiment over the whole conversation.

- Look at the customer's own words about what happens to them. Facts alone ("the parcel has not come") are not yet a
  feeling; complaint, impatience, worry, relief and gratitude are.
- `mixed` needs both clearly: for example anger at the start and real gratitude in the end. Everyday politeness
  ("thanks", "have a nice day") is not positive sentiment.
- Sarcasm counts as what is meant. Feelings reported of someone else, and the words of {{ parameters.agent_word }},
  do not count.
- `neutral` when the customer says enough to judge and shows no feelings: quote what they came for. `unknown` only when
  they hardly say anything of their own.
"""

_SUMMARY_PROMPT = """\
Summarise the conversation for a colleague who has to take it over, in at most {{ parameters.max_words }} words.

- Say why the customer got in touch, what was found or done, and how it ended or what is open. Whole sentences, third
  person ("The customer …", "The agent …"), past tense.
- Keep the facts that matter: products, amounts, dates, reasons, promises. Nothing that was not said; nothing that was
  only asked, refused or considered may read as if it happened.
- No greetings, no small talk, no names or other personal data; leave masks such as [name] out.
- Quote the turns that each sentence rests on. If nothing of substance was said, the kind is `unknown`.
"""

_CONTACT_REASON_PROMPT = """\
Choose the main reason why the customer got in touch.

- Take the need that brought them here, mostly said in their first turns, not a question that came up on the way and
  not how the conversation ended. Someone who wants a refund because a parcel is lost came for `refund_return` only if
  the money is what they ask for, otherwise for `delivery`.
- Payments the customer did not make are `fraud_security`, not `billing`. Ending a contract is `cancellation` whatever
  the cause. `complaint` is for staff, service or treatment as such.
- Use `other` only for a clear reason that no option covers. If no reason is given, the kind is `unknown`.
- Quote the words in which the customer says what they need.
"""

_CHURN_RISK_PROMPT = """\
Judge how likely the customer is to leave, and why.

`churn_risk`
- `high`: cancels or asks to close the account, says they will leave or switch, or stays only if something is done.
  A cancellation without any complaint (moving abroad, a bereavement) is still `high`.
- `medium`: compares with other providers, says they are thinking about leaving, or ends clearly unhappy with a problem
  that is not solved.
- `low`: says or shows that they stay: satisfied after the solution, renews, extends, orders again, praises.
- A threat taken back in the end ("then I'll stay") lowers the risk. Words of {{ parameters.agent_word }} and of other
  people do not count. If the customer gives no sign either way, the kind is `unknown`.

`churn_reason`
- The customer's reason in a few neutral words, for example "Price increase of 12% without notice". `unknown` when the
  risk is low or unknown, or when they give no reason.
"""

_NEXT_ACTIONS_PROMPT = """\
List what someone still has to do after this conversation, one action a line, at most {{ parameters.max_actions }}.

- Begin each line with who has to act ("Agent:", "Customer:"), then a verb, then until when if that was said.
- Take promises that were made ("I'll send you the label today") and requests left open. Leave out what was already
  done during the conversation, offers that were turned down and phrases of courtesy.
- Quote the turn that each action comes from. If nothing is left to do, the kind is `unknown`.
"""

_AGENT_WORD = {"agent_word": "the agent"}


class StarterTask(Frozen):
    """A task of the starter library with the content of its newest version."""

    task: AITask
    spec: TaskSpec
    reason: str = "Ships with the product"


def _task(slug: str, label: str, spec: TaskSpec) -> StarterTask:
    task = AITask(id=derived_id("starter", "task", slug), slug=slug, label=label, owner=Owner.OPERATOR)
    return StarterTask(task=task, spec=spec)


STARTER_TASKS: tuple[StarterTask, ...] = (
    _task(
        "csat",
        "CSAT",
        TaskSpec(
            purpose="How satisfied the customer is, from 1 to 5",
            prompt=_CSAT_PROMPT,
            field_keys=("csat",),
            parameters=dict(_AGENT_WORD),
            evidence_role=Role.CUSTOMER,
            min_words=4,
            fuse=True,
            max_output_tokens=512,
        ),
    ),
    _task(
        "sentiment",
        "Sentiment",
        TaskSpec(
            purpose="What the customer feels",
            prompt=_SENTIMENT_PROMPT,
            field_keys=("sentiment",),
            parameters=dict(_AGENT_WORD),
            evidence_role=Role.CUSTOMER,
            min_words=4,
            fuse=True,
            max_output_tokens=512,
        ),
    ),
    _task(
        "summary",
        "Summary",
        TaskSpec(
            purpose="What happened, in a few sentences",
            prompt=_SUMMARY_PROMPT,
            field_keys=("summary",),
            parameters={"max_words": 80},
            min_words=4,
            fuse=True,
            max_output_tokens=1024,
        ),
    ),
    _task(
        "contact-reason",
        "Contact reason",
        TaskSpec(
            purpose="Why the customer got in touch",
            prompt=_CONTACT_REASON_PROMPT,
            field_keys=("contact_reason",),
            min_words=4,
            fuse=True,
            max_output_tokens=512,
        ),
    ),
    _task(
        "churn-risk",
        "Churn risk",
        TaskSpec(
            purpose="Whether the customer may leave, and why",
            prompt=_CHURN_RISK_PROMPT,
            field_keys=("churn_risk", "churn_reason"),
            parameters=dict(_AGENT_WORD),
            evidence_role=Role.CUSTOMER,
            min_words=4,
            fuse=True,
            max_output_tokens=768,
        ),
    ),
    _task(
        "next-actions",
        "Next actions",
        TaskSpec(
            purpose="What is still to be done, and by whom",
            prompt=_NEXT_ACTIONS_PROMPT,
            field_keys=("next_actions",),
            parameters={"max_actions": 5},
            min_words=4,
            fuse=True,
            max_output_tokens=768,
        ),
    ),
)
