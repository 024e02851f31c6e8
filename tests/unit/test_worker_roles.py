"""Worker roles and stage policies: the shipped files are valid, and what is wrong in them is said."""

from pathlib import Path

import pytest

from domain import policies as table
from domain.contracts import CONTRACTS, Attribute, QueueKind, task_queue
from domain.conversation import Lane
from engines.language_models import registry as language_models
from engines.transcription import registry as transcription
from infra.settings import default_config_dir
from infra.temporal import policies, search_attributes
from infra.temporal.policies import PolicyFileError
from infra.temporal.queues import task_queues
from workers.roles import RolesError, choose, load_roles

CONFIG = default_config_dir()


def test_the_shipped_roles_serve_every_contract_and_engine_queue() -> None:
    roles = load_roles(CONFIG)
    served = {name for role in roles.values() for spec in role.queues for name in spec.activities}
    assert served == {contract.name for contract in CONTRACTS}
    assert {name for role in roles.values() for spec in role.queues for name in spec.workflows} == {
        "ConversationWorkflow",
        "ImportWorkflow",
        "ReconcileWorkflow",
    }
    engines = [
        *(task_queue(QueueKind.TRANSCRIPTION, kind) for kind in transcription.FACTORIES),
        *(task_queue(QueueKind.LANGUAGE_MODEL, kind) for kind in language_models.FACTORIES),
    ]
    queues = {"parley-conversations", "parley-imports", *engines}
    assert set(task_queues(CONFIG)) == queues, "every kind there is has its queue"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "cannot be read"),
        ("[roles.x]\nqueues = []", "at least 1 item"),
        ('[roles.x]\n[[roles.x.queues]]\nqueue = "transcription"\nactivities = ["transcribe"]', "engine's kind"),
        (
            '[roles.x]\n[[roles.x.queues]]\nqueue = "conversations"\nactivities = ["transcribe"]',
            "no activity transcribe",
        ),
        ('[roles.x]\n[[roles.x.queues]]\nqueue = "conversations"\nworkflows = ["Nope"]', "no workflow Nope"),
        ('[roles.x]\n[[roles.x.queues]]\nqueue = "conversations"', "serves a workflow or an activity"),
        ('[roles.x]\nprocessses = 3\n[[roles.x.queues]]\nqueue = "conversations"', "processses"),
    ],
)
def test_a_wrong_roles_file_is_refused_in_words(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "workers.toml").write_text(text)
    with pytest.raises(RolesError, match=complaint):
        load_roles(tmp_path)


def test_an_unknown_role_is_told_with_those_there_are() -> None:
    with pytest.raises(RolesError, match=r"no role nope; there are conversations, imports, transcription"):
        choose(load_roles(CONFIG), ["nope"])
    assert [role.name for role in choose(load_roles(CONFIG), ["transcription", "transcription"])] == ["transcription"]


def test_the_shipped_policies_cover_every_contract_and_lane() -> None:
    policies.install(CONFIG)
    try:
        for contract in CONTRACTS:
            for lane in Lane:
                rules = table.policy(contract.policy, lane)
                assert rules.schedule_to_close >= rules.start_to_close
        assert table.policy("analyze", Lane.LIVE, "offline").heartbeat == 10
        assert table.policy("analyze", Lane.LIVE, "gemini").heartbeat == 30
        assert table.policy("analyze", Lane.BACKFILL, "offline").schedule_to_close == 172800
        assert table.policy("plan_local", Lane.LIVE).schedule_to_close <= 5
        with pytest.raises(LookupError):
            table.policy("nope", Lane.LIVE)
    finally:
        table.use({})


@pytest.mark.parametrize("key", [contract.policy for contract in CONTRACTS if contract.policy != "reconcile"])
def test_every_stage_bridges_a_store_that_is_away_for_twenty_seconds(key: str) -> None:
    rules = policies.load(CONFIG)[key, Lane.LIVE]
    waits = [
        min(rules.initial_interval * rules.backoff**attempt, rules.maximum_interval)
        for attempt in range(rules.maximum_attempts - 1)
    ]
    assert sum(waits) >= 25


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ingest = 3", r"\[ingest\] is not a table"),
        ("[ingest]\nstart_to_close = 0", "start_to_close"),
        ("[ingest]\nstart_to_close = 1\nschedule_to_close = 1\nmaximum_attempts = 1\nspeed = 9", "speed"),
        ("[ingest]\nstart_to_close = 1\nschedule_to_close = 1\nmaximum_attempts = 1", "no policy for"),
        ("[ingest", "cannot be read"),
    ],
)
def test_a_wrong_policies_file_is_refused_in_words(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "policies.toml").write_text(text)
    with pytest.raises(PolicyFileError, match=complaint):
        policies.load(tmp_path)


def test_the_servers_search_attributes_are_those_of_the_code() -> None:
    assert search_attributes.configured(CONFIG) == {name.value: "Keyword" for name in Attribute}
