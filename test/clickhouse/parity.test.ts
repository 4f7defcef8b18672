import { afterAll, describe, expect, test } from "vitest";
import { embedded, recordPoints } from "../../control/metrics/embedded";
import type { MetricsSource } from "../../control/metrics/source";
import type { StoredRollout } from "../../control/store/rollouts";
import { observe } from "../../control/tick/observe";
import { BUCKETS } from "../../core/flags/bucket";
import type { Arm, Evidence, Observation } from "../../core/health/observation";
import { scoredMetrics, signalsOf } from "../../core/health/signals";
import { isHarm } from "../../core/metric";
import { decide } from "../../core/rollouts/decide";
import type { Decision } from "../../core/rollouts/decision";
import { servedBy } from "../../core/rollouts/exposure";
import type { Plan } from "../../core/rollouts/plan";
import { type LiveState, type RolloutState, isLive } from "../../core/rollouts/state";
import { FIRST_LAUNCH, started } from "../../core/rollouts/transitions";
import type { Point } from "../../core/telemetry";
import { aPhase, aPlan } from "../unit/rollouts/fixtures";
import { randomOf } from "../unit/rollouts/simulation";
import { aPoint, armOf } from "../workers/control/metrics/points";
import { MINUTE_MS, byText } from "../workers/control/metrics/contract/store";
import { openDatabase } from "./d1";
import { openStore } from "./store";

const store = await openStore();
const own = await openDatabase();
afterAll(async () => {
	await store.close();
	await own.close();
});
const sources: readonly [name: string, source: MetricsSource][] = [
	["Analytics Engine", store.source],
	["embedded", embedded(own.db)],
];

let nowMs = 1_799_996_400_000;
const USERS = 200;

/** Of each arm: the share of requests that fail, and how many times as long they take. */
interface Behaviour {
	readonly errors: Readonly<Record<Arm, number>>;
	readonly slowness: Readonly<Record<Arm, number>>;
}

const HEALTHY: Behaviour = { errors: { candidate: 0.02, control: 0.02 }, slowness: { candidate: 1, control: 1 } };

/** What visitors of one minute report: errors by arm, latencies around each user's own. */
function trafficOf(plan: Plan, state: LiveState, rollout: string, random: () => number, { errors, slowness }: Behaviour): Point[] {
	const served = servedBy(plan, state);
	const signals = signalsOf(plan, state);
	const scored = scoredMetrics(plan, state);
	return Array.from({ length: 250 }, () => Math.floor(random() * USERS)).flatMap((user) => {
		const arm = armOf((user * 7_919 * 37) % BUCKETS, served);
		const values = { error: Number(random() < errors[arm]), latency_ms: (40 + (user % 90) + 60 * random()) * slowness[arm] };
		return Object.entries(values).map(([metric, value]) => {
			const harms = signals.flatMap(({ key, slot, metric: of, harm }) =>
				of === metric && harm && isHarm(harm[arm], value) ? [{ signal: key, slot }] : [],
			);
			return aPoint({ rollout, stage: state.stage, served, arm, metric, unit: `u${user}`, value, harms, scored: scored.includes(metric) });
		});
	});
}

/** Sums of fractions depend on the order in which they are added up. */
const rounded = (rows: readonly (object | null)[]): object[] =>
	JSON.parse(JSON.stringify(rows), (_, value: unknown) => (typeof value === "number" ? Number(value.toPrecision(9)) : value)) as object[];

function expectSameEvidence(one: Evidence, other: Evidence, minute: number): void {
	for (const part of ["totals", "firstHarms", "userSums", "firstExposures"] as const)
		expect(byText(rounded(one[part])), `${part} of minute ${minute}`).toEqual(byText(rounded(other[part])));
	const units = (of: Evidence) =>
		byText(
			Object.entries(Object.groupBy(of.scored, ({ signal, arm, served }) => `${signal} ${arm} ${served}`)).map(([who, rows = []]) => ({
				who,
				units: rows.reduce((sum, each) => sum + each.units, 0),
			})),
		);
	expect(units(one), `scored in minute ${minute}`).toEqual(units(other));
	expect(one.quantiles.length).toBe(other.quantiles.length);
	for (const { metric, arm, p50, p95, p99 } of one.quantiles) {
		const found = other.quantiles.find((each) => each.metric === metric && each.arm === arm);
		for (const [a, b] of [
			[p50, found?.p50],
			[p95, found?.p95],
			[p99, found?.p99],
		] as const)
			expect(Math.abs((b ?? NaN) - a), `${metric} ${arm} of minute ${minute}: ${b} for ${a}`).toBeLessThanOrEqual(0.01 * a);
	}
}

const ERRORS = ["error_rate vs control <= +25%"];
const LATENCIES = [...ERRORS, "latency_ms p95 vs control <= +20%"];

describe("the same events through both stores", () => {
	test.each<[what: string, guards: string[], behaviour: Behaviour, end: string]>([
		["of a healthy rollout", ERRORS, HEALTHY, "completed"],
		["of one that does harm", ERRORS, { ...HEALTHY, errors: { candidate: 0.3, control: 0.02 } }, "rolled_back"],
		["of one whose latencies are guarded", LATENCIES, HEALTHY, "completed"],
		["of one that is slow", LATENCIES, { ...HEALTHY, slowness: { candidate: 1.8, control: 1 } }, "rolled_back"],
	])("%s are the same evidence, and decide the same, minute by minute", { timeout: 120_000 }, async (what, guards, behaviour, end) => {
		const phases = [20, 50, 100].map((percent) => aPhase({ percent, hold: "5m", criteria: [] }));
		const plan = aPlan({ red_flags: ["error_rate > 60%"], phases, min_users: 30, advance: "relaxed", guards });
		const rollout = `${what.replaceAll(" ", "_")}.1`;
		const random = randomOf(20_261_121);
		const states: RolloutState[] = sources.map(() => started(plan, FIRST_LAUNCH, nowMs));
		let status = "";
		let scored = 0;
		for (let minute = 1; minute <= 45; minute++) {
			nowMs += MINUTE_MS;
			const [current] = states;
			if (!current || !isLive(current)) break;
			const points = trafficOf(plan, current, rollout, random, behaviour);
			// oxlint-disable no-await-in-loop -- one minute after the other
			await store.record(points, { environment: "production", atMs: nowMs - store.delayMs });
			await recordPoints(own.db, "production", points, nowMs);
			const seen: Observation[] = [];
			const decisions: Decision[] = [];
			for (const [i, [, source]] of sources.entries()) {
				const state = states[i];
				if (!state) throw new Error("no state");
				const row = { id: rollout, environment: "production", plan, state } as StoredRollout;
				const observation = (await observe(source, [row], nowMs)).get(rollout);
				if (!observation) throw new Error("no observation");
				const decision = decide(plan, state, observation, nowMs);
				seen.push(observation);
				decisions.push(decision);
				if (decision.kind !== "none") states[i] = decision.state;
			}
			// oxlint-enable no-await-in-loop
			const [one, other] = seen;
			if (one?.kind !== "evidence" || other?.kind !== "evidence") throw new Error(JSON.stringify(seen));
			expectSameEvidence(one, other, minute);
			// The score of a user is made of all their requests so far there, of the first ten here.
			const [a, b] = decisions.map((each) =>
				each.kind === "none"
					? each.kind
					: { kind: each.kind, reason: each.reason, judgement: rounded(plan.guards.length > 1 ? [] : [each.judgement]) },
			);
			expect(a, `minute ${minute}`).toEqual(b);
			status = states[0]?.status ?? "";
			scored += one.scored.length;
		}
		expect(status).toBe(end);
		expect(scored > 0, `${scored} rows of scores`).toBe(guards === LATENCIES && end === "completed");
	});
});
