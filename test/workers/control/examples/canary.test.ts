import { beforeAll, beforeEach, expect, test } from "vitest";
import canary from "../../../../examples/canary.yaml?raw";
import canaryQuick from "../../../../examples/canary-quick.yaml?raw";
import { type FlagBody, done, flagAt } from "../api/harness";
import { MINUTE_MS } from "../tick/fixtures";
import {
	applied,
	changesOf,
	commanded,
	daysPass,
	expectAudited,
	expectNobodyMovesBack,
	expectShares,
	importFlags,
	isCompleted,
	kindsOf,
	live,
	sharesOf,
} from "./town";

beforeAll(importFlags);
beforeEach(() => daysPass(2));

test("canary: six steps of five minutes each", async () => {
	const { id } = await applied(canary);
	await commanded(id, "start");
	const flags = ["new-checkout"];
	const scenes = await live({ id, flags, stepMs: MINUTE_MS, visits: 1_000 }, isCompleted);
	expectShares(sharesOf(scenes, "new-checkout"), [1, 5, 10, 25, 50, 95, 100]);
	const changes = await changesOf(id);
	expect(changes.map(([kind]) => kind)).toEqual(kindsOf(6));
	for (const [i, [, minute]] of changes.entries()) expect(minute - (changes[i - 1]?.[1] ?? minute - 5)).toBeGreaterThanOrEqual(5);
	expectNobodyMovesBack(scenes);
	await expectAudited(id);
	expect((await done<FlagBody>("GET", flagAt("new-checkout"))).fallthrough).toBe("true");
});

test("canary, quick: a tenth, then everybody", async () => {
	const { id } = await applied(canaryQuick);
	await commanded(id, "start");
	const flags = ["checkout-hotfix"];
	const told = ({ random }: { readonly random: () => number }) => ({
		error: Number(random() < 0.004),
		latency_ms: 200 + 600 * random() ** 2,
	});
	const scenes = await live({ id, flags, stepMs: MINUTE_MS, visits: 700, told }, isCompleted);
	expectShares([...new Set(sharesOf(scenes, "checkout-hotfix"))], [10, 95, 100]);
	expect((await changesOf(id)).map(([kind]) => kind)).toEqual(kindsOf(2));
	expectNobodyMovesBack(scenes);
	await expectAudited(id);
});
