import { sql } from "drizzle-orm";
import { index, integer, primaryKey, real, sqliteTable, text } from "drizzle-orm/sqlite-core";

/**
 * The tables of the embedded metric store, explained where they are written: epochs and first harms in firstHarms.ts, users and
 * sums in embeddedPoints.ts, scores, performance and the origins' measurements in files of their own.
 */

/** One row: the open epoch, which stamps whatever arrives, and the newest one that was closed an hour before the last was. */
export const telemetryEpoch = sqliteTable("telemetry_epoch", {
	id: integer("id").primaryKey(),
	epoch: integer("epoch").notNull(),
	aged: integer("aged").notNull().default(0),
});

/** When epochs were closed, by the clock of those who read; kept until they are aged. */
export const telemetryEpochs = sqliteTable("telemetry_epochs", {
	epoch: integer("epoch").primaryKey(),
	closedAtMs: integer("closed_at_ms").notNull(),
});

/** What arrived in an epoch. */
export const telemetryTotals = sqliteTable(
	"telemetry_totals",
	{
		rollout: text("rollout").notNull(),
		epoch: integer("epoch").notNull(),
		metric: text("metric").notNull(),
		arm: text("arm").notNull(),
		requests: integer("requests").notNull(),
		sum: real("sum").notNull(),
	},
	(t) => [primaryKey({ columns: [t.rollout, t.epoch, t.metric, t.arm] })],
);

/** A user's outcomes in one stage of a rollout. */
export const telemetryUnits = sqliteTable(
	"telemetry_units",
	{
		rollout: text("rollout").notNull(),
		stage: integer("stage").notNull(),
		metric: text("metric").notNull(),
		unit: text("unit").notNull(),
		arm: text("arm").notNull(),
		requests: integer("requests").notNull(),
		sum: real("sum").notNull(),
		sumLog: real("sum_log").notNull(),
	},
	(t) => [primaryKey({ columns: [t.rollout, t.stage, t.metric, t.unit] })],
);

/** The sums over those users, kept up with every write: a tick reads a handful of rows, however many users there are. */
export const telemetryArms = sqliteTable(
	"telemetry_arms",
	{
		rollout: text("rollout").notNull(),
		stage: integer("stage").notNull(),
		metric: text("metric").notNull(),
		arm: text("arm").notNull(),
		users: integer("users").notNull(),
		requests: integer("requests").notNull(),
		requestsSquared: integer("requests_squared").notNull(),
		sumOfMeans: real("sum_of_means").notNull(),
		sumOfSquaredMeans: real("sum_of_squared_means").notNull(),
		sumOfTotals: real("sum_of_totals").notNull(),
		sumOfSquaredTotals: real("sum_of_squared_totals").notNull(),
		sumOfLogs: real("sum_of_logs").notNull(),
		sumOfSquaredLogs: real("sum_of_squared_logs").notNull(),
		/** JSON: how many requests by the bin of their value. */
		bins: text("bins").notNull(),
	},
	(t) => [primaryKey({ columns: [t.rollout, t.stage, t.metric, t.arm] })],
);

/** Users whom a signal saw harmed in one stage, and how often. Most have no row. */
export const telemetryHarmed = sqliteTable(
	"telemetry_harmed",
	{
		rollout: text("rollout").notNull(),
		stage: integer("stage").notNull(),
		metric: text("metric").notNull(),
		unit: text("unit").notNull(),
		signal: text("signal").notNull(),
		harms: integer("harms").notNull(),
	},
	(t) => [primaryKey({ columns: [t.rollout, t.stage, t.metric, t.unit, t.signal] })],
);

/** The sums over those users, with r requests and y harmed ones each. */
export const telemetrySignals = sqliteTable(
	"telemetry_signals",
	{
		rollout: text("rollout").notNull(),
		stage: integer("stage").notNull(),
		metric: text("metric").notNull(),
		arm: text("arm").notNull(),
		signal: text("signal").notNull(),
		harmedUsers: integer("harmed_users").notNull(),
		harms: integer("harms").notNull(),
		harmsSquared: integer("harms_squared").notNull(),
		harmsTimesRequests: integer("harms_times_requests").notNull(),
		harmedFirst: integer("harmed_first").notNull(),
	},
	(t) => [primaryKey({ columns: [t.rollout, t.stage, t.metric, t.arm, t.signal] })],
);

/** The first harm of a user at a served share. Never pruned while the rollout lives: it is the set of the counted. */
export const telemetryHarms = sqliteTable(
	"telemetry_harms",
	{
		rollout: text("rollout").notNull(),
		signal: text("signal").notNull(),
		unit: text("unit").notNull(),
		arm: text("arm").notNull(),
		served: integer("served").notNull(),
		epoch: integer("epoch").notNull(),
	},
	(t) => [primaryKey({ columns: [t.rollout, t.signal, t.unit, t.arm, t.served] }), index("telemetry_harms_epoch").on(t.rollout, t.epoch)],
);

/** One row: up to which second Analytics Engine's harm has been copied here, as it came and once more when it was settled. */
export const telemetryIngest = sqliteTable("telemetry_ingest", {
	id: integer("id").primaryKey(),
	fresh: integer("fresh").notNull(),
	settled: integer("settled").notNull(),
});

/** Users who have been exposed to a rollout. */
export const telemetryExposures = sqliteTable(
	"telemetry_exposures",
	{ rollout: text("rollout").notNull(), unit: text("unit").notNull() },
	(t) => [primaryKey({ columns: [t.rollout, t.unit] })],
);

/** How many were exposed for the first time in an epoch. */
export const telemetryExposed = sqliteTable(
	"telemetry_exposed",
	{
		rollout: text("rollout").notNull(),
		epoch: integer("epoch").notNull(),
		arm: text("arm").notNull(),
		served: integer("served").notNull(),
		units: integer("units").notNull(),
	},
	(t) => [primaryKey({ columns: [t.rollout, t.epoch, t.arm, t.served] })],
);

/** What a user's score is made of: the first ten of their scored requests. */
export const telemetryScored = sqliteTable(
	"telemetry_scored",
	{
		rollout: text("rollout").notNull(),
		metric: text("metric").notNull(),
		unit: text("unit").notNull(),
		arm: text("arm").notNull(),
		served: integer("served").notNull(),
		firstEpoch: integer("first_epoch").notNull(),
		tenthEpoch: integer("tenth_epoch"),
		requests: integer("requests").notNull(),
		sumLog: real("sum_log").notNull(),
	},
	(t) => [
		primaryKey({ columns: [t.rollout, t.metric, t.unit] }),
		index("telemetry_scored_first").on(t.rollout, t.firstEpoch),
		index("telemetry_scored_tenth")
			.on(t.rollout, t.tenthEpoch)
			.where(sql`tenth_epoch IS NOT NULL`),
	],
);

/** What flags served and how it went, minute by minute, later hour by hour. Flag and variant are empty for the whole environment. */
export const telemetryMinutes = sqliteTable(
	"telemetry_minutes",
	{
		environment: text("environment").notNull(),
		startMs: integer("start_ms").notNull(),
		widthMs: integer("width_ms").notNull(),
		flag: text("flag").notNull(),
		variant: text("variant").notNull(),
		metric: text("metric").notNull(),
		requests: integer("requests").notNull(),
		sum: real("sum").notNull(),
		sumOfSquares: real("sum_of_squares").notNull(),
		bins: text("bins").notNull(),
	},
	(t) => [primaryKey({ columns: [t.widthMs, t.startMs, t.environment, t.flag, t.variant, t.metric] })],
);

/** What origins said of themselves, minute by minute. */
export const telemetrySystem = sqliteTable(
	"telemetry_system",
	{
		environment: text("environment").notNull(),
		startMs: integer("start_ms").notNull(),
		origin: text("origin").notNull(),
		metric: text("metric").notNull(),
		samples: integer("samples").notNull(),
		sum: real("sum").notNull(),
		max: real("max").notNull(),
		last: real("last").notNull(),
		lastAtMs: integer("last_at_ms").notNull(),
	},
	(t) => [primaryKey({ columns: [t.startMs, t.environment, t.origin, t.metric] })],
);

/** Ids of events of the last 24 h, so that a repetition is ignored. */
export const telemetryEventIds = sqliteTable(
	"telemetry_event_ids",
	{
		environment: text("environment").notNull(),
		id: text("id").notNull(),
		atMs: integer("at_ms").notNull(),
	},
	(t) => [primaryKey({ columns: [t.environment, t.id] })],
);
