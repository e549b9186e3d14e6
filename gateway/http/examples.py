"""One example of every shape that appears in the documents.

They are real instances, so they are checked when this module is imported, shown in the documents as they would travel, and
validated against the generated schemas by a test. One evening runs through all of them: Mira coaches, Jonas rides.
"""

import uuid
from datetime import date
from typing import Final

import msgspec

from gateway.http.accounts import Registration
from gateway.http.api_keys import ApiKeyList, ApiKeyMade, ApiKeyRequest, ApiKeyRotated, ApiKeyView, RotateApiKey
from gateway.http.apps import (
    SCOPE_LIST,
    AppChange,
    AppInUse,
    AppList,
    AppRegistered,
    AppRequest,
    AppsAtHome,
    AppSecretRotated,
    AppView,
    RotateAppSecret,
)
from gateway.http.authorization import AuthorizationDecision, AuthorizationRequest
from gateway.http.blocks import BlockList
from gateway.http.bookings import BookingList, BookingRequest
from gateway.http.challenges import ChallengeCreate, ChallengeJoin, ChallengeList, LogEntry, LogPage
from gateway.http.classes import ClassList, LedClass, PeopleList
from gateway.http.contact import ContactPhoneView, ContactView, GiveContactPhone, NameContact, NamedContact
from gateway.http.devices import DeviceList, DeviceView, WebPushKey
from gateway.http.displays import Demo, DisplayOpened, DisplayRequest
from gateway.http.email_changes import ChangeEmail
from gateway.http.entitlements import EntitlementList, GrantRequest
from gateway.http.flags import FlagSet, FlagsNow
from gateway.http.friends import FriendAnswer, FriendAsk
from gateway.http.heats import HeatCreate, HeatReady
from gateway.http.identities import IdentityList, LinkProvider
from gateway.http.keys import JwkSet
from gateway.http.logins import ChangePassword, LogIn, LoginList, LoginsEnded, RefreshRequest
from gateway.http.notifications import MarkRead
from gateway.http.offers import OfferChange, OfferList, OfferRequest, Roster
from gateway.http.on_demand import OnDemandList, OnDemandRequest, StartRequest
from gateway.http.operations import RoundTrips, SocketsCounts, SocketsNow
from gateway.http.organisations import (
    ChangeSeat,
    EntitleOrganisation,
    HandOver,
    InvitationList,
    Invite,
    NameOrganisation,
    OrganisationList,
    SetSeats,
)
from gateway.http.pairings import PairingAnswer, PairingAsking, PairingPoll, PairingQuestion
from gateway.http.phones import GivePhone, PhoneCheckView, PhoneView, ProvePhone
from gateway.http.problems import ProblemBody, title_of, type_of
from gateway.http.registrations import BeginRegistration, FinishRegistration, FollowLink
from gateway.http.reports import Decided, ReportList, WaitingReports
from gateway.http.resets import AskForReset, FinishReset
from gateway.http.safety import ChooseSafety, SafetyView
from gateway.http.script_library import Checked, CheckRequest, CopyRequest, KeepRequest, LibraryChange, ScriptList
from gateway.http.second_factors import (
    AddPasskey,
    ConfirmTotp,
    FinishLogIn,
    LogInWithPasskey,
    PasskeyAddedView,
    PasskeyView,
    RecoveryCodes,
    RenamePasskey,
    SecondFactorView,
)
from gateway.http.series import SeriesList, SeriesRequest
from gateway.http.showing import ConsentList
from gateway.http.sign_ins import BeginSignIn, FinishSignIn, ProviderList
from gateway.http.staff import Because, Suspend
from gateway.http.staff_rooms import EndRoom, SendOut
from gateway.http.step_ups import StepUp
from gateway.http.tasks import TaskList, TaskStart
from gateway.http.tickets import TicketGiven
from gateway.http.verdicts import AppealRequest, CaseList, RulingRequest
from gateway.http.vitals import VitalList
from gateway.http.webhook_deliveries import (
    AttemptView,
    DeliveryDetails,
    DeliveryList,
    DeliveryView,
    Replayed,
    ReplayRequest,
)
from gateway.http.webhooks import (
    EndpointChange,
    EndpointList,
    EndpointMade,
    EndpointRequest,
    EndpointView,
    RotateRequest,
    SecretRotated,
)
from gateway.http.workouts import SamplePage, WorkoutList
from gateway.sockets.statistics import LineView
from realtime import wire
from rooms.playback import Shown
from rooms.replay import ReplayPage
from services.accounts.account import AccountView, ProfileChange
from services.accounts.account_mail import LIFE_MS
from services.accounts.audit_desk import AuditPage, AuditState, EntryView
from services.accounts.connection import ConnectionLook, ConnectionsLook
from services.accounts.entitlement import EntitlementView
from services.accounts.identities import IdentityView
from services.accounts.keyring import Jwk
from services.accounts.logins import LoginView
from services.accounts.opening import LoggedIn
from services.accounts.pairings import PairingBegun
from services.accounts.passkey import (
    AlgorithmView,
    CreationOptions,
    CredentialView,
    MadePasskey,
    RelyingPartyView,
    RequestOptions,
    ShownPasskey,
    UserView,
)
from services.accounts.registrations import RegistrationBegun
from services.accounts.scope import SENTENCES, in_order
from services.accounts.second_factors import TotpToScan
from services.accounts.sign_ins import Came, ProviderView, SignInBegun, SignInNow
from services.accounts.staff import AccountLook, LoginLook
from services.accounts.step_ups import SteppedUp
from services.accounts.suspension import SuspensionView
from services.accounts.vital import NewVital, VitalView
from services.apps.consents import Lent, Question, SentBack
from services.apps.grants import AppAtHome
from services.challenges.challenge import Rules, closes_ms
from services.challenges.challenges import ChallengeTable, ChallengeView, Invitation, TableLine, TeamLine
from services.challenges.score_log import BEGINNING, Joined, Opened, linked
from services.challenges.standing import ChallengeStanding, TablePart
from services.classes.booking import BookingView, RosterLine
from services.classes.class_clock import Extend, Rest
from services.classes.class_ghost import ClassGhost
from services.classes.clock_sync import Report
from services.classes.kept_script import LibraryEntry, LibraryScriptView, Origin, ScriptLabel
from services.classes.leading import PersonView
from services.classes.live_class import LiveClass
from services.classes.offer import OfferView, Terms
from services.classes.on_demand import OnDemandTerms, OnDemandView
from services.classes.overseeing import PersonThere, RoomLook, RoomOpened, RoomsPage
from services.classes.script import (
    Block,
    CadenceTarget,
    ExertionTarget,
    Interval,
    ReserveTarget,
    Script,
    ScriptCue,
    ZoneTarget,
    duration_ms,
)
from services.classes.series import SeriesView, Weekly
from services.classes.showing import Consent
from services.classes.showings import Choice
from services.classes.steps import Below, Step
from services.classes.timelines import ScriptDraft, ScriptView
from services.fairplay.verdicts import CaseView, FindingView, StepView, VerdictView
from services.flags.flag import FLAGS
from services.flags.flags import FlagView
from services.integrations import events
from services.kernel.clock import utc
from services.kernel.ids import (
    AccountId,
    AccountMailId,
    ApiKeyId,
    AppId,
    BookingId,
    ChallengeId,
    ClassId,
    DeviceId,
    IdentityId,
    IncidentId,
    LoginId,
    NotificationId,
    OnDemandId,
    OrganisationId,
    PasskeyId,
    ReportId,
    ScriptId,
    SeriesId,
    SignInId,
    StreamId,
    TaskId,
    VitalId,
    WebhookDeliveryId,
    WebhookEndpointId,
    WorkoutId,
)
from services.kernel.problems import BadShape, SequenceGap
from services.notifications.addresses import NewDevice
from services.notifications.choices import choices_of
from services.notifications.contact_letter import ANSWER_MS
from services.notifications.inbox import InboxView, NotificationView, UnreadView
from services.notifications.notifications import ReadMarked
from services.notifications.preferences import DigestTime, Preferences, QuietHours
from services.notifications.previewing import MailPreview, Preview, Previews, ShortPreview, SmsPreview
from services.organisations.invitations import InvitationSeen, InvitationView, Seated
from services.organisations.organisation import Held
from services.organisations.organisations import MemberView, OrganisationDetails, OrganisationView, SeatsView
from services.privacy.erasure import GRACE_MS, ErasureView
from services.safety.incident import AlertList, AlertView, IncidentView
from services.schedule.jobs import JobView, LeaderView, ScheduleNow, TickView
from services.social.blocks import BlockView
from services.social.friends import AskedView, AskingView, Circle, FriendView
from services.social.reports import ReportView, WaitingReport
from services.tasks.task import RecomputeWorkouts, TaskFile, TaskResult, TaskView
from services.training.ftms_control import TargetPower, encode_request
from services.training.ghost import Ghost
from services.training.heart_rate_frames import HeartRateMeasurement, encode_heart_rate
from services.training.location import Location
from services.training.physiology import Physiology
from services.training.plausibility import RULES
from services.training.sample import Motion, Sample
from services.training.summary import summarise
from services.training.workouts import Workout, WorkoutView

_START: Final = 1_790_000_000_000


def _id(n: int) -> uuid.UUID:
    return uuid.UUID(int=(_START + n) << 80 | 0x7 << 76 | 0b10 << 62 | n)


_jonas = AccountId(_id(1))
_mira = AccountId(_id(2))
_class = ClassId(_id(3))
_stream = StreamId(_id(4))
_workout = WorkoutId(_id(5))
_login = LoginId(_id(6))
_sign_in = SignInId(_id(61))

_view = wire.ClassView(
    id=_class, code="K7WQ2M", title="Thursday hills", coach_name="Mira", state="live", created_at_ms=_START
)
_over = msgspec.structs.replace(_view, state="over", ended_at_ms=_START + 2_700_000)
_rider = wire.Member(n=1, account_id=_jonas, name="Jonas", role="athlete")
_row = wire.Row(n=1, rank=1, bpm=148, percent=80, zone=4, effort=61.5, freshness="live")
_table = wire.ClassSummary(
    class_id=_class,
    title="Thursday hills",
    duration_ms=2_700_000,
    athletes=1,
    standings=(
        wire.ClassStanding(
            n=1, rank=1, name="Jonas", effort=137.4, zone_ms=(0, 240_000, 600_000, 960_000, 720_000, 180_000)
        ),
    ),
)
_replay = ReplayPage(
    class_id=_class,
    begins_ms=_START,
    ends_ms=_START + 2_700_000,
    events=(
        Shown(
            _START + 61_000,
            "board.snapshot",
            msgspec.Raw(
                msgspec.json.encode(wire.BoardSnapshot(_class, "3f9ac1d2", 355, _START + 61_000, (_rider,), (_row,)))
            ),
        ),
    ),
    next_ms=_START + 61_001,
)
_replay_at = wire.ReplayAt(class_id=_class, at_ms=_START + 900_000, speed=4.0)
_changes = wire.BoardChanges(class_id=_class, epoch="9f2c41aa", v=13, at_ms=_START + 900_500, rows=(_row,))
_script = Script(
    blocks=(
        Block(title="Warm up", intervals=(Interval(600_000, targets=(ZoneTarget(1, 2), CadenceTarget(85, 95))),)),
        Block(
            title="Hills",
            repeat=4,
            intervals=(
                Interval(240_000, title="Up", targets=(ReserveTarget(75, 85), ExertionTarget(7, 8))),
                Interval(120_000, title="Down", steps=(Step(Below(120), for_ms=10_000, within_ms=110_000),)),
            ),
        ),
    ),
    cues=(ScriptCue(0, "Easy legs"), ScriptCue(595_000, "First hill in five"), ScriptCue(600_000, "Go")),
)
_clock = wire.ClockView(
    class_id=_class,
    n=3,
    script=1,
    state="running",
    noted_at_ms=_START + 660_000,
    at_ms=_START + 660_000,
    class_ms=650_000,
    ran_ms=650_000,
    duration_ms=duration_ms(_script),
    rests=(Rest(839_999, 60_000),),
)
_rules = Rules("effort", date(2026, 9, 21), date(2026, 9, 27), teams=("Hills", "Flats"))
_challenge = ChallengeView(
    id=ChallengeId(_id(20)),
    code="K7WQ2MXB4T",
    title="A week of climbing",
    kind=_rules.kind,
    first_day=_rules.first_day,
    last_day=_rules.last_day,
    ties=_rules.ties,
    from_zone=None,
    teams=_rules.teams,
    members=1,
    closes_ms=closes_ms(_rules),
    finished_ms=None,
    yours=False,
    you=1,
    time_zone="Europe/Vienna",
)
_opened = linked(0, BEGINNING, Opened(_challenge.id, _rules))
_joined = linked(_opened.seq, _opened.hash, Joined(1, "Europe/Vienna", 0, _START))
_position: Final = "0f3a9c41-000000000012"
_report: Final = ReportView(
    ReportId(_id(40)), "0f3a9c41-000000000012", 1, "Hello from Graz 👋", "spam", _START + 400_000
)
_chat: Final = wire.ChatSaid(
    class_id=_class, n=1, name="Jonas", text="Hello from Graz 👋", at_ms=_START + 61_000, position=_position
)
_cue: Final = wire.Cue(
    class_id=_class,
    text="Last minute, all you have!",
    coach_name="Mia",
    at_ms=_START + 900_000,
    position=_position,
)
_snapshot = wire.BoardSnapshot(
    class_id=_class, epoch="9f2c41aa", v=12, at_ms=_START + 900_000, members=(_rider,), rows=(_row,)
)
_power = TargetPower(watts=220)
_samples = (
    Sample(t=0, bpm=96),
    Sample(t=1_000, bpm=97, rr=(618, 622)),
    Sample(t=2_000, bpm=None, motion=Motion(distance_m=8, power_w=185, cadence=88)),
)
_physiology = Physiology(
    max_hr=185, rest_hr=52, sex="male", mass_kg=72.5, age_years=36, max_hr_source="measured", rest_hr_source="measured"
)
_app = AppView(AppId(_id(60)), "Pulse Diary", "confidential", ("https://pulse.example/callback",), _START)
_key = ApiKeyView(ApiKeyId(_id(61)), "Weekly report", ("workouts:read",), _START, None, _START + 86_400_000)
_challenge_of_code: Final = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
_way_back: Final = (
    "https://pulse.example/callback?code=plc_example-wX4mT9sQ2rB7vN1kZ6pL8dF3gH5jK0&state=af0ifjsldkj"
    "&iss=https%3A%2F%2Frun.example"
)
_summary = summarise(
    [Sample(t=second * 1_000, bpm=110 + min(second // 10, 45)) for second in range(1_200)], _physiology
)
_room = RoomLook(ClassId(_id(20)), "class", "Thursday hills", "Mia", 1_790_000_000_000, 12)
_flag = FlagView(
    "registering",
    on=False,
    off=FLAGS["registering"].off,
    reason="Somebody registers by the thousand",
    set_at_ms=1_790_000_000_000,
    set_by="otto@example.org",
)
_account = AccountView(
    id=_jonas,
    email="jonas@example.org",
    name="Jonas",
    roles=("member",),
    created_at_ms=_START,
    birth_date=date(1990, 5, 17),
    sex="male",
    mass_kg=72.5,
    max_hr=185,
    rest_hr=52,
)
_vital = VitalView(
    id=VitalId(_id(70)),
    kind="max_hr",
    value=188.0,
    unit="bpm",
    from_day=date(2026, 9, 1),
    until_day=None,
    source="test",
    stale=False,
    noted_at_ms=_START,
)
_saved = WorkoutView(
    id=_workout,
    class_id=_class,
    sport="cycling",
    created_at_ms=_START,
    finished_at_ms=_START + 1_200_000,
    revision=1,
    summary=_summary,
)
_flat = RULES["flat"]
_verdict = VerdictView(
    workout_id=_workout,
    verdict="flagged",
    judged_at_ms=_START + 1_201_000,
    rules_version=1,
    grade="strap",
    findings=(FindingView("flat", "flagged", 241.0, _flat.unit, _flat.flagged, _flat.rejected),),
    steps=(StepView("judged", _START + 1_201_000, "rules", "flagged"),),
    appeal_until_ms=_START + 1_201_000 + 14 * 86_400_000,
)
_terms = Terms(
    title="Thursday hills",
    duration_min=45,
    capacity=20,
    level="intermediate",
    equipment=("bike", "heart-rate strap"),
    organisation=OrganisationId(_id(72)),
    members="first",
)
_starts: Final = 1_790_267_400_000
_booking = BookingId(_id(11))
_series = SeriesId(_id(12))
_harbour = OrganisationView(OrganisationId(_id(72)), "Harbour Gym", 10, "owner", _START)
_invited = InvitationView(AccountMailId(_id(73)), "ana@example.org", "coach", _START, _START + LIFE_MS["invite"])
_offer = OfferView(
    id=_class,
    state="offered",
    coach_id=_mira,
    coach_name="Mira",
    starts_at_ms=_starts,
    ends_at_ms=_starts + 2_700_000,
    booking_opens_at_ms=_starts - 14 * 86_400_000,
    booking_closes_at_ms=_starts,
    doors_open_at_ms=_starts - 900_000,
    doors_close_at_ms=_starts + 600_000,
    terms=_terms,
    confirmed=20,
    waiting=3,
    series=_series,
    organisation=_harbour.name,
    booking=_booking,
    booking_state="waitlisted",
)
_booked = BookingView(
    id=_booking,
    class_id=_class,
    state="waitlisted",
    title="Thursday hills",
    coach_name="Mira",
    starts_at_ms=_starts,
    ends_at_ms=_starts + 2_700_000,
    booked_at_ms=_START,
    ahead=2,
)
_label = ScriptLabel(
    name="Two hills",
    description="Ten minutes easy, then two hills of five.",
    tags=("hills", "threshold"),
    shared="coaches",
)
_library_script = LibraryScriptView(
    id=ScriptId(_id(31)),
    owner_id=_mira,
    owner_name="Mira",
    label=_label,
    duration_ms=duration_ms(_script),
    revision=2,
    created_at_ms=_START,
    changed_at_ms=_START + 86_400_000,
    origin=Origin(ScriptId(_id(32)), _jonas, "Jonas", 4),
    script=_script,
)
_library_entry = LibraryEntry(**{name: getattr(_library_script, name) for name in LibraryEntry.__struct_fields__})
_on_demand = OnDemandView(
    id=OnDemandId(_id(13)),
    coach_id=_mira,
    coach_name="Mira",
    terms=OnDemandTerms(title="Hill climb", places=12, equipment=("bike",)),
    duration_ms=2_700_000,
    created_at_ms=_START,
)
_premium = EntitlementView(
    name="premium", source="voucher:SPRING", holds=True, from_ms=_START, granted_at_ms=_START, until_ms=_starts
)
_rule = Weekly(days=("thu",), at="18:30", zone="Europe/Vienna", from_day=date(2026, 9, 1))
_weekly = SeriesView(
    id=_series,
    coach_id=_mira,
    coach_name="Mira",
    rule=_rule,
    terms=_terms,
    created_at_ms=_START,
    offered_through=date(2026, 10, 19),
)
_task = TaskView(
    task=TaskId(_id(7)),
    kind="recompute_workouts",
    state="running",
    created_ms=_START,
    started_ms=_START + 120,
    done=310,
    total=1_204,
    note="workouts",
)
_incident = IncidentView(
    incident=IncidentId(_id(41)),
    kind="over_limit",
    state="prompted",
    revision=1,
    bpm=197,
    found_ms=_START,
    coach_told=False,
    next_ms=_START + 15_400,
)
_alert = AlertView(
    incident=IncidentId(_id(41)),
    class_id=_class,
    account_id=_jonas,
    n=2,
    name="Jonas",
    kind="over_limit",
    state="coach_told",
    revision=2,
    bpm=197,
    found_ms=_START,
    next_ms=_START + 615_000,
)
_exported = TaskView(
    task=TaskId(_id(8)),
    kind="export_account",
    state="done",
    created_ms=_START - 60_000,
    started_ms=_START - 59_900,
    ended_ms=_START - 51_000,
    done=1_204,
    total=1_204,
    note="workouts",
    result=TaskResult(
        file=TaskFile(
            name=f"{_id(8)}.1.zip",
            bytes=9_412_061,
            sha256="5f6c0f1d2b8e4a7c9d3e1f0a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c",
            until_ms=_START + 86_349_000,
        )
    ),
)
_notification = NotificationView(
    id=NotificationId(_id(9)),
    topic="workout.summarised",
    title="Thursday hills: 137.4 points in 45 min",
    body="148 bpm on average, 176 at most. About 513 kcal.",
    path=f"/athlete#workout={_workout}",
    told_at_ms=_START + 2_760_000,
)
_inbox = InboxView(notifications=(_notification,), next=None, unread=1)
_preferences = Preferences(
    locale="de-AT",
    time_zone="Europe/Vienna",
    quiet_hours=QuietHours(begins=22 * 60, until=7 * 60),
    digest=DigestTime(hour=8, weekday=0),
    chosen={"workout.summarised": {"email": "digest"}},
    revision=3,
)
_device = DeviceView(
    id=DeviceId(_id(10)), kind="webpush", name="Chrome on Android", created_at_ms=_START, seen_at_ms=_START + 86_400_000
)
_contact_phone = ContactPhoneView(
    number="+4915112345678",
    state="asked",
    asked_at_ms=_START,
    until_ms=_START + ANSWER_MS,
    agreed_at_ms=None,
    refused_at_ms=None,
)
_phone = PhoneView(
    number="+4915112345678",
    verified_at_ms=_START,
    dead=False,
    check=PhoneCheckView(number="+436601234567", expires_at_ms=_START + 86_400_000, guesses_left=5, message="sent"),
    offered=True,
)
_kept = Workout(
    id=_workout,
    account_id=_jonas,
    class_id=_class,
    sport="cycling",
    physiology=_physiology,
    created_at_ms=_START,
    finished_at_ms=_START + 1_200_000,
    revision=1,
    summary=_summary,
)
_endpoint = WebhookEndpointId(_id(7))
_hook = EndpointView(
    id=_endpoint,
    url="https://coach.example.org/hooks/paceline",
    events=("workout.summarised",),
    scopes=("samples",),
    description="The training diary",
    created_at_ms=_START,
    state="active",
    failures=0,
    failing_since_ms=None,
    paused_reason=None,
)
_delivery = DeliveryView(
    id=WebhookDeliveryId(_id(8)),
    event="workout.summarised",
    subject=f"{_workout}/1",
    state="delivered",
    attempts=2,
    created_at_ms=_START + 1_201_000,
    due_at_ms=None,
    finished_at_ms=_START + 1_206_800,
    last_status=204,
)
_told = events.workout_summarised(_kept, _START + 1_201_000, samples=_samples)
_gap = SequenceGap("samples 118 to 119 are missing", expected=118)
_LINK: Final = "AaDDjauAcACAAAAAAAAAFO3mVFWb9Fq5zZCM8G0h2Xo"

_shown = ShownPasskey(
    id="8J3zQmX1vT6yK3wE5rU7iA",
    client_data_json="eyJ0eXBlIjoi4oCmIn0",
    authenticator_data="SZYN5YgOjGh0NBcPZHZgW4",
    signature="MEUCIQDaSigned",
    user_handle="AZoMONuAcACAAAAAAAAAAQ",
)
_ALL: Final[tuple[msgspec.Struct, ...]] = (
    Registration(email="jonas@example.org", password="violet anchor moss kettle", name="Jonas", device="watch"),  # noqa: S106
    BeginRegistration(
        email="jonas@example.org",
        password="violet anchor moss kettle",  # noqa: S106
        name="Jonas",
    ),
    RegistrationBegun(AccountMailId(_id(20)), "jonas@example.org", _START + LIFE_MS["register"]),
    FinishRegistration(token=_LINK, password="violet anchor moss kettle", device="watch"),  # noqa: S106
    FollowLink(token=_LINK),
    AskForReset(email="jonas@example.org"),
    FinishReset(token=_LINK, password="copper lantern orbit thistle"),  # noqa: S106
    ChangeEmail(email="jonas@new.example.org"),
    AuditPage(
        (
            EntryView(
                position=4711,
                at_ms=_START,
                act="logins.ended",
                actor_kind="account",
                actor=_mira,
                actor_email="mira@example.org",
                account=_jonas,
                account_email="jonas@example.org",
                login=_id(3),
                name="",
                network="203.0.113.0/24",
                thing_kind="",
                thing="",
                reason="they asked us to",
                data='{"count":2}',
            ),
        ),
        next_before=4711,
    ),
    AuditState(
        rows=4711,
        waiting=0,
        checked_from=3712,
        breaches=(),
        signed_row=4700,
        signed_at_ms=_START,
        acts=("logins.ended",),
    ),
    LogIn(email="jonas@example.org", password="violet anchor moss kettle", device="watch"),  # noqa: S106
    RefreshRequest(refresh_token="plr_4Jq0m2nB8sX1vT6yK3wE5rU7iO9pA0dF2gH4jL6zC8c"),  # noqa: S106
    JwkSet(
        keys=(Jwk(kid="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", x="11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),)
    ),
    ProviderList(providers=(ProviderView("google", "Google", "Continue with Google"),)),
    BeginSignIn(provider="google", device="Chrome on Android"),
    SignInBegun(
        _sign_in,
        secret="pls_kqB1v0mZ8yT4nR6sXw2cF7uJ9aL3dG5hE1pQ0oM8iKs",  # noqa: S106
        url="https://accounts.google.com/o/oauth2/v2/auth?response_type=code&client_id=…",
        expires_in_s=600,
    ),
    Came(
        secret="pls_kqB1v0mZ8yT4nR6sXw2cF7uJ9aL3dG5hE1pQ0oM8iKs",  # noqa: S106
        provider="google",
        state="Zt4nR6sXw2cF7uJ9aL3dG5hE1pQ0oM8iKsB1v0mZ8yT",
        code="4/0AfJohXl",
        iss="https://accounts.google.com",
    ),
    FinishSignIn(secret="pls_kqB1v0mZ8yT4nR6sXw2cF7uJ9aL3dG5hE1pQ0oM8iKs"),  # noqa: S106
    SignInNow("waiting", again_in_ms=400),
    LinkProvider(provider="google"),
    IdentityList(
        identities=(
            IdentityView(IdentityId(_id(62)), "google", "jonas@example.org", 1_789_000_000_000, 1_790_000_000_000),
        )
    ),
    ChangePassword(old="violet anchor moss kettle", new="copper lantern orbit thistle"),
    LoginList(
        logins=(
            LoginView(_login, "Chrome on Android", 1_790_000_000_000, 1_790_000_900_000, current=True),
            LoginView(LoginId(_id(60)), "watch", 1_789_000_000_000, 1_789_950_000_000, current=False),
        )
    ),
    LoginsEnded(ended=1),
    NewVital("max_hr", 188, date(2026, 9, 1), "test"),
    _vital,
    VitalList(vitals=(_vital,)),
    StepUp(code="492039"),
    SecondFactorView(
        required=True,
        totp_since_ms=_START,
        passkeys=(PasskeyView(PasskeyId(_id(90)), "Red phone", _START, _START + 86_400_000),),
        recovery_codes=9,
        passkey_domain="paceline.example.org",
    ),
    PasskeyView(PasskeyId(_id(90)), "Red phone", _START, _START + 86_400_000),
    PasskeyAddedView(
        PasskeyView(PasskeyId(_id(90)), "Red phone", _START, None),
        access_token="eyJhbGciOiJFZERTQSIsImtpZCI6IuKApiJ9.eyJzdWIiOiLigKYifQ.c2lnbmF0dXJl",  # noqa: S106
        expires_in_s=900,
        fresh_until_ms=_START + 600_000,
    ),
    TotpToScan(
        secret="GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",  # noqa: S106
        uri="otpauth://totp/Paceline:jonas@example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Paceline",
        picture='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 45 45"><path stroke="#000" d="M4 4.5h7m1 0h2"/></svg>',
        expires_at_ms=_START + 600_000,
    ),
    ConfirmTotp(code="492039"),
    RecoveryCodes(("7KQW-2MXB-4TRZ", "8HNP-QV3D-K2M7")),
    AddPasskey(passkey=MadePasskey("eyJ0eXBlIjoi4oCmIn0", "o2NmbXRkbm9uZQ"), name="Red phone"),
    RenamePasskey(name="Red phone"),
    LogInWithPasskey(passkey=_shown, device="Chrome on Android"),
    FinishLogIn(token="plc_4Jq0m2nB8sX1vT6yK3wE5rU7iO9pA0dF2gH4jL6zC8c", code="492039"),  # noqa: S106
    CreationOptions(
        rp=RelyingPartyView("paceline.example.org", "Paceline"),
        user=UserView("AZoMONuAcACAAAAAAAAAAQ", "jonas@example.org", "Jonas"),
        challenge="AAABoMW6kAB1bmd1ZXNzYWJsZQ",
        pub_key_cred_params=(AlgorithmView(-7), AlgorithmView(-8), AlgorithmView(-257)),
        timeout=180_000,
        exclude_credentials=(),
    ),
    RequestOptions(
        challenge="AAABoMW6kAB1bmd1ZXNzYWJsZQ",
        timeout=180_000,
        rp_id="paceline.example.org",
        allow_credentials=(CredentialView("8J3zQmX1vT6yK3wE5rU7iA"),),
    ),
    NameOrganisation(name="Harbour Gym"),
    _harbour,
    OrganisationList(organisations=(_harbour,)),
    OrganisationDetails(
        organisation=_harbour,
        members=(
            MemberView(_mira, "Mira", "owner", _START),
            MemberView(_jonas, "Jonas", "member", _START + 86_400_000),
        ),
    ),
    ChangeSeat(role="coach"),
    HandOver(account_id=_jonas),
    Invite(email="ana@example.org", role="coach"),
    _invited,
    InvitationList(invitations=(_invited,)),
    InvitationSeen("Harbour Gym", "ana@example.org", "coach", _START + LIFE_MS["invite"]),
    Seated(_harbour.id, "Harbour Gym", "coach"),
    SetSeats(seats=25),
    SeatsView(_harbour.id, "Harbour Gym", 25, 2, 1, (Held("premium", _START, None),)),
    EntitleOrganisation(until_ms=_START + 31_536_000_000),
    Because(reason="The owner has lost their phone"),
    Suspend(reason="You share this account with your whole team", until_ms=1_790_600_000_000),
    AccountLook(
        id=AccountId(_id(61)),
        email="ana@example.org",
        name="Ana",
        roles=("author", "member"),
        created_at_ms=1_780_000_000_000,
        suspension=SuspensionView("You share this account with your whole team", 1_790_000_000_000, 1_790_600_000_000),
        logins=(LoginLook(LoginId(_id(60)), "watch", 1_789_000_000_000, 1_789_950_000_000),),
    ),
    ConnectionsLook(
        (ConnectionLook("node-1", LoginId(_id(60)), "watch", 1_790_000_000_000, (ClassId(_id(20)),), None),),
        ("node-2",),
    ),
    _room,
    RoomsPage((_room,)),
    RoomOpened(_room, (PersonThere(3, AccountId(_id(61)), "Ana", "athlete", None, ("node-1",)),)),
    SendOut(n=3, reason="They insult others in the chat"),
    EndRoom(reason="Its coach has asked us to"),
    FlagSet(on=False, reason="Somebody registers by the thousand"),
    _flag,
    FlagsNow((_flag,)),
    ErasureView(asked_ms=_START, due_ms=_START + GRACE_MS),
    SteppedUp(
        access_token="eyJhbGciOiJFZERTQSIsImtpZCI6IuKApiJ9.eyJzdWIiOiLigKYifQ.c2lnbmF0dXJl",  # noqa: S106
        expires_in_s=900,
        fresh_until_ms=_START + 600_000,
    ),
    TicketGiven(ticket="eyJhbGciOiJFZERTQSIsImtpZCI6IuKApiJ9.eyJzdWIiOiLigKYifQ.c2lnbmF0dXJl", expires_in_s=30),
    LoggedIn(
        account=_account,
        access_token="eyJhbGciOiJFZERTQSIsImtpZCI6IuKApiJ9.eyJzdWIiOiLigKYifQ.c2lnbmF0dXJl",  # noqa: S106
        expires_in_s=900,
        refresh_token="plr_4Jq0m2nB8sX1vT6yK3wE5rU7iO9pA0dF2gH4jL6zC8c",  # noqa: S106
    ),
    _account,
    ProfileChange(max_hr=185, rest_hr=52, mass_kg=None),
    DisplayRequest(code="K7WQ2M"),
    DisplayOpened(
        access_token="eyJhbGciOiJFZERTQSIsImtpZCI6IuKApiJ9.eyJzdWIiOiLigKYifQ.c2lnbmF0dXJl",  # noqa: S106
        expires_in_s=43_200,
        watched=_view,
    ),
    PairingBegun(
        device_code="pld_GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS4k",
        user_code="WDJB-MJHT",
        verification_uri="https://paceline.example.org/display",
        verification_uri_complete="https://paceline.example.org/display#WDJB-MJHT",
        picture="<svg>…</svg>",
        expires_in_s=600,
        interval_s=5,
    ),
    PairingPoll(device_code="pld_GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS4k"),
    PairingQuestion(user_code="wdjb mjht"),
    PairingAsking("WDJB-MJHT", "203.0.113.0/24", _START, _START + 600_000, (_view,)),
    PairingAnswer(user_code="WDJB-MJHT", class_id=_class),
    Demo(code="K7WQ2M"),
    ClassList(classes=(LedClass(**msgspec.structs.asdict(_view), leads="coach"),)),
    ChallengeCreate(
        title="A week of climbing",
        kind="effort",
        first_day=_rules.first_day,
        last_day=_rules.last_day,
        teams=("Hills", "Flats"),
    ),
    ChallengeJoin(code="K7WQ2MXB4T", time_zone="Europe/Vienna", team="Hills"),
    HeatCreate(
        title="Six o'clock sprint",
        kind="effort",
        length_min=20,
        time_zone="Europe/Vienna",
        late="refused",
        teams=("Red", "Blue"),
        team="Blue",
    ),
    HeatReady(),
    ClassGhost(_class, "class", 5_000, (0, 4_000, 14_000, 29_000), cut=False, name="Jonas"),
    _challenge,
    ChallengeList(challenges=(_challenge,)),
    Invitation(
        title=_challenge.title,
        kind=_rules.kind,
        first_day=_rules.first_day,
        last_day=_rules.last_day,
        ties=_rules.ties,
        from_zone=None,
        teams=_rules.teams,
        members=1,
        open=True,
    ),
    ChallengeTable(
        challenge_id=_challenge.id,
        revision=_joined.seq,
        members=1,
        start=0,
        lines=(TableLine(rank=1, n=1, name="Jonas", value=8_244_000, team="Hills"),),
        teams=(TeamLine(rank=1, team="Hills", value=8_244_000), TeamLine(rank=2, team="Flats", value=0)),
        head=_joined.hash.hex(),
        entries=_joined.seq,
        final=False,
    ),
    LogPage(
        entries=tuple(LogEntry(link.seq, link.body.decode(), link.hash.hex()) for link in (_opened, _joined)),
        next_after=None,
    ),
    OfferRequest(key="e3b0c4", starts_at_ms=_starts, terms=_terms),
    OfferChange(starts_at_ms=_starts, terms=_terms),
    _offer,
    OfferList(offers=(_offer,), next_after=None),
    Roster(
        lines=(RosterLine(booking=_booking, n=23, state="waitlisted", account_id=_jonas, name="Jonas"),),
        next_after=None,
    ),
    BookingRequest(key="4298fc"),
    _booked,
    BlockList((BlockView(_jonas, "Jonas", _START),)),
    BlockView(_jonas, "Jonas", _START),
    Circle(
        friends=(FriendView(_jonas, "Jonas", _START),),
        asked=(AskedView(_jonas, "Jonas from Thursday hills", _START, _START + 30 * 86_400_000),),
        asking=(AskingView(_jonas, "Jonas", _START),),
    ),
    FriendView(_jonas, "Jonas", _START),
    AskedView(_jonas, "Jonas from Thursday hills", _START, _START + 30 * 86_400_000),
    AskingView(_jonas, "Jonas", _START),
    FriendAsk(called="Jonas from Thursday hills"),
    FriendAnswer(state="asked"),
    BookingList(bookings=(_booked,), next_before=None),
    GrantRequest(source="voucher:SPRING", until_ms=_starts),
    OnDemandRequest(key="c41f07", terms=_on_demand.terms, class_id=_class),
    _on_demand,
    OnDemandList(on_demand=(_on_demand,), next_after=None),
    StartRequest(key="d00b17", teams=("Red", "Blue")),
    EntitlementList(entitlements=(_premium,)),
    SeriesRequest(key="1c149a", rule=_rule, terms=_terms),
    _weekly,
    SeriesList(series=(_weekly,), next_before=None),
    _saved,
    WorkoutList(workouts=(_saved,), next_before=None),
    AppealRequest(text="The strap had slipped on the second climb; my watch shows the same ride."),
    RulingRequest(decision="overturn", reason="I was there: the strap had slipped."),
    _verdict,
    CaseList(
        cases=(
            CaseView(
                workout_id=_workout,
                account_id=_jonas,
                name="Jonas",
                sport="cycling",
                started_at_ms=_START,
                waits_for="appeal",
                since_ms=_START + 3_600_000,
                verdict="flagged",
                findings=_verdict.findings,
                appeal="The strap had slipped on the second climb; my watch shows the same ride.",
            ),
        )
    ),
    SamplePage(samples=_samples, next_seq=3),
    Ghost(workout=_workout, revision=1, step_ms=1_000, scores=(0, 3_000, 6_000, 9_000), cut=False),
    ProblemBody(
        type=type_of(BadShape.code),
        title=title_of(BadShape.code),
        status=BadShape.status,
        detail="expected `int`, got `str`",
        instance="/v1/me",
        code=BadShape.code,
        trace_id="5f0c8a1de2b34f67a9c4d1e0b7f62538",
        path="$.max_hr",
    ),
    SocketsNow(
        node="gateway-3",
        at_ms=_START + 900_000,
        order="queued",
        loop_lag_ms=0.4,
        loop_lag_worst_ms=6.1,
        counts=SocketsCounts(
            sockets=1_204,
            websockets=1_180,
            polling=24,
            open=1_200,
            unauthenticated=3,
            closing=1,
            queued_bytes=48_200,
            unwritten_bytes=16_384,
            blocked=1,
            writes=2_410_000,
            in_bulk=1_920_000,
            frames_out=3_133_000,
            merged=1.3,
            bytes_out=841_000_000,
            frames_in=990_000,
            pings=51_000,
            malformed=2,
            refused={"token_expired": 14},
            cut={"stalled": 1},
            closed={"client": 320, "silent": 11},
            round_trips=RoundTrips(count=50_900, mean=41.5, p50=33.2, p99=310.0, max=1_204.0),
        ),
        lines=(
            LineView(
                id="Zk3f0qV1x2bT9s",
                account=str(_jonas),
                transport="websocket",
                state="open",
                age_s=812.4,
                queued_bytes=31_744,
                queued_frames=3,
                unwritten_bytes=16_384,
                waiting_s=4.2,
                dropped=0,
                replaced=19,
                rtt_ms=310.0,
                events_in=812,
                rooms=1,
                peer="203.0.113.7",
            ),
        ),
    ),
    TaskStart(key="7c1e09", work=RecomputeWorkouts(since=date(2026, 1, 1))),
    _task,
    TaskList(tasks=(_task, _exported), next_before=None),
    ScheduleNow(
        at_ms=_START + 3_600_000,
        leader=LeaderView(node="worker-2", epoch=14, since_ms=_START, leads=True),
        jobs=(
            JobView(
                job="prune-inbox",
                due="every 3600 s",
                missed="once",
                known=True,
                asked=False,
                failures=0,
                next_due_ms=_START + 7_200_000,
                last=TickView(
                    due_ms=_START + 3_600_000,
                    taken_ms=_START + 3_600_400,
                    ended_ms=_START + 3_600_480,
                    did=312,
                    failures=0,
                    problem=None,
                ),
            ),
        ),
        waiting=41,
    ),
    _notification,
    _inbox,
    UnreadView(unread=1),
    MarkRead(up_to=_notification.id),
    ReadMarked(marked=1, unread=0),
    _preferences,
    choices_of(_preferences, frozenset({"email", "push"})),
    NewDevice(
        kind="webpush",
        address="https://push.example.org/v2/gAAAAAB",
        p256dh="BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM",
        auth="tBHItJI5svbpez7KI4CCXg",
        name="Chrome on Android",
    ),
    _device,
    DeviceList(devices=(_device,)),
    GivePhone(phone="+43 660 1234567"),
    ProvePhone(code="482913"),
    _phone,
    ChooseSafety(on=True, limit_bpm=175),
    SafetyView(on=True, limit_bpm=175, limit_source="own", incident=None),
    AlertList(alerts=(_alert,), more=False),
    NameContact(name="Ben", email="ben@example.org"),
    GiveContactPhone(phone="+49 151 12345678"),
    _contact_phone,
    ContactView(
        NamedContact(
            name="Ben",
            email="ben@example.org",
            state="agreed",
            asked_at_ms=_START,
            until_ms=_START + ANSWER_MS,
            agreed_at_ms=_START + 3_600_000,
            refused_at_ms=None,
        ),
        _contact_phone,
    ),
    WebPushKey(key="BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"),
    Previews(
        previews=(
            Preview(
                template="announcement",
                version=1,
                language="en",
                example=0,
                mail=MailPreview(
                    subject="New bikes in hall 2",
                    text="New bikes in hall 2\n\nFrom Monday.\n",
                    html="<!doctype html><title>New bikes in hall 2</title>",
                ),
                inbox=ShortPreview(title="New bikes in hall 2", body="From Monday."),
                push=ShortPreview(title="New bikes in hall 2", body="From Monday."),
                sms=SmsPreview(text="Paceline: New bikes in hall 2. From Monday.", segments=1),
            ),
        )
    ),
    SCOPE_LIST,
    _app,
    AppRequest(_app.name, _app.kind, _app.redirect_uris),
    AppRegistered(_app, "plas_example-wX4mT9sQ2rB7vN1kZ6pL8dF3gH5jK0"),
    AppList((_app,)),
    AppInUse(_app, 412),
    AppChange(name="Pulse Diary 2"),
    RotateAppSecret(),
    AppSecretRotated("plas_example-aB4cD9eF2gH7iJ1kL6mN8oP3qR5sT0", _START + 86_400_000),
    AppsAtHome((AppAtHome(_app.id, _app.name, ("profile:read", "workouts:read"), _START, _START + 3_600_000),)),
    ApiKeyRequest("Weekly report", ("workouts:read",), days=365),
    ApiKeyMade(_key, "plk_example-wX4mT9sQ2rB7vN1kZ6pL8dF3gH5jK0"),
    ApiKeyList((_key,)),
    RotateApiKey(),
    ApiKeyRotated("plk_example-aB4cD9eF2gH7iJ1kL6mN8oP3qR5sT0", _START + 86_400_000),
    AuthorizationRequest(
        client_id=str(_app.id),
        redirect_uri=_app.redirect_uris[0],
        response_type="code",
        scope="profile:read workouts:read",
        state="af0ifjsldkj",
        code_challenge=_challenge_of_code,
        code_challenge_method="S256",
    ),
    AuthorizationDecision(
        client_id=str(_app.id),
        redirect_uri=_app.redirect_uris[0],
        response_type="code",
        scope="profile:read workouts:read",
        state="af0ifjsldkj",
        code_challenge=_challenge_of_code,
        code_challenge_method="S256",
        allow=True,
    ),
    Question(
        _app.id,
        _app.name,
        "pulse.example",
        tuple(Lent(scope, SENTENCES[scope]) for scope in in_order({"profile:read", "workouts:read"})),
    ),
    SentBack(_way_back),
    EndpointRequest(url=_hook.url, events=("workout.summarised",), scopes=("samples",), description=_hook.description),
    EndpointChange(scopes=()),
    _hook,
    EndpointMade(endpoint=_hook, secret="whsec_Zm9yIHRoZSBkb2N1bWVudGF0aW9uIG9ubHkhISEhISE="),  # noqa: S106
    EndpointList(endpoints=(_hook,)),
    RotateRequest(overlap_s=3_600),
    SecretRotated(
        secret="whsec_Zm9yIHRoZSBkb2N1bWVudGF0aW9uIG9ubHkhISEhISE=",  # noqa: S106
        old_until_ms=_START + 3_600_000,
    ),
    _delivery,
    DeliveryList(deliveries=(_delivery,), next_before=None),
    DeliveryDetails(
        delivery=_delivery,
        attempts=(
            AttemptView(1, _START + 1_201_100, 15_000, "unanswered", None, "no answer within 15 s"),
            AttemptView(2, _START + 1_206_700, 84, "answered", 204, ""),
        ),
        body=msgspec.Raw(events.encode(_told)),
    ),
    ReplayRequest(since_ms=_START),
    Replayed(replayed=12),
    # What third parties are told.
    _told,
    events.class_ended(
        LiveClass(_class, "K7WQ2M", "Thursday hills", _mira, "Mira", _START, _START + 2_700_000), _START + 2_700_100
    ),
    events.class_summarised(_table, _START + 2_702_000, names=True),
    events.ping(_endpoint, _START),
    # The socket's events and their replies.
    wire.InboxRead(ids=(_notification.id,)),
    wire.NotificationNew(notification=_notification, unread=1),
    wire.NotificationsRead(unread=0, up_to=_notification.id),
    wire.StreamOpen(
        stream=_stream,
        started_at_ms=_START,
        class_code="K7WQ2M",
        device="chest strap",
        sport="cycling",
        sensor="strap",
        location=Location(52.5, 13.4),
    ),
    wire.StreamOpened(stream=_stream, workout=_workout, epoch=1, next_seq=0, class_id=_class),
    wire.SampleBatch(stream=_stream, seq=0, samples=_samples),
    wire.SensorFrame(
        stream=_stream,
        seq=3,
        characteristic="2a37",
        frames=(wire.RawMoment(3_000, encode_heart_rate(HeartRateMeasurement(142, contact=True, rr_ticks=(433,)))),),
    ),
    wire.SamplesStored(stream=_stream, next_seq=3),
    wire.StreamFinish(stream=_stream, samples=3),
    wire.StreamFinished(stream=_stream, workout=_workout, next_seq=3),
    wire.StreamTaken(stream=_stream, epoch=2),
    wire.RoomJoin(code="K7WQ2M", role="spectator"),
    wire.RoomJoined(
        room=_view,
        board=_snapshot,
        recovered=True,
        you=_rider,
        present=1,
        position=_position,
        clock=_clock,
        missed=(wire.Missed("cue", msgspec.Raw(msgspec.json.encode(_cue))),),
    ),
    wire.ClassReady(class_id=_class, ready=True),
    wire.LobbyView(class_id=_class, ready=(2, 1), n=2),
    wire.ClassLobbyView(class_id=_class, ready=(2, 1), n=2, position=_position),
    wire.ClassControl(class_id=_class, do=Extend(by_ms=60_000), key="5d20aa"),
    _clock,
    wire.ClassTimeline(class_id=_class, script=_script, clocks=(_clock,)),
    wire.ReplayOpen(class_id=_class, from_ms=_START + 900_000, speed=4),
    wire.ReplayPace(class_id=_class, speed=None),
    wire.ReplaySeek(class_id=_class, to_ms=_START + 1_200_000),
    _replay_at,
    wire.ReplayOpened(
        room=_over,
        begins_ms=_START,
        ends_ms=_START + 2_700_000,
        at=_replay_at,
        timeline=wire.ClassTimeline(class_id=_class, script=_script, clocks=(_clock,)),
        you=1,
    ),
    wire.Replayed(_class, _START + 900_500, "board.changes", msgspec.Raw(msgspec.json.encode(_changes))),
    wire.ReplayEnded(_class, _START + 2_700_000, "over"),
    wire.StepsProgress(
        class_id=_class, at_ms=_START + 900_500, rows=(wire.StepRow(1, 2, 0, 0, 0, 4_000, True, False),)
    ),
    wire.CockpitSnapshot(
        class_id=_class,
        at_ms=_START + 900_500,
        members=(wire.CockpitMember(1, _jonas, "Jonas", first=True),),
        rows=(
            wire.CockpitRow(1, ("above_target", "first_class"), _START + 890_000, True, 168, 88, 4, 41.5, "live", 14),
        ),
    ),
    wire.CockpitChanges(
        class_id=_class,
        at_ms=_START + 911_000,
        rows=(
            wire.CockpitRow(1, ("lost_sensor", "first_class"), _START + 911_000, True, None, None, None, 42.1, "lost"),
        ),
    ),
    wire.ClockSync(sent_ms=81_250.4, report=Report(delay_ms=24.5, moved_ms=-1.25)),
    wire.ClockSynced(sent_ms=81_250.4, received_ms=_START + 900_021, answered_ms=_START + 900_021),
    wire.ClassClockView(**msgspec.structs.asdict(_clock), position=_position),
    ScriptDraft(script=_script),
    ScriptView(script=_script, revision=1, duration_ms=duration_ms(_script)),
    KeepRequest(key="7d1e4a", label=_label, script=_script),
    CopyRequest(key="90ab3c"),
    LibraryChange(label=_label, script=_script, revision=1),
    CheckRequest(script=_script),
    Checked(duration_ms=duration_ms(_script)),
    _library_script,
    ScriptList(scripts=(_library_entry,), next_after=None),
    Choice("alias", "Fox"),
    ConsentList(
        (
            Consent(_class, "name", "coach", 1, utc(_START + 60_000)),
            Consent(_class, "name", "room", 1, utc(_START), utc(_START + 60_000)),
        )
    ),
    wire.BoardFilter(class_id=_class, here=True, age_group="40_49"),
    wire.BoardFiltered(
        class_id=_class,
        at_ms=_START + 900_000,
        here=True,
        age_group="40_49",
        places=(wire.Place(1, 1), wire.Place(4, 2)),
    ),
    wire.DisplaySet(class_id=_class, mode="zone"),
    wire.DisplayNow(class_id=_class, mode="zone"),
    wire.BoardPrivate(class_id=_class, at_ms=_START + 900_000, members=(_rider,), rows=(_row,)),
    wire.CueSend(class_id=_class, text="Last minute, all you have!", key="b7f1c2"),
    wire.CoachAppoint(class_id=_class, n=2, to="co_coach"),
    wire.RankingSet(class_id=_class, metric="zone_minutes"),
    wire.MemberRemove(class_id=_class, n=3),
    wire.RoomRemoved(class_id=_class, n=3, account_id=_jonas, position=_position),
    wire.MemberLetIn(class_id=_class, n=3),
    wire.RoomLetIn(class_id=_class, n=3, account_id=_jonas, removals=2, position=_position),
    PeopleList(
        (
            PersonView(n=1, name="Mira", role="coach", heart_rate="allowed", leads="coach", can_lead=True),
            PersonView(n=3, name="Jonas", role="athlete", heart_rate="no_consent", removed=True),
        )
    ),
    wire.CueSeen(class_id=_class, cue=_position, shown=False),
    wire.CueReceipts(class_id=_class, at_ms=_START + 62_000, cues=(wire.CueTally(_position, 48, 47, 45, 38, 121),)),
    wire.TrainerSet(class_id=_class, target=_power, n=2),
    wire.TrainerAsked(athletes=1),
    wire.TrainerTarget(
        class_id=_class, target=_power, characteristic="2ad9", data=encode_request(_power), at_ms=_START + 60_000
    ),
    wire.ChatSend(class_id=_class, text="Hello from Graz 👋", key="0c9d41"),
    wire.Said(position=_position),
    _cue,
    _chat,
    wire.ChatMute(class_id=_class, n=1, for_ms=300_000),
    wire.ChatUnmute(class_id=_class, n=1),
    wire.ChatMuted(class_id=_class, muted=True, until_ms=_START + 361_000),
    wire.ChatRemove(class_id=_class, message=_position),
    wire.ChatRemoved(class_id=_class, removed=_position, position=_position),
    wire.ChatReport(class_id=_class, message=_position, reason="insult"),
    ReportList((_report,)),
    WaitingReports((WaitingReport(_class, "Thursday intervals", _report),)),
    _report,
    Decided("remove"),
    wire.ReactionSend(class_id=_class, kind="high_five", to=1),
    wire.ReactionCounts(_class, _START + 361_000, (("high_five", 3), ("fire", 12))),
    wire.ReactionReceived(_class, n=1, name="Jonas", kind="high_five", at_ms=_START + 361_000),
    wire.ChatPage(class_id=_class, limit=20),
    wire.ChatHistory(class_id=_class, messages=(_chat,)),
    wire.RoomPosition(class_id=_class, position=_position),
    wire.RoomReset(room=_view, board=_snapshot, position=_position),
    wire.RoomRecovered(
        code="K7WQ2M", ok=wire.RoomJoined(room=_view, board=_snapshot, recovered=False, you=_rider, position=_position)
    ),
    wire.RoomRef(class_id=_class),
    wire.Done(),
    _snapshot,
    _changes,
    wire.RoomPresence(class_id=_class, count=2, joined=(_mira,), left=(), position=_position),
    wire.ServiceState(
        state="stale", since_ms=_START + 900_000, reason="this node has not heard its own heartbeat for 6 s"
    ),
    wire.ClassCreate(title="Thursday hills", teams=("Red", "Blue")),
    wire.ClassRef(class_id=_class),
    _over,
    wire.ClassCoachesView(**msgspec.structs.asdict(_over), position=_position),
    wire.ClassRankingView(
        **msgspec.structs.asdict(msgspec.structs.replace(_over, metric="zone_minutes", unit="min", ranking_n=1)),
        position=_position,
    ),
    wire.ClassEndedView(**msgspec.structs.asdict(_over), position=_position),
    _table,
    _replay,
    wire.ClassSummaryView(**msgspec.structs.asdict(_table), position=_position),
    wire.WorkoutSummaryView(workout=_workout, revision=1, summary=_summary, class_id=_class),
    wire.TaskRef(task=TaskId(_id(7))),
    wire.ChallengeRef(challenge_id=_challenge.id),
    ChallengeStanding(
        challenge_id=_challenge.id,
        members=1,
        leaders=TablePart(_joined.seq, 0, (TableLine(rank=1, n=1, name="Jonas", value=8_244_000, team="Hills"),)),
        teams=(TeamLine(rank=1, team="Hills", value=8_244_000), TeamLine(rank=2, team="Flats", value=0)),
        head=_joined.hash.hex(),
        entries=_joined.seq,
        final=False,
        you=1,
        around=TablePart(_joined.seq, 0, (TableLine(rank=1, n=1, name="Jonas", value=8_244_000, team="Hills"),)),
    ),
    wire.IncidentRef(incident=IncidentId(_id(41))),
    _incident,
    _alert,
    wire.ProblemEvent(event="stream.samples", problem=_gap.view()),
    _gap.view(),
    wire.TokenRenew(token="eyJhbGciOiJFZERTQSIsImtpZCI6IuKApiJ9.eyJzdWIiOiLigKYifQ.c2lnbmF0dXJl"),  # noqa: S106
    wire.TokenLife(expires_at_ms=_START + 900_000, expires_in_ms=45_000),
    wire.Bye(code=3000, reason="This node is stopping; another one will answer.", come_back_ms=2_140),
)

EXAMPLES: Final[dict[type, msgspec.Struct]] = {type(example): example for example in _ALL}


def example_of(shape: type) -> object:
    """The example of `shape` as plain JSON values. Raises KeyError for a shape that has none: add it above."""
    return msgspec.json.decode(msgspec.json.encode(EXAMPLES[shape]))
