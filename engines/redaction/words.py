"""Word lists: what is no name although it stands where a name stands, and what can be one and an ordinary word too."""

COMMON = frozenset(
    """
    a able about above absolutely accept access according account accounts across action activate active
    actually add added address adult advice afraid after afternoon again against age agent ago agree ahead air
    airline all allow almost alone along already alright also although always am amazing amount an and angry
    another answer any anybody anymore anyone anything anyway app apologies apologize application apply
    appointment appreciate appropriate approve approved are area around arrive arrived as ask asked asking
    assist assistance assistant at attempt automatic available average avoid awaiting aware away awesome awful
    baby back bad bag balance bank banking based basic be beautiful became because become bed been before began
    begin behind being believe below best better between big bill billed billing birthday bit black blue board
    boarding book booked booking both bother bottom bought box branch brand break bring broadband broke broken
    brother brought brown budget building bus business busy but button buy by bye call called caller calling
    came can cancel cancellation cancelled cancelling cannot cant car card cards care carry case cash cat cause
    center central certain certainly chance change changed charge charged charges charging chat cheap check
    checked checking child children choice choose city claim class clean clear clearly click close closed cloud
    club clothes coat code cold collect color colour come comes coming comment common company compare
    compensation complain complaint complete completed completely computer concern concerned concerning
    condition confirm confirmation confirmed confused connect connected connection consider contact contacting
    continue contract control cool copy correct correctly cost costs could couldnt count country couple coupon
    courier course cover covered coverage crazy create credit cup current currently customer cut daily damage
    damaged dark data date daughter day days dead deal dear debit decide decided declined deducted deep
    definitely delay delayed deliver delivered delivery deny department depends deposit desk detail details
    device did didnt difference different difficult dinner direct directly disappointed disappointing discount
    dispatch dispute do doctor does doesnt dog doing dollar dollars done dont door double down download driver
    drop dude due during each earlier early easily easy eat eight eighteen eighty either eleven else email
    emails emergency employee empty end ended engineer english enjoy enough enter entire error escalate
    especially even evening ever every everybody everyone everything exactly example excellent except exchange
    excited excuse existing expect expected expensive expire expired expires expiry explain express extra
    extremely eye eyes face fact fair fairly false family fantastic far fast father fault fee feedback feel
    feeling feels fees fell felt few fifteen fifty figure file fill final finally find fine finish finished fire
    first five fix fixed flat flight floor follow following food for foreign forget forgot form former forty
    forward found four fourteen fraud free frequently friday friend friendly from front frustrated frustrating
    full fully fund funny further future gas gave general get gets getting gift girl give given gives giving
    glad go goes going gold gone good goodbye got gotten great green greetings ground group guarantee guess
    guest guide guy guys had half hand handle happen happened happening happens happy hard has hasnt hat hate
    have havent having he head hear heard heart heavy held hello help helped helpful helping her here hers hey
    hi high him his history hit hold holiday home honest honestly hope hopefully hoping horrible hospital hot
    hotel hour hours house how however huge human hundred hurry hurt husband i id idea identity if ill im
    immediately important impossible in inbox include included including incorrect indeed information inside
    instead instructions insurance interest interested international internet into invoice is isnt issue issued
    issues it item items its itself ive january february march april may june july august september october
    november december jacket jeans job join joined joke just keep keeps kept key keyboard kid kids kind kindly
    kitchen knew know knowing known lady laptop large last late lately later latest laugh lead learn least leave
    leaving left legal less let lets letter level life light like likely limit line link list listen little live
    living load loan local located lock locked log logged login long longer look looked looking looks lose loss
    lost lot lots loud love lovely low loyal loyalty luck lucky lunch machine made madam mail mailbox main make
    makes making man manage manager many market married matter matters maybe me meal mean means meant medical
    medicine meet meeting member membership memory men mention mentioned message messages met middle might mile
    miles million min mind mine minute minutes miss missed missing mistake mobile modem moment monday money
    month monthly months more morning most mother mouth move moved movie moving much mum mom must my myself name
    names near nearly necessary need needed needs neither network never new news next nice night nine nineteen
    ninety no nobody none nope nor normal normally not note nothing notice noticed notification now number
    numbers obviously of off offer offered office official often oh ok okay old on once one ones online only
    open opened option options or order ordered orders original other others otherwise our ours out outage
    outside outstanding over overdraft overnight own owner package page paid pair pants paper parcel parent
    parents part particular partner party pass passed password past pay paying payment payments penny people per
    percent perfect perfectly perhaps period permanent permission person personal phone photo pick picked
    picture piece pin place placed plan plane plans play please pleased pleasure plenty plus point points policy
    poor popular possible possibly post pound pounds power prefer prepaid prescription present press pretty
    previous previously price prices print printer private pro probably problem problems process processed
    processing product products professional profile promise promised promo proper properly protect provide
    provided provider public pull purchase purchased purpose push put quality queue question questions quick
    quickly quiet quite quote rang rate rather reach reached read ready real realise realize really reason
    reasonable receipt receive received recent recently recommend record red refer reference refund refunded
    refunds regard regarding regards register registered regret regular related relevant remain remember
    reminder remove renew renewal rent repair repeat replace replaced replacement reply report request requested
    required research reservation reset resolve resolved respect respond response rest restart result return
    returned returning returns review ridiculous right ring road roaming room round route router rude rule run
    running sad safe said sale sales same sat satisfied saturday save saved savings saw say saying says scam
    schedule scheduled school screen search season seat second seconds secure security see seeing seem seemed
    seems seen sell send sending senior sent separate serial serious seriously service services set setting
    settings seven seventeen seventy several shall share she ship shipped shipping shirt shoes shop shopping
    short should shouldnt show showed showing shows shut sick side sign signed silver similar simple simply
    since single sir sister sit site situation six sixteen sixty size sleep slow slowly small smart so social
    sofa sold solution solve some somebody somehow someone something sometimes somewhere son soon sorry sort
    sound sounds source space speak speaking special specific spell spend spent spoke spoken staff standard
    start started starting state statement station status stay still stolen stop stopped store story straight
    strange street strong stuck student stuff stupid subject submit submitted subscription such suddenly suggest
    sunday super supervisor supply support suppose supposed sure surely surprised survey switch switched system
    table take taken takes taking talk talked talking taxi team technical technician telephone television tell
    ten term terms terrible text than thank thankful thanks that thats the their them themselves then there
    theres these they theyre thing things think third thirteen thirty this those though thought thousand three
    through throughout thursday ticket till time times tired title to today together told tomorrow tonight too
    took top total totally touch toward towards town track tracking trade train transaction transactions
    transfer transferred travel tried trip trouble true trust truth try trying tuesday turn turned tv twelve
    twenty twice two type unable unacceptable unbelievable under understand understanding understood unfortunate
    unfortunately unhappy unit unless until up update updated upgrade upon upset urgent us usage use used useful
    user username usual usually vacation valid value van various vehicle verification verified verify very via
    view visit voice voucher wait waited waiting walk wallet want wanted wants warehouse warm warning warranty
    was wasnt waste watch water way we website wednesday week weekend weekends weekly weeks weird welcome well
    went were weve what whatever whats when whenever where whether which while white who whole whom whose why
    wife will window winter wish with within without wonderful wondering wont word words work worked working
    works world worried worry worse worst worth would wouldnt wow write writing written wrong wrote yeah year
    years yellow yep yes yesterday yet you youd youll young your youre yours yourself youve zero zip
    customer's i'd i'll i'm i've it's that's there's we're we've you're you've don't didn't doesn't can't won't
    couldn't wouldn't shouldn't isn't aren't wasn't weren't hasn't haven't let's what's who's he's she's they're
    yup nah hmm um uh er erm ah aha lol omg btw fyi asap ya yo u ur pls plz thx ty np idk monday's today's sms faq
    visa mastercard amex paypal apple google amazon microsoft android iphone ipad windows wifi wi-fi bluetooth netflix
    """.split()  # noqa: SIM905 - a list of words reads as words
)
"""Ordinary words of customer service, lower case. Not all of English: what stands where names stand."""

NAME_AND_WORD = frozenset(
    """
    april art august bill chance chase daisy dawn dean drew earnest faith frank gene gold grace grant guy harmony hazel
    heath holly hope hunter ivy jack jasmine jean joy june junior lance lane lily mark marsh mason max may melody mercy
    miles misty norm olive paige pat patience pearl penny pierce prince ray rich robin rose ruby rusty sage sandy sky
    stone sue summer sunny tab tiffany trinity van victor violet wade ward will winter woody young baker banks bell
    berry best bird black blue bond brook brooks brown bush butler carpenter carter case cash church clay cliff coin
    cook cooper cross day dale duke earl english farmer field fields fish fisher ford forest fox french gray green grey
    hall hammer hill house king knight lake law lemon little long love low major marks moon noble north page park
    parker parks pepper pool porter power powers price raven read reed rice rivers rock sharp shepherd short singer
    small smart smith snow sparks star sterling storm street strong summers sweet swift taylor temple turner underwood
    walker wall walls waters weaver webb wells west white wild wise wolf wood woods
    """.split()  # noqa: SIM905
)
"""Words that are also first or family names: alone they are masked only where the writing says name."""

NO_NAME_AFTER_GREETING = frozenset(
    """
    mr mrs ms miss mister dr prof professor doctor frau herr herrn señor señora monsieur madame signor signora
    there all everyone everybody team folks guys sir madam madame sirs customer support service friend friends dear
    again and i my to you we thanks thank this it ok good agent colleague colleagues ladies gentlemen zusammen
    """.split()  # noqa: SIM905
)

ORGANISATION_WORDS = frozenset(
    """
    bank hotels hotel insurance airlines airways air telecom mobile energy inc ltd llc plc gmbh ag co corp company group
    store stores shop market street road support team services service systems university college hospital airport &
    credit union motors cars power express media games books travel tours foods electric water broadband fibre fiber
    """.split()  # noqa: SIM905
)

ACKNOWLEDGEMENTS = frozenset(
    """
    yes yeah yep no nope ok okay sure thanks thank you great fine correct right hello hi hey please perfect wait sorry
    what why done good alright cool got it one moment sec second there here ready absolutely certainly of course thx ty
    danke ja nein gerne bitte moment gracias sí si vale merci oui non grazie sì obrigado sim dank wel
    """.split()  # noqa: SIM905
)
"""An answer of nothing but these gives nothing away."""

REFUSALS = (
    "don't know", "do not know", "dont know", "no idea", "not sure", "forgot", "forgotten", "can't remember",
    "cannot remember", "don't remember", "dont remember", "don't have", "do not have", "dont have", "hold on",
    "one moment", "one second", "let me", "give me a", "what do you", "which one", "why do", "i never",
    "weiß ich nicht", "keine ahnung", "no lo sé", "je ne sais pas", "non lo so", "weet ik niet",
)  # fmt: skip
"""An answer with one of these gives nothing away."""


def is_common(word: str) -> bool:
    """Whether a word is so ordinary that it is no name by itself, or blanked out already (`XXXX`). Case and a
    possessive do not matter."""
    plain = word.lower().replace("’", "'")
    return plain in COMMON or plain.removesuffix("'s") in COMMON or set(plain) == {"x"}


def may_be_word(word: str) -> bool:
    """Whether a name is an ordinary word too, so that only its place in the sentence tells which."""
    plain = word.lower()
    return plain in NAME_AND_WORD or plain in COMMON
