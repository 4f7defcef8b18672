import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Of } from "../../../../../control/metrics/source";
import { BUCKETS } from "../../../../../core/flags/bucket";
import type { Arm, FirstHarms } from "../../../../../core/health/observation";
import { shareOfCandidate } from "../../../../../core/statistics/evidence";
import { type AttributedPoint, aHarm, aPoint, armOf } from "../points";
import { RUNS, SLOW, type Watched, byText } from "./store";

/** Harms of one user as [arm, served], window by window; what each window counts as [arm, served, last counted in control]. */
type Harm = readonly [arm: Arm, percent: number];
type Counted = readonly [arm: Arm, percent: number, last: number | null];
const control = (percent: number): Harm => ["control", percent];
const candidate = (percent: number): Harm => ["candidate", percent];

const CASES: [what: string, windows: readonly (readonly Harm[])[], counted: readonly (readonly Counted[])[]][] = [
	["control at 5 %, then candidate at 20 %", [[control(5)], [candidate(20)]], [[["control", 5, null]], [["candidate", 20, 5]]]],
	[
		"control at 5 % and candidate at 20 % in one window",
		[[control(5), candidate(20)]],
		[
			[
				["control", 5, null],
				["candidate", 20, 5],
			],
		],
	],
	[
		"the same, arrived the other way round",
		[[candidate(20), control(5)]],
		[
			[
				["control", 5, null],
				["candidate", 20, 5],
			],
		],
	],
	[
		"control at 5 %, 20 % and 50 % in one window",
		[[control(50), control(5), control(20)]],
		[
			[
				["control", 5, null],
				["control", 20, 5],
				["control", 50, 20],
			],
		],
	],
	[
		"control at 5 %, 20 % and 50 % in three windows",
		[[control(5)], [control(20)], [control(50)]],
		[[["control", 5, null]], [["control", 20, 5]], [["control", 50, 20]]],
	],
	[
		"control at 5 %, later candidate at 20 %, 50 % and 95 %",
		[[control(5)], [candidate(20)], [candidate(50)], [candidate(95)]],
		[[["control", 5, null]], [["candidate", 20, 5]], [], []],
	],
	["candidate at 5 % and 20 % in one window", [[candidate(20), candidate(5)]], [[["candidate", 5, null]]]],
	["late control at a smaller share", [[control(20)], [control(5)]], [[["control", 20, null]], []]],
	[
		"late control at a smaller share leaves the larger one the last",
		[[control(20)], [control(5)], [candidate(50)]],
		[[["control", 20, null]], [], [["candidate", 50, 20]]],
	],
	["late control after the candidate", [[candidate(20)], [control(5)]], [[["candidate", 20, null]], []]],
	[
		"late control after the candidate, and the candidate again",
		[[candidate(20)], [control(5)], [candidate(50)]],
		[[["candidate", 20, null]], [], []],
	],
	[
		"the same share again, after a step back",
		[[control(5)], [control(20)], [control(5)], [control(20)]],
		[[["control", 5, null]], [["control", 20, 5]], [], []],
	],
];

export function describeFirstHarms(name: string, watched: Watched): void {
	describe(`${name}: first harms`, () => {
		test("a user counts once for each signal, arm and served share, however often they are harmed", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout);
			const harms = [
				aHarm({ rollout }),
				aHarm({ rollout }),
				aHarm({ rollout, metric: "fallback" }),
				aHarm({ rollout, unit: "bob", arm: "candidate" }),
				aPoint({ rollout, unit: "eve" }),
			];
			await watched.record(harms);
			await watched.record(harms);
			expect(byText((await read()).firstHarms)).toEqual(
				byText([
					{ rollout, signal: "error", arm: "control", served: 5_000, lastControlServed: null, units: 1 },
					{ rollout, signal: "fallback", arm: "control", served: 5_000, lastControlServed: null, units: 1 },
					{ rollout, signal: "error", arm: "candidate", served: 5_000, lastControlServed: null, units: 1 },
				]),
			);
			await watched.record(harms);
			expect((await read()).firstHarms).toEqual([]);
		});

		test("each signal of a metric counts for itself", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout);
			const slow = { signal: "latency_ms>2500", slot: 0 };
			const slower = { signal: "latency_ms>5000", slot: 1 };
			const of = (value: number, harms: AttributedPoint["harms"]) => aPoint({ rollout, metric: "latency_ms", value, harms });
			const row = { rollout, arm: "control", served: 5_000, lastControlServed: null, units: 1 };
			await watched.record([of(3_000, [slow])]);
			expect((await read()).firstHarms).toEqual([{ ...row, signal: slow.signal }]);
			await watched.record([of(6_000, [slow, slower])]);
			expect((await read()).firstHarms).toEqual([{ ...row, signal: slower.signal }]);
		});

		test.each(CASES)("%s", async (_, windows, counted) => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout);
			for (const [i, window] of windows.entries()) {
				// oxlint-disable no-await-in-loop -- one window after the other
				await watched.record(window.map(([arm, percent], stage) => aHarm({ rollout, stage, arm, served: percent * 1_000 })));
				expect(byText((await read()).firstHarms), `window ${i + 1}`).toEqual(
					byText(
						(counted[i] ?? []).map(([arm, percent, last]) => ({
							rollout,
							signal: "error",
							arm,
							served: percent * 1_000,
							lastControlServed: last === null ? null : last * 1_000,
							units: 1,
						})),
					),
				);
				// oxlint-enable no-await-in-loop
			}
		});

		test("of harmed users spread evenly over the buckets, every stratum has the candidate's share by design", async () => {
			const rollout = watched.newRollout();
			const read = watched.reader(rollout);
			const users = Array.from({ length: 400 }, (_, i) => ({ unit: `u${i}`, bucket: (i + 0.5) * (BUCKETS / 400) }));
			const strata: number[] = [];
			for (const [stage, served] of [5_000, 20_000, 50_000].entries()) {
				// oxlint-disable-next-line no-await-in-loop -- one stage after the other
				await watched.record(users.map(({ unit, bucket }) => aHarm({ rollout, unit, stage, served, arm: armOf(bucket, served) })));
				// oxlint-disable-next-line no-await-in-loop -- see above
				const { firstHarms } = await read();
				const [last] = new Set(firstHarms.map((each) => each.lastControlServed));
				const harmed = firstHarms.find((each) => each.arm === "candidate")?.units ?? 0;
				const all = firstHarms.reduce((sum, each) => sum + each.units, 0);
				const share = shareOfCandidate(served / BUCKETS, 1 - served / BUCKETS, typeof last === "number" ? last / BUCKETS : undefined);
				expect(firstHarms).toHaveLength(2);
				expect(harmed / all).toBeCloseTo(share, 12);
				strata.push(all);
			}
			expect(strata).toEqual([400, 380, 320]);
		});

		test("counts as the rule says, whatever arrives when", SLOW, async () => {
			const shares = [5_000, 20_000, 50_000, 95_000];
			const users = ["ann", "bob", "eve", "joe"].map((unit, i) => ({ unit, bucket: [2_000, 10_000, 40_000, 97_000][i] ?? 0 }));
			const harm = fc.record({ user: fc.constantFrom(...users), served: fc.constantFrom(...shares) });
			await fc.assert(
				fc.asyncProperty(fc.array(fc.array(harm, { maxLength: 8 }), { maxLength: 5 }), async (windows) => {
					const rollout = watched.newRollout();
					const read = watched.reader(rollout);
					const reference = ruleOfFirstHarms(rollout);
					for (const window of windows) {
						const points = window.map(({ user, served }) => aHarm({ rollout, unit: user.unit, served, arm: armOf(user.bucket, served) }));
						// oxlint-disable-next-line no-await-in-loop -- one window after the other
						await watched.record(points);
						// oxlint-disable-next-line no-await-in-loop -- see above
						expect(byText((await read()).firstHarms)).toEqual(byText(reference(points)));
					}
				}),
				RUNS,
			);
		});
	});
}

/**
 * The rule in words: of a window's new harms, the smallest share first, each counts unless the user was harmed in the
 * candidate before, or in control at that share or a larger one.
 */
function ruleOfFirstHarms(rollout: string): (points: readonly AttributedPoint[]) => Of<FirstHarms>[] {
	const known = new Map<string, { harms: Set<string>; isCandidate: boolean; last: number | null }>();
	return (points) => {
		const counted = new Map<string, Of<FirstHarms>>();
		for (const { unit, arm, served } of [...points].sort((a, b) => a.served - b.served)) {
			const user = known.get(unit) ?? { harms: new Set(), isCandidate: false, last: null };
			known.set(unit, user);
			if (user.harms.has(`${arm} ${served}`)) continue;
			user.harms.add(`${arm} ${served}`);
			if (!user.isCandidate && (user.last === null || user.last < served)) {
				const key = `${arm} ${served} ${user.last}`;
				const row = counted.get(key) ?? { rollout, signal: "error", arm, served, lastControlServed: user.last, units: 0 };
				counted.set(key, { ...row, units: row.units + 1 });
			}
			if (arm === "candidate") user.isCandidate = true;
			else user.last = Math.max(user.last ?? 0, served);
		}
		return [...counted.values()];
	};
}
