import { env } from "cloudflare:workers";
import { expect, vi } from "vitest";
import { parse } from "yaml";
import { attribute } from "../../../../core/flags/attribution";
import { evaluate } from "../../../../core/flags/evaluate";
import type { Context } from "../../../../core/flags/match";
import { measurementsOf } from "../../../../core/flags/measure";
import { type ActiveOverlay, unite } from "../../../../core/flags/overlay";
import { type Snapshot, openSnapshot } from "../../../../core/flags/ruleset";
import type { Point } from "../../../../core/telemetry";
import { bodyKey } from "../../../../core/wire";
import { recordPoints } from "../../../../control/metrics/embedded";
import { readHead } from "../../../../control/store/publication";
import { publish } from "../../../../control/tick/publish";
import { tick } from "../../../../control/tick/tick";
import flagsFile from "../../../../examples/flags.json?raw";
import { randomOf } from "../../../unit/rollouts/simulation";
import { type RolloutBody, ROLLOUTS, auditOf, done } from "../api/harness";
import { MINUTE_MS, aTick, db } from "../tick/fixtures";

/** Users of a small town under a rollout of examples/, with moved time: what they are served comes from the published snapshot, and so does what they report. */

/** Days of a rollout take a machine that is busy some time: the limit finds what hangs. */
vi.setConfig({ testTimeout: 120_000 });

export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
const USERS = 6_000;
/** Of a thousand. */
const STAFF = 30;
const BETA = 100;
const WHOLESALE = 100;

export const users: readonly Context[] = Array.from({ length: USERS }, (_, i) => {
	const place = i % 1_000;
	const group = place < STAFF ? "staff" : place < STAFF + BETA ? "beta" : place < STAFF + BETA + WHOLESALE ? "wholesale" : "others";
	return { targetingKey: `user-${i}`, group };
});

type Values = Partial<Record<"error" | "latency_ms" | "fallback" | "satisfaction" | "discrepancy", number>>;
/** Who reports what, of which flag. */
export interface Visit {
	readonly user: Context;
	readonly flag: string | undefined;
	readonly isCandidate: boolean;
	readonly random: () => number;
}
export type Told = (visit: Visit) => Values;

/** Both arms alike: 2 % of requests fail, 8 % are slow, and a part of the visitors says more than that. */
export const healthy: Told = ({ random }) => ({
	error: Number(random() < 0.02),
	...(random() < 0.7 ? { latency_ms: 200 + 600 * random() ** 2 } : {}),
	...(random() < 0.3 ? { fallback: Number(random() < 0.03) } : {}),
	...(random() < 0.3 ? { satisfaction: 8.2 + 1.2 * random() } : {}),
});

/** Nobody is harmed at all, so no phase takes longer than its hold. */
export const calm: Told = ({ random }) => ({ error: 0, latency_ms: 200 + 500 * random() ** 2 });

/** What the candidate does to its users from some moment on. */
export const harming =
	(isHarmed: (visit: Visit) => boolean, rate: number): Told =>
	(visit) => ({ ...healthy(visit), ...(visit.isCandidate && isHarmed(visit) ? { error: Number(visit.random() < rate) } : {}) });

/** The tests of a file share their storage, and the clock never goes back: each test begins some days after the one before. */
let clock = 1_800_000_000_000;
export const now = (): number => clock;
export const daysPass = (days: number): void => void (clock += days * DAY_MS);
export const at = (): Record<string, string> => ({ "x-tidegate-now": String(clock) });

/** As `tidegate import examples/flags.json`. */
export const importFlags = (): Promise<unknown> =>
	done("POST", "/api/v1/import?environment=production&reason=examples", { body: flagsFile, headers: at() });

/** As `tidegate plan apply <file>`; of another name where a file's plan is tried in several ways. */
export const applied = (file: string, change: Record<string, unknown> = {}): Promise<RolloutBody> =>
	done("POST", ROLLOUTS, { body: { ...(parse(file) as object), ...change }, headers: at() });

export const commanded = (id: string, command: string, sent: Record<string, unknown> = {}, headers = {}): Promise<RolloutBody> =>
	done("POST", `${ROLLOUTS}/${id}/commands`, { body: { command, reason: "as planned", ...sent }, headers: { ...at(), ...headers } });

export const shown = (id: string): Promise<RolloutBody> => done("GET", `${ROLLOUTS}/${id}`);

export interface Served {
	readonly version: number;
	readonly snapshot: Snapshot;
	readonly overlay: ActiveOverlay;
}

/** What edges serve: the newest published body, under the head's overlay. */
export async function served(): Promise<Served> {
	const { head } = await readHead(db);
	const of = head.environments["production"];
	if (!of) throw new Error("production was never published");
	const body = await env.SNAPSHOTS.get(bodyKey("production", of.version), "arrayBuffer");
	if (!body) throw new Error(`no body of version ${of.version}`);
	const decoder = new TextDecoder();
	const snapshot = openSnapshot(new Uint8Array(body), (bytes) => decoder.decode(bytes));
	return { version: of.version, snapshot, overlay: unite({ head: of.overlay }) };
}

const CANDIDATES: readonly unknown[] = ["true", "green"];
const isCandidate = (resolution: ReturnType<typeof evaluate>): boolean =>
	"variant" in resolution && CANDIDATES.includes(resolution.variant);

/** The users who are served the candidate. */
export function candidatesOf({ snapshot, overlay }: Served, flag: string): ReadonlySet<number> {
	return new Set(users.flatMap((user, i) => (isCandidate(evaluate(snapshot, overlay, flag, user)) ? i : [])));
}

/** Percent of users, rounded. */
export const shareOf = (candidates: ReadonlySet<number>): number => Math.round((100 * candidates.size) / USERS);

interface Town {
	readonly id: string;
	readonly flags: readonly string[];
	readonly stepMs: number;
	/** In a step. */
	readonly visits: number;
	readonly told?: Told;
	/** What the edge says of the candidate's answers while nobody gets them. */
	readonly compared?: Told;
	/** Each visit reports once for each of them; undefined: without naming one. */
	readonly reports?: readonly (string | undefined)[];
	readonly seed?: number;
}

/** A stretch of time in which everybody is served the same. */
export interface Scene {
	readonly atMs: number;
	readonly status: string;
	readonly phase: string | null;
	readonly candidates: ReadonlyMap<string, ReadonlySet<number>>;
}

/** Days of visits and ticks until the rollout is as wanted. Returns what was served, one scene for each change. */
export async function live(
	{ id, flags, stepMs, visits, told = healthy, compared = () => ({}), reports = [undefined], seed = 1 }: Town,
	isDone: (row: RolloutBody) => boolean,
	stepsMax = 400,
): Promise<Scene[]> {
	const random = randomOf(seed);
	const scenes: Scene[] = [];
	// What a request has published behind its answer may not be there yet.
	await publish(aTick());
	let row = await shown(id);
	let version = -1;
	let revision = -1;
	for (let step = 0; step <= stepsMax; step++) {
		// oxlint-disable-next-line no-await-in-loop -- time goes by step by step
		const serving = await served();
		if (serving.version !== version || row.revision !== revision) {
			const candidates = new Map(flags.map((flag) => [flag, candidatesOf(serving, flag)]));
			scenes.push({ atMs: clock, status: row.status, phase: row.phase, candidates });
			[{ version }, { revision }] = [serving, row];
		}
		if (isDone(row)) return scenes;
		clock += stepMs;
		// oxlint-disable-next-line no-await-in-loop -- see above
		await report(serving, { visits, told, compared, reports, random });
		// oxlint-disable-next-line no-await-in-loop -- see above
		await tick(aTick(), clock);
		// oxlint-disable-next-line no-await-in-loop -- see above
		row = await shown(id);
	}
	throw new Error(`after ${stepsMax} steps: ${JSON.stringify({ status: row.status, phase: row.phase, health: row.health })}`);
}

async function report(
	{ snapshot, overlay }: Served,
	{
		visits,
		told,
		compared,
		reports,
		random,
	}: Required<Pick<Town, "visits" | "told" | "compared" | "reports">> & { readonly random: () => number },
): Promise<void> {
	const points: Point[] = [];
	for (let i = 0; i < visits; i++) {
		const user = users[Math.floor(random() * USERS)];
		if (!user) continue;
		for (const flag of reports)
			for (const { by, ...place } of attribute(snapshot, overlay, { flag, context: user, atMs: clock - 1 })) {
				const add = (at_: typeof place, values: Values): void => {
					for (const [metric, value] of Object.entries(values))
						for (const [k, measured] of measurementsOf({ by, arm: at_.arm }, { metric, value, flag }).entries())
							points.push({ ...at_, ...measured, id: null, first: k === 0 });
				};
				add(place, told({ user, flag, isCandidate: place.arm === "candidate", random }));
				if (by?.shadow)
					add({ ...place, arm: "candidate", unit: `${place.unit}, compared` }, compared({ user, flag, isCandidate: true, random }));
			}
	}
	await recordPoints(env.DB, "production", points, Date.now());
}

/** Nobody who was served the candidate of a flag is served anything else later. */
export function expectNobodyMovesBack(scenes: readonly Scene[]): void {
	for (const [i, { candidates }] of scenes.entries())
		for (const [flag, now_] of scenes[i + 1]?.candidates ?? [])
			expect(
				[...(candidates.get(flag) ?? [])].filter((user) => !now_.has(user)),
				`${flag} after scene ${i}`,
			).toEqual([]);
}

interface EventBody {
	readonly revision: number;
	readonly atMs: number;
	readonly kind: string;
	readonly reason: string;
	readonly message: string;
}
export const eventsOf = async (id: string): Promise<readonly EventBody[]> =>
	(await done<{ events: EventBody[] }>("GET", `${ROLLOUTS}/${id}/events`)).events;

/** Every change, oldest first, in whole minutes since the start. */
export async function changesOf(id: string): Promise<readonly (readonly [kind: string, minute: number])[]> {
	const events = await eventsOf(id);
	const [first] = events;
	return events.map(({ kind, atMs }) => [kind, Math.round((atMs - (first?.atMs ?? 0)) / MINUTE_MS)]);
}

/** What everybody is served in each scene, in percent of users. */
export const sharesOf = (scenes: readonly Scene[], flag: string): readonly number[] =>
	scenes.map(({ candidates }) => shareOf(candidates.get(flag) ?? new Set()));

/** A sample of users is served a percent of them give or take two. */
export function expectShares(shares: readonly number[], wanted: readonly number[]): void {
	const near = shares.map((share, i) => (Math.abs(share - (wanted[i] ?? -Infinity)) <= 2 ? wanted[i] : share));
	expect(near).toEqual(wanted);
}

export const isCompleted = ({ status }: Pick<RolloutBody, "status">): boolean => status === "completed";

/** The changes of a healthy rollout of so many phases. */
export const kindsOf = (phases: number): string[] => ["start", ...Array.from({ length: phases - 1 }, () => "advance"), "complete"];

/** One audit row for each change, in their order. */
export async function expectAudited(id: string): Promise<void> {
	const kinds = (await changesOf(id)).map(([kind]) => `rollout.${kind}`);
	expect((await auditOf(`rollouts/${id}`)).map(({ action }) => action)).toEqual(["rollout.created", ...kinds]);
}
