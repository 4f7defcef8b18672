import { beforeAll, beforeEach, expect, test } from "vitest";
import blueGreen from "../../../../examples/blue-green.yaml?raw";
import canary from "../../../../examples/canary.yaml?raw";
import canaryQuick from "../../../../examples/canary-quick.yaml?raw";
import compareFirst from "../../../../examples/compare-first.yaml?raw";
import percentage from "../../../../examples/percentage.yaml?raw";
import ring from "../../../../examples/ring.yaml?raw";
import schedule from "../../../../examples/schedule.yaml?raw";
import { tick } from "../../../../control/tick/tick";
import { type FlagBody, ROLLOUTS, auditOf, done, flagAt, pointersOf, refused } from "../api/harness";
import { MINUTE_MS, aTick } from "../tick/fixtures";
import {
	DAY_MS,
	HOUR_MS,
	applied,
	at,
	changesOf,
	commanded,
	daysPass,
	expectNobodyMovesBack,
	expectShares,
	importFlags,
	live,
	now,
	sharesOf,
	shown,
	users,
} from "./town";

beforeAll(importFlags);
beforeEach(() => daysPass(2));

const isCompleted = ({ status }: { readonly status: string }): boolean => status === "completed";
const ADVANCES = (count: number): string[] => ["start", ...Array.from({ length: count - 1 }, () => "advance"), "complete"];
const fallthroughOf = async (key: string): Promise<unknown> => (await done<FlagBody>("GET", flagAt(key))).fallthrough;

/** One audit row for each change, in their order. */
async function expectAudited(id: string): Promise<void> {
	const kinds = (await changesOf(id)).map(([kind]) => `rollout.${kind}`);
	expect((await auditOf(`rollouts/${id}`)).map(({ action }) => action)).toEqual(["rollout.created", ...kinds]);
}

test("canary: six steps of five minutes each", async () => {
	const { id } = await applied(canary);
	await commanded(id, "start");
	const flags = ["new-checkout"];
	const scenes = await live({ id, flags, stepMs: MINUTE_MS, visits: 1_000 }, isCompleted);
	expectShares(sharesOf(scenes, "new-checkout"), [1, 5, 10, 25, 50, 95, 100]);
	const changes = await changesOf(id);
	expect(changes.map(([kind]) => kind)).toEqual(ADVANCES(6));
	for (const [i, [, minute]] of changes.entries()) expect(minute - (changes[i - 1]?.[1] ?? minute - 5)).toBeGreaterThanOrEqual(5);
	expectNobodyMovesBack(scenes);
	await expectAudited(id);
	expect(await fallthroughOf("new-checkout")).toBe("true");
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
	expect((await changesOf(id)).map(([kind]) => kind)).toEqual(ADVANCES(2));
	expectNobodyMovesBack(scenes);
	await expectAudited(id);
});

test("percentage: the percents that are written, half an hour each", async () => {
	const { id } = await applied(percentage);
	await commanded(id, "start");
	const scenes = await live({ id, flags: ["new-search"], stepMs: 5 * MINUTE_MS, visits: 900, told: calm }, isCompleted);
	expectShares(sharesOf(scenes, "new-search"), [10, 30, 60, 95, 100]);
	expect(await changesOf(id)).toEqual(ADVANCES(4).map((kind, i) => [kind, 30 * i]));
	expectNobodyMovesBack(scenes);
	await expectAudited(id);
});

test("ring: each ring is served within its segment, and keeps what it was given", async () => {
	const { id } = await applied(ring);
	await commanded(id, "start");
	const scenes = await live({ id, flags: ["new-editor"], stepMs: 15 * MINUTE_MS, visits: 1_200, told: calm }, isCompleted);
	const membersOf = (group: string): readonly number[] => users.flatMap((user, i) => (user["group"] === group ? i : []));
	const shares = scenes.map(({ candidates }) =>
		["staff", "beta", "others"].map((group) => {
			const members = membersOf(group);
			return members.filter((user) => candidates.get("new-editor")?.has(user)).length / members.length;
		}),
	);
	// Staff are 180.
	const WANTED = [
		[0.5, 0, 0],
		[0.5, 0.5, 0],
		[0.95, 0.95, 0.95],
		[1, 1, 1],
	];
	expect(shares.map((groups, i) => groups.map((share, k) => Math.abs(share - (WANTED[i]?.[k] ?? 9)) < 0.1))).toEqual(
		WANTED.map((groups) => groups.map(() => true)),
	);
	expect(await changesOf(id)).toEqual(ADVANCES(3).map((kind, i) => [kind, [0, 60, 180, 540][i]]));
	expectNobodyMovesBack(scenes);
	await expectAudited(id);
});

test("blue-green: nobody is switched before green is validated, then all are, but for those who stay on blue until the end", async () => {
	const { id } = await applied(blueGreen);
	await commanded(id, "start");
	daysPass(1 / 24);
	await tick(aTick(), now());
	expect(await shown(id)).toMatchObject({ status: "validating" });
	await done("PUT", "/api/v1/checks/reports/green-smoke?environment=production", { body: { status: "passed" }, headers: at() });
	const scenes = await live({ id, flags: ["green-stack"], stepMs: 10 * MINUTE_MS, visits: 300, told: calm }, isCompleted);
	expectShares(
		sharesOf(
			scenes.filter(({ status }) => status !== "validating"),
			"green-stack",
		),
		[95, 100],
	);
	expect((await changesOf(id)).map(([kind]) => kind)).toEqual(["validate", "start", "complete"]);
	expectNobodyMovesBack(scenes);
	await expectAudited(id);
});

test("schedule: no step before its day, counted from the start", async () => {
	const { id } = await applied(schedule);
	await commanded(id, "start");
	expect(await shown(id)).toMatchObject({ status: "scheduled" });
	const scenes = await live({ id, flags: ["new-pricing"], stepMs: 4 * HOUR_MS, visits: 500, told: calm }, isCompleted);
	expectShares(
		sharesOf(
			scenes.filter(({ status }) => status !== "scheduled"),
			"new-pricing",
		),
		[10, 25, 50, 95, 100],
	);
	const days = (await changesOf(id)).map(([kind, minute]) => [kind, (minute * MINUTE_MS) / DAY_MS + 1]);
	expect(days.slice(0, -1)).toEqual([
		["schedule", 1],
		["start", 8],
		["advance", 10],
		["advance", 12],
		["advance", 15],
	]);
	expectNobodyMovesBack(scenes);
	await expectAudited(id);
});

test("compare-first: it can be planned, and says why it cannot be started", async () => {
	const { id, plan } = await applied(compareFirst);
	expect(plan).toMatchObject({ phases: [{ name: "compare", percent: 0, shadow: true }, { percent: 10 }, { percent: 100 }] });
	const problem = await refused(422, "POST", `${ROLLOUTS}/${id}/commands`, { body: { command: "start", reason: "now" }, headers: at() });
	expect(pointersOf(problem)).toEqual(["/compare"]);
});

/** Nobody is harmed at all, so no phase takes longer than its hold. */
function calm({ random }: { readonly random: () => number }) {
	return { error: 0, latency_ms: 200 + 500 * random() ** 2 };
}
