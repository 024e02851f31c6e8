"""The state folder: private files, one supervisor at a time, and a wipe that removes nothing else."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from domain.clock import utc_now
from infra.embedded import control
from infra.embedded.errors import StackError
from infra.embedded.ports import Ports
from infra.embedded.process import ProcessId
from infra.embedded.roles import WorkerProcess, worker_processes
from infra.embedded.state import ProcessRecord, ProcessState, StackRecord, StackState, StateFolder, hold_lock
from infra.secrets import SecretRef, resolve_key
from tests.support.stack import ROOT, TEMPORAL_CONFIG


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    folder = StateFolder.at(tmp_path / "state")
    folder.create()
    return folder


def record_of(process: ProcessId, *children: ProcessRecord) -> StackRecord:
    return StackRecord(
        state=StackState.READY,
        supervisor_pid=process.pid,
        supervisor_started=process.started,
        updated=utc_now(),
        processes=children,
    )


def test_secrets_are_random_private_and_kept(state: StateFolder) -> None:
    keys = {resolve_key(SecretRef(f"file:{state.secret_file(name)}")) for name in ("master.key", "codec.key")}
    assert len(keys) == 2
    before = state.passwords()
    assert len({before.of(role).get_secret_value() for role in ("postgres", "parley", "parley_app")}) == 3
    for file in state.secrets.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    state.create()
    assert state.passwords() == before


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(StackError, match="not a state folder"):
        StateFolder.at(tmp_path).create()
    with pytest.raises(StackError, match="nothing was removed"):
        StateFolder.at(tmp_path).wipe()
    assert (tmp_path / "thesis.txt").exists()


def test_what_tests_and_bench_leave_is_no_other_thing(tmp_path: Path) -> None:
    (tmp_path / "screens").mkdir()
    (tmp_path / "bench.json").touch()
    StateFolder.at(tmp_path).create()
    assert (tmp_path / "screens").is_dir()


def test_wipe_removes_everything(state: StateFolder) -> None:
    assert control.down(state, lambda _: None, wipe=True) is False
    assert not state.path.exists()
    assert control.down(state, lambda _: None, wipe=True) is False


def test_the_record_is_private_and_read_back(state: StateFolder) -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    state.write_record(record_of(me))
    assert stat.S_IMODE(state.record_file.stat().st_mode) == 0o600
    again = state.read_record()
    assert again is not None
    live = again.supervisor()
    assert live is not None
    assert live.pid == os.getpid()
    assert again.model_copy(update={"state": StackState.STOPPED}).supervisor() is None
    state.record_file.write_text("{ half a rec")
    assert state.read_record() is None


def test_a_live_lock_is_refused_and_says_who(state: StateFolder) -> None:
    with hold_lock(state):
        program = (
            "import sys; from pathlib import Path; from infra.embedded.state import *\n"
            "try:\n  with hold_lock(StateFolder(Path(sys.argv[1]))): pass\n"
            "except Exception as error: print(error)"
        )
        outcome = subprocess.run(
            [sys.executable, "-c", program, str(state.path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
    assert f"already running: pid {os.getpid()}" in outcome.stdout
    with hold_lock(state) as lock:
        assert lock.taken_over_from is None


def test_a_lock_left_by_a_killed_supervisor_is_taken_over(state: StateFolder) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from infra.embedded.state import *\n"
        "with hold_lock(StateFolder(Path(sys.argv[1]))): print(os.getpid(), flush=True); os.kill(os.getpid(), 9)"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program, str(state.path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    with hold_lock(state) as lock:
        assert lock.taken_over_from == int(outcome.stdout)


def test_leftovers_are_ended_and_strangers_are_not(state: StateFolder) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        subprocess.Popen(sleeper, start_new_session=True) as ours,
        subprocess.Popen(sleeper, start_new_session=True) as stranger,
    ):
        mine, other = ProcessId.of(ours.pid), ProcessId.of(stranger.pid)
        assert mine is not None
        assert other is not None
        records = [
            ProcessRecord(name=name, state=ProcessState.READY, pid=pid, started=started, log=state.log(name))
            for name, pid, started in (
                ("api", mine.pid, mine.started),
                ("worker", other.pid, other.started - 3600),  # its pid is now somebody else's
            )
        ]
        gone = ProcessId(2**22 - 3, 1.0)
        state.write_record(record_of(gone, *records))
        shown = control.current(state)
        assert shown is not None
        assert shown.state is StackState.STOPPED
        assert [process.pid for process in shown.processes] == [mine.pid, None]
        told: list[str] = []
        assert control.down(state, told.append) is True
        assert ours.poll() is not None
        assert any("left over" in line for line in told)
        assert stranger.poll() is None
        stranger.kill()


def test_ports_are_stable_and_a_change_is_told() -> None:
    told: list[str] = []
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        first = Ports({}, {"api": port}, told.append)
        chosen = first.choose("api")
        assert chosen != port
        assert chosen == first.choose("api")
        assert told == [f"port {port} is taken: api uses {chosen}"]
        assert Ports(first.chosen, {"api": port}, told.append).choose("api") == chosen


def test_worker_roles(tmp_path: Path) -> None:
    assert WorkerProcess("worker-conversations", "conversations") in worker_processes(TEMPORAL_CONFIG)
    (tmp_path / "workers.toml").write_text("[roles.a]\nprocesses = 2\n")
    assert [process.name for process in worker_processes(tmp_path)] == ["worker-a", "worker-a-2"]
    (tmp_path / "workers.toml").write_text("")
    with pytest.raises(StackError, match="no worker role"):
        worker_processes(tmp_path)
