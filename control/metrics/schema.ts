import { index, integer, primaryKey, real, sqliteTable, text } from "drizzle-orm/sqlite-core";

/** The tables of the embedded metric store. embedded.ts, which writes and reads them, explains how they work together. */

/** One row: the open epoch. Whatever arrives is stamped with it; a reader closes it, so what it has read never grows. */
export const telemetryEpoch = sqliteTable("telemetry_epoch", { id: integer("id").primaryKey(), epoch: integer("epoch").notNull() });

/** What arrived in an epoch. */
export const telemetryTotals = sqliteTable(
	"telemetry_totals",
	{
		rollout: text("rollout").notNull(),
		epoch: integer("epoch").notNull(),
		metric: text("metric").notNull(),
		arm: text("arm").notNull(),
		requests: integer("requests").notNull(),
		harms: integer("harms").notNull(),
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
		harms: integer("harms").notNull(),
		sum: real("sum").notNull(),
		harmedFirst: integer("harmed_first").notNull(),
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
		harmedUsers: integer("harmed_users").notNull(),
		requests: integer("requests").notNull(),
		harms: integer("harms").notNull(),
		harmsSquared: real("harms_squared").notNull(),
		harmsTimesRequests: real("harms_times_requests").notNull(),
		requestsSquared: real("requests_squared").notNull(),
		sumOfMeans: real("sum_of_means").notNull(),
		sumOfSquaredMeans: real("sum_of_squared_means").notNull(),
		harmedFirst: integer("harmed_first").notNull(),
	},
	(t) => [primaryKey({ columns: [t.rollout, t.stage, t.metric, t.arm] })],
);

/** The first harm of a user at a served share. Never pruned while the rollout lives: it is the set of the counted. */
export const telemetryHarms = sqliteTable(
	"telemetry_harms",
	{
		rollout: text("rollout").notNull(),
		metric: text("metric").notNull(),
		unit: text("unit").notNull(),
		arm: text("arm").notNull(),
		served: integer("served").notNull(),
		epoch: integer("epoch").notNull(),
	},
	(t) => [primaryKey({ columns: [t.rollout, t.metric, t.unit, t.arm, t.served] }), index("telemetry_harms_epoch").on(t.rollout, t.epoch)],
);

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
