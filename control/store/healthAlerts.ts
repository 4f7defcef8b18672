import { and, asc, count, desc, eq, gte, inArray, sql } from "drizzle-orm";
import * as z from "zod";
import { ALERT_TYPES, severityOf } from "../../core/notify/events";
import type { Database } from "./database";
import { LIVE } from "../../core/rollouts/state";
import { parseJson } from "./json";
import { environments, outbox, rolloutEvents, rollouts } from "./schema";

const payload = z.object({ kind: z.string(), message: z.string() });

export const raisedAlert = z.object({
	atMs: z.int(),
	severity: z.enum(["warn", "page"]),
	rollout: z.string(),
	...payload.shape,
	active: z.boolean().describe("it still holds"),
});

export type RaisedAlert = z.infer<typeof raisedAlert>;

/** What has been told of an environment's rollouts since then, newest first. */
export async function listAlerts(db: Database, environment: string, sinceMs: number, limit: number): Promise<RaisedAlert[]> {
	const holding = sql`(SELECT ${alertingIn(rollouts.state)} FROM ${rollouts} WHERE ${rollouts.id} = ${outbox.subject} AND ${inArray(rollouts.status, LIVE)})`;
	const alerting = sql`coalesce(${holding}, '[]')`.mapWith((text: string) => parseJson(z.array(z.string()), text) ?? []);
	const rows = await db
		.select({
			atMs: outbox.atMs,
			type: outbox.type,
			rollout: outbox.subject,
			payload: sql<string>`${outbox.payload}`,
			alerting,
		})
		.from(outbox)
		.where(
			and(
				inArray(outbox.type, ALERT_TYPES),
				gte(outbox.atMs, sinceMs),
				sql`CASE WHEN json_valid(${outbox.payload}) THEN ${outbox.payload} ->> 'environment' = ${environment} ELSE FALSE END`,
			),
		)
		.orderBy(desc(outbox.atMs), desc(outbox.id))
		.limit(limit);
	return rows.flatMap(({ type, payload: text, alerting: names, atMs, rollout }) => {
		const said = parseJson(payload, text);
		const severity = severityOf(type);
		return said ? { atMs, severity, rollout, ...said, active: names.includes(`${said.kind}.${severity}`) } : [];
	});
}

export interface AlertCount {
	readonly environment: string;
	/** Alerts that hold, of live rollouts, and those of them that somebody was paged for. */
	readonly active: number;
	readonly critical: number;
}

/** Every environment's. */
export async function countAlerts(db: Database): Promise<AlertCount[]> {
	const each = sql`json_each(coalesce(${alertingIn(rollouts.state)}, '[]'))`;
	return db
		.select({
			environment: environments.name,
			active: count(sql`held.value`),
			critical: sql<number>`count(*) FILTER (WHERE held.value LIKE '%.page')`,
		})
		.from(environments)
		.leftJoin(rollouts, and(eq(rollouts.environment, environments.name), inArray(rollouts.status, LIVE)))
		.leftJoin(sql`${each} AS held`, sql`true`)
		.groupBy(environments.name)
		.orderBy(asc(environments.name));
}

export const rollback = z.object({
	rollout: z.string(),
	atMs: z.int(),
	reason: z.string(),
	message: z.string(),
	actor: z.string().describe("tidegate: by itself; else who gave the command"),
});

/** An environment's rollbacks since then, newest first, whoever did them. */
export async function listRollbacks(
	db: Database,
	environment: string,
	sinceMs: number,
	limit: number,
): Promise<z.infer<typeof rollback>[]> {
	const { rollout, atMs, reason, message, actor } = rolloutEvents;
	return db
		.select({ rollout, atMs, reason, message, actor })
		.from(rolloutEvents)
		.innerJoin(rollouts, eq(rollouts.id, rollout))
		.where(and(eq(rolloutEvents.kind, "roll_back"), gte(atMs, sinceMs), eq(rollouts.environment, environment)))
		.orderBy(desc(atMs), desc(rollout))
		.limit(limit);
}

/** Of every environment that has any. */
export async function countRollbacks(db: Database, sinceMs: number): Promise<{ environment: string; rollbacks: number }[]> {
	return db
		.select({ environment: rollouts.environment, rollbacks: count() })
		.from(rolloutEvents)
		.innerJoin(rollouts, eq(rollouts.id, rolloutEvents.rollout))
		.where(and(eq(rolloutEvents.kind, "roll_back"), gte(rolloutEvents.atMs, sinceMs)))
		.groupBy(rollouts.environment);
}

/** The names of the alerts that hold, as raise() writes them; a corrupt state has none. */
const alertingIn = (state: typeof rollouts.state) => sql`CASE WHEN json_valid(${state}) THEN ${state} -> '$.watch.alerting' END`;
