import { and, eq, gt, isNull, lt, lte, sql } from "drizzle-orm";
import { type EnvironmentState, pack } from "../../core/flags/snapshot";
import { candidateOf, liveRollout } from "../../core/rollouts/exposure";
import type { Head } from "../../core/wire";
import type { Database } from "./database";
import { parsed, selectLive } from "./rollouts";
import { environments, flags, head, overlays, sdkKeys } from "./schema";

/** What the edges are told, read from D1 anew each time: publishing has no state of its own that could be wrong. */

/** An overlay entry is kept on after its snapshot was published: an edge that cannot load that body still obeys the entry. */
const OVERLAY_KEPT_MS = 600_000;

export async function pendingEnvironments(db: Database): Promise<string[]> {
	const rows = await db.select({ name: environments.name }).from(environments).where(gt(environments.changed, environments.version));
	return rows.map((row) => row.name);
}

/** The state of an environment as of one moment; undefined when there is no such environment. */
export async function stateOf(db: Database, environment: string): Promise<EnvironmentState | undefined> {
	const [rows, flagRows, rolloutRows] = await db.batch([
		db.select().from(environments).where(eq(environments.name, environment)),
		db.select().from(flags).where(eq(flags.environment, environment)),
		selectLive(db, environment),
	]);
	const row = rows[0];
	if (!row) return undefined;
	const live = rolloutRows.flatMap((raw) => {
		const rollout = parsed(raw);
		// Nobody can tell what a corrupt row wants served: its users get the baseline, and the other flags their snapshot.
		if (!rollout) return [];
		const { id, plan, state } = rollout;
		const candidates = Object.fromEntries(plan.flags.map((flag) => [flag, candidateOf(plan)]));
		return liveRollout(id, plan, state, candidates) ?? [];
	});
	return { environment, version: row.changed, publishedAtMs: row.changedAtMs, flags: flagRows.map((flag) => flag.config), rollouts: live };
}

/** The body of a version, as long as it is the current one. */
export async function bodyOf(db: Database, environment: string, version: number): Promise<string | null> {
	const state = await stateOf(db, environment);
	return state?.version === version ? pack(state).body : null;
}

/** The head points to a body that KV holds now. Nothing happens when a newer one is published already. */
export async function commitPublication(
	db: Database,
	published: { readonly environment: string; readonly version: number; readonly digest: string },
	realNow: number,
): Promise<void> {
	const { environment, version, digest } = published;
	await db.batch([
		db
			.update(environments)
			.set({ version, digest, publishedAtMs: realNow })
			.where(and(eq(environments.name, environment), lt(environments.version, version))),
		db.update(head).set({ revision: sql`${head.revision} + 1`, content: sql`${head.revision} + 1` }),
	]);
}

export interface CurrentHead {
	readonly head: Head;
	/** KV's copy lacks something, or is old. */
	readonly content: number;
	readonly kv: number;
	readonly kvPutAtMs: number;
	readonly lastTickMs: number;
	readonly guardedAtMs: number;
}

export async function readHead(db: Database): Promise<CurrentHead> {
	const [heads, environmentRows, overlayRows, keyRows] = await db.batch([
		db.select().from(head),
		db.select().from(environments),
		db.select().from(overlays),
		db.select().from(sdkKeys).where(isNull(sdkKeys.revokedAtMs)),
	]);
	const row = heads[0];
	if (!row) throw new Error("the head's row is missing: apply the migrations");
	const overlayOf = (environment: string) => {
		const of = (kind: "kill" | "baseline") =>
			overlayRows.filter((each) => each.environment === environment && each.kind === kind).map((each) => each.key);
		return { kill: of("kill"), baseline: of("baseline") };
	};
	return {
		head: {
			revision: row.revision,
			environments: Object.fromEntries(
				environmentRows
					.filter(({ version }) => version > 0) // until its first publication an environment is none
					.map(({ name, version, digest, publishedAtMs }) => [
						name,
						{ version, digest, overlay: overlayOf(name), publishedAtMs, guardedAtMs: row.guardedAtMs },
					]),
			),
			keys: Object.fromEntries(keyRows.map(({ hash, environment, kind }) => [hash, { environment, kind }])),
		},
		content: row.content,
		kv: row.kv,
		kvPutAtMs: row.kvPutAtMs,
		lastTickMs: row.lastTickMs,
		guardedAtMs: row.guardedAtMs,
	};
}

export async function headPut(db: Database, revision: number, realNow: number): Promise<void> {
	await db.update(head).set({ kv: sql`max(${head.kv}, ${revision})`, kvPutAtMs: realNow });
}

export async function tickCompleted(db: Database, now: number, realNow: number): Promise<void> {
	await db.batch([
		db.update(head).set({
			revision: sql`${head.revision} + 1`,
			guardedAtMs: realNow,
			lastTickMs: sql`max(${head.lastTickMs}, ${now})`,
		}),
		db
			.delete(overlays)
			.where(
				and(
					lt(overlays.addedAtMs, realNow - OVERLAY_KEPT_MS),
					lte(
						overlays.changed,
						sql`(SELECT ${environments.version} FROM ${environments} WHERE ${environments.name} = ${overlays.environment})`,
					),
				),
			),
	]);
}
