import { sql } from "drizzle-orm";
import { index, integer, primaryKey, real, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";
import * as z from "zod";
import { flag } from "../../core/flags/model";
import { segment } from "../../core/flags/segment";
import { storedMetric } from "../../core/metricModel";
import { signingSecrets } from "../../core/notify/secrets";
import { type Plan, storedPlan } from "../../core/rollouts/plan";
import { criteriaIn } from "../../core/rollouts/planCriteria";
import { rolloutState } from "../../core/rollouts/state";
import { json } from "./json";

const anything = z.json();

/**
 * `changed` counts the changes of an environment and is the version of the state they made; `version` is the newest that is
 * published. Changed > version: publication is pending. `changed_at_ms` belongs to the change, so that whoever packs it
 * packs the same bytes.
 */
export const environments = sqliteTable("environments", {
	name: text("name").primaryKey(),
	changed: integer("changed").notNull(),
	changedAtMs: integer("changed_at_ms").notNull(),
	version: integer("version").notNull(),
	digest: text("digest").notNull(),
	publishedAtMs: integer("published_at_ms").notNull(),
});

/** The newest published bodies, in parts, for edges that KV gives none: KV may be down, and the next version pending. */
export const bodies = sqliteTable(
	"bodies",
	{
		environment: text("environment").notNull(),
		version: integer("version").notNull(),
		part: integer("part").notNull(),
		text: text("text").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.version, t.part] })],
);

/** One row. `content` is the revision of the newest change that KV's copy must have; `kv` the one that it has. */
export const head = sqliteTable("head", {
	id: integer("id").primaryKey(),
	revision: integer("revision").notNull(),
	content: integer("content").notNull(),
	kv: integer("kv").notNull(),
	kvPutAtMs: integer("kv_put_at_ms").notNull(),
	/** Real time at which the last tick completed. */
	guardedAtMs: integer("guarded_at_ms").notNull(),
	/** `now` of the newest tick: an earlier one does nothing. */
	lastTickMs: integer("last_tick_ms").notNull(),
});

/** Emergencies that edges learn from the head, before and beside the snapshot that absorbs them. */
export const overlays = sqliteTable(
	"overlays",
	{
		environment: text("environment").notNull(),
		kind: text("kind", { enum: ["kill", "baseline"] }).notNull(),
		key: text("key").notNull(),
		/** The environment's change that made it. */
		changed: integer("changed").notNull(),
		addedAtMs: integer("added_at_ms").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.kind, t.key] })],
);

export const flags = sqliteTable(
	"flags",
	{
		environment: text("environment").notNull(),
		key: text("key").notNull(),
		version: integer("version").notNull(),
		config: json(flag)("config").notNull(),
		updatedAtMs: integer("updated_at_ms").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.key] })],
);

/** Inserted first in every change of a flag: the second of two writers violates the primary key, and its whole batch with it. */
export const flagVersions = sqliteTable(
	"flag_versions",
	{
		environment: text("environment").notNull(),
		key: text("key").notNull(),
		version: integer("version").notNull(),
		/** NULL: deleted in this version. */
		config: json(flag)("config"),
		atMs: integer("at_ms").notNull(),
		actor: text("actor").notNull(),
		reason: text("reason").notNull().default(""),
	},
	(t) => [primaryKey({ columns: [t.environment, t.key, t.version] })],
);

export const segments = sqliteTable(
	"segments",
	{
		environment: text("environment").notNull(),
		key: text("key").notNull(),
		version: integer("version").notNull(),
		config: json(segment)("config").notNull(),
		listed: integer("listed").notNull(),
		updatedAtMs: integer("updated_at_ms").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.key] })],
);

/** As flag_versions. */
export const segmentVersions = sqliteTable(
	"segment_versions",
	{
		environment: text("environment").notNull(),
		key: text("key").notNull(),
		version: integer("version").notNull(),
		config: json(segment)("config"),
		atMs: integer("at_ms").notNull(),
		actor: text("actor").notNull(),
		reason: text("reason").notNull().default(""),
	},
	(t) => [primaryKey({ columns: [t.environment, t.key, t.version] })],
);

/** A segment's listed keys in parts: as they were given, and as the digits that ride in the snapshot. */
export const segmentKeys = sqliteTable(
	"segment_keys",
	{
		environment: text("environment").notNull(),
		segment: text("segment").notNull(),
		kind: text("kind", { enum: ["keys", "digits"] }).notNull(),
		part: integer("part").notNull(),
		text: text("text").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.segment, t.kind, t.part] })],
);

/** A plan with a criterion that this version cannot read is no plan that anybody could guard by. */
export const readablePlan = storedPlan.refine(hasCriteria, "has a criterion that cannot be read");

function hasCriteria(plan: Plan): boolean {
	try {
		criteriaIn(plan);
		return true;
	} catch {
		return false;
	}
}

export const rollouts = sqliteTable(
	"rollouts",
	{
		/** The plan's name and the attempt: `checkout.2`. */
		id: text("id").primaryKey(),
		environment: text("environment").notNull(),
		name: text("name").notNull(),
		attempt: integer("attempt").notNull(),
		plan: json(readablePlan)("plan").notNull(),
		status: text("status").notNull(),
		revision: integer("revision").notNull(),
		state: json(rolloutState)("state").notNull(),
		/** `now` of the newest tick that was applied. */
		tickedAtMs: integer("ticked_at_ms").notNull(),
		createdAtMs: integer("created_at_ms").notNull(),
		startedAtMs: integer("started_at_ms"),
		/** Rollbacks in a row that could not be written. */
		failedChanges: integer("failed_changes").notNull().default(0),
		/** Who wrote it: no approver of its own. */
		author: text("author").notNull().default(""),
	},
	(t) => [index("rollouts_status").on(t.status), index("rollouts_environment").on(t.environment, t.createdAtMs)],
);

/** Inserted first in every batch that changes a rollout: the tick that comes second loses here and writes nothing. */
export const rolloutEvents = sqliteTable(
	"rollout_events",
	{
		rollout: text("rollout").notNull(),
		revision: integer("revision").notNull(),
		/** By the clock that decides. */
		atMs: integer("at_ms").notNull(),
		/** Real time. */
		recordedAtMs: integer("recorded_at_ms").notNull(),
		kind: text("kind").notNull(),
		reason: text("reason").notNull(),
		message: text("message").notNull(),
		actor: text("actor").notNull(),
		correlationId: text("correlation_id").notNull(),
		before: json(anything)("before").notNull(),
		after: json(anything)("after").notNull(),
		/** What was observed and judged: enough to decide again. */
		evidence: json(anything)("evidence"),
		/** Of the command's sender, and a hash of what was sent: the same key carries out nothing twice. */
		idempotencyKey: text("idempotency_key"),
	},
	(t) => [
		primaryKey({ columns: [t.rollout, t.revision] }),
		index("rollout_events_kind").on(t.kind, t.atMs),
		uniqueIndex("rollout_events_idempotency")
			.on(t.rollout, t.idempotencyKey)
			.where(sql`idempotency_key IS NOT NULL`),
	],
);

/** Which rollout a flag is in. The primary key is what refuses a second active rollout of a flag. */
export const activeFlags = sqliteTable(
	"active_flags",
	{
		environment: text("environment").notNull(),
		flag: text("flag").notNull(),
		rollout: text("rollout").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.flag] })],
);

/** The last findings of every live rollout, a row a tick. */
export const healthChecks = sqliteTable(
	"health_checks",
	{
		rollout: text("rollout").notNull(),
		atMs: integer("at_ms").notNull(),
		decision: text("decision").notNull(),
		reason: text("reason").notNull(),
		message: text("message").notNull(),
		level: text("level").notNull(),
		/** 0 to 100; NULL: unknown. */
		score: integer("score"),
		percent: real("percent").notNull(),
		judgement: json(anything)("judgement"),
	},
	(t) => [primaryKey({ columns: [t.rollout, t.atMs] })],
);

/** What was found of a whole environment, a row a tick. */
export const environmentChecks = sqliteTable(
	"environment_checks",
	{
		environment: text("environment").notNull(),
		atMs: integer("at_ms").notNull(),
		level: text("level").notNull(),
		/** 0 to 100; NULL: unknown. */
		score: integer("score"),
		/** Live rollouts by level, and what is wrong besides. */
		findings: json(anything)("findings").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.atMs] })],
);

/** What an environment's rollouts have in common; a row only where somebody has changed the defaults. */
export const environmentSettings = sqliteTable("environment_settings", {
	environment: text("environment").primaryKey(),
	version: integer("version").notNull(),
	config: json(anything)("config").notNull(),
	/** Rollbacks before it no longer count for the breaker: a person has reset it. */
	breakerResetAtMs: integer("breaker_reset_at_ms").notNull().default(0),
	updatedAtMs: integer("updated_at_ms").notNull(),
});

/** What a rollout's checks found last, by the stage that they were made in. */
export const checkResults = sqliteTable(
	"check_results",
	{
		rollout: text("rollout").notNull(),
		stage: integer("stage").notNull(),
		name: text("name").notNull(),
		status: text("status").notNull(),
		message: text("message").notNull(),
		critical: integer("critical", { mode: "boolean" }).notNull(),
		attempts: integer("attempts").notNull(),
		durationMs: integer("duration_ms").notNull(),
		/** By the clock that decides. */
		atMs: integer("at_ms").notNull(),
	},
	(t) => [primaryKey({ columns: [t.rollout, t.stage, t.name] })],
);

/** Results that others post, as a pipeline its tests'; the newest of each name. */
export const checkReports = sqliteTable(
	"check_reports",
	{
		environment: text("environment").notNull(),
		name: text("name").notNull(),
		status: text("status").notNull(),
		detail: text("detail").notNull(),
		actor: text("actor").notNull(),
		atMs: integer("at_ms").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.name] })],
);

/** Ways back that were taken, and how long until users were safe. */
export const rollbacks = sqliteTable(
	"rollbacks",
	{
		rollout: text("rollout").notNull(),
		/** The rollout's, by which its event is found. */
		revision: integer("revision").notNull(),
		environment: text("environment").notNull(),
		/** immediate, gradual, feature, targeted, version, full or emergency. */
		strategy: text("strategy").notNull(),
		/** The change's reason: harm_proven, operator… */
		trigger: text("trigger").notNull(),
		actor: text("actor").notNull(),
		atMs: integer("at_ms").notNull(),
		/** Real time of the commit. */
		recordedAtMs: integer("recorded_at_ms").notNull(),
		/** From the begin of the phase to the decision; NULL: nobody was served. */
		detectMs: integer("detect_ms"),
		/** What an edge must have heard of to be safe. */
		headRevision: integer("head_revision").notNull(),
		/** Real time at which every edge that is known had heard of it. */
		edgeSafeAtMs: integer("edge_safe_at_ms"),
		/** Its steps' results so far. */
		steps: json(anything)("steps").notNull(),
		/** Real time at which the next step or look is due; NULL: nothing is left. */
		dueAtMs: integer("due_at_ms"),
		verifiedAtMs: integer("verified_at_ms"),
		/** Why it could not be verified. */
		failure: text("failure"),
	},
	(t) => [
		primaryKey({ columns: [t.rollout, t.revision] }),
		index("rollbacks_environment").on(t.environment, t.recordedAtMs),
		index("rollbacks_due").on(t.dueAtMs),
	],
);

/** Isolates of the edge, by what they last said of themselves. */
export const edges = sqliteTable(
	"edges",
	{
		isolate: text("isolate").primaryKey(),
		colo: text("colo").notNull(),
		/** Of the head that it serves by. */
		revision: integer("revision").notNull(),
		/** Real time. */
		seenAtMs: integer("seen_at_ms").notNull(),
	},
	(t) => [index("edges_seen").on(t.seenAtMs)],
);

/** Where requests of a host go. */
export const gatewayRoutes = sqliteTable(
	"gateway_routes",
	{
		environment: text("environment").notNull(),
		key: text("key").notNull(),
		version: integer("version").notNull(),
		host: text("host").notNull(),
		config: json(anything)("config").notNull(),
		updatedAtMs: integer("updated_at_ms").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.key] }), index("gateway_routes_host").on(t.host)],
);

/** Switched by hand, and never for ever. */
export const gatewayProtections = sqliteTable(
	"gateway_protections",
	{
		environment: text("environment").notNull(),
		key: text("key").notNull(),
		config: json(anything)("config").notNull(),
		untilMs: integer("until_ms").notNull(),
		updatedAtMs: integer("updated_at_ms").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.key] })],
);

/** What comparing found, a row a route or flag and day (UTC). */
export const compareDays = sqliteTable(
	"compare_days",
	{
		environment: text("environment").notNull(),
		/** A route's key, or a flag's where the application compares. */
		subject: text("subject").notNull(),
		/** 2026-01-31 */
		day: text("day").notNull(),
		queries: integer("queries").notNull(),
		discrepancies: integer("discrepancies").notNull(),
		/** The candidate gave no answer that could be compared. */
		errors: integer("errors").notNull(),
		legacyMs: real("legacy_ms").notNull(),
		candidateMs: real("candidate_ms").notNull(),
		/** Of those with both latencies. */
		timed: integer("timed").notNull(),
		/** The phase of its rollout, as last seen. */
		phase: text("phase").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.subject, t.day] })],
);

/** Some of what differed: at most 100 a subject and day. */
export const compareSamples = sqliteTable(
	"compare_samples",
	{
		id: integer("id").primaryKey({ autoIncrement: true }),
		environment: text("environment").notNull(),
		subject: text("subject").notNull(),
		day: text("day").notNull(),
		atMs: integer("at_ms").notNull(),
		sample: json(anything)("sample").notNull(),
	},
	(t) => [index("compare_samples_day").on(t.environment, t.subject, t.day)],
);

/** An environment's own metrics. */
export const metricDefinitions = sqliteTable(
	"metric_definitions",
	{
		environment: text("environment").notNull(),
		key: text("key").notNull(),
		config: json(storedMetric)("config").notNull(),
		updatedAtMs: integer("updated_at_ms").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.key] })],
);

export const audit = sqliteTable(
	"audit",
	{
		id: integer("id").primaryKey({ autoIncrement: true }),
		atMs: integer("at_ms").notNull(),
		actor: text("actor").notNull(),
		/** `flags/production/checkout`, `rollouts/checkout.2`, `keys/…`. */
		resource: text("resource").notNull(),
		action: text("action").notNull(),
		reason: text("reason").notNull(),
		correlationId: text("correlation_id").notNull(),
		before: json(anything)("before"),
		after: json(anything)("after"),
	},
	(t) => [index("audit_resource").on(t.resource, t.id)],
);

/** Events to be told to the outside, written with the change that they tell of. */
export const outbox = sqliteTable(
	"outbox",
	{
		id: integer("id").primaryKey({ autoIncrement: true }),
		atMs: integer("at_ms").notNull(),
		type: text("type").notNull(),
		subject: text("subject").notNull(),
		payload: json(anything)("payload").notNull(),
	},
	(t) => [index("outbox_type").on(t.type, t.atMs)],
);

export const patterns = z.array(z.string());
export const disabled = z.object({ atMs: z.int(), by: z.enum(["operator", "gone"]) });

/** Who is told of events. Signing takes the secrets themselves: this column is the only place that holds them. */
export const webhooks = sqliteTable("webhooks", {
	id: text("id").primaryKey(),
	url: text("url").notNull(),
	/** Patterns of events' types. */
	events: json(patterns)("events").notNull(),
	/** NULL: all. */
	environment: text("environment"),
	description: text("description").notNull(),
	secrets: json(signingSecrets)("secrets").notNull(),
	/** NULL: it is told. */
	disabled: json(disabled)("disabled"),
	/** The newest event of the outbox that was looked at for it. */
	cursor: integer("cursor").notNull(),
	revision: integer("revision").notNull(),
	createdAtMs: integer("created_at_ms").notNull(),
	updatedAtMs: integer("updated_at_ms").notNull(),
});

/** What subscribers are or were owed, a row an event. Times are real. */
export const webhookDeliveries = sqliteTable(
	"webhook_deliveries",
	{
		webhook: text("webhook").notNull(),
		/** Its id in the outbox. */
		event: integer("event").notNull(),
		/** The event's: what one subscriber is owed of one subject is delivered in order. */
		subject: text("subject").notNull(),
		status: text("status", { enum: ["pending", "delivered", "dead"] }).notNull(),
		attempts: integer("attempts").notNull(),
		/** Pending: not tried before. Whoever takes it moves this to the end of the lease, so that nobody else does. */
		dueAtMs: integer("due_at_ms").notNull(),
		/** Since when it is owed. */
		sinceMs: integer("since_ms").notNull(),
		/** What the last attempt failed with. */
		error: text("error"),
		settledAtMs: integer("settled_at_ms"),
	},
	(t) => [
		primaryKey({ columns: [t.webhook, t.event] }),
		index("webhook_deliveries_pending")
			.on(t.webhook, t.subject, t.event)
			.where(sql`status = 'pending'`),
		index("webhook_deliveries_status").on(t.webhook, t.status, t.settledAtMs),
	],
);

export const sdkKeys = sqliteTable("sdk_keys", {
	id: text("id").primaryKey(),
	/** SHA-256 of the key, hex: the key itself is shown once and kept nowhere. */
	hash: text("hash").notNull().unique(),
	environment: text("environment").notNull(),
	kind: text("kind", { enum: ["server", "client"] }).notNull(),
	name: text("name").notNull(),
	createdAtMs: integer("created_at_ms").notNull(),
	revokedAtMs: integer("revoked_at_ms"),
});

/** Bearer tokens of the API, hashed. */
export const tokens = sqliteTable("tokens", {
	name: text("name").primaryKey(),
	hash: text("hash").notNull().unique(),
	role: text("role", { enum: ["viewer", "operator", "admin"] })
		.notNull()
		.default("admin"),
	/** NULL: all environments. */
	environment: text("environment"),
	createdAtMs: integer("created_at_ms").notNull(),
	revokedAtMs: integer("revoked_at_ms"),
});
