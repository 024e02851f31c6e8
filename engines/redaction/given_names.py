"""Given names that are hardly ever anything else: masked wherever they are written with a capital letter.

For languages without a name detector, and for what the English one overlooks. Names that are ordinary words as well
are left to the other rules.
"""

import re
from collections.abc import Iterator

from domain.turns import MaskKind
from engines.redaction.spans import Span
from engines.redaction.words import NAME_AND_WORD, ORGANISATION_WORDS, is_common

GIVEN_NAMES = frozenset(
    """
    aaron abigail adam adrian agnes agnieszka ahmed aidan aisha alan albert alejandro alessandro alexander alexandra
    alfred alice alicia alison allison amanda amelia amir amit amy ana anastasia anders andrea andreas andrew andrzej
    angela anita anja anna annabel anne annette annika anthony antonio arjun arthur ashley asif astrid audrey aurelia
    barbara bartosz beatrice beatriz benjamin bernadette bernard beth bethany birgit bjorn björn boris brandon brenda
    brendan brian bridget bruno bryan caitlin callum cameron camila carla carlos carmen caroline catherine cecilia
    celine charles charlotte chiara chloe chloé christian christina christine christoph christopher ciara claire clara
    claudia colin colleen connor cornelia craig cristina cynthia dagmar damian daniel daniela danielle darius darren
    david debbie deborah deepak denise dennis derek diana diego dieter dimitri dmitri dominic dominik donald donna
    doris dorothy douglas duncan dylan edgar edith eduardo edward edwin eileen elaine eleanor elena elif elisa
    elisabeth elizabeth ella ellen emil emilia emily emma enrique eric erica erik erika ernesto esteban esther ethan
    eugene eva evelyn ewa fabian fatima fatma federico felicity felix fernanda fernando fiona florence florian frances
    francesca francesco francis francisco françois frederick frieda friedrich gabriel gabriela gareth gary gavin
    geoffrey george gerald gerard gianluca gillian giorgio giovanni giulia giuseppe gloria gordon graham greg gregory
    greta guillermo gustavo hannah hans harold harriet harry hassan heather hector heidi heinz helen helena helga
    henrik henry herbert holger howard hugo ian ibrahim ingrid irene isaac isabel isabella ivan jacob jacqueline
    jacques jakob jakub james jamie jan jana janet janice jasper javier jennifer jeremy jerome jessica jill joan joana
    joanna joanne johan johann johannes john jonas jonathan jorge josé josef joseph joshua joyce juan juana judith
    julia julian juliana julie juliette jürgen justin justyna kai karen karin karl karsten katarzyna kate katharina
    katherine kathleen kathryn katie kayla keith kelly kenneth kerstin kevin khalid kimberly klaus konrad kristen
    kristin kumar kyle lars laura lauren laurent lea leah lena leon leonard leonie liam linda lisa liz lorenzo louis
    louise luca lucas lucia lucía lucy luigi luis luisa lukas lydia maciej magdalena mahmoud malcolm marc marcel marco
    marcus margaret maria maría marie mario marion marisol marjorie marlene marta martha martin martina mary mateo
    mathias matilda matteo matthew matthias maureen mauricio maximilian megan mehmet melanie melissa michael michaela
    michal michel michele michelle miguel mikhail miriam mohamed mohammed molly monica monika muhammad nadia nadine
    nancy natalia natalie natasha nathan nathaniel neil nicholas nicola nicolas nicole niklas nikolai nina noah nora
    norman oleg olga oliver olivia omar oscar pablo pamela paolo patricia patrick paul paula pauline pavel pedro peggy
    peter petra philip philipp philippe phillip piotr priya rachel radek rafael ralf ralph ramesh ramon raquel raymond
    rebecca regina reinhard renate ricardo richard rita robert roberta roberto rodrigo roger roland rolf ronald ronan
    rosalind rosemary ruth ryan sabine sabrina sally samantha samuel sandra sanjay santiago sara sarah sascha scott
    sean sebastian sergei sergio sharon shaun sheila shirley siobhan silke silvia simon simone sofia sofie sonia
    sophia sophie stacey stefan stefanie stella stephanie stephen steven stuart sunil susan susanne suzanne svetlana
    sven sylvia tamara tanja tanya tatiana teresa tessa theodore theresa thomas thorsten timothy tobias tomasz tracy
    ulrich ulrike ursula valentina valerie vanessa vera veronica vicky victoria vikram vincent vincenzo virginie
    vladimir walter wanda wendy werner wilhelm william winifred wolfgang xavier yasmin yolanda yusuf yvonne zachary
    zoe zofia
    """.split()  # noqa: SIM905
)

_CAPITAL = re.compile(r"\b[^\W\d_a-z][^\W\d_]{1,14}(?:-[^\W\d_]+)?\b")
_FAMILY = re.compile(
    r"[ ](?:(?:van|von|de|da|di|der|den|la|del)[ ]){0,2}(?P<family>[^\W\d_a-z][^\W\d_]+(?:[-'’][^\W\d_]+)?)"
)
_PLACE = re.compile(r"\b(?:San|Santa|Saint|St\.?|Hurricane|Storm|Lake|Mount|Port|Fort|Queen|King)\s$")
_COMPANY = re.compile(
    rf"[ ]?(?:&|(?:{'|'.join(sorted(word for word in ORGANISATION_WORDS if word != '&'))})\b)", re.IGNORECASE
)


def given_name_spans(text: str) -> Iterator[Span]:
    """Given names, with the family name that follows one."""
    for found in _CAPITAL.finditer(text):
        first = found.group().split("-")[0].lower()
        if (
            first not in GIVEN_NAMES
            or found.group().isupper()
            or _PLACE.search(text, max(0, found.start() - 12), found.start())
        ):
            continue
        end = found.end()
        family = _FAMILY.match(text, end)
        if family and (not is_common(family["family"]) or family["family"].lower() in NAME_AND_WORD):
            end = family.end()
        if _COMPANY.match(text, end):  # `Martin Air`, `John Lewis & Partners`
            continue
        yield Span(found.start(), end, MaskKind.NAME)
