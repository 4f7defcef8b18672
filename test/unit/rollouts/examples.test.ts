import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readPlan } from "../../../cli/planFile";
import { imported, readImport } from "../../../core/flags/transfer";
import type { Plan } from "../../../core/rollouts/plan";

const FOLDER = join(import.meta.dirname, "../../../examples");
const textOf = (file: string): string => readFileSync(join(FOLDER, file), "utf8");
const files = readdirSync(FOLDER).filter((file) => file.endsWith(".yaml"));

function planOf(file: string): Plan {
	const read = readPlan(file, textOf(file), []);
	if ("mistakes" in read) throw new Error(`${file}: ${JSON.stringify(read.mistakes)}`);
	return read.plan;
}

const flagsFile = readImport(imported.parse(JSON.parse(textOf("flags.json"))), "production");

describe.each(files)("%s", (file) => {
	test("is a plan that control takes", () => expect(planOf(file).phases.length).toBeGreaterThan(0));

	test("begins with two lines that say what it is for", () => expect(textOf(file)).toMatch(/^# .+\n# .+\n[a-z]/));

	test("names flags and segments that flags.json brings along", () => {
		const { flags, phases, exclude, rollback } = planOf(file);
		const segments = [...phases.flatMap(({ audience }) => audience ?? []), ...exclude.segments, ...rollback.segments];
		expect(flagsFile.flags.map(({ key }) => key)).toEqual(expect.arrayContaining([...flags]));
		expect(flagsFile.segments.map(({ key }) => key)).toEqual(expect.arrayContaining(segments));
	});
});

test("no flag is in two of them, so that they can all be started side by side", () => {
	const flags = files.flatMap((file) => [...planOf(file).flags]);
	expect(flags.filter((flag, i) => flags.indexOf(flag) !== i)).toEqual([]);
});

test("there is one for every strategy, and flags.json can be imported", () => {
	expect([...new Set(files.map((file) => planOf(file).strategy))].sort()).toEqual(
		["blue-green", "canary", "compare-first", "percentage", "phased", "ring", "schedule"].sort(),
	);
	expect([flagsFile.refusedFlags, flagsFile.refusedSegments]).toEqual([[], []]);
});

test("Kerykeion has the phases, the limits and the red flags that it was approved with", () => {
	const limits = ({ criteria }: Plan["phases"][number]) => criteria.map((each) => (typeof each === "string" ? each : each.criterion));
	const plan = planOf("kerykeion.yaml");
	expect(plan.phases.map((phase) => [phase.percent, phase.hold, phase.flags, limits(phase)])).toEqual([
		[
			5,
			"2h",
			["kerykeion_natal_charts", "kerykeion_synastry", "performance_optimization"],
			["error_rate < 3%", "latency_ms p95 < 2500", "fallback_rate < 15%", "satisfaction mean > 8"],
		],
		[
			20,
			"4h",
			["kerykeion_transits", "kerykeion_progressions"],
			["error_rate < 4%", "latency_ms p95 < 3000", "fallback_rate < 20%", "satisfaction mean > 7.5"],
		],
		[
			50,
			"8h",
			["kerykeion_compatibility", "kerykeion_consultation"],
			["error_rate < 5%", "latency_ms p95 < 3500", "fallback_rate < 25%", "satisfaction mean > 7"],
		],
		[
			100,
			"12h",
			["kerykeion_localization"],
			["error_rate < 6%", "latency_ms p95 < 4000", "fallback_rate < 30%", "satisfaction mean > 6.5"],
		],
	]);
	expect(plan.red_flags).toEqual(["error_rate > 10%", "latency_ms p95 > 5000", "fallback_rate > 50%", "satisfaction mean < 5"]);
});
