"""What the HTTP mouth is given: use cases, and a few questions it may ask of the rest of the program.

The gateway makes none of it. The composition root builds the use cases and hands them over as one `GatewayDeps`; tests hand
over the same with a small class or two in place of what they do not want to start.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Final, Protocol

from gateway.admin_token import AdminToken
from gateway.probes import Check, LoopLag, Reading
from gateway.proxies import TrustedProxies
from gateway.sockets.statistics import LineView, Order, SocketsStatistics
from rooms.replay import ReplayPage
from services.accounts.account import AccountView, ProfileChange, SignupRole
from services.accounts.audit_desk import AuditPage, AuditState
from services.accounts.connection import ConnectionsLook
from services.accounts.displays import Display
from services.accounts.entitlement import EntitlementView
from services.accounts.identities import IdentityView
from services.accounts.keyring import Jwk
from services.accounts.logins import LoginView
from services.accounts.native_apps import AndroidApp
from services.accounts.opening import LoggedIn
from services.accounts.pairings import Asking, PairingBegun
from services.accounts.passkey import CreationOptions, MadePasskey, Passkey, RequestOptions, ShownPasskey
from services.accounts.proving import Evidence
from services.accounts.registrations import RegistrationBegun
from services.accounts.second_factor import Factors
from services.accounts.second_factors import PasskeyAdded, TotpToScan
from services.accounts.sign_ins import Came, ProviderView, SignInBegun, SignInNow
from services.accounts.staff import AccountLook, GivenRole
from services.accounts.step_ups import SteppedUp
from services.accounts.tokens import Issued
from services.accounts.vital import NewVital, VitalView
from services.apps.api_keys import ApiKeys
from services.apps.apps import Apps
from services.apps.consents import Consents
from services.apps.exchanging import Exchanging
from services.apps.grants import Grants
from services.apps.lent import Callers
from services.apps.origins import Origins
from services.audit.entry import Actor
from services.audit.ports import Wanted
from services.challenges.challenge import Kind, Ties
from services.challenges.challenges import ChallengeTable, ChallengeView, Invitation
from services.challenges.heat import HeatKind, Late
from services.challenges.score_log import Link
from services.classes.booking import BookingView, RosterLine
from services.classes.class_ghost import ClassGhost
from services.classes.kept_script import LibraryEntry, LibraryQuery, LibraryScriptView, ScriptLabel
from services.classes.leading import PersonView
from services.classes.live_class import LiveClass
from services.classes.metric import Metric
from services.classes.offer import OfferQuery, OfferView, Terms
from services.classes.on_demand import OnDemandTerms, OnDemandView
from services.classes.overseeing import RoomOpened, RoomsPage
from services.classes.script import Script
from services.classes.series import SeriesView, Weekly
from services.classes.showing import Consent
from services.classes.showings import Choice
from services.classes.timelines import ScriptDraft, ScriptView
from services.fairplay.case import Decision
from services.fairplay.verdicts import CaseView, VerdictView
from services.flags.flags import FlagView
from services.integrations.delivery import Delivery, DeliveryState
from services.integrations.endpoint import Endpoint, Scope
from services.integrations.webhooks import Looked, Made, Rotated
from services.kernel.caller import Caller
from services.kernel.clock import Clock, SystemClock
from services.kernel.ids import (
    AccountId,
    AccountMailId,
    BookingId,
    ChallengeId,
    ClassId,
    DeviceId,
    IdentityId,
    LoginId,
    NotificationId,
    OnDemandId,
    PasskeyId,
    ReportId,
    ScriptId,
    SeriesId,
    SignInId,
    TaskId,
    VitalId,
    WebhookDeliveryId,
    WebhookEndpointId,
    WorkoutId,
)
from services.limits.limits import Limits
from services.notifications.addresses import NewDevice, PushDevice
from services.notifications.inbox import InboxView, NotificationView
from services.notifications.notifications import ReadMarked, Unsubscribed
from services.notifications.outgoing import Channel
from services.notifications.phones import PhoneNow
from services.notifications.ports import Words
from services.notifications.preferences import Preferences
from services.notifications.unsubscribe import Stopping
from services.organisations.invitations import Invitations
from services.organisations.organisations import OrganisationActs, Organisations
from services.privacy.erasure import ErasureView
from services.safety.contact import Contact
from services.safety.contact_phone import ContactPhone
from services.safety.incident import AlertList
from services.safety.ports import Chosen
from services.safety.safety import SafetyNow
from services.schedule.jobs import ScheduleNow
from services.social.blocks import BlockView
from services.social.friend import State as FriendState
from services.social.friends import Circle
from services.social.reports import ReportView, Verdict, WaitingReport
from services.tasks.task import AnyWork, TaskView
from services.tasks.tasks import FileAt
from services.training.ghost import Ghost
from services.training.sample import Sample
from services.training.workouts import WorkoutView

WEB_ROOT: Final = Path(__file__).parent.parent / "web"


class AccountCases(Protocol):
    """See services/accounts/accounts.py."""

    async def register(
        self, *, email: str, password: str, name: str, role: SignupRole, device: str, address: str | None
    ) -> LoggedIn: ...
    async def log_in(self, *, email: str, password: str, device: str, address: str | None) -> LoggedIn: ...
    async def refresh(self, refresh_token: str, *, address: str | None) -> LoggedIn: ...
    async def log_out(self, caller: Caller) -> None: ...
    async def me(self, caller: Caller) -> AccountView: ...
    async def change_profile(self, caller: Caller, change: ProfileChange) -> AccountView: ...


class VitalCases(Protocol):
    """See services/accounts/vitals.py."""

    async def own(self, caller: Caller) -> tuple[VitalView, ...]: ...
    async def add(self, caller: Caller, new: NewVital) -> VitalView: ...
    async def delete(self, caller: Caller, vital_id: VitalId) -> None: ...


class StaffCases(Protocol):
    """See services/accounts/staff.py."""

    async def find(self, caller: Caller, email: str, address: str | None) -> AccountLook: ...
    async def look(self, caller: Caller, account_id: AccountId, address: str | None) -> AccountLook: ...
    async def connections(self, caller: Caller, account_id: AccountId, address: str | None) -> ConnectionsLook: ...
    async def end_logins(self, caller: Caller, account_id: AccountId, reason: str, address: str | None) -> int: ...
    async def suspend(
        self, caller: Caller, account_id: AccountId, reason: str, until_ms: int | None, address: str | None
    ) -> AccountLook: ...
    async def lift(self, caller: Caller, account_id: AccountId, reason: str, address: str | None) -> AccountLook: ...
    async def grant(
        self, caller: Caller, account_id: AccountId, role: GivenRole, address: str | None
    ) -> AccountLook: ...
    async def withdraw(
        self, caller: Caller, account_id: AccountId, role: GivenRole, address: str | None
    ) -> AccountLook: ...


class FlagCases(Protocol):
    """See services/accounts/flag_desk.py."""

    async def all(self, caller: Caller) -> tuple[FlagView, ...]: ...
    async def one(self, caller: Caller, name: str) -> FlagView: ...
    async def set(self, caller: Caller, name: str, reason: str, address: str | None, *, on: bool) -> FlagView: ...
    async def unset(self, caller: Caller, name: str, reason: str, address: str | None) -> FlagView: ...


class OverseeingCases(Protocol):
    """See services/classes/overseeing.py."""

    async def page(self, caller: Caller, before: ClassId | None, limit: int, address: str | None) -> RoomsPage: ...
    async def room(
        self, caller: Caller, class_id: ClassId, after: int, limit: int, address: str | None
    ) -> RoomOpened: ...
    async def send_out(self, caller: Caller, class_id: ClassId, n: int, reason: str, address: str | None) -> None: ...
    async def end(self, caller: Caller, class_id: ClassId, reason: str, address: str | None) -> None: ...


class EntitlementCases(Protocol):
    """See services/accounts/entitlements.py."""

    async def own(self, caller: Caller) -> Sequence[EntitlementView]: ...
    async def of_account(self, account_id: AccountId) -> Sequence[EntitlementView]: ...
    async def grant(
        self, account_id: AccountId, name: str, source: str, from_ms: int | None, until_ms: int | None, by: Actor
    ) -> Sequence[EntitlementView]: ...
    async def withdraw(self, account_id: AccountId, name: str, source: str, by: Actor) -> Sequence[EntitlementView]: ...


class LoginCases(Protocol):
    """See services/accounts/logins.py."""

    async def all(self, caller: Caller) -> tuple[LoginView, ...]: ...
    async def end(self, caller: Caller, login_id: LoginId) -> None: ...
    async def end_others(self, caller: Caller) -> int: ...
    async def change_password(self, caller: Caller, *, old: str, new: str, address: str | None) -> int: ...


class AuditCases(Protocol):
    """See services/accounts/audit_desk.py."""

    async def entries(self, caller: Caller, wanted: Wanted, limit: int, address: str | None) -> AuditPage: ...
    async def state(self, caller: Caller) -> AuditState: ...


class StepUpCases(Protocol):
    """See services/accounts/step_ups.py."""

    async def options(self, caller: Caller) -> RequestOptions: ...
    async def with_password(self, caller: Caller, password: str, *, address: str | None) -> SteppedUp: ...
    async def with_factor(self, caller: Caller, shown: Evidence, *, address: str | None) -> SteppedUp: ...


class SecondFactorCases(Protocol):
    """See services/accounts/second_factors.py."""

    def domain(self) -> str: ...
    async def now(self, caller: Caller) -> Factors: ...
    async def begin_totp(self, caller: Caller) -> TotpToScan: ...
    async def confirm_totp(self, caller: Caller, typed: str) -> SteppedUp: ...
    async def remove_totp(self, caller: Caller) -> None: ...
    async def new_codes(self, caller: Caller) -> tuple[str, ...]: ...
    async def passkey_options(self, caller: Caller) -> CreationOptions: ...
    async def add_passkey(self, caller: Caller, name: str, answer: MadePasskey) -> PasskeyAdded: ...
    async def rename_passkey(self, caller: Caller, passkey_id: PasskeyId, name: str) -> Passkey: ...
    async def remove_passkey(self, caller: Caller, passkey_id: PasskeyId) -> None: ...


class FactorLoginCases(Protocol):
    """See services/accounts/factor_logins.py."""

    async def options(self, *, address: str | None) -> RequestOptions: ...
    async def with_passkey(self, shown: ShownPasskey, *, device: str, address: str | None) -> LoggedIn: ...
    async def finish(self, token: str, shown: Evidence, *, address: str | None) -> LoggedIn: ...


class RegistrationCases(Protocol):
    """See services/accounts/registrations.py."""

    async def begin(
        self, *, email: str, password: str, name: str, role: SignupRole, address: str | None
    ) -> RegistrationBegun: ...
    async def send_again(self, mail_id: AccountMailId, *, address: str | None) -> None: ...
    async def finish(self, token: str, *, password: str, device: str, address: str | None) -> LoggedIn: ...
    async def ask_to_confirm(self, caller: Caller, *, address: str | None) -> None: ...
    async def confirm(self, token: str, *, address: str | None) -> None: ...


class ResetCases(Protocol):
    """See services/accounts/resets.py."""

    async def ask(self, email: str, *, address: str | None) -> None: ...
    async def finish(self, token: str, *, password: str, address: str | None) -> None: ...


class ErasureCases(Protocol):
    """See services/privacy/erasures.py."""

    async def ask(self, caller: Caller) -> ErasureView: ...
    async def own(self, caller: Caller) -> ErasureView: ...
    async def take_back(self, caller: Caller) -> None: ...


class EmailChangeCases(Protocol):
    """See services/accounts/email_changes.py."""

    async def ask(self, caller: Caller, email: str, *, address: str | None) -> None: ...
    async def finish(self, token: str, *, address: str | None) -> None: ...
    async def undo(self, token: str, *, address: str | None) -> None: ...


class TicketCases(Protocol):
    """See services/accounts/tickets.py."""

    def issue(self, caller: Caller) -> Issued: ...


class SignInCases(Protocol):
    """See services/accounts/sign_ins.py."""

    def offered(self) -> tuple[ProviderView, ...]: ...
    async def begin(self, provider_id: str, *, role: SignupRole, device: str, address: str | None) -> SignInBegun: ...
    async def begin_link(self, caller: Caller, provider_id: str, *, address: str | None) -> SignInBegun: ...
    async def come_back(self, sign_in_id: SignInId, came: Came, *, address: str | None) -> SignInNow: ...
    async def finish(self, sign_in_id: SignInId, secret: str) -> SignInNow: ...


class IdentityCases(Protocol):
    """See services/accounts/identities.py."""

    async def own(self, caller: Caller) -> tuple[IdentityView, ...]: ...
    async def unlink(self, caller: Caller, identity_id: IdentityId) -> None: ...


class KeyCases(Protocol):
    """See services/accounts/keys.py."""

    def published(self) -> tuple[Jwk, ...]: ...


class ReplayCases(Protocol):
    """See rooms/replay.py."""

    async def page(self, caller: Caller, class_id: ClassId, from_ms: int, every_ms: int) -> ReplayPage: ...


class DisplayCases(Protocol):
    """See services/accounts/displays.py."""

    async def open(self, code: str, *, address: str | None) -> Display[LiveClass]: ...


class PairingCases(Protocol):
    """See services/accounts/pairings.py."""

    async def begin(self, *, address: str | None) -> PairingBegun: ...
    async def poll(self, device_code: str) -> Display[LiveClass]: ...
    async def look(self, caller: Caller, typed: str, *, address: str | None) -> Asking[LiveClass]: ...
    async def answer(self, caller: Caller, typed: str, class_id: ClassId | None, *, address: str | None) -> None: ...


class ClassCases(Protocol):
    """See services/classes/classes.py."""

    async def create(
        self, caller: Caller, title: str, needs: str | None, metric: Metric, teams: tuple[str, ...]
    ) -> LiveClass: ...
    async def of_coach(self, caller: Caller) -> Sequence[LiveClass]: ...
    async def by_id(self, caller: Caller, class_id: ClassId) -> LiveClass: ...
    async def people(self, caller: Caller, class_id: ClassId) -> tuple[PersonView, ...]: ...
    async def end(self, caller: Caller, class_id: ClassId) -> LiveClass: ...

    async def summary(self, caller: Caller, class_id: ClassId) -> str:
        """The final table as JSON text of `realtime.wire.ClassSummary`."""
        ...


class TimelineCases(Protocol):
    """See services/classes/timelines.py."""

    async def script(self, caller: Caller, class_id: ClassId) -> ScriptView: ...
    async def save_script(self, caller: Caller, class_id: ClassId, draft: ScriptDraft) -> ScriptView: ...
    async def check_script(self, caller: Caller, class_id: ClassId, draft: ScriptDraft) -> ScriptView: ...


class LibraryCases(Protocol):
    """See services/classes/script_library.py."""

    async def keep(self, caller: Caller, label: ScriptLabel, script: Script, key: str) -> LibraryScriptView: ...
    async def copy(self, caller: Caller, script_id: ScriptId, key: str) -> LibraryScriptView: ...
    def check(self, caller: Caller, script: Script) -> int: ...
    async def page(self, caller: Caller, query: LibraryQuery) -> tuple[LibraryEntry, ...]: ...
    async def by_id(self, caller: Caller, script_id: ScriptId) -> LibraryScriptView: ...

    async def change(
        self, caller: Caller, script_id: ScriptId, label: ScriptLabel, script: Script, revision: int
    ) -> LibraryScriptView: ...

    async def delete(self, caller: Caller, script_id: ScriptId) -> None: ...


class ShowingCases(Protocol):
    """See services/classes/showings.py."""

    async def default(self, caller: Caller) -> Choice: ...
    async def choose_default(self, caller: Caller, choice: Choice) -> Choice: ...
    async def in_class(self, caller: Caller, class_id: ClassId) -> Choice: ...
    async def choose(self, caller: Caller, class_id: ClassId, choice: Choice) -> Choice: ...
    async def ledger(self, caller: Caller) -> list[Consent]: ...


class ReportCases(Protocol):
    """See services/social/reports.py."""

    async def of_class(self, caller: Caller, class_id: ClassId, *, undecided: bool) -> Sequence[ReportView]: ...
    async def waiting(self, caller: Caller) -> Sequence[WaitingReport]: ...
    async def decide(self, caller: Caller, class_id: ClassId, report_id: ReportId, verdict: Verdict) -> None: ...


class BlockCases(Protocol):
    """See services/social/blocks.py."""

    async def block(self, caller: Caller, blocked_id: AccountId) -> None: ...
    async def unblock(self, caller: Caller, blocked_id: AccountId) -> None: ...
    async def own(self, caller: Caller) -> Sequence[BlockView]: ...


class FriendCases(Protocol):
    """See services/social/friends.py."""

    async def ask(self, caller: Caller, other_id: AccountId, called: str) -> FriendState: ...
    async def accept(self, caller: Caller, asker_id: AccountId) -> None: ...
    async def decline(self, caller: Caller, asker_id: AccountId) -> None: ...
    async def withdraw(self, caller: Caller, asked_id: AccountId) -> None: ...
    async def part(self, caller: Caller, friend_id: AccountId) -> None: ...
    async def own(self, caller: Caller) -> Circle: ...


class ChallengeCases(Protocol):
    """See services/challenges/challenges.py."""

    async def create(
        self,
        caller: Caller,
        *,
        title: str,
        kind: Kind,
        first_day: date,
        last_day: date | None,
        ties: Ties,
        from_zone: int | None,
        teams: tuple[str, ...],
    ) -> ChallengeView: ...
    async def invite_anew(self, caller: Caller, challenge_id: ChallengeId) -> ChallengeView: ...
    async def invitation(self, caller: Caller, code: str) -> Invitation: ...
    async def join(self, caller: Caller, code: str, time_zone: str, team: str | None) -> ChallengeView: ...
    async def leave(self, caller: Caller, challenge_id: ChallengeId) -> None: ...
    async def of_account(self, caller: Caller) -> Sequence[ChallengeView]: ...
    async def by_id(self, caller: Caller, challenge_id: ChallengeId) -> ChallengeView: ...
    async def table(
        self, caller: Caller, challenge_id: ChallengeId, *, start: int, limit: int, around_me: bool
    ) -> ChallengeTable: ...
    async def log(self, caller: Caller, challenge_id: ChallengeId, after: int, limit: int) -> Sequence[Link]: ...


class ClassGhostCases(Protocol):
    """See services/classes/ghosts.py."""

    async def ghost(self, caller: Caller, class_id: ClassId, who: str) -> ClassGhost: ...


class HeatCases(Protocol):
    """See services/challenges/heats.py."""

    async def create(
        self,
        caller: Caller,
        *,
        title: str,
        kind: HeatKind,
        length_min: int,
        from_zone: int | None,
        target: float | None,
        ties: Ties,
        late: Late,
        teams: tuple[str, ...],
        team: str | None,
        time_zone: str,
    ) -> ChallengeView: ...
    async def ready(self, caller: Caller, challenge_id: ChallengeId, *, ready: bool) -> ChallengeView: ...
    async def start(self, caller: Caller, challenge_id: ChallengeId) -> ChallengeView: ...


class OfferCases(Protocol):
    """See services/classes/offers.py."""

    async def create(self, caller: Caller, starts_ms: int, terms: Terms, key: str) -> OfferView: ...
    async def page(self, caller: Caller, query: OfferQuery) -> tuple[OfferView, ...]: ...
    async def by_id(self, caller: Caller, class_id: ClassId) -> OfferView: ...
    async def change(self, caller: Caller, class_id: ClassId, starts_ms: int, terms: Terms) -> OfferView: ...
    async def call_off(self, caller: Caller, class_id: ClassId) -> OfferView: ...


class BookingCases(Protocol):
    """See services/classes/bookings.py."""

    async def book(self, caller: Caller, class_id: ClassId, key: str) -> BookingView: ...
    async def cancel(self, caller: Caller, booking_id: BookingId) -> BookingView: ...
    async def own(
        self, caller: Caller, *, upcoming: bool, before: BookingId | None, limit: int
    ) -> tuple[BookingView, ...]: ...
    async def by_id(self, caller: Caller, booking_id: BookingId) -> BookingView: ...
    async def roster(self, caller: Caller, class_id: ClassId, after: int, limit: int) -> tuple[RosterLine, ...]: ...


class OnDemandCases(Protocol):
    """See services/classes/on_demands.py."""

    async def put(
        self, caller: Caller, terms: OnDemandTerms, script: Script | None, class_id: ClassId | None, key: str
    ) -> OnDemandView: ...
    async def page(self, caller: Caller, after: OnDemandId | None, limit: int) -> tuple[OnDemandView, ...]: ...
    async def withdraw(self, caller: Caller, on_demand_id: OnDemandId) -> OnDemandView: ...
    async def start(
        self, caller: Caller, on_demand_id: OnDemandId, key: str, teams: Sequence[str] | None
    ) -> LiveClass: ...


class SeriesCases(Protocol):
    """See services/classes/recurring.py."""

    async def create(self, caller: Caller, rule: Weekly, terms: Terms, key: str) -> SeriesView: ...
    async def own(self, caller: Caller, before: SeriesId | None, limit: int) -> tuple[SeriesView, ...]: ...
    async def end(self, caller: Caller, series_id: SeriesId) -> SeriesView: ...


class WorkoutCases(Protocol):
    """See services/training/workouts.py."""

    async def of_account(self, caller: Caller, before: WorkoutId | None, limit: int) -> Sequence[WorkoutView]: ...
    async def by_id(self, caller: Caller, workout_id: WorkoutId) -> WorkoutView: ...
    async def samples(self, caller: Caller, workout_id: WorkoutId, from_seq: int, limit: int) -> Sequence[Sample]: ...
    async def ghost(self, caller: Caller, workout_id: WorkoutId) -> Ghost: ...


class VerdictCases(Protocol):
    """See services/fairplay/verdicts.py."""

    async def of_workout(self, caller: Caller, workout_id: WorkoutId) -> VerdictView: ...
    async def appeal(self, caller: Caller, workout_id: WorkoutId, text: str) -> VerdictView: ...
    async def rule(self, caller: Caller, workout_id: WorkoutId, decision: Decision, reason: str) -> VerdictView: ...
    async def waiting_in_class(self, caller: Caller, class_id: ClassId) -> tuple[CaseView, ...]: ...
    async def waiting_in_challenge(self, caller: Caller, challenge_id: ChallengeId) -> tuple[CaseView, ...]: ...
    async def waiting_for(self, caller: Caller) -> tuple[CaseView, ...]: ...


class TaskCases(Protocol):
    """See services/tasks/tasks.py."""

    async def start(self, caller: Caller, work: AnyWork, key: str) -> TaskView: ...
    async def of_account(self, caller: Caller, before: TaskId | None, limit: int) -> Sequence[TaskView]: ...
    async def by_id(self, caller: Caller, task_id: TaskId) -> TaskView: ...
    async def cancel(self, caller: Caller, task_id: TaskId) -> TaskView: ...
    async def file(self, caller: Caller, task_id: TaskId) -> FileAt: ...


class ScheduleCases(Protocol):
    """See services/schedule/jobs.py."""

    async def now(self) -> ScheduleNow: ...
    async def ask(self, job: str, by: Actor) -> None: ...


class InboxCases(Protocol):
    """See services/notifications/inbox.py."""

    async def page(self, caller: Caller, *, before: str | None, limit: int, unread: bool) -> InboxView: ...
    async def one(self, caller: Caller, notification_id: NotificationId) -> NotificationView: ...


class NotificationCases(Protocol):
    """See services/notifications/notifications.py."""

    async def unread(self, caller: Caller) -> int: ...
    async def mark_read(self, caller: Caller, notification_ids: tuple[NotificationId, ...]) -> ReadMarked: ...
    async def mark_read_up_to(self, caller: Caller, notification_id: NotificationId) -> ReadMarked: ...
    async def preferences(self, caller: Caller) -> Preferences: ...
    async def save_preferences(self, caller: Caller, preferences: Preferences) -> Preferences: ...
    async def unsubscribe(self, token: str) -> Unsubscribed: ...
    async def stopping(self, token: str) -> Stopping: ...
    async def add_device(self, caller: Caller, device: NewDevice) -> PushDevice: ...
    async def devices(self, caller: Caller) -> Sequence[PushDevice]: ...
    async def forget_device(self, caller: Caller, device_id: DeviceId) -> None: ...


class PhoneCases(Protocol):
    """See services/notifications/phones.py."""

    async def now(self, caller: Caller) -> PhoneNow: ...
    async def give(self, caller: Caller, text: str) -> PhoneNow: ...
    async def prove(self, caller: Caller, typed: str) -> PhoneNow: ...
    async def take_back(self, caller: Caller) -> None: ...


class SafetyCases(Protocol):
    """See services/safety/safety.py."""

    async def now(self, caller: Caller) -> SafetyNow: ...
    async def choose(self, caller: Caller, chosen: Chosen) -> SafetyNow: ...
    async def alerts(self, caller: Caller) -> AlertList: ...


class ContactCases(Protocol):
    """See services/safety/contacts.py."""

    async def now(self, caller: Caller) -> Contact | None: ...
    async def name(self, caller: Caller, name: str, email: str) -> Contact: ...
    async def take_back(self, caller: Caller) -> None: ...
    async def asked(self, token: str) -> Contact: ...
    async def answer(self, token: str, *, agrees: bool) -> Contact: ...


class ContactPhoneCases(Protocol):
    """See services/safety/contact_phones.py."""

    async def now(self, caller: Caller) -> ContactPhone | None: ...
    async def give(self, caller: Caller, text: str) -> ContactPhone: ...
    async def take_back(self, caller: Caller) -> None: ...
    async def asked(self, token: str) -> ContactPhone: ...
    async def answer(self, token: str, *, agrees: bool) -> ContactPhone: ...


class SmsReports(Protocol):
    """See services/notifications/sms_reports.py."""

    async def reported(self, path: str, form: Mapping[str, str], signature: str) -> None:
        """Take what the provider says of a message. `path` as it was called, with its query. Raises Forbidden for what the
        provider has not signed, NotFound where there is no provider."""


class WebhookCases(Protocol):
    """See services/integrations/webhooks.py."""

    async def create(
        self, caller: Caller, url: str, wants: Iterable[str], scopes: Iterable[Scope], description: str
    ) -> Made: ...
    async def of_account(self, caller: Caller) -> Sequence[Endpoint]: ...
    async def by_id(self, caller: Caller, endpoint_id: WebhookEndpointId) -> Endpoint: ...
    async def change(
        self,
        caller: Caller,
        endpoint_id: WebhookEndpointId,
        *,
        url: str | None,
        wants: Iterable[str] | None,
        scopes: Iterable[Scope] | None,
        description: str | None,
    ) -> Endpoint: ...
    async def remove(self, caller: Caller, endpoint_id: WebhookEndpointId) -> None: ...
    async def rotate(self, caller: Caller, endpoint_id: WebhookEndpointId, overlap_s: int) -> Rotated: ...
    async def test(self, caller: Caller, endpoint_id: WebhookEndpointId) -> Delivery: ...
    async def resume(self, caller: Caller, endpoint_id: WebhookEndpointId) -> Endpoint: ...
    async def deliveries(
        self,
        caller: Caller,
        endpoint_id: WebhookEndpointId,
        *,
        before: WebhookDeliveryId | None,
        state: DeliveryState | None,
        limit: int,
    ) -> Sequence[Delivery]: ...
    async def delivery(
        self, caller: Caller, endpoint_id: WebhookEndpointId, delivery_id: WebhookDeliveryId
    ) -> Looked: ...
    async def replay(
        self, caller: Caller, endpoint_id: WebhookEndpointId, delivery_id: WebhookDeliveryId
    ) -> Delivery: ...
    async def replay_since(self, caller: Caller, endpoint_id: WebhookEndpointId, since: datetime) -> int: ...

    async def samples(self, link: str, from_seq: int, limit: int) -> Sequence[Sample]:
        """A page of what a link from a webhook leads to."""
        ...


class SocketsWindow(Protocol):
    """What the socket engine shows of itself; see gateway/sockets/statistics.py."""

    def statistics(self) -> SocketsStatistics: ...
    def lines(self, limit: int, order: Order) -> Sequence[LineView]:
        """At most `limit` lines, the slowest first."""
        ...


@dataclass(frozen=True)
class GatewayDeps:
    """Everything the HTTP mouth needs.

    `callers` who shows a token; `app_origins` whose pages are those of an app; `issuer` the address of this installation, as apps
    know it; `limits` how often who may ask; `demo_code` the join code of the demo class, None while there is none; `checks` what
    has to be right for `/readyz`; `readings` what `/metrics` shows, by the names in `gateway.probes.FAMILIES`; `web_root` the
    folder of the pages; `proxies` whose word is taken for a client's address; `allowed_origins` whose pages are ours (none: those
    that came from here); `android_apps` and `apple_apps` which apps on phones are.

    Of notifications: `leaving` the channels on which this installation can send anything; `web_push_key` the public key that
    browsers subscribe with, None where there is no Web Push; `words` makes the operator's preview.

    For operators: `node_id` the name of this process, `sockets` the window into the engine (asked for late: it is attached to
    the application after this), `admin_token` what opens it (None: it stays shut), `lag` the event loop's lateness.
    """

    accounts: AccountCases
    vitals: VitalCases
    entitlements: EntitlementCases
    staff: StaffCases
    organisations: Organisations
    invitations: Invitations
    organisation_acts: OrganisationActs
    logins: LoginCases
    step_ups: StepUpCases
    audit: AuditCases
    flags: FlagCases
    overseeing: OverseeingCases
    registrations: RegistrationCases
    resets: ResetCases
    email_changes: EmailChangeCases
    second_factors: SecondFactorCases
    factor_logins: FactorLoginCases
    sign_ins: SignInCases
    identities: IdentityCases
    erasures: ErasureCases
    keys: KeyCases
    tickets: TicketCases
    displays: DisplayCases
    pairings: PairingCases
    classes: ClassCases
    timelines: TimelineCases
    replay: ReplayCases
    showings: ShowingCases
    blocks: BlockCases
    friends: FriendCases
    reports: ReportCases
    challenges: ChallengeCases
    heats: HeatCases
    class_ghosts: ClassGhostCases
    offers: OfferCases
    bookings: BookingCases
    on_demand: OnDemandCases
    script_library: LibraryCases
    series: SeriesCases
    workouts: WorkoutCases
    verdicts: VerdictCases
    tasks: TaskCases
    schedule: ScheduleCases
    inbox: InboxCases
    notifications: NotificationCases
    phones: PhoneCases
    safety: SafetyCases
    contacts: ContactCases
    contact_phones: ContactPhoneCases
    sms_reports: SmsReports
    words: Words
    webhooks: WebhookCases
    apps: Apps
    app_grants: Grants
    api_keys: ApiKeys
    consents: Consents
    exchanging: Exchanging
    callers: Callers
    app_origins: Origins
    issuer: Callable[[], str]
    limits: Limits = field(default_factory=lambda: Limits(SystemClock()))
    demo_code: Callable[[], Awaitable[str | None]] | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)
    readings: Mapping[str, Reading] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    web_root: Path = WEB_ROOT
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    allowed_origins: tuple[str, ...] = ()
    android_apps: tuple[AndroidApp, ...] = ()
    apple_apps: tuple[str, ...] = ()
    leaving: frozenset[Channel] = frozenset()
    web_push_key: str | None = None
    node_id: str = ""
    sockets: Callable[[], SocketsWindow] | None = None
    admin_token: AdminToken | None = None
    lag: LoopLag = field(default_factory=LoopLag)
