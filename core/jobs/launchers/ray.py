"""The launcher for a Ray cluster: a job is the same command with the same folder, submitted as a Ray job.

    start ──▶ PENDING ──▶ RUNNING ──▶ SUCCEEDED, FAILED, STOPPED      what Ray says of it, asked once a second
                 └─ the log says so      └─ its output is added to the job's log.txt

ray.json in the job's folder names the Ray job that counts. It is written before Ray is asked to start that job, so that
a worker that starts again takes it up. What it does not name ends by itself, because the order is another's (job.json).
The cluster needs the data folder and the project at the same paths (docs/CLUSTER.md).
"""

import re
import secrets
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

import orjson

from core.atomic_files import replacing
from core.errors import CannotRead, CannotStart, ClusterAway, NoSuchJob, RunLost
from core.jobs.distributed import JOB
from core.jobs.folder import JobFolder
from core.jobs.job import Job, Resources, State
from core.jobs.launchers.base import Outcome
from core.jobs.launchers.exit_status import KILLED, TOLD_TO_END, environment, outcome
from core.jobs.launchers.ray_client import Cluster, RayJob
from core.settings import settings

#: Seconds between two questions about a job, between two looks at its log, and between two counts of the machines.
ASK_S, LOG_S, COUNT_S = 1.0, 2.0, 10.0
#: Ray hands out the whole log each time: after so many times the seconds that took, it is asked for again.
LOG_COST = 20
#: Seconds without an answer of the cluster after which a job's log says so.
AWAY_S = 10.0
#: Seconds that a job has to end in good order before Ray kills it, and that `stop` waits for its end.
TERM_S, STOP_S = 3, 4.5

#: What a job may know of this machine's environment. Everybody who may open Ray's dashboard can read it: no secrets.
_PASSED_ON = re.compile(
    r"GROUNDPLAN_(DATA|MAX_\w+)|GDAL_\w+|CPL_VSIL\w+|PROJ_NETWORK|TF_CPP_MIN_LOG_LEVEL|PYTHON(UNBUFFERED|FAULTHANDLER)"
    r"|KERAS_BACKEND|MLFLOW_(TRACKING_URI|EXPERIMENT_NAME)|AWS_ENDPOINT_URL"
)
#: Failures that are not the job's: its machine or Ray's process for it is gone.
_LOST = ("JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_START_FAILURE", "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE")
#: Ray gives up on a job that has waited for a quarter of an hour; such a job goes to the end of its queue again.
_WAITED_TOO_LONG = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
_OUT_OF_MEMORY = re.compile(r"low on memory|out ?of ?memory", re.IGNORECASE)
#: Lines that Ray writes into a job's log. They may come after the job's first.
_RAYS_OWN = re.compile(r"^(Running entrypoint for job |.*\bjob_manager\.py:\d+ -- ).*\n", re.MULTILINE)


@dataclass(frozen=True)
class Ticket:
    """ray.json: the name under which Ray knows the run that counts, and how much of log.txt is not its own."""

    name: str
    attempt: int  #: the start of the job that it was submitted for
    log_from: int  #: bytes

    @classmethod
    def find(cls, folder: JobFolder) -> "Ticket | None":
        """The job's ticket, None where no Ray job counts."""
        try:
            return cls(**orjson.loads((folder.path / "ray.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    @classmethod
    def new(cls, job: Job, attempt: int, folder: JobFolder) -> "Ticket":
        """For the next Ray job; the word of chance parts it from those of other queues on the same cluster."""
        name = f"groundplan-job{job.id}-attempt{attempt}-{secrets.token_hex(3)}"
        ticket = cls(name, attempt, folder.log.stat().st_size if folder.log.exists() else 0)
        ticket.keep(folder)
        return ticket

    def is_valid(self, folder: JobFolder) -> bool:
        """Whether the job's order is still the one it was submitted for."""
        try:
            return folder.order().attempt == self.attempt
        except (NoSuchJob, CannotRead):
            return False

    def keep(self, folder: JobFolder) -> None:
        """Writes it down; raises DiskFull, CannotWrite."""
        with replacing(folder.path / "ray.json") as part:
            part.write_bytes(orjson.dumps(asdict(self)))


@dataclass
class RayRun:
    """A job that Ray has."""

    job: Job
    cluster: Cluster
    folder: JobFolder
    ticket: Ticket
    command: Sequence[str]
    taken_up: bool = False
    _submitted: bool = True
    _ask_at: float = 0.0  #: monotonic times
    _log_at: float = 0.0
    _silent_since: float | None = None
    _stop_until: float | None = None  #: monotonic time to which its end is waited for; None: it was not told to stop
    _told: str = ""  #: what was last said in the job's log or progress for want of its own words

    def wait(self, seconds: float) -> Outcome | None:
        """See Launched; a cluster that does not answer is waited for. Raises RunLost."""
        until, look = time.monotonic() + seconds, self._look if self._stop_until is None else self._look_at_the_stop
        while (ended := look()) is None and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, ASK_S / 4))
        return ended

    def finish(self) -> None:
        """See Launched."""
        self.folder.ask_to_finish()

    def stop(self) -> None:
        """See Launched. Only asks for it, since many may be stopped at once; `wait` sees to the rest."""
        with suppress(OSError):
            (self.folder.path / "ray.json").unlink(missing_ok=True)
        self._stop_until = time.monotonic() + STOP_S
        try:
            self.cluster.stop(self.ticket.name)
        except ClusterAway:
            self._stop_until = time.monotonic()

    def leave(self) -> None:
        """See Launched: the cluster goes on with it, and the next worker takes it up. The end of a stop is seen to."""
        if self._stop_until is not None:
            self.wait(STOP_S)

    def submit(self) -> None:
        """Puts it into Ray's queue; raises ClusterAway."""
        asked = Resources.of(self.job.params)
        alone = asked.nodes == 1
        self.cluster.submit(
            {
                "submission_id": self.ticket.name,
                "entrypoint": self._entrypoint(),
                # Without any, Ray puts it on the head. What only waits for a training's machines takes none from them.
                "entrypoint_num_cpus": self.job.params.get("cpus", 1) if alone else 0,
                "entrypoint_num_gpus": asked.gpus if alone else 0,
                "runtime_env": {"env_vars": _passed_on() | _hidden(asked) | {JOB: str(self.job.id)}},
                "metadata": {"job_name": self.job.title},
            }
        )
        self._submitted = True

    def _entrypoint(self) -> str:
        """One line of shell: to the project, then the job's process, which does nothing once its order is another's."""
        command = shlex.join([*self.command, str(self.job.id), str(self.ticket.attempt)])
        return f"cd {shlex.quote(str(settings().ray_project))} && exec {command}"

    def _look(self) -> Outcome | None:
        """What became of it, asked at most once in ASK_S."""
        if time.monotonic() < self._ask_at:
            return None
        self._ask_at = time.monotonic() + ASK_S
        try:
            said = self.cluster.job(self.ticket.name)
            if said is None:
                self._is_unknown()
                return None
            if said.is_over or time.monotonic() >= self._log_at:
                self._copy_log(said.is_over)
            self._heard_again()
            if said.is_over:
                return self._ended(said)
            self._tell(said)
        except ClusterAway as error:
            self._heard_nothing(error)
        return None

    def _look_at_the_stop(self) -> Outcome | None:
        """Whether it has stopped. The order is taken back last, so that nothing goes on that Ray cannot be told of."""
        if self._stop_until is not None and time.monotonic() < self._stop_until and self._goes_on():
            return None
        if self.ticket.is_valid(self.folder):
            with suppress(ClusterAway):
                self._copy_log(is_over=True)
            self.folder.revoke()
        return Outcome(State.STOPPED)

    def _goes_on(self) -> bool:
        """What waits in Ray's queue does not: without its order it ends when it begins."""
        if time.monotonic() < self._ask_at:
            return True
        self._ask_at = time.monotonic() + ASK_S / 4
        try:
            said = self.cluster.job(self.ticket.name)
        except ClusterAway:
            return False
        return said is not None and said.status == "RUNNING"

    def _is_unknown(self) -> None:
        """The cluster has no such job: it never came there, or the head has lost its memory. Raises RunLost."""
        if self._submitted:
            raise RunLost(job=self.job.id, detail=f"Ray at {self.cluster.address} does not know it any more")
        self.submit()

    def _tell(self, said: RayJob) -> None:
        """Says that it waits, or that it waits no longer, as long as the job itself says nothing."""
        asked = Resources.of(self.job.params)
        doing = f"waiting for {asked} of the cluster" if said.status == "PENDING" else "starting on the cluster"
        if doing != self._told and (said.status == "PENDING" or self._told):
            self._told = doing
            mine = self.folder.progress()
            if mine is None or mine.doing.endswith("the cluster"):
                with self.folder.reporting() as report:
                    report(0.0, doing)

    def _ended(self, said: RayJob) -> Outcome | None:
        own = self.folder.error()
        if said.status == "SUCCEEDED":
            return Outcome(State.DONE)
        if said.status == "STOPPED":  # by somebody at Ray's own dashboard or command line
            return Outcome(State.STOPPED)
        if said.exit_code in TOLD_TO_END and not own:  # as where its machine is shut down
            raise RunLost(job=self.job.id, detail="somebody else told its process to end")
        if said.exit_code is not None:
            return outcome(said.exit_code, own)
        if said.error_type == _WAITED_TOO_LONG:
            self.ticket, self._submitted = Ticket.new(self.job, self.ticket.attempt, self.folder), False
            self.submit()
            return None
        self._note(said.message)
        if _OUT_OF_MEMORY.search(said.message):
            return Outcome(State.FAILED, own or KILLED)
        first = said.message.strip().split("\n")[0][:300]
        if said.error_type in _LOST:
            raise RunLost(job=self.job.id, detail=first)
        return Outcome(State.FAILED, own or f"Ray could not run the job: {first}. The log has the details.")

    def _copy_log(self, is_over: bool = False) -> None:
        """Appends to log.txt the lines that the job has printed since. How much that is, log.txt itself tells."""
        began = time.monotonic()
        printed = _RAYS_OWN.sub("", self.cluster.log(self.ticket.name))
        whole = printed if is_over else printed[: printed.rfind("\n") + 1]
        there = self.folder.log.stat().st_size if self.folder.log.exists() else 0
        self._append(whole.encode()[max(0, there - self.ticket.log_from) :])
        self._log_at = time.monotonic() + max(LOG_S, LOG_COST * (time.monotonic() - began))

    def _note(self, text: str) -> None:
        """A line of the launcher's own in the job's log."""
        line = f"{text}\n".encode()
        self.ticket = replace(self.ticket, log_from=self.ticket.log_from + len(line))
        with suppress(OSError):
            self.ticket.keep(self.folder)
        self._append(line)

    def _append(self, text: bytes) -> None:
        if text:
            with suppress(OSError), self.folder.log.open("ab") as log:
                log.write(text)

    def _heard_nothing(self, error: ClusterAway) -> None:
        if self._silent_since is None:
            self._silent_since = time.monotonic()
        if self._told != "away" and time.monotonic() - self._silent_since >= AWAY_S:
            self._told = "away"
            self._note(str(error))

    def _heard_again(self) -> None:
        self._silent_since = None
        if self._told == "away":
            self._told = ""
            self._note(f"The cluster at {self.cluster.address} answers again.")


@dataclass
class Ray:
    """The cluster as a place where jobs run."""

    cluster: Cluster = field(default_factory=Cluster.of_environment)
    command: Sequence[str] = field(default_factory=lambda: (settings().ray_python, "-m", "core.jobs.runner"))
    slots: int = field(default_factory=lambda: settings().ray_slots)
    _device: str | None = None
    _count_at: float = 0.0  #: monotonic

    def start(self, job: Job) -> RayRun:
        """Takes up the Ray job that works on it or has done it, else submits one; raises ClusterAway, CannotStart."""
        folder = JobFolder.of(job.id)
        # Before its first attempt a ticket is of another queue's job, which had the same number.
        if job.attempt > 1 and (ticket := Ticket.find(folder)) and ticket.is_valid(folder):
            said = self.cluster.job(ticket.name)
            if said and said.status in ("PENDING", "RUNNING", "SUCCEEDED"):
                return RayRun(job, self.cluster, folder, ticket, self.command, taken_up=True)
        try:
            folder.prepare(job)
            run = RayRun(job, self.cluster, folder, Ticket.new(job, job.attempt, folder), self.command)
        except OSError as error:
            raise CannotStart(job=job.id, detail=str(error)) from error
        run.submit()
        return run

    def device(self) -> str | None:
        """See Launcher; counted again now and then, since machines come and go."""
        if time.monotonic() >= self._count_at:
            self._count_at = time.monotonic() + COUNT_S
            try:
                has = self.cluster.resources()
                counts = f"{has.get('CPU', 0):g} CPUs, {has.get('GPU', 0):g} GPUs"
                self._device = f"Ray at {self.cluster.address}: {counts}"
            except ClusterAway:
                self._device = f"Ray at {self.cluster.address} does not answer"
        return self._device


def _hidden(asked: Resources) -> dict[str, str]:
    """Of a job that asks for no GPU Ray hides none: it leaves this variable as the machine has it."""
    return {} if asked.gpus else {"CUDA_VISIBLE_DEVICES": ""}


def _passed_on() -> dict[str, str]:
    known = {name: value for name, value in environment().items() if _PASSED_ON.fullmatch(name)}
    return known | {"RAY_JOB_STOP_WAIT_TIME_S": str(TERM_S)}
