"""SQL of the job queue: schema, migrations of older files, and statements.

In the statements :time is wall-clock time (for display); :now and :boot are process.now() and process.boot_id().
"""

_VERSION_1 = """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT NOT NULL, params TEXT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL,
    created REAL NOT NULL, started REAL, finished REAL,
    worker TEXT, heartbeat REAL, stop_requested INTEGER NOT NULL DEFAULT 0, error TEXT
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE TABLE workers (name TEXT PRIMARY KEY, device TEXT, busy_with INTEGER, seen REAL NOT NULL) STRICT
"""
# Heartbeats used to be wall-clock times. Now they refer to a boot, so jobs held by an older worker count as lost.
_VERSION_2 = """
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN stalls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN keep INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN boot TEXT;
UPDATE jobs SET place = id, attempt = started IS NOT NULL, heartbeat = NULL;
DROP INDEX jobs_by_state;
CREATE INDEX jobs_by_state ON jobs (state, priority DESC, place);
CREATE INDEX jobs_by_place ON jobs (place);
DROP TABLE workers;
CREATE TABLE workers (
    name TEXT PRIMARY KEY, device TEXT, busy_with INTEGER, seen REAL NOT NULL, boot TEXT NOT NULL
) STRICT
"""
#: Migrations in order, each a tuple of statements; `user_version` of the file is the number of applied ones.
MIGRATIONS = tuple(tuple(step.split(";")) for step in (_VERSION_1, _VERSION_2))

_LAST_PLACE = "(SELECT coalesce(max(place), 0) + 1 FROM jobs)"
SUBMIT = f"""
INSERT INTO jobs (task, params, title, priority, state, created, place)
VALUES (:task, :params, :title, :priority, 'queued', :time, {_LAST_PLACE}) RETURNING *
"""
WAITING = "SELECT * FROM jobs WHERE state = 'queued' ORDER BY priority DESC, place"
CLAIM = f"""
UPDATE jobs SET state = 'running', worker = :worker, started = :time, attempt = attempt + 1,
heartbeat = :now, boot = :boot WHERE id = (SELECT id FROM ({WAITING} LIMIT 1)) RETURNING *
"""
RUNNING = "SELECT * FROM jobs WHERE state = 'running' ORDER BY id DESC"
LATEST = "SELECT * FROM jobs WHERE :task IS NULL OR task = :task ORDER BY id DESC LIMIT :limit"
UPSERT_WORKER = """
INSERT INTO workers (name, device, busy_with, seen, boot) VALUES (:worker, :device, :id, :now, :boot)
ON CONFLICT (name) DO UPDATE SET device = coalesce(excluded.device, device), busy_with = excluded.busy_with,
seen = excluded.seen, boot = excluded.boot
"""
WORKERS = "SELECT name, device, busy_with, seen FROM workers WHERE boot = :boot AND seen > :since ORDER BY name"

LEASED = " WHERE id = :id AND worker = :worker AND state = 'running'"
HEARTBEAT = "UPDATE jobs SET heartbeat = :now, boot = :boot" + LEASED
FINISH = "UPDATE jobs SET state = :state, error = :error, finished = :time" + LEASED + " RETURNING *"
HELD = "SELECT * FROM jobs" + LEASED
RESET_LOSSES = "UPDATE jobs SET stalls = 0" + LEASED
# A heartbeat in the future stems from an earlier boot, on a system without boot IDs.
LOST = """
SELECT * FROM jobs WHERE state = 'running'
AND (boot IS NOT :boot OR heartbeat IS NULL OR heartbeat < :now - :silence OR heartbeat > :now + 60)
"""
REQUEUE = """
UPDATE jobs SET state = :state, error = :error, stalls = :stalls, worker = NULL, heartbeat = NULL, boot = NULL,
started = iif(:over, started, NULL), finished = iif(:over, :time, NULL) WHERE id = :id RETURNING *
"""
STOP = """
UPDATE jobs SET stop_requested = 1, keep = :keep, state = :state, finished = iif(:state = 'stopped', :time, NULL)
WHERE id = :id
"""
RETRY = f"""
UPDATE jobs SET state = 'queued', place = {_LAST_PLACE}, stalls = 0, stop_requested = 0, keep = 0, worker = NULL,
heartbeat = NULL, boot = NULL, started = NULL, finished = NULL, error = NULL WHERE id = :id RETURNING *
"""
