import * as z from "zod";
import { BUCKETS } from "../../core/flags/bucket";
import { environmentName } from "../../core/flags/model";
import { placeOf } from "../../core/rollouts/command";
import { servedBy } from "../../core/rollouts/exposure";
import { NEXT_KINDS, WAITS, nextOf } from "../../core/rollouts/next";
import { holdbackOf } from "../../core/rollouts/plan";
import { ACTIVE, type RolloutState, type Status, isLive } from "../../core/rollouts/state";
import { minutesToProve } from "../../core/statistics/forecast";
import type { Database } from "../store/database";
import { damagedOr } from "../store/json";
import { type StoredRollout, getDamaged, getRollout, latestCheck } from "../store/rollouts";
import { knownResults } from "../tick/check";
import { explained } from "./noData";
import { refuse } from "./refusals";

/** What is told of a rollout. */

const STATUSES = ["draft", ...ACTIVE, "rolled_back", "completed", "cancelled"] as const satisfies readonly Status[];
export const status = z.enum(STATUSES);

export const summary = z.object({
	id: z.string(),
	environment: environmentName,
	name: z.string(),
	attempt: z.int(),
	flags: z.array(z.string()),
	status,
	phase: z.string().nullable().describe("the phase it is in, while it is live"),
	percent: z.number().describe("percent of users who are served the candidate, before any holdback"),
	holdback: z.number().describe("percent of users who stay on the baseline until completion"),
	revision: z.int(),
	createdAtMs: z.int(),
	startedAtMs: z.int().nullable(),
});
export const damaged = z.array(z.string()).describe("ids of rollouts that cannot be read: roll them back");
const health = z.object({
	atMs: z.int(),
	decision: z.string(),
	reason: z.string(),
	message: z.string(),
	level: z.string(),
	score: z.int().nullable().describe("0 to 100; null: unknown"),
	percent: z.number(),
	judgement: z.unknown().describe("verdicts and evidence, with their arithmetic"),
});
export const next = z
	.object({
		kind: z.enum(NEXT_KINDS).describe("lower, roll_back: stages of the way back"),
		phase: z.string().nullable().describe("the one that is entered; null: none"),
		percent: z.number().describe("of users, before any holdback"),
		audience: z.string().nullable().describe("a segment; null: everybody"),
		flags: z.array(z.string()).describe("flags that join then"),
		holdLeftMs: z.int().describe("how long the present phase lasts at least; evidence may take longer"),
		notBeforeMs: z.number().nullable(),
		approvals: z.object({
			needed: z.int(),
			given: z.array(z.string()).describe("by whom"),
			author: z.string().describe("the plan's, whose own approval does not count"),
		}),
		checks: z.array(z.string()).describe("critical checks that have not passed"),
		waitsFor: z
			.array(z.enum(WAITS))
			.describe("what can be told beforehand; empty: evidence, or the next tick. person: nothing advances by itself"),
	})
	.nullable()
	.describe("null: it stays where it is until somebody does something");
export const detail = z.object({
	...summary.shape,
	plan: z.unknown().describe("as it was approved"),
	state: z.unknown(),
	next,
	health: health.nullable().describe("what the last tick found"),
	forecast: z
		.array(z.object({ riskRatio: z.number(), medianMinutes: z.number().nullable(), p80Minutes: z.number().nullable() }))
		.nullable()
		.describe("how long this phase would take to prove so much harm, at control's rate of harmed users; null: too early to tell"),
});
export async function existing(db: Database, id: string): Promise<StoredRollout> {
	const row = await getRollout(db, id).catch(damagedOr("damaged" as const));
	if (row === "damaged") refuse({ kind: "rollout_damaged", id });
	return row ?? refuse({ kind: "not_found", what: `rollout ${id}` });
}

/** What a way back has made of a rollout; of one that cannot be read, what is left. */
export async function detailAfter(db: Database, id: string, now: number) {
	const row = await getRollout(db, id).catch(damagedOr(undefined));
	if (row) return detailOf(db, row, now);
	const left = (await getDamaged(db, id)) ?? refuse({ kind: "not_found", what: `rollout ${id}` });
	const { data: knownStatus = "rolled_back" as const } = status.safeParse(left.status);
	const { data: environment = "production" as const } = environmentName.safeParse(left.environment);
	const { name, attempt, revision, createdAtMs, startedAtMs } = left;
	const place = { flags: [], status: knownStatus, phase: null, percent: 0, holdback: 0 };
	return {
		id,
		environment,
		name,
		attempt,
		revision,
		createdAtMs,
		startedAtMs,
		...place,
		plan: null,
		state: null,
		next: null,
		health: null,
		forecast: null,
	};
}

export function summaryOf(row: StoredRollout) {
	return {
		id: row.id,
		environment: row.plan.environment,
		name: row.name,
		attempt: row.attempt,
		flags: row.plan.flags,
		status: row.state.status,
		...placeOf(row.plan, row.state),
		holdback: holdbackOf(row.plan),
		revision: row.revision,
		createdAtMs: row.createdAtMs,
		startedAtMs: row.startedAtMs,
	};
}

export async function detailOf(db: Database, row: StoredRollout, now: number) {
	const [found, results] = await Promise.all([latestCheck(db, row.id), knownResults(db, [row])]);
	const [check = null] = found ? await explained(db, [found]) : [];
	return {
		...summaryOf(row),
		plan: row.plan as unknown,
		state: withoutEvidence(row.state),
		next: nextOf(row.plan, row.state, results.get(row.id) ?? [], now),
		health: check,
		forecast: forecastOf(row),
	};
}

const FORECAST_RATIOS = [1.5, 2, 3, 10];

/** From the first harms that this phase's guards have counted so far. */
function forecastOf({ plan: of, state }: StoredRollout) {
	if (!isLive(state)) return null;
	const { heldMs, guards } = state.watch;
	const harmed = Math.max(0, ...guards.map((guard) => guard.units - guard.harmed));
	const share = servedBy(of, state) / BUCKETS;
	if (heldMs === 0 || harmed === 0 || share === 0 || share === 1) return null;
	const controlHarmsPerMinute = harmed / (heldMs / 60_000);
	const alpha = state.alpha / guards.length;
	return FORECAST_RATIOS.map((riskRatio) => {
		const { medianMinutes, p80Minutes } = minutesToProve({ share, riskRatio, controlHarmsPerMinute, alpha });
		return { riskRatio, medianMinutes: Math.ceil(medianMinutes), p80Minutes: Math.ceil(p80Minutes) };
	});
}

/** The running tests' inner numbers are for replays; events have them. */
function withoutEvidence(state: RolloutState): unknown {
	if (!isLive(state)) return state;
	const { guards: _guards, exposures: _exposures, ...watch } = state.watch;
	return { ...state, watch };
}
