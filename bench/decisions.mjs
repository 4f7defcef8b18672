// npm run bench:decisions: what the judge decides, simulated over a day at one look a minute, beside other judges on the same traffic.
import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { buildWorker } from "./build.mjs";
import { PEERS } from "./decisions/peers.mjs";
import { runAll } from "./decisions/pool.mjs";
import { drawing } from "./decisions/random.mjs";
import { MINUTES } from "./decisions/traffic.mjs";
import { isQuick, startReport } from "./report.mjs";
import { median, quantile } from "./stats.mjs";

const REPETITIONS = isQuick
	? { healthy: 10, harmful: 6, advance: 20, ruledOut: 100 }
	: { healthy: 2_000, harmful: 400, advance: 1_000, ruledOut: 2_000 };
const ROLLOUTS = 1_000;
const ROUNDS = isQuick ? 5 : 15;
const BAR_MS = 200;
const TRAFFIC = ["independent", "drifting", "clustered"];
/** Requests of the candidate a minute, 5 % of all. */
const LEVELS = [10, 100, 1_000];
const RATIOS = [1.2, 1.5, 2, 3, 10];
const ONSETS = { "at once": 0, "minute 60": 60, "hour 10": 600 };
const FALSE_MAX = 1;
const MEDIAN_BARS = { "at once": [140, 15, 2], "hour 10": [240, 35, 5] };
const NAMES = { independent: "independent requests", drifting: "drift and incidents", clustered: "clustered by user" };
const OURS = "Tidegate";
/** By risk ratio: the share that advances by design (STATISTICS: advancing needs evidence too), and at most. */
const ADVANCING = [
	{ ratio: 1, designed: 99.5 },
	{ ratio: 1.5, designed: 47 },
	{ ratio: 2, designed: 8, bar: 10 },
	{ ratio: 3, designed: 0.5, bar: 1 },
];
const HEALTHY_HELD_MAX = 1;
const NEEDED = [
	{ baseline: 0.001, share: 0.05, designed: [5_675, 10_790] },
	{ baseline: 0.01, share: 0.05, designed: [567, 1_079] },
	{ baseline: 0.01, share: 0.5, designed: [1_700, 3_370] },
	{ baseline: 0.05, share: 0.05, designed: [113, 215] },
];
const phases = [5, 20, 50, 100].map((percent) => ({ percent, hold: "2h" }));
const FEW_USERS = [
	{ users: 600, perMinute: 200, plan: { phases, advance: "relaxed", min_users: 20 } },
	{ users: 5_000, perMinute: 1_000, plan: { phases } },
];
const FEW_USERS_RATIOS = [1, 2, 3];

const report = startReport("decisions");
const isJson = process.argv.includes("--json");
const count = (number) => number.toLocaleString("en");
const percent = (results, is) => (100 * results.filter(is).length) / results.length;

const path = await buildJudge();
await measureTicks();

const cells = [];
const add = (kind, repetitions, cell) => {
	const added = { ...cell, kind, repetitions, seed: cells.length + 1 };
	cells.push(added);
	return added;
};
const healthy = TRAFFIC.map((traffic) => LEVELS.map((perMinute) => add("harm", REPETITIONS.healthy, { traffic, perMinute, peers: true })));
const harmful = RATIOS.flatMap((ratio) =>
	Object.entries(ONSETS).map(([when, onset]) => ({
		ratio,
		when,
		onset,
		levels: LEVELS.map((perMinute) =>
			add("harm", REPETITIONS.harmful, { traffic: "independent", perMinute, ratio, onset, peers: ratio === 2 && onset === 0 }),
		),
	})),
);
const advancing = ADVANCING.map((each) => ({
	...each,
	cell: add("advance", REPETITIONS.advance, { perMinute: 10, ratio: each.ratio, guard: "error_rate vs control <= +25%" }),
}));
const needed = NEEDED.map((each) => ({
	...each,
	cell: add("ruledOut", REPETITIONS.ruledOut, { baseline: each.baseline, share: each.share, perMinute: 10 }),
}));
const fewUsers = FEW_USERS.flatMap((population) =>
	FEW_USERS_RATIOS.map((ratio) => add("fewUsers", ratio === 1 ? REPETITIONS.healthy : REPETITIONS.harmful, { ...population, ratio })),
);
await runAll(cells, path, report.progress);

reportFalse();
reportDetection();
reportFewUsers();
reportAdvance();
reportEffort();
report.end();

async function buildJudge() {
	const { text } = await buildWorker("bench/decisions/judge.ts", { platform: "node", conditions: [] });
	mkdirSync(".tmp/bench", { recursive: true });
	const file = resolve(".tmp/bench/decisions.mjs");
	writeFileSync(file, text);
	return pathToFileURL(file).href;
}

/** In JSON everything is a figure; to people, what has no bar is told in the notes' tables. */
function figure(name, value, unit, bar = null) {
	if (isJson || bar !== null) report.figure(name, value, unit, bar);
}

/** Of the simulation, which says nothing for certain in few repetitions. */
function simulated(name, value, unit, bar = null) {
	figure(name, value, unit, isQuick ? null : bar);
}

async function measureTicks() {
	const judge = await import(path);
	const ticks = Array.from({ length: ROLLOUTS }, (_, i) => judge.aRolloutToJudge(drawing({ seed: 0 }, i).poisson));
	const rounds = Array.from({ length: ROUNDS }, () => {
		const before = process.cpuUsage();
		for (const tick of ticks) tick();
		const used = process.cpuUsage(before);
		return (used.user + used.system) / 1_000;
	});
	figure(`judge ${count(ROLLOUTS)} rollouts, 3 guards and 4 criteria each`, median(rounds), "ms CPU", BAR_MS);
	figure(`judge ${count(ROLLOUTS)} rollouts: the first time`, rounds[0], "ms CPU");
}

function reportFalse() {
	const judges = [OURS, ...PEERS];
	const shares = judges.map((_, judge) =>
		healthy.map((levels) => levels.map(({ results }) => percent(results, (stops) => stops[judge] < Infinity))),
	);
	for (const [judge, name] of judges.entries())
		for (const [kind, traffic] of TRAFFIC.entries())
			for (const [level, perMinute] of LEVELS.entries())
				simulated(
					`rolled back for nothing: ${NAMES[traffic]}, ${count(perMinute)} a minute${judge === 0 ? "" : `: ${name}`}`,
					shares[judge][kind][level],
					"%",
					judge === 0 ? FALSE_MAX : null,
				);
	table(
		`Rolled back within a day for nothing, %, at ${LEVELS.map(count).join(" / ")} requests of the candidate a minute`,
		TRAFFIC.map((traffic) => NAMES[traffic]),
		judges.map((name, judge) => [
			name,
			...shares[judge].map((levels) => levels.map((value) => value.toFixed(judge === 0 ? 2 : 0)).join(" / ")),
		]),
	);
}

function reportDetection() {
	const rows = [];
	for (const { ratio, when, onset, levels } of harmful) {
		const told = levels.map(({ perMinute, results, peers }, level) => {
			const name = `risk ratio ${ratio} ${when === "at once" ? when : `from ${when} on`}, ${count(perMinute)} a minute`;
			const row = (peers ? [OURS, ...PEERS] : [OURS]).map((who, judge) => {
				// Who had been rolled back by then, for nothing, has nothing to detect.
				const delays = results.map((stops) => stops[judge] - onset).filter((delay) => delay > 0);
				const found = percent(delays, (delay) => delay < Infinity);
				const minutes = median(delays.map((delay) => Math.min(delay, MINUTES - onset)));
				const label = judge === 0 ? name : `${name}: ${who}`;
				simulated(`${label}: found`, found, "%");
				simulated(`${label}: median`, minutes, "min after onset", judge === 0 && ratio === 2 ? (MEDIAN_BARS[when]?.[level] ?? null) : null);
				return `${found.toFixed(0)} %, ${found > 50 ? `${Math.round(minutes)} min` : "–"}`;
			});
			return row;
		});
		for (const judge of told[0].keys())
			rows.push([judge === 0 ? `risk ratio ${ratio}, ${when}` : `  ${PEERS[judge - 1]}`, ...told.map((row) => row[judge])]);
	}
	table(
		"Found within the day, and the median minutes after the onset; independent requests",
		LEVELS.map((level) => `${count(level)} a minute`),
		rows,
	);
}

function reportFewUsers() {
	const rows = fewUsers.map(({ users, perMinute, ratio, results }) => {
		const ended = (how) => percent(results, ([end]) => end === how);
		const back = results.filter(([end]) => end === "roll_back").map(([, at]) => at);
		const name = `${count(users)} heavy users, all phases, risk ratio ${ratio}`;
		simulated(`${name}: rolled back`, ended("roll_back"), "%", ratio === 1 ? FALSE_MAX : null);
		simulated(`${name}: completed`, ended("complete"), "%");
		const reached = [1, 2, 3, 4].map((phase) => ended(`phase ${phase}`).toFixed(0)).join(" / ");
		const minutes = ratio > 1 && back.length > 0 ? `${Math.round(median(back))} min` : "–";
		return [
			`${count(users)} users, ${count(perMinute)} requests a minute, risk ratio ${ratio}`,
			`${Number(ended("roll_back").toFixed(2))} %`,
			minutes,
			`${ended("complete").toFixed(0)} %`,
			reached,
		];
	});
	table(
		"Few and heavy users, steps 5, 20, 50 and 100 % by the engine",
		["rolled back", "median of these", "completed", "else in phase 1 / 2 / 3 / 4, %"],
		rows,
	);
}

function reportAdvance() {
	const rows = advancing.map(({ ratio, designed, bar, cell: { results } }) => {
		const ended = (how) => percent(results, ([end]) => end === how);
		const minutes = results.filter(([end]) => end === "advance").map(([, at]) => at);
		const name = `leaves 5 %, risk ratio ${ratio}`;
		if (ratio === 1) {
			simulated("healthy, but does not leave 5 %", 100 - ended("advance"), "%", HEALTHY_HELD_MAX);
			simulated(`${name}: median`, median(minutes), "min");
		} else simulated(name, ended("advance"), "%", bar ?? null);
		simulated(`${name}: rolled back`, ended("roll_back"), "%");
		return [
			`risk ratio ${ratio}`,
			`${ended("advance").toFixed(1)} %`,
			`${designed} %`,
			`${ended("roll_back").toFixed(1)} %`,
			minutes.length > 0 ? `${Math.round(median(minutes))} min` : "–",
		];
	});
	table(
		"Leaves 5 % within the day, at 10 requests of the candidate a minute, tolerating +25 %",
		["share", "by design", "rolled back", "median"],
		rows,
	);
	const users = needed.map(({ baseline, share: part, designed, cell: { results } }) => {
		const name = `${baseline * 100} % fail, at ${part * 100} %`;
		const found = [median(results), quantile(results, 0.8)];
		simulated(`users until a doubling is ruled out: ${name}: median`, found[0], "users");
		simulated(`users until a doubling is ruled out: ${name}: P80`, found[1], "users");
		return [name, found.map((value) => count(Math.round(value))).join(" / "), designed.map(count).join(" / ")];
	});
	table("Users of a healthy candidate until a doubling is ruled out", ["median / P80", "by design"], users);
}

function reportEffort() {
	const used = process.cpuUsage();
	const seconds = (used.user + used.system) / 1e6;
	figure("CPU of this run", seconds, "s");
	const { healthy: many, harmful: some } = REPETITIONS;
	const error = 100 * Math.sqrt((0.01 * 0.99) / many);
	report.note(
		`${count(many)} repetitions of each case without a regression, so 1 % is known to ± ${error.toFixed(1)} %; ${count(some)} of each with one.`,
	);
	report.note(`${Math.round(seconds)} s of CPU.`);
	if (isQuick) report.note("With so few repetitions nothing simulated has a bar.");
}

function table(title, columns, rows) {
	const all = [["", ...columns], ...rows];
	const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)));
	const lines = all.map((row) =>
		row
			.map((cell, i) => cell.padEnd(widths[i]))
			.join("  ")
			.trimEnd(),
	);
	report.note([title, ...lines.map((line) => `  ${line}`), ""].join("\n"));
}
