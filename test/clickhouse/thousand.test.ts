import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AskedScore, MetricsSource, Question } from "../../control/metrics/source";
import { BUCKETS } from "../../core/flags/bucket";
import { aPoint, aSignal, armOf } from "../workers/control/metrics/points";
import { Watched, aQuestion, byText } from "../workers/control/metrics/contract/store";
import { openStore } from "./store";

const ROLLOUTS = 1_000;
const USERS = 10;
const SIGNALS = [aSignal("error"), aSignal("latency_ms", 0, "latency_ms>500"), aSignal("latency_ms", 1, "latency_ms p95 +20%")];
const SCORE: AskedScore = { signal: "latency_ms p95 +20%", metric: "latency_ms", center: 4.5, spread: 0.4, shift: 0.18 };
const nameOf = (i: number): string => `a-rollout-with-a-name-${i}.1`;

const store = await openStore();
afterAll(() => store.close());
const watched = new Watched(store);

type Method = "totals" | "userSums" | "firstExposures" | "scored" | "quantiles" | "firstHarms";
const METHODS: readonly Method[] = ["totals", "userSums", "firstExposures", "scored", "quantiles", "firstHarms"];

describe("a thousand rollouts", () => {
	let questions: Question[] = [];
	let upTo = "";
	const took: Record<string, number> = {};

	/** Two stretches of traffic, read apart; a tenth of the rollouts had not begun when the first was read. */
	beforeAll(async () => {
		const traffic = (day: number) =>
			Array.from({ length: ROLLOUTS }, (_, r) => r).flatMap((r) =>
				Array.from({ length: USERS * 5 }, (_each, i) => {
					const user = (i % USERS) + day * USERS * 0.5;
					const arm = armOf((user * 7_919) % BUCKETS, 20_000);
					const value = 40 + ((i * 7_919 + r) % 900);
					const harms = value > 500 ? [{ signal: "latency_ms>500", slot: 0 }] : [];
					const outcome = { metric: "latency_ms", value, harms, scored: true };
					return aPoint({ rollout: nameOf(r), unit: `u${user}`, arm, served: 20_000, stage: 1 + (r % 4), ...outcome });
				}),
			);
		await watched.record(traffic(0));
		const between = await watched.look();
		await watched.record(traffic(1));
		upTo = await watched.look();
		questions = Array.from({ length: ROLLOUTS }, (_, r) =>
			aQuestion(nameOf(r), {
				stage: 1 + (r % 4),
				startedAtMs: watched.nowMs - 3_600_000,
				after: r % 10 === 0 ? null : between,
				signals: SIGNALS,
				scores: [{ ...SCORE, center: 4 + r / 1_000 }],
			}),
		);
	}, 60_000);
	afterAll(() => console.error(`a thousand rollouts, 100,000 points, in ms: ${JSON.stringify(took)}`));

	test.each(METHODS)("%s is one query, and tells each what it is told alone", async (method) => {
		const ask = async (of: readonly Question[]) => (store.source[method] as MetricsSource["totals"])(of, upTo);
		const before = store.api.queries.length;
		const start = performance.now();
		const all = await ask(questions);
		took[method] = Math.round(performance.now() - start);
		expect(store.api.queries.length - before).toBe(method === "firstHarms" ? 0 : 1);
		expect(new Set(all.map(({ rollout }) => rollout)).size).toBe(ROLLOUTS);
		for (const r of [0, 1, 498, 999]) {
			// oxlint-disable-next-line no-await-in-loop -- four rollouts
			const alone = await ask(questions.slice(r, r + 1));
			expect(byText(rounded(all.filter(({ rollout }) => rollout === nameOf(r))))).toEqual(byText(rounded(alone)));
		}
	});

	test("whose names are as long as may be are asked in parts, and told the same", async () => {
		const long = questions.map((each, r) => ({ ...each, rollout: `${nameOf(r)}${"-".repeat(40)}` }));
		const alone = await store.source.scored(questions.slice(0, 1), upTo);
		const before = store.api.queries.length;
		expect(await store.source.scored([...long, ...questions.slice(0, 1)], upTo)).toHaveLength(alone.length);
		expect(store.api.queries.length - before).toBeGreaterThan(1);
		for (const sql of store.api.queries) expect(sql.length).toBeLessThan(256 * 1_024);
	});
});

/** Sums of fractions depend on the order in which they are added up. */
const rounded = <T extends object>(rows: readonly T[]): T[] =>
	JSON.parse(JSON.stringify(rows), (_, value: unknown) => (typeof value === "number" ? Number(value.toPrecision(9)) : value)) as T[];
