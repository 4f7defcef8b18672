import { and, eq, gt, inArray, sql } from "drizzle-orm";
import type { Database } from "./database";
import type { Emergency, EmergencyOutcome } from "./emergency";
import { among } from "./flags";
import { type Keyed, hashIn, isUnder } from "./idempotency";
import { flagVersions, flags, head, rolloutEvents, rollouts } from "./schema";

/** A command's key is one rollout's own: another prefix, so that neither is taken for the other. */
const PREFIX = "emergency.";

/** Long after any sender has given up, and not so long that whoever uses one key for ever would take nothing back any more. */
const KEPT_MS = 3_600_000;

export const emergencyKeyed = ({ key, hash }: Keyed): Keyed => ({ key, hash: PREFIX + hash });

interface Earlier {
	readonly hash: string;
	readonly outcome: EmergencyOutcome;
}

/** What was taken back under this key; undefined: nothing, or longer ago. */
export async function emergencyByKey(
	db: Database,
	{ environment, of, kill }: Emergency,
	key: string,
	now: number,
): Promise<Earlier | undefined> {
	const events = await db
		.select({
			id: rollouts.id,
			kept: rolloutEvents.idempotencyKey,
			atMs: rolloutEvents.atMs,
			actor: rolloutEvents.actor,
			flags: sql<string>`CASE WHEN json_valid(${rollouts.plan}) THEN ${rollouts.plan} -> '$.flags' END`,
		})
		.from(rolloutEvents)
		.innerJoin(rollouts, eq(rollouts.id, rolloutEvents.rollout))
		.where(
			and(
				inArray(rolloutEvents.kind, ["roll_back", "cancel"]),
				gt(rolloutEvents.atMs, now - KEPT_MS),
				eq(rollouts.environment, environment),
				isUnder(key),
			),
		)
		.orderBy(rollouts.id);
	const ended = events.filter(({ kept }) => hashIn(kept ?? "")?.startsWith(PREFIX));
	const [first] = ended;
	if (!first) return undefined;
	const named = of.kind === "all" ? [] : of.keys;
	const [knownFlags, killed, heads] = await db.batch([
		db.select({ key: flags.key }).from(flags).where(among(environment, named)),
		db
			.select({ key: flagVersions.key })
			.from(flagVersions)
			.where(
				and(
					eq(flagVersions.environment, environment),
					sql`${flagVersions.key} IN (SELECT value FROM json_each(${JSON.stringify(named)}))`,
					eq(flagVersions.atMs, first.atMs),
					eq(flagVersions.actor, first.actor),
				),
			)
			.orderBy(flagVersions.key),
		db.select({ revision: head.revision }).from(head),
	]);
	const held = new Set(ended.flatMap(({ flags: text }) => (text === null ? [] : (JSON.parse(text) as string[]))));
	const isThere = new Set(of.kind === "flags" ? knownFlags.map(({ key: flag }) => flag) : ended.map(({ id }) => id));
	const outcome = {
		rolledBack: ended.map(({ id }) => id),
		killed: kill ? killed.map(({ key: flag }) => flag) : [],
		notInRollout: of.kind === "flags" ? named.filter((flag) => isThere.has(flag) && !held.has(flag)) : [],
		unknown: named.filter((each) => !isThere.has(each)),
		headRevision: heads[0]?.revision ?? 0,
	};
	return { hash: hashIn(first.kept ?? "") ?? "", outcome };
}
