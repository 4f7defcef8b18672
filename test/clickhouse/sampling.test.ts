import { afterAll, describe, expect, test } from "vitest";
import type { Point } from "../../core/telemetry";
import { aHarm, aPoint } from "../workers/control/metrics/points";
import { Watched, aQuestion, byText } from "../workers/control/metrics/contract/store";
import { openStore } from "./store";

const store = await openStore();
afterAll(() => store.close());
const watched = new Watched(store);
const record = (points: readonly Point[], sampleInterval: number) =>
	store.record(points, { environment: "production", atMs: watched.nowMs, sampleInterval });

const latency = { signal: "latency_ms vs control", metric: "latency_ms", center: 4, spread: 0.5, shift: 0 };

/** What a question is answered once the points are there, one row standing for as many points as it says. */
async function answers(rollout: string) {
	const upTo = await watched.look();
	const questions = [aQuestion(rollout, { scores: [latency] })];
	const { source } = store;
	const [totals, firstHarms, userSums, firstExposures, scored, quantiles] = await Promise.all([
		source.totals(questions, upTo),
		source.firstHarms(questions, upTo),
		source.userSums(questions, upTo),
		source.firstExposures(questions, upTo),
		source.scored(questions, upTo),
		source.quantiles(questions, upTo),
	]);
	return { totals, firstHarms, userSums, firstExposures, scored, quantiles };
}

describe("a row that stands for several points", () => {
	test("counts as so many in what is shown, and as one user in what is evidence", async () => {
		const [once, often] = [watched.newRollout(), watched.newRollout()] as const;
		const points = (rollout: string) => [
			aHarm({ rollout, unit: "ann" }),
			aPoint({ rollout, unit: "ann" }),
			aHarm({ rollout, unit: "bob", arm: "candidate" }),
		];
		await record(points(once), 1);
		await record(points(often), 50);
		const plain = await answers(once);
		const sampled = await answers(often);
		expect(byText(sampled.totals)).toEqual(
			byText(plain.totals.map((each) => ({ ...each, rollout: often, requests: each.requests * 50, sum: each.sum * 50 }))),
		);
		for (const evidence of ["firstHarms", "userSums", "firstExposures"] as const)
			expect(byText(sampled[evidence])).toEqual(byText(plain[evidence].map((each) => ({ ...each, rollout: often }))));
		expect(plain.firstHarms).toHaveLength(2);
	});

	test("has its weight in quantiles", async () => {
		const rollout = watched.newRollout();
		const of = (value: number) => aPoint({ rollout, metric: "latency_ms", value });
		await record([of(100)], 1);
		await record([of(900)], 99);
		expect((await answers(rollout)).quantiles).toMatchObject([{ p50: 900, p95: 900 }]);
	});

	test("has its weight in what flags did, and in an origin's mean", async () => {
		watched.passMinute();
		const fromMs = watched.nowMs;
		const environment = "sampled";
		await store.record([aPoint({ value: 1 })], { environment, atMs: watched.nowMs, sampleInterval: 7 });
		await store.record([aPoint({ value: 0 })], { environment, atMs: watched.nowMs, sampleInterval: 3 });
		await watched.look();
		expect(await store.source.performance(environment, fromMs, watched.nowMs)).toMatchObject([
			{ flag: "checkout", requests: 10, sum: 7 },
			{ flag: "", requests: 10, sum: 7 },
		]);
	});

	test("is no score: who of the user's requests is missing may be seen by the next query, which would score them again", async () => {
		const rollout = watched.newRollout();
		const requests = (unit: string) =>
			Array.from({ length: 10 }, () => aPoint({ rollout, unit, metric: "latency_ms", value: 90, scored: true }));
		await record(requests("ann"), 1);
		await record(requests("bob"), 2);
		expect((await answers(rollout)).scored).toMatchObject([{ units: 1 }]);
	});
});
