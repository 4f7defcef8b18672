import { afterAll, describe, expect, test } from "vitest";
import { HOSTILE } from "../unit/metrics/questions";
import { Watched, aQuestion } from "../workers/control/metrics/contract/store";
import { type AttributedPoint, aPoint } from "../workers/control/metrics/points";
import { openStore } from "./store";

const store = await openStore();
afterAll(() => store.close());
const watched = new Watched(store);

/** What an empty name means is not a matter of quoting, and half a character is U+FFFD once it has been sent. */
const NAMES = HOSTILE.filter((name) => name !== "").map((name): [string, string] => [
	JSON.stringify(name).slice(0, 30),
	name.toWellFormed(),
]);
const isShort = (name: string): boolean => Buffer.byteLength(name) <= 40;

describe("a name comes out as it went in", () => {
	test.each(NAMES)("of metric, signal, variant, user and origin: %s", async (_, name) => {
		watched.passMinute();
		const fromMs = watched.nowMs;
		const environment = `e${fromMs}`;
		const rollout = watched.newRollout();
		const scored: Partial<AttributedPoint> = { metric: name, value: 90, scored: true };
		const outcome = aPoint({
			rollout,
			flag: "checkout",
			variant: isShort(name) ? name : "new",
			unit: isShort(name) ? name : "u",
			...scored,
		});
		const decoy = aPoint({ ...outcome, metric: `${name}'`, value: 7, scored: false });
		const harms = [{ signal: name.slice(0, 200), slot: 1 }];
		await watched.record([{ ...outcome, harms }, ...Array.from({ length: 9 }, () => outcome), decoy], environment);
		await watched.recordSystem([{ origin: isShort(name) ? name : "eu", metric: name, value: 5 }], environment);
		const upTo = await watched.look();

		const { source } = store;
		const signals = [{ key: harms[0]?.signal ?? "", metric: name, slot: 1 }];
		const scores = [{ signal: name, metric: name, center: Math.log(90), spread: 1, shift: 0 }];
		const asked = [aQuestion(rollout, { environment, signals, scores })];
		expect((await source.totals(asked, upTo)).find(({ metric }) => metric === name)).toMatchObject({ requests: 10, sum: 900 });
		expect(await source.firstHarms(asked, upTo)).toMatchObject([{ signal: harms[0]?.signal, units: 1 }]);
		expect(await source.userSums(asked, upTo)).toMatchObject([{ metric: name, users: { users: 1, requests: 10, harms: 1 } }]);
		expect(await source.scored(asked, upTo)).toMatchObject([{ signal: name, score: 0, units: 1 }]);
		expect((await source.quantiles(asked, upTo)).find(({ metric }) => metric === name)).toMatchObject({ p95: 90 });
		const performance = await source.performance(environment, fromMs, watched.nowMs);
		expect(performance.filter(({ metric }) => metric === name).map(({ variant, requests }) => [variant, requests])).toEqual([
			[outcome.variant, 10],
			["", 10],
		]);
		expect(await source.system(environment, fromMs)).toMatchObject([{ origin: isShort(name) ? name : "eu", metric: name, last: 5 }]);
	});

	test.each(NAMES.filter(([, name]) => isShort(name)))("of rollout, flag and environment: %s", async (_, name) => {
		watched.passMinute();
		const fromMs = watched.nowMs;
		const environment = `${name}${fromMs}`;
		const point = aPoint({ rollout: name, flag: name, value: 1 });
		await watched.record(
			[point, { ...point, rollout: "", arm: "outside", stage: 0, served: 0 }, { ...point, rollout: `${name}'` }],
			environment,
		);
		const upTo = await watched.look();
		expect(await store.source.totals([aQuestion(name, { environment })], upTo)).toMatchObject([{ rollout: name, requests: 1 }]);
		const performance = await store.source.performance(environment, fromMs, watched.nowMs);
		expect(performance.map(({ flag, requests }) => [flag, requests])).toEqual([
			[name, 3],
			["", 3],
		]);
	});
});
