import { beforeAll, beforeEach, expect, test } from "vitest";
import file from "../../../../examples/kerykeion.yaml?raw";
import { type FlagBody, auditOf, done, flagAt } from "../api/harness";
import {
	HOUR_MS,
	applied,
	changesOf,
	commanded,
	daysPass,
	eventsOf,
	expectShares,
	expectNobodyMovesBack,
	harming,
	importFlags,
	live,
	shareOf,
	sharesOf,
	shown,
} from "./town";

const JOINING = [
	["kerykeion_natal_charts", "kerykeion_synastry", "performance_optimization"],
	["kerykeion_transits", "kerykeion_progressions"],
	["kerykeion_compatibility", "kerykeion_consultation"],
	["kerykeion_localization"],
];
const FLAGS = JOINING.flat();
const STEP_MS = HOUR_MS / 4;

beforeAll(importFlags);
beforeEach(() => daysPass(2));

test("healthy, it goes through its four phases and ends with every flag on for everybody", async () => {
	const { id } = await applied(file);
	await commanded(id, "start");
	const town = { id, flags: FLAGS, stepMs: STEP_MS };
	const scenes = await live({ ...town, visits: 1_600 }, ({ phase }) => phase === "phase_2");
	scenes.push(...(await live({ ...town, visits: 600 }, ({ phase }) => phase === "phase_3")).slice(1));
	scenes.push(...(await live({ ...town, visits: 150 }, ({ status }) => status === "completed")).slice(1));

	// A quarter of an hour measures the baseline; then 2, 4, 8 and 12 hours.
	const hours = [0, 15, 15 + 120, 15 + 360, 15 + 840, 15 + 1_560];
	const kinds = ["start", "advance", "advance", "advance", "advance", "complete"];
	expect(await changesOf(id)).toEqual(kinds.map((kind, i) => [kind, hours[i]]));
	expect((await auditOf(`rollouts/${id}`)).map(({ action }) => action)).toEqual(["created", ...kinds].map((kind) => `rollout.${kind}`));

	const seen = scenes.map(({ phase, candidates }) => [phase, ...FLAGS.map((flag) => shareOf(candidates.get(flag) ?? new Set()))]);
	expect(seen).toEqual([
		["baseline", 0, 0, 0, 0, 0, 0, 0, 0],
		["phase_1", 5, 5, 5, 0, 0, 0, 0, 0],
		["phase_2", 20, 20, 20, 20, 20, 0, 0, 0],
		["phase_3", 49, 49, 49, 49, 49, 49, 49, 0],
		["phase_4", 95, 95, 95, 95, 95, 95, 95, 95],
		[null, 100, 100, 100, 100, 100, 100, 100, 100],
	]);
	expectNobodyMovesBack(scenes);
	for (const key of FLAGS) {
		expect((await done<FlagBody>("GET", flagAt(key))).fallthrough).toBe("true");
		expect((await auditOf(`flags/production/${key}`)).map(({ action }) => action)).toEqual(["flag.imported", "flag.rolled_out"]);
	}
});

/** The flags are on for everybody once the rollout above is completed: a plan of the same shape over flags of its own. */
async function startedAnew(name: string): Promise<string> {
	const key = `${name}-flag`;
	await done("POST", "/api/v1/flags?environment=production", { body: { key, type: "boolean" } });
	const phases = [50, 100].map((percent) => ({ percent, hold: "1h", criteria: ["error_rate < 7%"] }));
	const { id } = await applied(file, { rollout: name, flags: [key], phases, holdback: 20 });
	await commanded(id, "start", { fromPhase: "2" });
	return id;
}

test("harmful, it goes back stage by stage, below what was served, and ends rolled back", async () => {
	const id = await startedAnew("gradual");
	const told = harming(() => true, 0.05);
	const flags = ["gradual-flag"];
	const scenes = await live({ id, flags, stepMs: HOUR_MS / 12, visits: 600, told }, ({ status }) => status === "rolled_back");

	expect(scenes.map(({ status }) => status)).toEqual(["running", "running", "rolling_back", "rolling_back", "rolling_back", "rolled_back"]);
	expectShares(sharesOf(scenes, "gradual-flag"), [0, 80, 75, 50, 25, 0]);
	const back = (await changesOf(id)).slice(2);
	expect(back.map(([kind]) => kind)).toEqual(["begin_rollback", "lower", "lower", "roll_back"]);
	expect(back.slice(1).map(([, minute], i) => minute - (back[i]?.[1] ?? 0))).toEqual([10, 10, 10]);
	expect((await eventsOf(id)).at(-1)?.reason).toBe("harm_proven");
});

test("a failure, a red flag that is breached, takes everybody back at once whatever the plan's way back", async () => {
	const id = await startedAnew("failing");
	const told = harming(() => true, 0.3);
	const scenes = await live(
		{ id, flags: ["failing-flag"], stepMs: HOUR_MS / 12, visits: 300, told },
		({ status }) => status === "rolled_back",
	);
	expectShares(sharesOf(scenes, "failing-flag"), [0, 80, 0]);
	expect((await changesOf(id)).map(([kind]) => kind)).toEqual(["start", "advance", "roll_back"]);
	expect(await shown(id)).toMatchObject({ status: "rolled_back" });
});
