"""The words for what is asked and told: data for `topics`, `context` and the recognizers. Languages share one list."""

import re
from enum import StrEnum

from domain.turns import MaskKind


class Topic(StrEnum):
    """What a number or word next to a keyword is. ORDER is a reference of the company's, which is kept."""

    NAME = "name"
    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    CODE = "code"
    SECRET = "secret"  # noqa: S105 - the name of a topic
    PASSWORD = "password"  # noqa: S105
    ACCOUNT = "account"
    USERNAME = "username"
    NATIONAL_ID = "national_id"
    DATE_OF_BIRTH = "date_of_birth"
    ADDRESS = "address"
    POSTCODE = "postcode"
    ORDER = "order"


KIND_OF_TOPIC: dict[Topic, MaskKind] = {
    Topic.NAME: MaskKind.NAME,
    Topic.EMAIL: MaskKind.EMAIL,
    Topic.PHONE: MaskKind.PHONE,
    Topic.CARD: MaskKind.CARD,
    Topic.CODE: MaskKind.PASSWORD,
    Topic.SECRET: MaskKind.PASSWORD,
    Topic.PASSWORD: MaskKind.PASSWORD,
    Topic.ACCOUNT: MaskKind.ACCOUNT,
    Topic.USERNAME: MaskKind.ACCOUNT,
    Topic.NATIONAL_ID: MaskKind.NATIONAL_ID,
    Topic.DATE_OF_BIRTH: MaskKind.DATE_OF_BIRTH,
    Topic.ADDRESS: MaskKind.ADDRESS,
    Topic.POSTCODE: MaskKind.ADDRESS,
}

_NUMBER = r"(?:\s?(?:number|no\b\.?|num\b|nr\b\.?|#|id\b|i\.d\.|digits|details))"

KEYWORDS: dict[Topic, str] = {
    Topic.SECRET: (
        r"mother'?s maiden|maiden name|security (?:question|answer|word)|secret (?:question|answer|word)"
        r"|memorable (?:word|place|name|date|information)|(?:first|favou?rite) (?:pet|teacher|school|car|book)"
        r"|pet'?s name|street you grew up|passphrase|sicherheitsfrage|mädchenname|pregunta de seguridad"
        r"|question (?:de sécurité|secrète)"
    ),
    Topic.CODE: (
        r"\bpin\b|pin code|\bpu[ck]\b(?: code)?|\bpac\b(?: code)?|porting code"
        r"|cvv2?\b|cvc2?\b|\bcsc\b|security code|three digits? (?:on|at) the back"
        r"|digits on the back|(?:one.?time|verification|authenti[cs]ation|access|sms|text) (?:pass)?code"
        r"|\botp\b|one.?time (?:password|pin)|geheimzahl|prüfziffer|código de (?:seguridad|verificación)"
        r"|code (?:de sécurité|secret|pin)|codice (?:pin|di sicurezza)"
    ),
    Topic.PASSWORD: (
        r"pass\s?words?\b|passcode|log.?in code|passwort|kennwort|contraseña|mot de passe|senha|wachtwoord|hasło"
    ),
    Topic.CARD: (
        r"(?:credit|debit|bank|visa|master\s?card|amex|payment|gift)\s?card|card" + _NUMBER + r"|\bcard\b"
        r"|kreditkarten?(?:nummer)?|kartennummer|tarjeta|carte (?:bancaire|bleue|de crédit)|numéro de carte"
        r"|carta di credito|cartão|creditcard"
    ),
    Topic.NATIONAL_ID: (
        r"\bssn\b|social(?: security| insurance)?" + _NUMBER + r"?\b|\bsin\b number|national (?:insurance|id)"
        r"|passport|driv(?:er|ing)'?s?.? licen[cs]e|tax (?:id|payer|file)|\bitin\b|\bnhs\b|personnummer"
        r"|(?:sozial|renten)versicherungsnummer|steuer(?:nummer|.?id)|personalausweis|reisepass|\bdni\b|\bnie\b"
        r"|sécurité sociale|codice fiscale|\bcpf\b|\bbsn\b|\bpesel\b|aadhaar|government id|identity card"
    ),
    Topic.DATE_OF_BIRTH: (
        r"date of birth|birth\s?dates?|birthday|\bd\.?o\.?b\b\.?|(?:was|were|am|i'm) born|\bborn (?:on|in)\b"
        r"|year of birth|geburtsdatum|geburtstag|geboren|fecha de nacimiento|date de naissance|nacid[oa]"
        r"|data di nascita|data de nascimento|geboortedatum|data urodzenia"
    ),
    Topic.EMAIL: r"e.?mail|mail address|correo electrónico|courriel|posta elettronica",
    Topic.PHONE: (
        r"\bdirect(?: line| dial)?:|\b(?:tel|ph|mob)\b\.?:?"
        r"|(?:phone|telephone|mobile|cell|contact|callback|call back|cellphone|fax|landline)" + _NUMBER
        + r"|\b(?:phone|mobile|telephone|cell|landline|handset)\b"
        r"|(?:call|reach|ring|text) (?:me|you|him|her) (?:back )?(?:at|on)\b"
        r"|(?:best|good) number|number to (?:call|reach)|whatsapp"
        r"|(?:telefon|handy|mobil)(?:nummer)?\b|teléfono|móvil|celular|téléphone|portable|telefono|cellulare|telefone"
        r"|telefoonnummer"
    ),
    Topic.USERNAME: (
        r"user.?name|user.?id\b|log.?in (?:name|id)|login is|screen name|handle is|benutzername|nombre de usuario"
        r"|identifiant|nome utente|gebruikersnaam"
    ),
    Topic.ACCOUNT: (
        r"\bvat\b|ust-?id\w*|(?:bank |checking |savings? |current )?account(?: ending|" + _NUMBER + r")?|\bacct\b"
        r"|sort code|routing"
        + _NUMBER + r"?|\biban\b|\bbic\b|(?:customer|client|member(?:ship)?|policy|patient|loyalty|subscriber|contract"
        r"|frequent.flyer|rewards?|crew|meter|employee)" + _NUMBER
        + r"|\b(?:checking|savings)\b|konto(?:nummer)?|kundennummer|mitgliedsnummer|versicherungsnummer"
        r"|vertragsnummer|policennummer|número de (?:cuenta|cliente|póliza|socio)|numéro de (?:compte|client|contrat)"
        r"|numero (?:di )?(?:conto|cliente)|número da conta|rekeningnummer|klantnummer|numer (?:konta|klienta)"
    ),
    Topic.POSTCODE: (
        r"zip ?code|\bzip\b|post\s?code|postal code|postleitzahl|\bplz\b|código postal|code postal|\bcap\b"
    ),
    Topic.ADDRESS: (
        r"(?<!e-mail )(?<!email )(?<!mail )(?<!ip )(?<!web )(?<!mac )address(?! (?:this|the issue|your concern))"
        r"|where (?:do you live|should (?:we|i) (?:send|ship|deliver))|living (?:at|in|on)\b|i live (?:at|on)\b"
        r"|(?<!mail-)(?:liefer|rechnungs|post|wohn)?adresse|anschrift|wohnhaft|dirección|domicilio|indirizzo|endereço|woonadres|adres\b"
    ),
    Topic.ORDER: (
        r"(?:order|booking|reservation|confirmation|tracking|ticket|case|claims?|reference|ref\b\.?|invoice|receipt"
        r"|shipment|return|rma|complaint|incident|request|serial|model|flight|item|product|sku|job|work order"
        r"|transaction|batch|room|gate|train|bus|bill|quote|parcel|locator|consignment|delivery)(?:'s)?" + _NUMBER
        + r"|\b(?:order|booking|reservation|ticket|tracking|invoice|flight|reference|case|claim|parcel|confirmation)\b"
        r"|(?:bestell|buchungs|auftrags|rechnungs|sendungs|ticket|vorgangs|fall|reservierungs)nummer|bestellung|buchung"
        r"|número de (?:pedido|reserva|seguimiento|factura)|pedido|reserva"
        r"|numéro de (?:commande|réservation|suivi|dossier|facture)|commande|réservation"
        r"|numero (?:d'|di )?(?:ordine|prenotazione)|ordine|prenotazione|encomenda|bestelnummer|numer zamówienia"
    ),
    Topic.NAME: (
        r"\b(?:first |last |full )?(?:sur)?names?\b(?! of\b)|whom? (?:am i|i am|do i have the|i'm) (?:speaking|talking"
        r"|chatting|pleasure)|who'?s (?:calling|speaking|this)|spell (?:that|it|your)|vorname|nachname|familienname"
        r"|wie heißen sie|mit wem spreche|nombre|apellidos?|cómo se llama|nom complet|votre nom|prénom"
        r"|comment vous appelez|cognome|(?:il suo|tuo) nome|nome completo|(?:seu|teu) nome|sobrenome|\bnaam\b"
        r"|achternaam|imię|nazwisko|имя|фамилия"
    ),
}  # fmt: skip

NO_NAME = re.compile(
    r"(?:company|business|brand|product|city|street|user|log.?in|screen|domain|file|item|pet|maiden|model|store"
    r"|network|wi-?fi|host|bank)(?:'s)?\s?name",
    re.IGNORECASE,
)
REQUEST = re.compile(
    r"\?|(?:may|can|could|might) (?:i|you|we)\b|would you|will you|please|pls\b|plz\b|what(?:'?s| is| are|'?re)\b"
    r"|i(?:'ll|'d| will| would| do|'m going to)?(?: just| also)? (?:need|require|like)|we(?:'ll| will)? need"
    r"|(?:confirm|verify|provide|give me|tell me|enter|share|supply|spell|repeat|validate|send me)\b"
    r"|who am i|who'?s|whom|looking for|and (?:the|your)\b|bitte|könnten|können|dürfte|wie lautet"
    r"|por favor|podría|puede|me da|cuál|s'il vous|pourriez|pouvez|quel|per favore|potrebbe|qual|poderia|kunt u|graag",
    re.IGNORECASE,
)
