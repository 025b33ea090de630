"""Ray launcher: submits the job's command, with the same job folder, as a Ray job.

    start ──▶ PENDING ──▶ RUNNING ──▶ SUCCEEDED, FAILED, STOPPED      status of the Ray job, polled once a second
                 └─ shown as progress    └─ its output is appended to log.txt

ray.json in the job folder names the current submission. It is written before the submission, so a restarted worker
reattaches to the Ray job. Any other Ray job of this job ends by itself, because job.json names another attempt.
The cluster needs the data folder and the project at the same paths (docs/cluster.md).
"""

import re
import secrets
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

import orjson

from core.atomic_files import atomic_write
from core.errors import CannotRead, CannotStart, ClusterUnreachable, NoSuchJob, RunLost
from core.jobs.distributed import JOB_VARIABLE
from core.jobs.folder import JobFolder
from core.jobs.job import Job, Resources, State
from core.jobs.launchers.base import JobResult
from core.jobs.launchers.exit_status import KILLED, TERMINATED, environment, job_result
from core.jobs.launchers.ray_client import RayCluster, RayJob
from core.settings import settings

#: Poll intervals of the job status, its log, and the resources of the cluster [s].
POLL_S, LOG_POLL_S, RESOURCES_POLL_S = 1.0, 2.0, 10.0
#: Minimum log poll interval, as a multiple of the time of the last request: Ray always returns the whole log.
LOG_COST = 20
#: Time without a response of the cluster after which the job's log says so [s].
UNREACHABLE_S = 10.0
#: Time between SIGTERM and SIGKILL by Ray, and maximum wait for the end of a stopped job [s].
TERM_S, STOP_S = 3, 4.5

#: Environment variables forwarded to the job. No secrets: every user of the Ray dashboard can read them.
_FORWARDED_VARIABLES = re.compile(
    r"GROUNDPLAN_(DATA|MAX_\w+)|GDAL_\w+|CPL_VSIL\w+|PROJ_NETWORK|TF_CPP_MIN_LOG_LEVEL|PYTHON(UNBUFFERED|FAULTHANDLER)"
    r"|KERAS_BACKEND|MLFLOW_(TRACKING_URI|EXPERIMENT_NAME)|AWS_ENDPOINT_URL"
)
#: Ray errors that count as a lost run: the machine or Ray's supervisor of the job is gone.
_LOST_ERRORS = (
    "JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_START_FAILURE", "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE",
)  # fmt: skip
#: Ray error of a job that has been pending for 15 minutes; the job is submitted again.
_START_TIMEOUT = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
_OUT_OF_MEMORY = re.compile(r"low on memory|out ?of ?memory", re.IGNORECASE)
#: Lines that Ray itself writes to the log of a job, possibly after the job's first lines.
_RAY_LOG_LINES = re.compile(r"^(Running entrypoint for job |.*\bjob_manager\.py:\d+ -- ).*\n", re.MULTILINE)


@dataclass(frozen=True)
class Submission:
    """Current submission of a job to Ray, stored as ray.json."""

    name: str  #: submission ID of Ray
    attempt: int  #: attempt of the job
    log_from: int  #: offset in log.txt, excluding lines of the launcher [bytes]

    @classmethod
    def find(cls, folder: JobFolder) -> "Submission | None":
        """Read the current submission of a job; None without one."""
        try:
            return cls(**orjson.loads((folder.path / "ray.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    @classmethod
    def new(cls, job: Job, attempt: int, folder: JobFolder) -> "Submission":
        """Create and save a submission; the random suffix distinguishes it from other queues on the same cluster.

        Args:
            job: The job.
            attempt: Number of the attempt.
            folder: Folder of the job.

        Returns:
            The submission.
        """
        name = f"groundplan-job{job.id}-attempt{attempt}-{secrets.token_hex(3)}"
        submission = cls(name, attempt, folder.log.stat().st_size if folder.log.exists() else 0)
        submission.save(folder)
        return submission

    def is_valid(self, folder: JobFolder) -> bool:
        """Tell whether the job's specification still names the attempt of this submission."""
        try:
            return folder.spec().attempt == self.attempt
        except (NoSuchJob, CannotRead):
            return False

    def save(self, folder: JobFolder) -> None:
        """Write ray.json; raises DiskFull, CannotWrite."""
        with atomic_write(folder.path / "ray.json") as temporary:
            temporary.write_bytes(orjson.dumps(asdict(self)))


@dataclass
class RayLauncherJob:
    """Job submitted to Ray."""

    job: Job
    cluster: RayCluster
    folder: JobFolder
    submission: Submission
    command: Sequence[str]
    reattached: bool = False
    _submitted: bool = True
    _poll_at: float = 0.0  #: monotonic times
    _log_at: float = 0.0
    _unreachable_since: float | None = None
    _stop_until: float | None = None  #: monotonic deadline of a requested stop; None: not requested
    _last_message: str = ""  #: last message of the launcher in the job's log or progress

    def wait(self, seconds: float) -> JobResult | None:
        """See RunningJob; an unreachable cluster is polled further. Raises RunLost."""
        until, poll = time.monotonic() + seconds, self._poll if self._stop_until is None else self._poll_stop
        while (result := poll()) is None and (remaining := until - time.monotonic()) > 0:
            time.sleep(min(remaining, POLL_S / 4))
        return result

    def finish(self) -> None:
        """See RunningJob."""
        self.folder.request_finish()

    def stop(self) -> None:
        """See RunningJob. Only requests the stop, as many jobs may be stopped at once; `wait` polls its completion."""
        with suppress(OSError):
            (self.folder.path / "ray.json").unlink(missing_ok=True)
        self._stop_until = time.monotonic() + STOP_S
        try:
            self.cluster.stop(self.submission.name)
        except ClusterUnreachable:
            self._stop_until = time.monotonic()

    def detach(self) -> None:
        """See RunningJob: the Ray job continues, and the next worker reattaches to it. A requested stop is awaited."""
        if self._stop_until is not None:
            self.wait(STOP_S)

    def submit(self) -> None:
        """Submit the job to Ray; raises ClusterUnreachable."""
        resources = Resources.of(self.job.params)
        single_node = resources.nodes == 1
        variables = {name: value for name, value in environment().items() if _FORWARDED_VARIABLES.fullmatch(name)}
        variables |= {"RAY_JOB_STOP_WAIT_TIME_S": str(TERM_S), JOB_VARIABLE: str(self.job.id)}
        if not resources.gpus:  # without a GPU request, Ray leaves this variable unset, so all GPUs are visible
            variables["CUDA_VISIBLE_DEVICES"] = ""
        command = shlex.join([*self.command, str(self.job.id), str(self.submission.attempt)])
        self.cluster.submit(
            {
                "submission_id": self.submission.name,
                # The process ends at once if job.json names another attempt.
                "entrypoint": f"cd {shlex.quote(str(settings().ray_project))} && exec {command}",
                # With 0 CPUs Ray runs it on the head node. A distributed job needs none: its process only waits.
                "entrypoint_num_cpus": self.job.params.get("cpus", 1) if single_node else 0,
                "entrypoint_num_gpus": resources.gpus if single_node else 0,
                "runtime_env": {"env_vars": variables},
                "metadata": {"job_name": self.job.title},
            }
        )
        self._submitted = True

    def _poll(self) -> JobResult | None:
        """Poll the Ray job, at most once in POLL_S."""
        if time.monotonic() < self._poll_at:
            return None
        self._poll_at = time.monotonic() + POLL_S
        try:
            ray_job = self.cluster.job(self.submission.name)
            if ray_job is None:
                # Unknown to Ray: never submitted, or the head node was restarted.
                if self._submitted:
                    raise RunLost(job=self.job.id, detail=f"Ray at {self.cluster.address} no longer knows it")
                self.submit()
                return None
            if ray_job.is_over or time.monotonic() >= self._log_at:
                self._copy_log(ray_job.is_over)
            self._note_reachable()
            if ray_job.is_over:
                return self._result(ray_job)
            self._write_message(ray_job)
        except ClusterUnreachable as error:
            self._note_unreachable(error)
        return None

    def _poll_stop(self) -> JobResult | None:
        """Poll a requested stop. Then revoke the specification, so a process unknown to Ray ends, too."""
        if self._stop_until is not None and time.monotonic() < self._stop_until and self._is_running():
            return None
        if self.submission.is_valid(self.folder):
            with suppress(ClusterUnreachable):
                self._copy_log(is_over=True)
            self.folder.revoke()
        return JobResult(State.STOPPED)

    def _is_running(self) -> bool:
        """Tell whether the Ray job is running. A pending one ends at its start, without its specification."""
        if time.monotonic() < self._poll_at:
            return True
        self._poll_at = time.monotonic() + POLL_S / 4
        try:
            ray_job = self.cluster.job(self.submission.name)
        except ClusterUnreachable:
            return False
        return ray_job is not None and ray_job.status == "RUNNING"

    def _write_message(self, ray_job: RayJob) -> None:
        """Report as progress that the job is pending or starting, until the job reports its own."""
        resources = Resources.of(self.job.params)
        status = f"Waiting for {resources} of the cluster" if ray_job.status == "PENDING" else "Starting on the cluster"
        if status != self._last_message and (ray_job.status == "PENDING" or self._last_message):
            self._last_message = status
            current = self.folder.progress()
            if current is None or current.doing.endswith("the cluster"):
                with self.folder.reporting() as report:
                    report(0.0, status)

    def _result(self, ray_job: RayJob) -> JobResult | None:
        message = self.folder.error()
        if ray_job.status == "SUCCEEDED":
            return JobResult(State.DONE)
        if ray_job.status == "STOPPED":  # in the Ray dashboard or by `ray job stop`
            return JobResult(State.STOPPED)
        if ray_job.exit_code in TERMINATED and not message:  # for instance by a shutdown of its machine
            raise RunLost(job=self.job.id, detail="its process was terminated")
        if ray_job.exit_code is not None:
            return job_result(ray_job.exit_code, message)
        if ray_job.error_type == _START_TIMEOUT:
            self.submission, self._submitted = Submission.new(self.job, self.submission.attempt, self.folder), False
            self.submit()
            return None
        self._note(ray_job.message)
        if _OUT_OF_MEMORY.search(ray_job.message):
            return JobResult(State.FAILED, message or KILLED)
        first = ray_job.message.strip().split("\n")[0][:300]
        if ray_job.error_type in _LOST_ERRORS:
            raise RunLost(job=self.job.id, detail=first)
        return JobResult(State.FAILED, message or f"Ray could not run the job: {first}. See the log for details.")

    def _copy_log(self, is_over: bool = False) -> None:
        """Append new lines of the job's output to log.txt, whose size tells how many bytes are copied already."""
        started = time.monotonic()
        output = _RAY_LOG_LINES.sub("", self.cluster.log(self.submission.name))
        complete = output if is_over else output[: output.rfind("\n") + 1]
        size = self.folder.log.stat().st_size if self.folder.log.exists() else 0
        self._append(complete.encode()[max(0, size - self.submission.log_from) :])
        self._log_at = time.monotonic() + max(LOG_POLL_S, LOG_COST * (time.monotonic() - started))

    def _note(self, text: str) -> None:
        """Write a line of the launcher to the job's log."""
        line = f"{text}\n".encode()
        self.submission = replace(self.submission, log_from=self.submission.log_from + len(line))
        with suppress(OSError):
            self.submission.save(self.folder)
        self._append(line)

    def _append(self, text: bytes) -> None:
        if text:
            with suppress(OSError), self.folder.log.open("ab") as log:
                log.write(text)

    def _note_unreachable(self, error: ClusterUnreachable) -> None:
        if self._unreachable_since is None:
            self._unreachable_since = time.monotonic()
        if self._last_message != "unreachable" and time.monotonic() - self._unreachable_since >= UNREACHABLE_S:
            self._last_message = "unreachable"
            self._note(str(error))

    def _note_reachable(self) -> None:
        self._unreachable_since = None
        if self._last_message == "unreachable":
            self._last_message = ""
            self._note(f"The cluster at {self.cluster.address} responds again.")


@dataclass
class RayLauncher:
    """Launcher that runs jobs on a Ray cluster."""

    cluster: RayCluster = field(default_factory=RayCluster.of_environment)
    command: Sequence[str] = field(default_factory=lambda: (settings().ray_python, "-m", "core.jobs.runner"))
    slots: int = field(default_factory=lambda: settings().ray_slots)
    _device: str | None = None
    _resources_at: float = 0.0  #: monotonic

    def start(self, job: Job) -> RayLauncherJob:
        """Reattach to the submitted Ray job, or submit a new one; raises ClusterUnreachable, CannotStart."""
        folder = JobFolder.of(job.id)
        # A submission found at the first attempt belongs to a deleted queue that used the same job ID.
        if job.attempt > 1 and (submission := Submission.find(folder)) and submission.is_valid(folder):
            ray_job = self.cluster.job(submission.name)
            if ray_job and ray_job.status in ("PENDING", "RUNNING", "SUCCEEDED"):
                return RayLauncherJob(job, self.cluster, folder, submission, self.command, reattached=True)
        try:
            folder.prepare(job)
            run = RayLauncherJob(job, self.cluster, folder, Submission.new(job, job.attempt, folder), self.command)
        except OSError as error:
            raise CannotStart(job=job.id, detail=str(error)) from error
        run.submit()
        return run

    def device(self) -> str | None:
        """See Launcher; polled regularly, because the machines of a cluster change."""
        if time.monotonic() >= self._resources_at:
            self._resources_at = time.monotonic() + RESOURCES_POLL_S
            try:
                available = self.cluster.resources()
                counts = f"{available.get('CPU', 0):g} CPUs, {available.get('GPU', 0):g} GPUs"
                self._device = f"Ray at {self.cluster.address}: {counts}"
            except ClusterUnreachable:
                self._device = f"Ray at {self.cluster.address} does not respond"
        return self._device
