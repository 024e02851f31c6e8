"""Conversations in a few lines for the redactor's tests."""

import re
from dataclasses import dataclass

_MARKED = re.compile(r"\{(?P<kind>[a-z_]+)\|(?P<original>[^}]*)\}")


@dataclass(frozen=True)
class Case:
    """text: one line a turn, `agent: …` / `customer: …`; what must be masked is marked `{kind|original}`."""

    name: str
    text: str
    language: str | None = "en"
    names: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        return _MARKED.sub(lambda marked: marked["original"], self.text)

    @property
    def redacted(self) -> str:
        return _MARKED.sub(lambda marked: f"[{marked['kind']}]", self.text)


CASES = (
    # -- cards
    Case("card", "customer: it's {card|4242 4242 4242 4242}, thanks"),
    Case("card with hyphens", "customer: {card|5555-5555-5555-4444}."),
    Case("card glued", "customer: use {card|378282246310005} please"),
    Case(
        "card read out",
        (
            "agent: What is the card number?\n"
            "customer: {card|four two four two, four two four two, uh, double four double two four two four two}"
        ),
    ),
    Case(
        "card over several turns",
        (
            "agent: Card number please\n"
            "customer: {card|four two four two}\n"
            "agent: yes\n"
            "customer: {card|four two four two}\n"
            "agent: mhm\n"
            "customer: {card|four two four two}\n"
            "agent: go on\n"
            "customer: {card|four two four two}"
        ),
    ),
    Case(
        "card with a wrong check digit, asked for", ("agent: Your card number?\ncustomer: {card|4242 4242 4242 4241}")
    ),
    Case(
        "expiry and code",
        ("agent: Expiry date and security code?\ncustomer: exp {card|08/29} and the code is {password|123}"),
    ),
    Case("last four", "agent: the card ending in {card|4242}"),
    Case(
        "last four, asked for",
        ("agent: Last four digits of your card?\ncustomer: {card|5556}\nagent: Thanks, {card|5556} it is."),
    ),
    Case("last four of an account", "customer: checking ending {account|2277}"),
    Case("last four of a phone", "agent: a link to your phone ending in {phone|0142}"),
    # -- accounts and identifiers
    Case("IBAN", "customer: {account|DE89 3704 0044 0532 0130 00} bitte", "de"),
    Case("account", "customer: my account number is {account|12345678}"),
    Case("sort code", "customer: sort code {account|20-00-00}, account {account|55779911}"),
    Case("member number", ("agent: And your membership number?\ncustomer: it's {account|AB-44512}")),
    Case("user name", "customer: my username is {account|cminh730}"),
    Case("user name, asked for", "agent: Your username?\ncustomer: {account|quietfalcon}"),
    Case("social security number", "customer: {national_id|123-45-6789}"),
    Case(
        "social security number read out",
        (
            "agent: Your social security number please?\n"
            "customer: {national_id|one two three, four five, six seven eight nine}"
        ),
    ),
    Case("national insurance number", "customer: it is {national_id|AB123456C}"),
    Case("Spanish identifier", "customer: mi DNI es {national_id|12345678Z}", "es"),
    Case("passport", "customer: my passport number is {national_id|X12345678}"),
    Case("unexplained long number", "customer: {id_number|889977665544}"),
    # -- kept: references of the company, amounts, dates, quantities
    Case("order", "customer: my order number is 3348917502"),
    Case("order, asked for", "agent: Your order ID?\ncustomer: 3348917502"),
    Case("order code", "customer: order FR-208814 and SOL-77120"),
    Case("amounts", "customer: I paid $1,234.56 and 2000 euros for 128 GB"),
    Case("dates", "customer: on 12/11/2026, or May 5th 2026, or 2026-05-05"),
    Case("times", "agent: between 8:00 and 13:30 in 14 days"),
    Case("small numbers in words", "customer: one of the two boxes had three lamps"),
    Case("invoice", "customer: The invoice no. 20261104 is wrong"),
    Case("order and tracking", "customer: Order #112-9384756-2938471 is missing, tracking 1Z999AA10123456784"),
    Case("flight", "customer: flight BA2490 on March 5, seat 14C, room 1204"),
    Case("years", "customer: I've been a customer for 12 years and paid 300 dollars in 2019"),
    Case("order, German", "customer: Bestellnummer 8812345678 ist nicht angekommen", "de"),
    # -- e-mails
    Case("e-mail", "customer: write to {email|jane.doe+shop@example.co.uk}."),
    Case("e-mail read out", "customer: it's {email|jane dot doe at example dot com}"),
    Case("e-mail spelled", "customer: that's {email|j a n e d o e four two at gmail dot com}"),
    Case("e-mail with brackets", "customer: {email|jane [at] example [dot] org}"),
    Case("e-mail garbled", "agent: Your email?\ncustomer: {email|saran 2 gmailcom}"),
    Case("a web site", "customer: I looked at example.com yesterday"),
    # -- phones
    Case("phone", "customer: call {phone|(415) 555-0142}"),
    Case("phone with dots", "customer: {phone|415.555.0142} works"),
    Case("phone, international", "customer: {phone|+49 (0)30 1234567} oder {phone|0170 1234567}", "de"),
    Case("phone read out", "customer: {phone|oh seven seven double oh nine oh oh one eight five}"),
    Case("phone, bare", "agent: phone number?\ncustomer: {phone|9085675656}"),
    # -- dates of birth, addresses
    Case(
        "date of birth",
        ("agent: Your date of birth?\ncustomer: {date_of_birth|March seventeenth nineteen eighty four}"),
    ),
    Case("born on", "customer: I was born on {date_of_birth|17.03.1984}"),
    Case("a birthday", "customer: it's my son's birthday tomorrow"),
    Case("address", "agent: to {address|1187 Alder Court, Apt 4B}. Is that right?"),
    Case("address, lower case", "customer: i live at {address|42 elm street}"),
    Case("address with town", "customer: {address|12 Rose Lane, Springfield, IL 62704}"),
    Case("address, asked for", ("agent: Your address?\ncustomer: {address|6821 1st ave san mateo ny 75227}")),
    Case("address, German", "customer: Ich wohne in der {address|Lindenstraße 12, 80331 München}.", "de"),
    Case("address, French", "customer: J'habite {address|12 rue de la Paix, 75002 Paris}", "fr"),
    Case("postcode", "agent: What's your postcode?\ncustomer: {address|SW1A 1AA}"),
    Case(
        "address read out",
        "agent: And your home address?\n"
        "customer: it's {address|forty two elm street apartment 3 b brooklyn one one two oh one}",
    ),
    Case("post box", "customer: mail it to {address|PO Box 1184, Boise, ID 83701}"),
    Case("address, British", "customer: we live at {address|221B Baker Street, London NW1 6XE}"),
    # -- secrets
    Case("password", "customer: the password is {password|hunter2}!"),
    Case("no password", "customer: my password is not working"),
    Case("PIN", "agent: What's your PIN?\ncustomer: {password|4471}"),
    Case(
        "security answer",
        (
            "agent: What was the name of your first pet?\n"
            "customer: it's {password|Mister Whiskers}\n"
            "agent: Thank you, that matches."
        ),
    ),
    Case("no answer", ("agent: What's your mother's maiden name?\ncustomer: I don't remember\nagent: No problem.")),
    Case("password, French", "customer: mon mot de passe est {password|soleil2024}", "fr"),
    Case("one-time code", "agent: I sent a one-time passcode, can you read it?\ncustomer: {password|773 914}"),
    Case(
        "two of a kind",
        "customer: my account number's {account|00123456789} and my pin is {password|four four seven one}",
    ),
    # -- network
    Case("IP addresses", "customer: from {ip_address|192.168.1.17} and {ip_address|2001:db8::1}"),
    Case("no IP address", "customer: at 10:30:45, version 1.2.3"),
    # -- names
    Case("said", "customer: hi my name is {name|robert johnson} i would like to pay"),
    Case("asked for", ("agent: May I have your name please?\ncustomer: {name|crystal minh}")),
    Case(
        "again later",
        ("agent: Your name?\ncustomer: It's {name|Ximena}.\nagent: Thanks. Anything else, {name|Ximena}?"),
    ),
    Case("title", "agent: Thank you, Ms. {name|Quintero}."),
    Case("relative", "customer: my husband {name|Hector} changed it"),
    Case("spelled", ("agent: Can you spell your last name?\ncustomer: {name|M-I-N-H}")),
    Case(
        "spelled with words",
        ("agent: Spell your surname please\ncustomer: {name|k as in kilo, o as in oscar, h as in hotel}"),
    ),
    Case("signature", "customer: Please call.\n\nBest regards,\n{name|Marta Olsen}"),
    Case("company", "agent: Thank you for calling Larkfield Bank, how can I help?"),
    Case("ordinary words", "customer: This is unacceptable. I am furious. Will you help?"),
    Case(
        "participant",
        "agent: Hi {name|priya}, it's {name|Tom}",
        "en",
        (
            "Priya Nair",
            "Tom Ashdown",
        ),
    ),
    Case("participant with an ordinary name", "agent: I will ask {name|Will}, will that do?", "en", ("Will Young",)),
    Case("participant without accents", "agent: Thanks {name|Jose Garcia}", "en", ("José García",)),
    Case("team", "agent: The Solane Travel Team", "en", ("Solane Travel Team",)),
    Case("German", "agent: Guten Tag Frau {name|Vollmer}, hier ist {name|Jonas Reiter}.", "de"),
    Case("relatives", "customer: My wife, {name|Samantha}, and our neighbor Mr. {name|Alvarez} saw it."),
    Case("given name", "customer: Please call {name|John} on {phone|020 7946 0958}"),
    Case("given name without a detector", "customer: Ich sprach mit {name|Katharina Brandt} darüber", "de"),
    Case("a city", "customer: I fly to San Diego and St. Louis"),
    Case("no name", "customer: my name is on the account"),
    Case("no answer to the name", "agent: Can I have your name?\ncustomer: I just want to cancel my subscription"),
    Case("booking", "agent: What name is it under?\ncustomer: It's under {name|Delacroix}, for Friday."),
    Case("last name", "agent: and your last name\ncustomer: {name|o'connor}\nagent: thanks mister {name|o'connor}"),
    Case("Italian", "customer: Mi chiamo {name|Luca Bianchi}, codice fiscale {national_id|BNCLCU80A01H501U}", "it"),
    Case("Spanish", "customer: me llamo {name|lucía fernández}", "es"),
    Case("French", "customer: Je m'appelle {name|Chloé Martin}.", "fr"),
    Case("Russian", "customer: Меня зовут {name|Иван Петров}.", "ru"),
    Case("Polish, bent", "agent: Dzwonię do pana {name|Kowalskiego}", "pl", ("Jan Kowalski",)),
    Case("Chinese", "customer: 我叫{name|王小明}，我要退款", "zh"),
    Case("Japanese participant", "agent: {name|田中}様、お待たせしました", "ja", ("田中 太郎",)),
    Case("Korean participant", "agent: {name|김민준}님 안녕하세요", "ko", ("김민준",)),
    Case("Arabic participant", "agent: شكرا يا {name|فاطمة}", "ar", ("فاطمة علي",)),
    Case("unknown language", "customer: {card|4242} {email|4242 4242 4242 jane@example.com}", None),
)
"""Every kind of personal data in the forms people write and say it, and what must not be taken for it."""
