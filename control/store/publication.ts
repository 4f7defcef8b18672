import { and, asc, eq, gt, isNull, lt, lte, sql } from "drizzle-orm";
import { type Flag, flag } from "../../core/flags/model";
import type { EnvironmentState } from "../../core/flags/snapshot";
import { liveRollout } from "../../core/rollouts/exposure";
import type { Head } from "../../core/wire";
import { type Database, type Statement, commit } from "./database";
import { packedRoutes, selectRoutes } from "./gateway";
import { parseJson } from "./json";
import { selectMetrics } from "./metrics";
import { packedProtections, selectProtections } from "./protections";
import { exclusionsAnnounced } from "./rollbacks";
import { parsed, selectLive } from "./rollouts";
import { selectForSnapshot, snapshotSegments } from "./segments";
import { bodies, environments, flags, gatewayRoutes, head, overlays, sdkKeys } from "./schema";

/** What the edges are told, read from D1 anew each time: publishing has no state of its own that could be wrong. */

/** An overlay entry is kept on after its snapshot was published: an edge that cannot load that body still obeys the entry. */
const OVERLAY_KEPT_MS = 600_000;

export async function pendingEnvironments(db: Database): Promise<string[]> {
	const rows = await db.select({ name: environments.name }).from(environments).where(gt(environments.changed, environments.version));
	return rows.map((row) => row.name);
}

/** The state of an environment as of one moment; undefined when there is no such environment. */
export async function stateOf(db: Database, environment: string): Promise<EnvironmentState | undefined> {
	const [rows, flagRows, rolloutRows, metricRows, routeRows, protectionRows, segmentRows, listedRows] = await db.batch([
		db.select().from(environments).where(eq(environments.name, environment)),
		db
			.select({ key: flags.key, config: sql<string>`${flags.config}` })
			.from(flags)
			.where(eq(flags.environment, environment)),
		selectLive(db, environment),
		selectMetrics(db, environment),
		selectRoutes(db, environment),
		selectProtections(db, environment),
		...selectForSnapshot(db, environment),
	]);
	const row = rows[0];
	if (!row) return undefined;
	const read = flagRows.map(({ key, config }) => parseJson(flag, config) ?? key);
	const live = rolloutRows.flatMap((raw) => {
		const rollout = parsed(raw);
		// Nobody can tell what a corrupt row wants served: its users get the baseline, and the other flags their snapshot.
		if (!rollout) return [];
		const { id, plan, state } = rollout;
		return liveRollout(id, plan, state) ?? [];
	});
	const known = read.filter((each) => typeof each !== "string");
	const gateway = {
		routes: packedRoutes(environment, routeRows, variantsOf(known)),
		protections: packedProtections(environment, protectionRows, row.changedAtMs),
	};
	return {
		environment,
		version: row.changed,
		publishedAtMs: row.changedAtMs,
		flags: known,
		damaged: read.filter((each) => typeof each === "string"),
		segments: snapshotSegments(segmentRows, listedRows),
		rollouts: live,
		metrics: metricRows.flatMap(({ config }) => (config ? { key: config.key, kind: config.kind } : [])),
		gateway,
	};
}

const variantsOf = (all: readonly Flag[]) =>
	new Map(all.map(({ key, variants, offVariant }) => [key, { variants: Object.keys(variants), off: offVariant }]));

/** A parameter holds 2 MB at most, and a UTF-16 unit is 3 bytes of UTF-8 at most. */
const PART_CHARACTERS = 600_000;

/** Kept beside KV's copy before any edge is told of it. Written twice it is the same. */
export async function keepBody(db: Database, environment: string, version: number, text: string): Promise<void> {
	const parts: Statement[] = [];
	for (let at = 0, end = 0; at < text.length; at = end) {
		end = at + PART_CHARACTERS;
		// Never between the halves of a surrogate pair: alone they are no text.
		if (/[\ud800-\udbff]/.test(text.charAt(end - 1))) end--;
		parts.push(
			db
				.insert(bodies)
				.values({ environment, version, part: parts.length, text: text.slice(at, end) })
				.onConflictDoNothing(),
		);
	}
	await commit(db, parts);
}

/** The body of a version that is announced, for an edge that KV gave none. */
export async function bodyOf(db: Database, environment: string, version: number): Promise<string | null> {
	const parts = await db
		.select({ text: bodies.text })
		.from(bodies)
		.where(and(eq(bodies.environment, environment), eq(bodies.version, version)))
		.orderBy(asc(bodies.part));
	return parts.length === 0 ? null : parts.map(({ text }) => text).join("");
}

/** The head points to a body that KV holds now. Nothing happens when a newer one is published already. */
export async function commitPublication(
	db: Database,
	published: { readonly environment: string; readonly version: number; readonly digest: string },
	realNow: number,
): Promise<void> {
	const { environment, version, digest } = published;
	await db.batch([
		// Edges that have not looked since may still ask for the one that was announced before.
		db
			.delete(bodies)
			.where(
				and(
					eq(bodies.environment, environment),
					lt(bodies.version, sql`(SELECT ${environments.version} FROM ${environments} WHERE ${environments.name} = ${environment})`),
				),
			),
		db
			.update(environments)
			.set({ version, digest, publishedAtMs: realNow })
			.where(and(eq(environments.name, environment), lt(environments.version, version))),
		db.update(head).set({ revision: sql`${head.revision} + 1`, content: sql`${head.revision} + 1` }),
		exclusionsAnnounced(db, environment),
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
	const [heads, environmentRows, overlayRows, keyRows, hostRows] = await db.batch([
		db.select().from(head),
		db.select().from(environments),
		db.select().from(overlays),
		db.select().from(sdkKeys).where(isNull(sdkKeys.revokedAtMs)),
		db
			.selectDistinct({ environment: gatewayRoutes.environment, host: gatewayRoutes.host })
			.from(gatewayRoutes)
			.orderBy(asc(gatewayRoutes.host)),
	]);
	const row = heads[0];
	if (!row) throw new Error("the head's row is missing: apply the migrations");
	const overlayOf = (environment: string) => {
		const of = (kind: "kill" | "baseline") =>
			overlayRows.filter((each) => each.environment === environment && each.kind === kind).map((each) => each.key);
		return { kill: of("kill"), baseline: of("baseline") };
	};
	const hostsOf = (environment: string) => {
		const hosts = hostRows.filter((each) => each.environment === environment).map(({ host }) => host);
		return hosts.length > 0 ? { hosts } : {};
	};
	return {
		head: {
			revision: row.revision,
			environments: Object.fromEntries(
				environmentRows
					.filter(({ version }) => version > 0) // until its first publication an environment is none
					.map(({ name, version, digest, publishedAtMs }) => [
						name,
						{ version, digest, overlay: overlayOf(name), publishedAtMs, guardedAtMs: row.guardedAtMs, ...hostsOf(name) },
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
