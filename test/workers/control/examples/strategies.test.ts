import { beforeAll, beforeEach, expect, test } from "vitest";
import blueGreen from "../../../../examples/blue-green.yaml?raw";
import percentage from "../../../../examples/percentage.yaml?raw";
import ring from "../../../../examples/ring.yaml?raw";
import schedule from "../../../../examples/schedule.yaml?raw";
import { tick } from "../../../../control/tick/tick";
import { done } from "../api/harness";
import { MINUTE_MS, aTick } from "../tick/fixtures";
import {
	DAY_MS,
	HOUR_MS,
	applied,
	at,
	calm,
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
	now,
	sharesOf,
	shown,
	users,
} from "./town";

beforeAll(importFlags);
beforeEach(() => daysPass(2));

test("percentage: the percents that are written, half an hour each", async () => {
	const { id } = await applied(percentage);
	await commanded(id, "start");
	const scenes = await live({ id, flags: ["new-search"], stepMs: 5 * MINUTE_MS, visits: 900, told: calm }, isCompleted);
	expectShares(sharesOf(scenes, "new-search"), [10, 30, 60, 95, 100]);
	expect(await changesOf(id)).toEqual(kindsOf(4).map((kind, i) => [kind, 30 * i]));
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
	expect(await changesOf(id)).toEqual(kindsOf(3).map((kind, i) => [kind, [0, 60, 180, 540][i]]));
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
