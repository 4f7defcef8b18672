import { env } from "cloudflare:workers";
import type * as z from "zod";
import { completeFlag, flagInput, type Flag } from "../../../../core/flags/model";
import { type Command, command } from "../../../../core/rollouts/command";
import { type Plan, storedPlan } from "../../../../core/rollouts/plan";
import type { Point } from "../../../../core/telemetry";
import { embedded, recordPoints } from "../../../../control/metrics/embedded";
import type { CheckDeps } from "../../../../control/checks/finding";
import type { MetricsSource } from "../../../../control/metrics/source";
import type { Notifier } from "../../../../control/notify/notifier";
import { type StepCaller, stepCaller } from "../../../../control/notify/stepCaller";
import { webhook } from "../../../../control/notify/webhook";
import { type Database, open } from "../../../../control/store/database";
import { createFlag, getFlags } from "../../../../control/store/flags";
import { type StoredRollout, createRollout, getRollout } from "../../../../control/store/rollouts";
import { commitChange } from "../../../../control/store/rolloutChanges";
import type { Tick } from "../../../../control/tick/tick";

export const MINUTE_MS = 60_000;
/** A round minute, far from any hour's end. */
export const START_MS = 1_800_000_000_000;

export const db: Database = open(env.DB);

type Changes = Partial<{ kv: KVNamespace; metrics: MetricsSource; notifier: Notifier; steps: StepCaller; db: Database; checks: CheckDeps }>;

export function aTick(change: Changes = {}): Tick {
	const metrics = embedded(env.DB);
	const realNow = (): number => Date.now();
	const checks = { db, metrics, allowPrivate: false, realNow };
	return { db, kv: env.SNAPSHOTS, realNow, metrics, notifier: webhook(false), steps: stepCaller(false), checks, ...change };
}

export type PlanChange = Partial<z.input<typeof storedPlan>>;

export function aPlan(name: string, change: PlanChange = {}): Plan {
	return storedPlan.parse({
		rollout: name,
		environment: "production",
		flags: [name],
		phases: [
			{ percent: 5, hold: "2m" },
			{ percent: 100, hold: "2m" },
		],
		guards: ["error_rate vs control <= +25%"],
		advance: "relaxed",
		...change,
	});
}

export const aFlag = (key: string): Flag => completeFlag(flagInput.parse({ key, type: "boolean" }));

const act = (atMs: number) => ({ actor: "test", reason: "because", correlationId: "c", atMs });

/** A flag and a running rollout of it, both named so; or the plan's flags, and as the order wants it started. */
export async function started(name: string, change: PlanChange = {}, order: Partial<Command> = {}): Promise<StoredRollout> {
	const wanted = aPlan(name, change);
	// oxlint-disable-next-line no-await-in-loop -- one or two
	for (const key of wanted.flags) await createFlag(db, "production", aFlag(key), act(START_MS));
	const row = await createRollout(db, wanted, act(START_MS));
	if (!row) throw new Error("somebody was faster");
	const held = await getFlags(db, "production", wanted.flags);
	const versions = Object.fromEntries(held.map(({ key, version }) => [key, version]));
	const result = command(wanted, row.state, { kind: "start", by: "test", reason: "go", versions, ...order }, START_MS);
	if (!result.ok) throw new Error(result.error.kind);
	const given = { row, change: result.value, act: act(START_MS), realNow: Date.now(), evidence: null, held };
	if (!(await commitChange(db, given))) throw new Error("not started");
	return current(row.id);
}

export async function current(id: string): Promise<StoredRollout> {
	const row = await getRollout(db, id);
	if (!row) throw new Error(`no rollout ${id}`);
	return row;
}

/** So many users in each arm with one request each, of whom so many are harmed; the arms change places when most are candidates. */
export async function outcomes(
	row: StoredRollout,
	arms: { candidate: [users: number, harmed: number]; control: [users: number, harmed: number] },
	name = "u",
	metric = "error",
) {
	const { state } = row;
	if (state.status !== "running" && state.status !== "paused") throw new Error(`${row.id} is ${state.status}`);
	const served = Math.min(row.plan.phases[state.phase]?.percent ?? 0, 95) * 1_000;
	const of = served > 50_000 ? { candidate: arms.control, control: arms.candidate } : arms;
	const points = (["candidate", "control"] as const).flatMap((arm) =>
		Array.from({ length: of[arm][0] }, (_, i): Point => {
			const harm = i < of[arm][1];
			return {
				id: null,
				rollout: row.id,
				stage: state.stage,
				served,
				arm,
				flag: row.plan.flags[0] ?? "",
				variant: String(arm === "candidate"),
				metric,
				unit: `${name}-${arm}-${i}`,
				value: Number(harm),
				harms: harm ? [{ signal: metric, slot: 0 }] : [],
				scored: false,
				first: true,
			};
		}),
	);
	await recordPoints(env.DB, row.environment, points, Date.now());
}

export const HEALTHY: Parameters<typeof outcomes>[1] = { candidate: [50, 1], control: [950, 19] };
export const HARMFUL: Parameters<typeof outcomes>[1] = { candidate: [50, 25], control: [950, 10] };

/** Everything that a tick may change about rollouts. */
export async function everything(): Promise<string> {
	const tables = [
		"rollouts",
		"rollout_events",
		"audit",
		"outbox",
		"active_flags",
		"flags",
		"flag_versions",
		"health_checks",
		"overlays",
		"environments",
	];
	const found = await env.DB.batch(tables.map((table) => env.DB.prepare(`SELECT * FROM ${table}`)));
	return JSON.stringify(found.map(({ results }) => results));
}
