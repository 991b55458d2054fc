"""The gate as a service: it listens, watches its files, and stops when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from lamslsa._plain import plain
from lamslsa.admission.appraiser import Appraiser, Judge
from lamslsa.admission.certificates import Certificates
from lamslsa.admission.gate import Gate, Log
from lamslsa.admission.http import Limits, Server
from lamslsa.admission.metrics import Metrics
from lamslsa.admission.policy_file import PolicyFile
from lamslsa.admission.verdicts import Cache
from lamslsa.admission.verifier import Held, Options
from lamslsa.errors import LamslsaError

__all__ = ["Service", "Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator decides; all times in seconds.

    Attributes:
        registries: the hosts that models may lie in, with their ports.
        budget_s: how long an answer may take.
        accepted_s: how long an acceptance is kept.
        refused_s: how long a refusal is kept.
        workers: how many models are judged at a time.
        watch_s: how often files are looked at.
        drain_s: for how long connections are still taken once it is to stop.
        grace_s: for how long answers are then waited for.
        limits: what one client may take.
        verifier: how models that no digest holds are verified in their Pods, where the policy says so.
    """

    registries: tuple[str, ...]
    budget_s: float = 8.0
    accepted_s: float = 300.0
    refused_s: float = 15.0
    workers: int = 4
    watch_s: float = 2.0
    drain_s: float = 5.0
    grace_s: float = 10.0
    limits: Limits = field(default_factory=Limits)
    verifier: Options = field(default_factory=Options)


class Service:
    """The gate, once it runs.

    Args:
        judge: who judges models.
        policy: the policy of the moment.
        certificates: what is shown to clients.
        settings: what the operator decides.
        log: told what happens.
    """

    def __init__(
        self, judge: Judge, *, policy: PolicyFile, certificates: Certificates, settings: Settings, log: Log
    ) -> None:
        self._policy = policy
        self._certificates = certificates
        self._settings = settings
        self._log = log
        self._stopping = threading.Event()
        self._failing: dict[str, str] = {}
        self.metrics = Metrics()
        self._collateral = settings.verifier.collateral()
        self._hold()
        self.appraiser = Appraiser(
            judge,
            policy=lambda: self._held.policy,
            registries=settings.registries,
            cache=Cache(accepted_s=settings.accepted_s, refused_s=settings.refused_s),
            workers=settings.workers,
            failed=lambda err: log("error", {"type": type(err).__name__, "message": plain(str(err))}),
        )
        gate = Gate(
            self.appraiser,
            held=lambda: self._held,
            ready=self._not_ready,
            log=log,
            metrics=self.metrics,
            budget_s=settings.budget_s,
        )
        self._server = Server(
            gate.respond, context=certificates.context, limits=settings.limits, troubled=gate.troubled
        )
        self.metrics.gauge("lamslsa_admission_connections", lambda: float(self._server.connections))
        self.metrics.gauge("lamslsa_admission_certificate_not_after_seconds", self._certificate_ends)

    async def run(self, host: str, port: int, *, started: Callable[[int], None] = lambda _: None) -> None:
        """Serve until SIGTERM or SIGINT, or until `stop`.

        Raises:
            OSError: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        self._told = asyncio.Event()
        with contextlib.suppress(ValueError, RuntimeError):  # not the main thread: `stop` then says so
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._told.set)
        try:
            port = await self._server.start(host, port)
            self._loop = loop
            self._log("listening", {"host": host, "port": port, "policy": f"sha256:{self._policy.current.closure}"})
            started(port)
            while not self._told.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.watch_s):
                        await self._told.wait()
                await asyncio.to_thread(self.watch)
            self._stopping.set()
            self._log("stopping", {})
            await self._server.stop(drain_s=self._settings.drain_s, grace_s=self._settings.grace_s)
        finally:
            self.appraiser.close()
        self._log("stopped", {})

    def stop(self) -> None:
        """Stop as SIGTERM does; from any thread, once it listens."""
        self._loop.call_soon_threadsafe(self._told.set)

    def watch(self) -> None:
        """Look whether policy or certificate have changed, and take them over if they are any good."""
        self._refreshed("policy", self._refresh_policy)
        self._refreshed("collateral", self._refresh_collateral)
        self._refreshed("certificate", self._certificates.refresh)

    def _refresh_policy(self) -> bool:
        changed = self._policy.refresh()
        if changed:
            self._hold()
        return changed

    def _refresh_collateral(self) -> bool:
        if not self._held.policy.admits_elsewhere:
            return False
        found = self._settings.verifier.collateral()
        changed = found != self._collateral
        if changed:
            self._collateral = found
            self._hold()
        return changed

    def _hold(self) -> None:
        self._held = Held.of(self._policy.opened, self._settings.verifier, self._collateral)
        if isinstance(self._held.verifier, LamslsaError):
            error = self._held.verifier
            self._log("no-verifier", {"reason": error.reason, "message": plain(str(error))})

    def _refreshed(self, what: str, refresh: Callable[[], bool]) -> None:
        try:
            changed = refresh()
        except (LamslsaError, OSError) as err:
            message = plain(str(err))
            if self._failing.get(what) != message:
                self._failing[what] = message
                self.metrics.count("lamslsa_admission_reloads_total", what=what, taken="false")
                reason = err.reason if isinstance(err, LamslsaError) else "file-unreadable"
                self._log("kept", {"what": what, "reason": reason, "message": message})
            return
        self._failing.pop(what, None)
        if changed:
            self.metrics.count("lamslsa_admission_reloads_total", what=what, taken="true")
            self._log("taken", {"what": what, "policy": f"sha256:{self._policy.current.closure}"})

    def _certificate_ends(self) -> float:
        return self._certificates.not_after.timestamp()

    def _not_ready(self) -> str:
        if self._stopping.is_set():
            return "stopping"
        if self._certificates.not_after <= dt.datetime.now(dt.UTC):
            return "the certificate has ended"
        return ""
