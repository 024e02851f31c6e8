"""How customers talk, and what the offline engine makes of it. Written for the tests; no line is of a labelled case."""

from __future__ import annotations

import pytest

from tests.support.offline import conversation, value_of, values

FIXED = "A: I've restarted your line from here and the service is back."
PRAISE = {4, 5}
BLAME = {1, 2}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["C: My order 4711 has not come.", "C: Honestly, you are useless and I'm furious."], "negative"),
        (["C: I never received the voucher and nobody answers my emails."], "negative"),
        (["C: This is the fourth time I have to ring about the same invoice."], "negative"),
        (["C: I'm not happy with how this was handled."], "negative"),
        (["C: It was not exactly helpful to be sent to a page that doesn't exist, quite frustrating."], "negative"),
        (["C: My app was broken.", FIXED, "C: Wow, that was quick, you are a star, thank you so much!"], "positive"),
        (
            ["C: I just wanted to say how lovely your staff in the Hull shop are, they were so kind to my mum."],
            "positive",
        ),
        (["C: Your technician was brilliant, he explained everything and it works perfectly."], "positive"),
        (["C: I would like to know whether the gym opens on Sundays."], "neutral"),
        (["C: Please change my address to the new one, I moved last week."], "neutral"),
        (["C: Can I pay with two different cards?", "A: Yes.", "C: Okay, thanks."], "neutral"),
        (["C: I was furious when it broke again.", FIXED, "C: You've been wonderful, thank you so much."], "mixed"),
        (["C: The room was awful and dirty.", "C: The food was fantastic though, best meal in years."], "mixed"),
        (["C: My neighbour was furious about your roadworks.", "C: I only need to know when they end."], "neutral"),
        (["C: My sister hates your new app.", "C: Could you send me the link to the old version please?"], "neutral"),
        (["A: I'm so happy for you, this is fantastic!", "C: I need the tracking number of my parcel."], "neutral"),
        (["C: Oh great, another price increase, just what I needed."], "negative"),
        (["C: Fantastic, I took the day off and your engineer didn't show up."], "negative"),
        (["C: Thanks for nothing, I'll sort it out myself."], "negative"),
        (["C: WHY DOES NOBODY PICK UP THE PHONE"], "negative"),
        (["C: It would be great if you could call me in the afternoon about my policy."], "neutral"),
        (["C: You told me it would be amazing and fast.", "C: I want to know when it starts."], "neutral"),
    ],
)
def test_sentiment(lines: list[str], expected: str) -> None:
    assert value_of("sentiment", *lines) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["C: I'd give this two out of five."], {2}),
        (["B: How would you rate this chat on a scale from 1 to 5?", "C: 4"], {4}),
        (["B: Please rate our service from 1 to 10.", "C: I'd say a three"], {2}),
        (["C: One star. I waited a month for the wrong sofa."], {1}),
        (["C: My parcel is late.", "A: It comes tomorrow.", "C: ok thanks"], {None}),
        (["C: Could you resend the invoice from May?", "A: Of course.", "C: Thank you, bye."], {None}),
        (["C: Only 2 out of 5 bulbs work, please send new ones."], {None, 2}),
        (["B: How likely are you to recommend us, 0 to 10?", "C: 9"], {None}),
        (["C: My telly was dead.", FIXED, "C: It works again, you're brilliant, thanks so much!"], PRAISE),
        (["C: I can't log in.", "A: I've reset it.", "C: Perfect, I'm in now. Thank you for your help."], PRAISE),
        (["C: No water again.", "A: We can't say when.", "C: That's ridiculous. Worst company ever."], BLAME),
        (["C: I want my refund.", "A: Unfortunately we can't refund it.", "C: That's really disappointing."], BLAME),
        (["C: Still the same error.", "A: Sorry.", "C: So you can't help me. I've wasted my whole morning."], BLAME),
        (["C: My boss said your service is a disgrace.", "C: Where can I download the form?"], {None}),
        (["A: You have been amazing today!", "C: I'd like to order two tickets for Friday."], {None}),
        (["C: If you fix it I'd give you five stars.", "A: It takes a week."], {None}),
    ],
)
def test_csat(lines: list[str], expected: set[int | None]) -> None:
    assert value_of("csat", *lines) in expected


def test_a_rating_is_stated_and_a_judgement_inferred() -> None:
    stated = values(conversation("C: Two out of five, it took far too long."), "csat")["csat"]
    inferred = values(conversation("C: What a terrible, terrible experience this was."), "csat")["csat"]
    assert (stated.kind, inferred.kind) == ("stated", "inferred")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("There are two payments on my card that I didn't make.", "fraud_security"),
        ("Somebody stole my bag with all my cards in it, please block them.", "fraud_security"),
        ("I want to cancel my membership at the end of the month.", "cancellation"),
        ("Please close my account, I no longer need it.", "cancellation"),
        ("Why was I charged twice this month?", "billing"),
        ("My electricity bill has doubled and I don't understand it.", "billing"),
        ("I would like to send these trousers back, they are too long.", "refund_return"),
        ("Where is my refund? I returned the toaster three weeks ago.", "refund_return"),
        ("My parcel was due on Monday and it hasn't arrived.", "delivery"),
        ("The courier says it was delivered, but there is nothing here.", "delivery"),
        ("The internet drops every ten minutes since yesterday.", "technical_issue"),
        ("The dishwasher won't start and shows error E15.", "technical_issue"),
        ("I forgot my password and the reset mail never comes.", "account_access"),
        ("It says my account is locked when I try to log in.", "account_access"),
        ("Your driver was extremely rude to my wife, I want to complain about him.", "complaint"),
        ("I'm only asking whether you are open on bank holidays.", "information"),
        ("Do you ship to Norway, and how much does it cost?", "information"),
        ("I need to move my dentist appointment to next week.", "appointment_booking"),
        ("Could I book a table for five on Saturday night?", "appointment_booking"),
        ("I picked the wrong size, can you change my order before it ships?", "order_change"),
    ],
)
def test_contact_reason(said: str, expected: str) -> None:
    assert value_of("contact_reason", f"C: Hello.\n{said}") == expected


@pytest.mark.parametrize("said", ["ok ok yes", "Hello, are you there?", "hmm let me see, one moment please"])
def test_without_a_reason_there_is_none(said: str) -> None:
    assert value_of("contact_reason", "A: Hello, how can I help?", f"C: {said}") is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["C: I want to cancel my contract and move to another provider."], "high"),
        (["C: If this isn't fixed by Friday I'm leaving."], "high"),
        (["C: This was the last time I ordered from you, I'll never shop here again."], "high"),
        (["C: I'm moving abroad in June, so please end my broadband contract."], "high"),
        (["C: I'm thinking about switching, another company offers it for less."], "medium"),
        (["C: I want to cancel.", "A: I can take 20% off.", "C: Okay, in that case I'll stay."], "low"),
        (["C: Please renew my membership for another year, I love the classes."], "low"),
        (["C: It was broken.", FIXED, "C: It's working again, you've been so helpful, thank you!"], "low"),
        (["C: Please cancel my order, I ordered the wrong lamp."], None),
        (["C: I have to cancel my appointment on Tuesday."], None),
        (["C: My flight was cancelled, which one can I take instead?"], None),
        (["C: My brother left you for another bank. I need a new card."], None),
        (["A: You can cancel your subscription any time.", "C: What does the large plan cost?"], None),
    ],
)
def test_churn_risk(lines: list[str], expected: str | None) -> None:
    assert value_of("churn_risk", *lines) == expected


def test_the_reason_for_leaving_is_named_and_quoted() -> None:
    lines = ("C: You have put the price up twice this year.", "C: I'm switching to another provider.")
    found = values(conversation(*lines), "churn_reason")["churn_reason"]
    assert "price" in str(found.value).lower()
    assert "price" in found.evidence[0].quote


def test_without_a_risk_there_is_no_reason() -> None:
    assert value_of("churn_reason", "C: The price is fine, thank you, I'd like to renew my policy.") is None


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["C: My card is lost.", "A: I'll send you a new card by post within five days."], ["card"]),
        (["C: The boiler is off.", "A: An engineer will come on Friday between 8 and 12."], ["engineer", "friday"]),
        (["C: It's broken.", "A: I've asked our warehouse to call you tomorrow."], ["warehouse", "call"]),
        (["C: How do I claim?", "A: Please send us three photos of the damage."], ["photos"]),
        (
            ["C: I have no receipt.", "A: A bank statement is enough.", "C: I'll email you the statement tonight."],
            ["statement"],
        ),
        (["C: I'm hungry.", "A: Shall I ask the kitchen for a late plate?", "C: Yes please."], ["kitchen"]),
    ],
)
def test_next_actions(lines: list[str], words: list[str]) -> None:
    found = str(value_of("next_actions", *lines)).lower()
    assert all(word in found for word in words), found


@pytest.mark.parametrize(
    "lines",
    [
        ["C: What are your hours?", "A: Nine to six.", "C: Thanks, that's all I needed to know."],
        ["C: Change my email please.", "A: Let me do that for you. All done.", "C: Great, thanks."],
        ["C: Is it vegan?", "A: Let me check that for you. Yes, it is.", "C: Perfect, thank you."],
        ["C: Hi", "A: Hello, I'll be happy to help you today. What can I do for you?"],
    ],
)
def test_nothing_is_left_to_do(lines: list[str]) -> None:
    assert value_of("next_actions", *lines) is None
