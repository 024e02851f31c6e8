"""Everything the API needs, as one value: built in `infra.wiring`, used in `api`."""

from dataclasses import dataclass

from services.accept_conversation import AcceptConversation
from services.authenticate import Authenticate
from services.backlog import BacklogLimit
from services.catalogue import Catalogue
from services.correct_conversation import CorrectConversation
from services.dashboard import ReadDashboard
from services.dead_letters import ReadDeadLetters
from services.explain import Explain
from services.idempotency import Idempotency
from services.imports import Imports
from services.listen import ListenToCall
from services.manage_engines import ManageEngines
from services.platform_status import ReadPlatformStatus
from services.ports import Orchestrator
from services.provision import Provision
from services.read_conversation import ReadConversation
from services.readiness import Readiness
from services.receive_events import ReceiveEvents
from services.rerun import Reenter
from services.search import SearchConversations
from services.sign_in import SignIn
from services.sources import Sources
from services.uploads import Uploads
from services.users import ManageUsers

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
    imports: Imports
    search: SearchConversations
    dashboard: ReadDashboard
    listen: ListenToCall
    sign_in: SignIn
    users: ManageUsers
    dead_letters: ReadDeadLetters
    catalogue: Catalogue
    sources: Sources
    events: ReceiveEvents
    provision: Provision
    engines: ManageEngines
    idempotency: Idempotency
    backlog: BacklogLimit
    readiness: Readiness
    platform_status: ReadPlatformStatus
    orchestrator: Orchestrator
    caps: ApiCaps
