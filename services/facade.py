"""Everything the API needs, as one value: built in `infra.wiring`, used in `api`."""

from dataclasses import dataclass

from services.accept_conversation import AcceptConversation
from services.authenticate import Authenticate
from services.backlog import BacklogLimit
from services.catalogue import Catalogue
from services.correct_conversation import CorrectConversation
from services.dead_letters import ReadDeadLetters
from services.explain import Explain
from services.idempotency import Idempotency
from services.manage_engines import ManageEngines
from services.ports import Orchestrator
from services.provision import Provision
from services.read_conversation import ReadConversation
from services.readiness import Readiness
from services.rerun import Reenter
from services.search import SearchConversations
from services.uploads import Uploads

MIB = 1024 * 1024


@dataclass(frozen=True)
class ApiCaps:
    """public_url: how callers reach the API, base of every link. max_body_bytes bounds a JSON body."""

    public_url: str = "http://127.0.0.1:8420"
    max_body_bytes: int = 32 * MIB


@dataclass(frozen=True)
class ApiServices:
    """The use cases behind the routes. One per process, made in the running loop."""

    authenticate: Authenticate
    accept: AcceptConversation
    correct: CorrectConversation
    read: ReadConversation
    explain: Explain
    reenter: Reenter
    uploads: Uploads
    search: SearchConversations
    dead_letters: ReadDeadLetters
    catalogue: Catalogue
    provision: Provision
    engines: ManageEngines
    idempotency: Idempotency
    backlog: BacklogLimit
    readiness: Readiness
    orchestrator: Orchestrator
    caps: ApiCaps
