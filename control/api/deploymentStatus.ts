import * as z from "zod";
import type { EnvironmentName } from "../../core/flags/model";
import { parseOverride } from "../../core/flags/overlay";
import { LEASE_MS, overrideKey } from "../../core/wire";
import { log, nameOf } from "../log";
import type { MetricsSource, SystemSummary } from "../metrics/source";
import { environmentCheck, latestEnvironmentChecks } from "../store/environmentChecks";
import { listAlerts, listRollbacks, raisedAlert, rollback } from "../store/healthAlerts";
import { pendingEnvironments, readHead } from "../store/publication";
import { parsed, selectLive } from "../store/rollouts";
import { listSettings, settingsIn } from "../store/settings";
import { breakerIn, breakersAt } from "../tick/breakers";
import type { Publisher } from "../tick/publish";
import { within } from "../within";
import { breaker, breakerAnswer } from "./breaker";

const PART_MS = 2_000;
const ORIGINS_WINDOW_MS = 600_000;
const EVENTS_WINDOW_MS = 3_600_000;
const EVENTS_MAX = 100;

const unavailable = z.object({ unavailable: z.string().describe("why this part is not known now") });
const part = <S extends z.ZodType>(schema: S) => z.union([schema, unavailable]);

export const status = z.object({
	tick: part(
		z.object({
			lastTickAgeMs: z.int().nullable().describe("null: there was no tick yet"),
			guarded: z.boolean().describe("rollouts are being watched: the last tick is no older than their lease"),
		}),
	),
	publications: part(z.object({ pending: z.array(z.string()).describe("environments that have changed since they were published") })),
	environments: part(
		z.array(z.object({ environment: z.string(), check: environmentCheck.nullable().describe("the last; null: none yet") })),
	).describe("all of them"),
	rollouts: part(
		z.object({
			running: z.int(),
			awaitingApproval: z.int(),
			paused: z.int(),
			rollingBack: z.int(),
			damaged: z.array(z.string()).describe("rollouts that cannot be read: roll them back"),
		}),
	).describe("live ones"),
	breaker: part(breaker),
	breakGlass: part(
		z
			.object({
				kill: z.array(z.string()),
				baseline: z.array(z.string()),
				isUsable: z.boolean().describe("false: it is not of its form, and edges ignore it"),
			})
			.nullable(),
	).describe("what somebody has written by hand for the edges; null: nothing"),
	origins: part(
		z.array(
			z.object({
				origin: z.string(),
				metrics: z.record(
					z.string(),
					z.object({ samples: z.int(), mean: z.number(), max: z.number(), last: z.number(), lastAtMs: z.int() }),
				),
			}),
		),
	).describe("what they said of themselves in the last 10 minutes"),
	alerts: part(z.array(raisedAlert)).describe(`of the last hour, newest first, at most ${EVENTS_MAX}`),
	rollbacks: part(z.array(rollback)).describe(`of the last hour, automatic and by hand, newest first, at most ${EVENTS_MAX}`),
});

type Status = z.infer<typeof status>;

/** `nowMs` is the clock that stamps ticks, `realNowMs` the one of arrivals and leases. `only`: of no other environment anything is told; null: of all. */
export async function statusOf(
	{ db, kv }: Pick<Publisher, "db" | "kv">,
	metrics: MetricsSource,
	environment: EnvironmentName,
	nowMs: number,
	realNowMs: number,
	only: string | null,
): Promise<Status> {
	const [tick, publications, environments, rollouts, breakerNow, breakGlass, origins, alerts, rollbacks] = await Promise.all([
		known("tick", async () => {
			const { guardedAtMs } = await readHead(db);
			const lastTickAgeMs = guardedAtMs === 0 ? null : realNowMs - guardedAtMs;
			return { lastTickAgeMs, guarded: lastTickAgeMs !== null && lastTickAgeMs < LEASE_MS };
		}),
		known("publications", async () => ({ pending: await pendingEnvironments(db) })),
		known("environments", () => latestEnvironmentChecks(db, only)),
		known("rollouts", async () => liveOf(await selectLive(db, environment))),
		known("breaker", async () => {
			const settings = await listSettings(db);
			return breakerAnswer(breakerIn(await breakersAt(db, settings, nowMs), environment), settingsIn(settings, environment));
		}),
		known("breakGlass", async () => overrideIn(await kv.get(overrideKey(environment)))),
		known("origins", async () => originsOf(await metrics.system(environment, realNowMs - ORIGINS_WINDOW_MS))),
		known("alerts", () => listAlerts(db, environment, nowMs - EVENTS_WINDOW_MS, EVENTS_MAX)),
		known("rollbacks", () => listRollbacks(db, environment, nowMs - EVENTS_WINDOW_MS, EVENTS_MAX)),
	]);
	return { tick, publications, environments, rollouts, breaker: breakerNow, breakGlass, origins, alerts, rollbacks };
}

/** Written by hand: it need not even be JSON. */
function overrideIn(text: string | null) {
	if (text === null) return null;
	const found = parseOverride(jsonOrText(text));
	return { kill: [...(found?.kill ?? [])], baseline: [...(found?.baseline ?? [])], isUsable: found !== undefined };
}

function jsonOrText(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return text;
	}
}

/** A part that fails or hangs is told as such, and keeps no other from being told. */
async function known<T>(name: string, look: () => Promise<T>): Promise<T | z.infer<typeof unavailable>> {
	try {
		return await within(PART_MS, look());
	} catch (error) {
		log("status_part_unavailable", { part: name, error: nameOf(error) });
		return { unavailable: `no answer within ${PART_MS} ms, or a failure: the log has the cause as status_part_unavailable` };
	}
}

function liveOf(rows: Awaited<ReturnType<typeof selectLive>>) {
	const count = (wanted: string): number => rows.filter((row) => row.status === wanted).length;
	const counts = {
		running: count("running"),
		awaitingApproval: count("awaiting_approval"),
		paused: count("paused"),
		rollingBack: count("rolling_back"),
	};
	return { ...counts, damaged: rows.filter((row) => !parsed(row)).map(({ id }) => id) };
}

function originsOf(found: readonly SystemSummary[]) {
	const origins = Map.groupBy(
		[...found].sort((a, b) => (a.origin < b.origin ? -1 : 1)),
		({ origin }) => origin,
	);
	return [...origins].map(([origin, own]) => ({
		origin,
		metrics: Object.fromEntries(
			own.map(({ metric, samples, mean, max, last, lastAtMs }) => [metric, { samples, mean, max, last, lastAtMs }]),
		),
	}));
}
