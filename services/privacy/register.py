"""The register: every column of the database, whether it says something of a person, of whom, and what becomes of it.

It is closed. A test compares it with the database after all migrations, so that no column comes to be that nobody has thought
about.

**A new table or column**: add it here under what it holds (`entry.Kind`). When it says something of a person, the table needs a
subject: which column leads to the account, and what becomes of the row when they go. What is about one person alone is `DELETED`;
what others would miss is `Blanked` or `Kept`, with the reason. Health is never kept.
"""

from typing import Final

from services.privacy.entry import Blank, Blanked, Entry, Kept, by, entry, through

_OTHERS_HAVE_IT: Final = Kept("others take part in it; its author is shown as somebody who left")

REGISTER: Final[tuple[Entry, ...]] = (
    # -- accounts, and how they get in -----------------------------------------------------------------------------
    entry(
        "accounts",
        by(
            "id",
            Blanked(
                {
                    "email": Blank.NO_ADDRESS,
                    "name": Blank.SOMEBODY,
                    "password_hash": Blank.NO_TEXT,
                    "roles": Blank.NO_ELEMENTS,
                    "birth_date": Blank.NULL,
                    "sex": Blank.NULL,
                    "mass_kg": Blank.NULL,
                    "max_hr": Blank.NULL,
                    "rest_hr": Blank.NULL,
                    "profile_sealed": Blank.NULL,
                    "created_at": Blank.NO_TIME,
                    "verified_at": Blank.NULL,
                },
                "what others keep refers to it",
            ),
        ),
        account="id",
        personal="email name roles created_at verified_at units",
        health="birth_date sex mass_kg max_hr rest_hr profile_sealed",
        secret="password_hash",  # noqa: S106 - a column
    ),
    entry(
        "account_mails",
        by("account_id"),
        through("email", "accounts", "email"),
        why="who registers and has not proved the address yet has no account; what they have typed is forgotten after four days",
        key="id",
        account="account_id",
        personal="says email name role asked_at ended_at",
        secret="password_hash",  # noqa: S106 - a column
    ),
    entry("vitals", by("account_id"), key="id", account="account_id", personal="noted_at", health="body body_sealed"),
    entry(
        "logins",
        by("account_id"),
        key="id",
        account="account_id",
        personal="device created_at ended_at end_reason fresh_at second_factor_at",
    ),
    entry(
        "refresh_tokens",
        through("login_id", "logins"),
        key="login_id",
        secret="token_hash",  # noqa: S106 - a column
        personal="issued_at expires_at used_at",
    ),
    entry(
        "entitlements",
        by("account_id"),
        key="id",
        account="account_id",
        personal="name source from_at until_at granted_at withdrawn_at",
    ),
    entry(
        "pairings",
        why="screens without an account, for ten minutes; who lets them in is not noted, where they ask from is no person",
        house="device_hash user_code network asked_at expires_at interval_s polled_at state class_id",
    ),
    entry(
        "flags",
        why="switches of the installation; who set one is an id that leads to nobody when they go, and the audit has it, too",
        key="name",
        person="set_by",
        house="is_on reason set_by_command set_at",
    ),
    entry("organisations", why="a name that people share", key="id", house="name seats created_at dissolved_at"),
    entry(
        "organisation_entitlements",
        why="what an organisation has, whoever is in it",
        key="organisation_id",
        house="name from_at until_at",
    ),
    entry(
        "organisation_members",
        by("account_id"),
        key="organisation_id",
        account="account_id",
        personal="role joined_at",
    ),
    entry(
        "organisation_invitations",
        through("id", "account_mails"),
        key="id organisation_id",
        person="invited_by",
        personal="role",
    ),
    entry("used_tickets", why="ids that lead to nobody, for half a minute", house="id ends_at"),
    entry(
        "suspensions",
        by("account_id"),
        key="id",
        account="account_id",
        personal="reason from_at until_at lifted_at",
    ),
    entry("audit_pseudonyms", by("account_id"), account="account_id", key="pseudonym"),
    entry(
        "audit_waiting",
        why="people in it are ids, for the moment until the log has them by pseudonym",
        house="id at actor_kind actor_id login_id app_id name network act account_id thing_kind thing reason data",
    ),
    entry(
        "audit_log",
        why="people in it are pseudonyms, in a chain that nobody can change; audit_pseudonyms says whose they are",
        house=(
            "position id at actor_kind actor login_id app_id name network act about thing_kind thing reason data previous hash"
        ),
    ),
    entry("audit_checkpoints", house="position hash at public signature"),
    entry("data_keys", by("account_id"), account="account_id", secret="wrapped", house="made_at"),  # noqa: S106 - a column
    entry(
        "erasures",
        by("account_id", Kept("that somebody has left, and when, is all that their id still says")),
        account="account_id",
        personal="asked_at due_at closed_at ended_at",
        house="stage retry_at",
    ),
    entry("sealing_proof", why="a proof of the keys of the installation", house="n sealed"),
    entry("sealing_passes", house="of_table after rows ended_at times"),
    entry(
        "totps",
        by("account_id"),
        account="account_id",
        secret="sealed",  # noqa: S106 - a column
        personal="made_at confirmed_at guessed_at",
        house="used_step guesses",
    ),
    entry(
        "recovery_codes",
        by("account_id"),
        key="name",
        account="account_id",
        secret="code_hash",  # noqa: S106 - a column
        personal="made_at used_at",
    ),
    entry(
        "passkeys",
        by("account_id"),
        key="id",
        account="account_id",
        secret="credential_id credential",  # noqa: S106 - columns
        personal="name signatures made_at used_at",
    ),
    entry(
        "waiting_logins",
        by("account_id"),
        account="account_id",
        secret="token_hash password_mark",  # noqa: S106 - columns
        personal="device made_at until guesses",
    ),
    entry("used_challenges", why="random numbers that were signed", house="challenge_hash until"),
    entry(
        "sign_ins",
        by("account_id"),
        key="id login_id",
        account="account_id",
        personal="provider device role began_at state asked_at failure issuer subject email email_verified called",
        secret="secret_hash state_hash sealed code",  # noqa: S106 - columns
        house="return_url",
    ),
    entry(
        "identities",
        by("account_id"),
        key="id login_id",
        account="account_id",
        personal="issuer subject provider email linked_at used_at",
    ),
    entry("issuers", why="what others publish", house="issuer metadata keys fetched_at tried_at wanted_at"),
    entry(
        "apps",
        by("owner_id"),
        why="what its owner has registered for others to use; it goes with them, and what it was lent with it",
        key="id",
        account="owner_id",
        personal="name kind redirect_uris origins created_at",
    ),
    entry(
        "app_secrets",
        through("app_id", "apps"),
        key="app_id",
        secret="secret_hash",  # noqa: S106 - a column
        personal="made_at until",
    ),
    entry(
        "app_codes",
        by("account_id"),
        key="app_id login_id given_in",
        account="account_id",
        secret="code_hash challenge",  # noqa: S106 - columns
        personal="scopes expires_at used_at",
        house="redirect_uri",
    ),
    entry(
        "app_grants",
        by("account_id"),
        key="login_id app_id",
        account="account_id",
        personal="scopes granted_at",
    ),
    entry(
        "app_refresh_tokens",
        through("login_id", "app_grants", "login_id"),
        key="login_id",
        secret="token_hash",  # noqa: S106 - a column
        personal="issued_at expires_at used_at",
    ),
    entry(
        "api_keys",
        by("account_id"),
        key="id login_id",
        account="account_id",
        personal="name scopes created_at expires_at used_at",
    ),
    entry(
        "api_key_secrets",
        through("key_id", "api_keys"),
        key="key_id",
        secret="secret_hash",  # noqa: S106 - a column
        personal="made_at until",
    ),
    entry("signing_keys", why="keys of the installation", house="kid public sealed signs_from retires_at made_at"),
    # -- classes ---------------------------------------------------------------------------------------------------
    entry(
        "classes",
        by("coach_id", _OTHERS_HAVE_IT, hides="summary"),
        why="its summary names its athletes by number and name: who goes becomes somebody who left in it",
        key="id code on_demand_id",
        account="coach_id",
        personal="title created_at ended_at needs metric places late_min teams",
        house="summary summarised_at coaches_n heat ranking_n start_key",
    ),
    entry(
        "class_members",
        by("account_id"),
        key="class_id n",
        account="account_id",
        person="removed_by",
        personal="role joined_at showing_mode showing_alias co_coach_since removed_at showing_body showing_age team",
        health="baseline showing_age_group",
        house="feed_epoch showing_revision removals",
    ),
    entry(
        "class_bookings",
        by("account_id"),
        key="id class_id n",
        account="account_id",
        personal="key state booked_at promoted_at cancelled_at cancelled_by",
    ),
    entry("class_mutes", by("account_id"), key="class_id", account="account_id", personal="until"),
    entry(
        "class_offers",
        by("coach_id", _OTHERS_HAVE_IT),
        key="id series_id",
        account="coach_id",
        personal="key starts_at terms created_at called_off_at",
    ),
    entry(
        "class_series",
        by("coach_id", _OTHERS_HAVE_IT),
        key="id",
        account="coach_id",
        personal="key rule terms created_at ended_at",
        house="made_through",
    ),
    entry(
        "class_scripts",
        through("class_id", "classes", erasure=_OTHERS_HAVE_IT),
        key="class_id",
        personal="script stored_at",
        house="revision",
    ),
    entry(
        "on_demand",
        by("coach_id", _OTHERS_HAVE_IT),
        key="id",
        account="coach_id",
        personal="key terms script duration_ms created_at withdrawn_at",
    ),
    entry(
        "library_scripts",
        by("owner_id"),
        why="copies of others are theirs; they say of whose script they were made, by the id of an account",
        key="id origin_id",
        account="owner_id",
        person="origin_owner_id",
        personal="key name description tags shared script duration_ms created_at changed_at",
        house="revision origin_revision",
    ),
    entry(
        "class_clock_events",
        why="what was done to the clock of a class, without who did it",
        key="class_id",
        house="n event key noted_at",
    ),
    entry(
        "class_lobbies", why="ids of who is ready, until the class begins", key="class_id", person="ready", house="n"
    ),
    entry(
        "class_tapes",
        why="tapes know their people by number alone (rooms/tape.py); whose membership is gone has no line when they are played",
        key="class_id tape n",
        house="node begins_at ends_at whole notes",
    ),
    entry(
        "consents",
        by("account_id"),
        key="id class_id",
        account="account_id",
        personal="purpose audience version given_at withdrawn_at",
    ),
    entry("showing_defaults", by("account_id"), account="account_id", personal="mode alias chosen_at body age"),
    # -- what is said in classes -----------------------------------------------------------------------------------
    entry(
        "blocks",
        by("account_id"),
        why="whom somebody else has blocked is theirs to know",
        account="account_id",
        person="blocked_id",
        personal="blocked_at",
    ),
    entry(
        "friends",
        by("account_id"),
        by("friend_id"),
        why="there twice, once from each side: each of the two has their own",
        account="account_id friend_id",
        personal="since",
    ),
    entry(
        "friend_requests",
        by("asker_id", hides="unwanted"),
        by(
            "asked_id",
            Kept(
                "who asks cannot tell a request to somebody who has left from one without an answer; forgotten after 30 days"
            ),
            hides="called withdrawn",
        ),
        account="asker_id asked_id",
        personal="called asked_at withdrawn unwanted",
    ),
    entry(
        "chat_decisions",
        by(
            "about",
            Blanked({"about": Blank.NULL}, "who leads answers for what they decided"),
            hides="decided_by",
        ),
        key="id class_id",
        account="about",
        person="decided_by",
        personal="decision until position decided_at",
    ),
    entry(
        "chat_removals",
        by(
            "account_id",
            Blanked({"account_id": Blank.NULL, "text": Blank.NO_TEXT}, "who leads answers for what they took down"),
            hides="removed_by",
        ),
        key="class_id",
        account="account_id",
        person="removed_by",
        personal="position text removed_at",
    ),
    entry(
        "chat_reports",
        by(
            "about",
            Blanked({"about": Blank.NULL, "text": Blank.NO_TEXT}, "who reported it may see what became of it"),
            hides="reported_by decided_by reason reported_at",
        ),
        by(
            "reported_by",
            Blanked({"reported_by": Blank.NULL}, "what was reported of somebody else stays decided"),
            hides="about decided_by text",
        ),
        key="id class_id n",
        account="about reported_by",
        person="decided_by",
        personal="position text reason reported_at verdict decided_at",
    ),
    # -- challenges ------------------------------------------------------------------------------------------------
    entry(
        "challenges",
        by("owner_id", Blanked({"owner_id": Blank.NULL}, "others are in it")),
        key="id code",
        account="owner_id",
        personal="title rules created_at finished_at",
        house="numbers members seq head",
    ),
    entry(
        "challenge_members",
        by(
            "account_id",
            Blanked({"account_id": Blank.NULL}, "ranks of others and the sealed score log stand on it, by number"),
        ),
        key="challenge_id n team",
        account="account_id",
        personal="zone joined_at left_at value ready_at",
        house="tie seq",
    ),
    entry(
        "challenge_scores",
        through(
            "challenge_id n",
            "challenge_members",
            "challenge_id n",
            Kept("ranks of others and the sealed score log stand on it, by number"),
        ),
        key="challenge_id n workout_id",
        personal="day began_ms ended_ms value mark",
        house="revision",
    ),
    entry(
        "challenge_log",
        why="members by number, in a chain that nobody can change",
        key="challenge_id",
        house="seq body hash",
    ),
    entry("challenge_teams", why="sums of teams", key="challenge_id team", house="value tie"),
    entry("heats", why="when a challenge is ridden", key="challenge_id class_id", house="starts_at ends_at closes_at"),
    # -- workouts --------------------------------------------------------------------------------------------------
    entry(
        "workouts",
        by("account_id"),
        key="id class_id",
        account="account_id",
        personal="sport created_at finished_at verdict",
        health="physiology physiology_sealed summary",
        house="revision",
    ),
    entry(
        "workout_locations",
        by("account_id"),
        key="workout_id",
        account="account_id",
        personal="latitude longitude told_at",
    ),
    entry(
        "streams",
        by("account_id"),
        key="id workout_id class_id",
        account="account_id",
        personal="device sensor device_started_at opened_at last_sample_at finished_at",
        health="last_bpm zone_ms motion burned",
        house="epoch feed_epoch next_seq last_t clock_offset_ms",
    ),
    entry(
        "sample_batches",
        through("stream_id", "streams"),
        key="stream_id first_seq",
        personal="received_at t",
        health="bpm rr rr_n distance_m power_w cadence sealed",
    ),
    entry("sensor_shifts", through("stream_id", "streams"), key="stream_id", personal="from_ms reason", house="place"),
    entry(
        "verdicts",
        by("account_id"),
        key="workout_id",
        account="account_id",
        personal="began_at ended_at judged_at rules_version grade samples findings waiting waiting_since",
        health="mean_bpm sketch sketch_sealed",
        house="fingerprint",
    ),
    entry(
        "verdict_steps",
        through("workout_id", "workouts", hides="by_account"),
        key="workout_id n",
        person="by_account",
        personal="kind at verdict decision findings said",
    ),
    entry(
        "verdict_pairs",
        through("one_id", "workouts", hides="other_id"),
        through("other_id", "workouts", hides="one_id"),
        why="a finding between two workouts falls with either; what was ruled on the other stays",
        key="one_id other_id",
        personal="rule verdict figure found_at",
    ),
    # -- safety ----------------------------------------------------------------------------------------------------
    entry(
        "safety_choices",
        by("account_id"),
        account="account_id",
        personal="changed_at",
        health="is_on limit_bpm limit_sealed",
    ),
    entry(
        "safety_incidents",
        by("account_id"),
        key="id class_id",
        account="account_id",
        person="acknowledged_by",
        personal="opened_at state coach_told_at contact_told_at ended_at ended_by",
        health="kind bpm found_sealed found_at",
        house="revision due_at",
    ),
    entry(
        "emergency_contacts",
        by("account_id"),
        key="id",
        account="account_id",
        personal="asked_at agreed_at refused_at dead_at replaced_at",
        health="name email sealed",
        secret="email_index",  # noqa: S106 - a column
    ),
    entry(
        "contact_phones",
        by("account_id"),
        key="id contact_id",
        account="account_id",
        personal="asked_at agreed_at refused_at dead_at replaced_at",
        health="number sealed",
        secret="number_index",  # noqa: S106 - a column
    ),
    # -- what people are told --------------------------------------------------------------------------------------
    entry(
        "notifications",
        by("account_id"),
        key="id",
        account="account_id",
        personal="topic template version content collapse_key told_at expires_at read_at",
    ),
    entry("notification_preferences", by("account_id"), account="account_id", personal="topic channel way"),
    entry(
        "notification_settings",
        by("account_id"),
        account="account_id",
        personal="locale time_zone quiet_begins quiet_until digest_hour digest_weekday changed_at dead_email dead_email_reason",
        house="revision",
    ),
    entry(
        "deliveries",
        by("account_id"),
        key="id notification_id digest_id device_id phone_check_id contact_id incident_id contact_phone_id account_mail_id",
        account="account_id",
        personal="period channel urgent state made_at changed_at expires_at provider provider_id reason contact_says",
        house="lane attempts due_at traceparent",
    ),
    entry(
        "devices",
        by("account_id"),
        key="id login_id",
        account="account_id",
        personal="kind address name created_at seen_at dead_at dead_reason",
        secret="p256dh auth",  # noqa: S106 - columns
    ),
    entry(
        "phones",
        by("account_id"),
        account="account_id",
        personal="number sealed verified_at dead_at dead_reason",
        secret="number_index",  # noqa: S106 - a column
    ),
    entry(
        "phone_checks",
        by("account_id"),
        key="id",
        account="account_id",
        personal="number sealed made_at expires_at wrong ended_at ended",
        secret="number_index",  # noqa: S106 - a column
    ),
    entry(
        "announcements",
        why="what an operator says to many",
        key="id class_id",
        house="content subject made_at told finished_at",
    ),
    # -- what others' programs are told ------------------------------------------------------------------------------
    entry(
        "webhook_endpoints",
        by("account_id"),
        key="id",
        account="account_id",
        personal="url host events scopes description created_at state failures failing_since paused_reason removed_at",
        house="due_at rest_until turn leased_until",
    ),
    entry(
        "webhook_secrets",
        through("endpoint_id", "webhook_endpoints"),
        key="endpoint_id number",
        secret="sealed",  # noqa: S106 - a column
        personal="created_at not_after",
    ),
    entry(
        "webhook_deliveries",
        through("endpoint_id", "webhook_endpoints"),
        why="the table of a class names its athletes: who goes becomes somebody who left in those of others",
        key="id endpoint_id",
        personal="event subject body created_at state attempts finished_at last_status",
        house="calls due_at traceparent",
    ),
    entry(
        "webhook_attempts",
        through("delivery_id", "webhook_deliveries"),
        key="delivery_id n",
        personal="at took_ms result status detail",
    ),
    # -- work that takes long --------------------------------------------------------------------------------------
    entry(
        "long_tasks",
        by("account_id"),
        key="id",
        account="account_id",
        personal="kind key work state result problem cancel_asked_at created_at started_at ended_at file_until",
        house="done total note checkpoint attempt epoch due_at lease_until traceparent",
    ),
    # -- the house: facts and who handles them; people in them are ids ---------------------------------------------------
    entry(
        "outbox",
        why="facts: people in them are ids",
        house="seq shard id type aggregate_id envelope created_at relayed_at position",
    ),
    entry("outbox_shards", house="shard position"),
    entry("inbox", house="consumer fact_id handled_at"),
    entry(
        "tasks",
        why="facts: people in them are ids",
        house="queue fact_id envelope attempt due_at parked_at reason seq claims leased",
    ),
    entry("followers", house="name family run first_day position holder held_until"),
    entry("activity_days", why="counts of everybody together", house="day family type n"),
    entry("bus_queues", house="name made_at since losses lost_at reached refilled"),
    entry("leadership", house="name epoch holder since lease_until"),
    entry("schedule_jobs", house="job spec missed epoch cursor_at next_due_at wanted_at failures begun"),
    entry("schedule_ticks", house="job due_at epoch taken_at ended_at did failures problem"),
    entry("schedule_once", why="facts: people in them are ids", house="kind key due_at aggregate_id fact traceparent"),
    entry("migrations", house="number name checksum ran_at"),
)

ENTRIES: Final = {entry.table: entry for entry in REGISTER}
