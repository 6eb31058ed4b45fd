"""python -m services.voice.worker: does the jobs that wait in the voice service's database.

Any number of workers may run, on any machines. When one dies in the middle of a job, the others notice that
its heartbeat has stopped, and one of them does the job again from the beginning.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from typing import cast

import procrastinate
import structlog
import uvloop
from procrastinate import JobContext, RetryDecision
from procrastinate.job_context import AbortReason
from procrastinate.jobs import Job, Status

from services.mesh import logs
from services.mesh.channels import open_channel
from services.mesh.loops import repeating
from services.mesh.postgres import open_database
from services.mesh.settings import read
from services.voice import engine_process, queue, storage_client
from services.voice.host import EngineHost, open_engine
from services.voice.jobs import Failure
from services.voice.queue import FILES, REFINEMENTS, SPEECHES, VOICES, Queue
from services.voice.settings import Settings
from services.voice.signing import Signatory
from services.voice.storage_client import StorageClient
from services.voice.store import Store
from services.voice.work import TRANSIENT, Rows, Work

log: structlog.stdlib.BoundLogger = structlog.get_logger("worker")


LOADING_SECONDS = 300.0
"""How long the models may take to load for a refinement, which stands back from all else."""
STEP_SECONDS = 600.0
"""How long a refinement may show no progress."""
ABANDONED = Failure("INTERNAL", "every worker that tried this has died of it")


class Stopping(Exception):
    """The worker was told to stop in the middle of the job; another does it again."""


class Retry(procrastinate.BaseRetryStrategy):
    """Again at once when the worker stopped, a little later when something did not answer, else never."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, Stopping):
            return RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, TRANSIENT):
            return RetryDecision(retry_in={"seconds": 2 ** min(job.attempts, 6)})
        return None


def register(tasks: Queue, work: Work, attempts: int) -> None:
    """Says what is to be done for the jobs of each kind."""

    @tasks.app.task(name=VOICES, queue=VOICES, retry=Retry(), pass_context=True)
    async def learn(context: JobContext, id: str, attempt: int) -> None:
        await _unless_stopped(context, work.learn(id, attempt, last_try=context.job.attempts + 1 >= attempts))

    @tasks.app.task(name=SPEECHES, queue=SPEECHES, retry=Retry(), pass_context=True)
    async def speak(context: JobContext, id: str, attempt: int) -> None:
        await _unless_stopped(context, work.speak(id, attempt, last_try=context.job.attempts + 1 >= attempts))

    @tasks.app.task(name=REFINEMENTS, queue=REFINEMENTS, retry=Retry(), pass_context=True)
    async def refine(context: JobContext, id: str, attempt: int) -> None:
        await _unless_stopped(context, work.refine(id, attempt, last_try=context.job.attempts + 1 >= attempts))

    @tasks.app.task(name=FILES, queue=FILES, retry=Retry(), pass_context=True)
    async def remove(context: JobContext, owner: str, name: str) -> None:
        await _unless_stopped(context, work.remove(owner, name))


async def _unless_stopped(context: JobContext, work: Awaitable[None]) -> None:
    try:
        await work
    except asyncio.CancelledError:
        if context.abort_reason() is AbortReason.SHUTDOWN:
            raise Stopping from None
        raise


async def rescue(tasks: Queue, store: Store, settings: Settings) -> None:
    """Gives the jobs of workers that have died back to the queue; ends those that no worker survives."""
    jobs = tasks.app.job_manager
    rows: dict[str, Rows] = {VOICES: store.voices, SPEECHES: store.speeches, REFINEMENTS: store.refinements}
    for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=settings.stalled_seconds):
        log.warning("job of a dead worker", task=job.task_name, job=job.id, attempts=job.attempts)
        if job.attempts < settings.job_attempts or job.task_name == FILES:
            await jobs.retry_job(job, retry_at=datetime.now(UTC))
            continue
        id, attempt = cast(tuple[str, int], (job.task_kwargs["id"], job.task_kwargs["attempt"]))
        await rows[job.task_name].abandon(id, attempt, ABANDONED)
        await jobs.finish_job(job, Status.FAILED, delete_job=False)


async def work_until(stop: asyncio.Event, settings: Settings) -> None:
    """Works until `stop` is set; jobs under way then go back to the queue."""
    url = settings.database_url.get_secret_value()
    tasks = Queue(url)
    migrations = files("services.voice") / "migrations"
    async with (
        open_database(url, migrations, also=queue.install) as database,
        open_channel(settings.storage_address, "storage", storage_client.CONTRACT, settings.tls) as storage,
        open_engine(
            settings.models,
            processes=settings.engine_processes,
            threads=settings.engine_threads,
            waiting=settings.engine_waiting,
            serve=partial(engine_process.main, engine=settings.engine),
        ) as engine,
        tasks.app.open_async(),
    ):
        store = Store(database, tasks)
        signatory = Signatory(settings.signing)
        signatory.credential()  # A worker that cannot sign is of no use, and says so at once.
        work = Work(store, StorageClient(storage), engine, partial(refining, settings), signatory, settings.refinement)
        register(tasks, work, settings.job_attempts)
        if not await _loaded(engine, stop):
            return
        async with repeating("rescue", lambda: rescue(tasks, store, settings), settings.heartbeat_seconds):
            working = [_working(tasks, settings, [VOICES, SPEECHES, FILES], settings.engine_processes)]
            if settings.refinement_processes:
                working.append(_working(tasks, settings, [REFINEMENTS], settings.refinement_processes))
            stopping = asyncio.create_task(stop.wait())
            log.info("working")
            await asyncio.wait({*working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for each in (stopping, *working):
                each.cancel()
            await asyncio.wait(working)
            for each in working:
                with suppress(asyncio.CancelledError):
                    each.result()


def refining(settings: Settings) -> AbstractAsyncContextManager[EngineHost]:
    """An engine for one refinement, which stands back from what is waited for."""
    return open_engine(
        settings.models,
        processes=1,
        threads=settings.refinement_threads,
        waiting=0,
        line_seconds=LOADING_SECONDS,
        answer_seconds=STEP_SECONDS,
        serve=partial(engine_process.main, engine=settings.engine, niceness=settings.refinement_niceness),
    )


def _working(tasks: Queue, settings: Settings, queues: list[str], concurrency: int) -> asyncio.Task[None]:
    """Does the jobs of some queues, so many at once, until it is cancelled."""
    return asyncio.create_task(
        tasks.app.run_worker_async(
            queues=queues,
            concurrency=concurrency,
            name="-".join(queues),
            install_signal_handlers=False,
            shutdown_graceful_timeout=settings.drain_seconds,
            update_heartbeat_interval=settings.heartbeat_seconds,
            stalled_worker_timeout=settings.stalled_seconds * 2,
            fetch_job_polling_interval=2.0,
            # Should a notification be lost: what may not be spoken any more ends within 5 seconds.
            abort_job_polling_interval=2.0,
            delete_jobs="successful",
        )
    )


async def _loaded(engine: EngineHost, stop: asyncio.Event) -> bool:
    """Waits for the models; False if the worker is to stop before."""
    waiting = {asyncio.create_task(engine.loaded()), asyncio.create_task(stop.wait())}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
    return not stop.is_set()


async def main(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    working = asyncio.create_task(work_until(stop, settings))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    # It may still wait for the database or for its models, which nobody needs any more.
    if stopping.done() and not working.done():
        await asyncio.wait({working}, timeout=settings.drain_seconds + 2)
        working.cancel()
    stopping.cancel()
    with suppress(asyncio.CancelledError):
        await working


if __name__ == "__main__":
    from_environment = read(Settings)
    logs.configure("worker", from_environment.log_level)
    uvloop.run(main(from_environment))
