import { describe, expect, test } from "vitest";
import { type Held, type Step, step } from "../../../worker/head";

const now = 100_000;
/** Fresh, unless a test makes it older. */
const aHeld = ({
	age = 0,
	sinceAttempt = age,
	...change
}: Partial<Held<string>> & { age?: number; sinceAttempt?: number }): Held<string> => ({
	value: "head",
	confirmedAtMs: now - age,
	attemptAtMs: now - sinceAttempt,
	attempt: "done",
	deadAfterMs: 1_000,
	...change,
});
const nothing = { value: undefined, age: now } as const;

test.each<[string, Held<string>, Step]>([
	["fresh", aHeld({ age: 4_999 }), "use"],
	["fresh again after a failure", aHeld({ age: 1_000, attempt: "failed" }), "use"],
	["over 5 s", aHeld({ age: 5_000 }), "refresh behind the answer"],
	["just under 8 s", aHeld({ age: 7_999 }), "refresh behind the answer"],
	["over 5 s, refresh under way", aHeld({ age: 5_500, sinceAttempt: 100, attempt: "behind" }), "use"],
	["over 5 s, refresh died", aHeld({ age: 7_000, sinceAttempt: 1_000, attempt: "behind" }), "refresh behind the answer"],
	["over 5 s, last one failed just now", aHeld({ age: 6_000, sinceAttempt: 100, attempt: "failed" }), "use"],
	["over 8 s, idle since", aHeld({ age: 8_000 }), "refresh first"],
	["over 8 s, refresh behind under way", aHeld({ age: 8_100, sinceAttempt: 200, attempt: "behind" }), "use"],
	["over 8 s, refresh behind died", aHeld({ age: 9_000, sinceAttempt: 1_000, attempt: "behind" }), "refresh first"],
	["over 8 s, another waits", aHeld({ age: 8_000, sinceAttempt: 100, attempt: "waited for" }), "wait for the refresh under way"],
	["over 8 s, the one that others wait for died", aHeld({ age: 9_000, sinceAttempt: 1_000, attempt: "waited for" }), "refresh first"],
	["over 8 s, last one failed just now", aHeld({ age: 9_000, sinceAttempt: 1_999, attempt: "failed" }), "use"],
	["over 8 s, last one failed 2 s ago", aHeld({ age: 9_000, sinceAttempt: 2_000, attempt: "failed" }), "refresh behind the answer"],
	["over 8 s, last one failed, and 8 s without a request", aHeld({ age: 90_000, sinceAttempt: 8_000, attempt: "failed" }), "refresh first"],
	["never confirmed, last one failed 2 s ago", aHeld({ age: now, sinceAttempt: 2_000, attempt: "failed" }), "refresh behind the answer"],
	["known to be outdated, not tried yet", aHeld({ confirmedAtMs: 0, sinceAttempt: 60, attempt: "done" }), "refresh first"],
	["cold", aHeld({ ...nothing, attempt: "none" }), "refresh first"],
	["cold, another waits", aHeld({ ...nothing, sinceAttempt: 10, attempt: "waited for" }), "wait for the refresh under way"],
	[
		"cold, another waits a longer attempt's time",
		aHeld({ ...nothing, sinceAttempt: 1_500, attempt: "waited for", deadAfterMs: 2_000 }),
		"wait for the refresh under way",
	],
	["cold, the other's attempt died", aHeld({ ...nothing, sinceAttempt: 1_000, attempt: "waited for" }), "refresh first"],
	["cold, failed just now", aHeld({ ...nothing, sinceAttempt: 499, attempt: "failed" }), "use"],
	["cold, failed half a second ago", aHeld({ ...nothing, sinceAttempt: 500, attempt: "failed" }), "refresh first"],
])("%s", (_, held, expected) => expect(step(held, now)).toBe(expected));

describe("whatever is held", () => {
	const attempts = ["none", "behind", "waited for", "done", "failed"] as const;
	const ages = [0, 499, 500, 999, 1_000, 1_999, 2_000, 4_999, 5_000, 7_999, 8_000, 24_999, 25_000, now];
	const all = attempts.flatMap((attempt) =>
		ages.flatMap((age) => ages.flatMap((sinceAttempt) => [undefined, "head"].map((value) => aHeld({ age, sinceAttempt, attempt, value })))),
	);

	test("nobody waits for an attempt that is dead", () => {
		const waiting = all.filter((held) => step(held, now) === "wait for the refresh under way");
		expect(waiting.length).toBeGreaterThan(0);
		expect(waiting.filter((held) => now - held.attemptAtMs >= held.deadAfterMs)).toEqual([]);
	});

	test("a second attempt never starts while one is under way", () => {
		const underWay = all.filter(
			({ attempt, attemptAtMs }) => (attempt === "behind" || attempt === "waited for") && now - attemptAtMs < 1_000,
		);
		expect(underWay.filter((held) => step(held, now).startsWith("refresh"))).toEqual([]);
	});

	test("nobody refreshes behind an answer that there is nothing to give from", () => {
		expect(all.filter(({ value }) => value === undefined).map((held) => step(held, now))).not.toContain("refresh behind the answer");
	});
});
